//! SHA-256 of files and texts, as 64 hexadecimal digits.

use std::{fs::File, io::Read as _, path::Path};

use sha2::{Digest as _, Sha256};

use super::TableError;

/// SHA-256 of a file's bytes.
///
/// # Errors
///
/// [`TableError::Read`] where the file can't be read.
pub fn sha256_file(path: &Path) -> Result<String, TableError> {
    let mut file = File::open(path).map_err(|source| TableError::read(source, path))?;
    let (mut hash, mut buffer) = (Sha256::new(), vec![0; 1 << 20]);
    loop {
        let n = file
            .read(&mut buffer)
            .map_err(|source| TableError::read(source, path))?;
        if n == 0 {
            return Ok(hex(&hash.finalize()));
        }
        hash.update(&buffer[..n]);
    }
}

/// SHA-256 of bytes in memory.
///
/// ```
/// // FIPS 180-2, appendix B.1.
/// assert!(hounsfield::tables::sha256_bytes(b"abc").starts_with("ba7816bf8f01cfea"));
/// ```
pub fn sha256_bytes(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

/// Bytes as hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
