//! Archives: the list, and members up to 16 MiB.
#![no_main]

use std::{io::Write as _, path::Path};

use hounsfield::readers::Archive;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    hounsfield_fuzz::begin();
    let mut file = tempfile::tempfile().expect("a temporary file");
    file.write_all(bytes).expect("room for the file");
    let Ok(archive) = Archive::from_file(file, Path::new("a.zip")) else {
        return;
    };
    let mut left = 16 << 20;
    for member in archive.members() {
        let Some(rest) = u64::checked_sub(left, member.bytes) else {
            break;
        };
        left = rest;
        if let Ok(content) = archive.read(&member.name) {
            assert_eq!(content.len() as u64, member.bytes);
        }
    }
    for refused in archive.refused() {
        assert!(archive.read(&refused.name).is_err());
    }
});
