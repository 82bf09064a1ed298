//! Markers, segments and coded bytes: T.81 annex B.

use super::{FORMAT, damaged};
use crate::readers::dicom::codecs::CodecError;

/// Marker codes, the byte behind 0xFF (table B.1).
pub(super) mod marker {
    pub(in super::super) const SOF0: u8 = 0xC0;
    pub(in super::super) const SOF1: u8 = 0xC1;
    pub(in super::super) const SOF2: u8 = 0xC2;
    pub(in super::super) const SOF3: u8 = 0xC3;
    pub(in super::super) const DHT: u8 = 0xC4;
    pub(in super::super) const DAC: u8 = 0xCC;
    pub(in super::super) const RST0: u8 = 0xD0;
    pub(in super::super) const RST7: u8 = 0xD7;
    pub(in super::super) const SOI: u8 = 0xD8;
    pub(in super::super) const EOI: u8 = 0xD9;
    pub(in super::super) const SOS: u8 = 0xDA;
    pub(in super::super) const DQT: u8 = 0xDB;
    pub(in super::super) const DRI: u8 = 0xDD;
    pub(in super::super) const TEM: u8 = 0x01;
}

/// Walks over markers and their segments.
pub(super) struct Segments<'a> {
    pub(super) bytes: &'a [u8],
}

impl<'a> Segments<'a> {
    /// The next marker's code. Fill bytes before it (B.1.1.2) and what strays between segments are passed over, as
    /// libjpeg does.
    pub(super) fn marker(&mut self) -> Result<u8, CodecError> {
        loop {
            let at = self.bytes.iter().position(|byte| *byte == 0xFF).ok_or(HEADERS_END)?;
            self.bytes = &self.bytes[at + 1..];
            match self.bytes.first() {
                None => return Err(HEADERS_END),
                Some(0 | 0xFF) => {}
                Some(&code) => {
                    self.bytes = &self.bytes[1..];
                    return Ok(code);
                }
            }
        }
    }

    /// What stands behind a marker, without the two bytes of its length.
    pub(super) fn segment(&mut self) -> Result<&'a [u8], CodecError> {
        let (length, rest) = self.bytes.split_first_chunk::<2>().ok_or(HEADERS_END)?;
        let length = usize::from(u16::from_be_bytes(*length))
            .checked_sub(2)
            .ok_or_else(|| damaged("a segment shorter than its length"))?;
        let (segment, rest) = rest.split_at_checked(length).ok_or(HEADERS_END)?;
        self.bytes = rest;
        Ok(segment)
    }
}

/// The coded bytes behind a scan header, without stuffing (B.1.1.5), cut at restart markers; up to any other marker. The
/// former are numbered 0 to 7, round and round: what is lost between two of them must not move the rest.
pub(super) fn intervals(bytes: &[u8]) -> Result<Vec<Vec<u8>>, CodecError> {
    let mut all = Vec::new();
    let mut now = Vec::with_capacity(bytes.len());
    let mut rest = bytes;
    loop {
        let at = rest.iter().position(|byte| *byte == 0xFF).unwrap_or(rest.len());
        now.extend_from_slice(&rest[..at]);
        match rest.get(at + 1) {
            // A stuffed byte.
            Some(0) => {
                now.push(0xFF);
                rest = &rest[at + 2..];
            }
            // A fill byte.
            Some(0xFF) => rest = &rest[at + 1..],
            Some(code @ marker::RST0..=marker::RST7) => {
                if usize::from(code - marker::RST0) != all.len() % 8 {
                    return Err(damaged("restart markers out of order"));
                }
                now.shrink_to_fit();
                all.push(std::mem::take(&mut now));
                rest = &rest[at + 2..];
            }
            _ => {
                all.push(now);
                return Ok(all);
            }
        }
    }
}

const HEADERS_END: CodecError = CodecError::Truncated {
    format: FORMAT,
    part: "its headers",
};
