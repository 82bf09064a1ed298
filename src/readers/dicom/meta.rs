//! The start of a DICOM file: preamble, file meta information (PS3.10 7.1) and how the data set behind it is written.
//!
//! Of the meta information only the transfer syntax is read, by the lengths of the elements alone, so that flaws which
//! say nothing of the image (a title that is too long) refuse no file.

use std::io::Read as _;

use dicom_core::VR;
use dicom_dictionary_std::uids;
use flate2::read::DeflateDecoder;

use super::dataset::{Encoding, Flaw};

/// Syntaxes without compression of pixels (PS3.5 annex A), and their names.
pub(super) const NATIVE: [(&str, &str); 4] = [
    (uids::IMPLICIT_VR_LITTLE_ENDIAN, "Implicit VR Little Endian"),
    (uids::EXPLICIT_VR_LITTLE_ENDIAN, "Explicit VR Little Endian"),
    (
        uids::DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN,
        "Deflated Explicit VR Little Endian",
    ),
    (BIG_ENDIAN, "Explicit VR Big Endian"),
];

/// Retired in 2006; archives still hold it.
const BIG_ENDIAN: &str = "1.2.840.10008.1.2.2";

/// How much a deflated data set may grow: CT deflates to a half, blank slices to a hundredth. A bomb grows a thousandfold.
const MAX_GROWTH: usize = 100;

/// What any deflated file may grow to.
const MIN_INFLATED: usize = 16 << 20;

/// No object may be longer, deflated ones when they are inflated: it is held in memory.
pub(super) const MAX_OBJECT: usize = 2 << 30;

/// Where the data set starts and how it is written.
#[derive(Debug, PartialEq)]
pub(super) struct Start {
    /// Transfer Syntax UID: the file's, or what a data set without meta information looks like.
    pub syntax: String,
    /// Its first byte.
    pub at: usize,
    pub encoding: Encoding,
}

/// A data set that starts without file meta information: group 0008, and an element number as it occurs there.
pub(super) fn bare_data_set(head: &[u8]) -> bool {
    matches!(head, [8, 0, 0..=0x20, 0, ..] if head.len() > 8)
}

/// Reads past the meta information, if there is one.
pub(super) fn start(bytes: &[u8]) -> Result<Start, Flaw> {
    let preamble = if bytes.get(128..132) == Some(b"DICM") { 132 } else { 0 };
    let (syntax, at) = meta(bytes, preamble)?;
    let explicit = looks_explicit(&bytes[at..]);
    let (syntax, encoding) = match syntax.as_deref() {
        None if explicit => (uids::EXPLICIT_VR_LITTLE_ENDIAN, Encoding::LITTLE),
        None => (uids::IMPLICIT_VR_LITTLE_ENDIAN, Encoding::IMPLICIT),
        Some(BIG_ENDIAN) => (BIG_ENDIAN, Encoding::BIG),
        Some(syntax @ uids::DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN) => (syntax, Encoding::LITTLE),
        // Writers mix up the two uncompressed syntaxes. What stands there is what counts.
        Some(syntax) if explicit => (syntax, Encoding::LITTLE),
        Some(syntax) => (syntax, Encoding::IMPLICIT),
    };
    Ok(Start {
        syntax: syntax.to_owned(),
        at,
        encoding,
    })
}

/// The Transfer Syntax UID and where the meta information ends; it is in explicit VR little endian.
fn meta(bytes: &[u8], mut at: usize) -> Result<(Option<String>, usize), Flaw> {
    let mut syntax = None;
    while let Some([2, 0, element @ ..]) = bytes.get(at..at + 6) {
        let &[low, high, a, b] = element else { break };
        let long = VR::from_binary([a, b]).is_some_and(super::dataset::has_long_length);
        let length = match long {
            true => bytes
                .get(at + 8..at + 12)
                .map(|l| u32::from_le_bytes([l[0], l[1], l[2], l[3]]) as usize),
            false => bytes
                .get(at + 6..at + 8)
                .map(|l| usize::from(u16::from_le_bytes([l[0], l[1]]))),
        };
        let value = at + if long { 12 } else { 8 };
        let end = length
            .and_then(|length| value.checked_add(length))
            .ok_or(Flaw::Truncated)?;
        let value = bytes.get(value..end).ok_or(Flaw::Truncated)?;
        if [low, high] == [0x10, 0] {
            let text = std::str::from_utf8(value).map_err(|_| Flaw::Broken("TransferSyntaxUID is no UID"))?;
            syntax = Some(text.trim_matches(['\0', ' ']).to_owned());
        }
        at = end;
    }
    Ok((syntax.filter(|syntax| !syntax.is_empty()), at))
}

/// Explicit VR has two letters where implicit VR has the lower half of a length, which is small this early.
fn looks_explicit(data_set: &[u8]) -> bool {
    data_set
        .get(4..6)
        .is_some_and(|letters| VR::from_binary([letters[0], letters[1]]).is_some())
}

/// Inflates a data set (PS3.5 A.5), if it stays within what its own length makes likely.
pub(super) fn inflate(deflated: &[u8]) -> Result<Vec<u8>, Flaw> {
    let most = deflated
        .len()
        .saturating_mul(MAX_GROWTH)
        .clamp(MIN_INFLATED, MAX_OBJECT);
    let mut inflated = Vec::new();
    DeflateDecoder::new(deflated)
        .take(most as u64 + 1)
        .read_to_end(&mut inflated)
        .map_err(|error| match error.kind() {
            std::io::ErrorKind::UnexpectedEof => Flaw::Truncated,
            _ => Flaw::Broken("its deflated part can't be inflated"),
        })?;
    if inflated.len() > most {
        return Err(Flaw::Broken("its deflated part grows more than a hundredfold"));
    }
    Ok(inflated)
}
