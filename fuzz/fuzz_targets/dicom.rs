//! DICOM: frames, what series are made from, and the list of what identifies a patient.
#![no_main]

use std::path::Path;

use hounsfield::readers::{DicomFile, confidential};

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    hounsfield_fuzz::slices(bytes, "slice.dcm");
    if let Ok(file) = DicomFile::parse(bytes.to_vec(), Path::new("slice.dcm")) {
        assert!(!file.facts().planes.is_empty());
        let _ = confidential(file.object());
    }
});
