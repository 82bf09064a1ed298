//! What stands before the numbers of an `.npy` file: a magic, a version, a length and a dictionary of Python's.
//!
//! Source: `numpy/lib/format.py`, versions 1 to 3.

use super::NpyError;
use crate::readers::samples::Kind;

pub(super) const MAGIC: &[u8] = b"\x93NUMPY";
/// No header of an array of numbers is longer: that of numpy has 118 bytes and a few of the shape.
const MAX_HEADER: usize = 1 << 12;

/// What stands before the numbers.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) kind: Kind,
    pub(super) big_endian: bool,
    pub(super) fortran: bool,
    /// `[D, H, W]`; a slice has a D of 1.
    pub(super) size: [usize; 3],
    /// Where numbers begin.
    pub(super) begin: usize,
}

impl Header {
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, NpyError> {
        let no_header = || NpyError::Header;
        let (version, rest) = bytes
            .strip_prefix(MAGIC)
            .and_then(|rest| rest.split_at_checked(2))
            .ok_or_else(no_header)?;
        let (length, width) = match (version[0], rest) {
            (1, [a, b, ..]) => (usize::from(u16::from_le_bytes([*a, *b])), 2),
            (2 | 3, [a, b, c, d, ..]) => (u32::from_le_bytes([*a, *b, *c, *d]) as usize, 4),
            _ => return Err(no_header()),
        };
        let text = rest[width..].get(..length).filter(|text| text.len() <= MAX_HEADER);
        let text = text
            .and_then(|text| std::str::from_utf8(text).ok())
            .ok_or_else(no_header)?;
        let descr = value_of(text, "descr").and_then(quoted).ok_or(NpyError::Records)?;
        let (kind, big_endian) = kind_named(descr).ok_or_else(|| NpyError::Datatype {
            // Names of types are short.
            found: descr.chars().take(8).collect(),
        })?;
        let fortran = match value_of(text, "fortran_order").ok_or_else(no_header)? {
            value if value.starts_with("True") => true,
            value if value.starts_with("False") => false,
            _ => return Err(no_header()),
        };
        let shape = value_of(text, "shape").and_then(numbers).ok_or_else(no_header)?;
        let size = match *shape {
            [height, width] => [1, height, width],
            [depth, height, width] => [depth, height, width],
            _ => return Err(NpyError::Shape { found: shape }),
        };
        if size.contains(&0) {
            return Err(NpyError::Shape { found: shape });
        }
        Ok(Self {
            kind,
            big_endian,
            fortran,
            size,
            begin: MAGIC.len() + 2 + width + length,
        })
    }

    pub(super) fn encode(descr: &str, [depth, height, width]: [usize; 3]) -> Vec<u8> {
        let mut text =
            format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': ({depth}, {height}, {width}), }}");
        // Numbers begin at a multiple of 64, and a line feed ends the header.
        let before = MAGIC.len() + 4;
        text.push_str(&" ".repeat(63 - (before + text.len()) % 64));
        text.push('\n');
        let length = u16::try_from(text.len()).expect("three numbers and a few words are short");
        [MAGIC, &[1, 0], &length.to_le_bytes(), text.as_bytes()].concat()
    }
}

/// What follows a key of the header's dictionary.
fn value_of<'a>(text: &'a str, key: &str) -> Option<&'a str> {
    let at = ['\'', '"'].iter().find_map(|quote| {
        let quoted = format!("{quote}{key}{quote}");
        text.find(&quoted).map(|at| at + quoted.len())
    })?;
    Some(text[at..].trim_start().strip_prefix(':')?.trim_start())
}

fn quoted(value: &str) -> Option<&str> {
    let quote = value.chars().next().filter(|quote| ['\'', '"'].contains(quote))?;
    value[1..].split_once(quote).map(|(inside, _)| inside)
}

fn numbers(value: &str) -> Option<Vec<usize>> {
    let (inside, _) = value.strip_prefix('(')?.split_once(')')?;
    let parts = inside.split(',').map(str::trim).filter(|part| !part.is_empty());
    // Python 2 wrote long integers with an L.
    parts.map(|part| part.trim_end_matches('L').parse().ok()).collect()
}

/// `<f4` and the like; bytes of one number have no order.
fn kind_named(descr: &str) -> Option<(Kind, bool)> {
    let kind = match descr.get(1..)? {
        "u1" => Kind::U8,
        "i1" => Kind::I8,
        "u2" => Kind::U16,
        "i2" => Kind::I16,
        "u4" => Kind::U32,
        "i4" => Kind::I32,
        "u8" => Kind::U64,
        "i8" => Kind::I64,
        "f4" => Kind::F32,
        "f8" => Kind::F64,
        _ => return None,
    };
    match (&descr[..1], kind.bytes()) {
        ("<", _) | ("|", 1) => Some((kind, false)),
        (">", _) => Some((kind, true)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_that_was_written_is_read_back() {
        for size in [[1, 2, 3], [148, 512, 512], [1, 1, 1_000_000_000]] {
            let bytes = Header::encode("<i2", size);
            assert_eq!(bytes.len() % 64, 0);
            let header = Header::parse(&bytes).unwrap();
            assert_eq!((header.size, header.begin, header.kind), (size, bytes.len(), Kind::I16));
        }
    }
}
