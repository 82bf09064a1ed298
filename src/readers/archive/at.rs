//! A file as several threads read it: each has a place of its own.

use std::{
    fs::File,
    io::{self, Read, Seek, SeekFrom},
    os::unix::fs::FileExt as _,
    sync::Arc,
};

/// Read at once, since the list of a zip is made of pieces of a few bytes.
const WINDOW: usize = 16 << 10;

/// A place in a file. A clone reads the same file from the same place on.
#[derive(Debug)]
pub(super) struct At {
    file: Arc<File>,
    /// Length of the file when it was opened.
    pub(super) length: u64,
    at: u64,
    /// Bytes of the file from `start` on.
    window: Vec<u8>,
    start: u64,
}

impl At {
    /// The beginning.
    pub(super) fn new(file: Arc<File>, length: u64) -> Self {
        Self {
            file,
            length,
            at: 0,
            window: Vec::new(),
            start: 0,
        }
    }
}

impl Clone for At {
    fn clone(&self) -> Self {
        Self {
            file: Arc::clone(&self.file),
            window: Vec::new(),
            ..*self
        }
    }
}

impl Read for At {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let known = self
            .at
            .checked_sub(self.start)
            .and_then(|skip| usize::try_from(skip).ok());
        if known.is_none_or(|skip| skip >= self.window.len()) {
            if buffer.len() >= WINDOW {
                let read = self.file.read_at(buffer, self.at)?;
                self.at += read as u64;
                return Ok(read);
            }
            self.window.resize(WINDOW, 0);
            let read = self.file.read_at(&mut self.window, self.at);
            self.window.truncate(*read.as_ref().unwrap_or(&0));
            self.start = self.at;
            read?;
        }
        let mut rest = &self.window[(self.at - self.start) as usize..];
        let read = rest.read(buffer)?;
        self.at += read as u64;
        Ok(read)
    }
}

impl Seek for At {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let place = match to {
            SeekFrom::Start(place) => Some(place),
            SeekFrom::End(by) => self.length.checked_add_signed(by),
            SeekFrom::Current(by) => self.at.checked_add_signed(by),
        };
        self.at = place.ok_or(io::ErrorKind::InvalidInput)?;
        Ok(self.at)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    #[test]
    fn reads_what_the_file_holds_wherever_it_is_moved() {
        let bytes: Vec<u8> = (0..100_000_u32).map(|n| (n % 251) as u8).collect();
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&bytes).unwrap();
        let mut at = At::new(Arc::new(file), bytes.len() as u64);
        for (place, length) in [(0, 5), (16_380, 10), (3, 40_000), (99_990, 10), (5, 1), (16_384, 3)] {
            at.seek(SeekFrom::Start(place as u64)).unwrap();
            let mut piece = vec![0; length];
            at.read_exact(&mut piece).unwrap();
            assert_eq!(piece, bytes[place..place + length], "{place}");
            assert_eq!(at.stream_position().unwrap(), (place + length) as u64);
        }
        assert_eq!(at.seek(SeekFrom::End(-1)).unwrap(), 99_999);
        assert_eq!(at.clone().read_to_end(&mut Vec::new()).unwrap(), 1);
        at.seek(SeekFrom::End(1 << 40)).unwrap();
        assert_eq!(at.read(&mut [0; 4]).unwrap(), 0);
        assert!(at.seek(SeekFrom::Start(0)).is_ok() && at.seek(SeekFrom::Current(-1)).is_err());
    }
}
