//! Pictures: PNG, JPEG, TIFF.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| hounsfield_fuzz::slices(bytes, "slice.png"));
