//! NIfTI and npy, packed or not.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| hounsfield_fuzz::slices(bytes, "volume.nii"));
