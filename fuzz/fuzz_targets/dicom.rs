//! DICOM, and the list of what in it identifies a patient.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| hounsfield_fuzz::slices(bytes, "slice.dcm"));
