//! Values of elements: from bytes (PS3.5 6.2), and as what the reader asks for. What can't be read is absent.

use dicom_core::{DataElement, PrimitiveValue, Tag, VR, value::C};
use dicom_dictionary_std::tags;
use dicom_encoding::text::{SpecificCharacterSet, TextCodec as _};
use dicom_object::InMemDicomObject;

use super::dataset::Encoding;

/// How many parts of a text are looked at: no attribute that is read has more than six.
const MAX_PARTS: usize = 16;

/// How much of each: the longest representation of parts has 64 letters.
const MAX_PART: usize = 64;

/// How much of a value is looked at, in bytes; the longest that is read has six parts of 64 letters. A file may ask for the
/// same value once a frame.
const MAX_READ: usize = 4096;

/// A value as its representation says; an incomplete last number is dropped. Text of several parts stays one, with the
/// backslashes between them: a megabyte of backslashes would be 24 megabytes of parts.
pub(super) fn primitive(
    vr: VR,
    bytes: &[u8],
    encoding: Encoding,
    characters: Option<&SpecificCharacterSet>,
) -> PrimitiveValue {
    if bytes.is_empty() {
        return PrimitiveValue::Empty;
    }
    let big = encoding.big_endian;
    match vr {
        VR::OB | VR::UN | VR::SQ => PrimitiveValue::U8(bytes.iter().copied().collect()),
        VR::US | VR::OW => PrimitiveValue::U16(numbers(bytes, big, u16::from_le_bytes)),
        VR::SS => PrimitiveValue::I16(numbers(bytes, big, i16::from_le_bytes)),
        VR::UL | VR::OL => PrimitiveValue::U32(numbers(bytes, big, u32::from_le_bytes)),
        VR::SL => PrimitiveValue::I32(numbers(bytes, big, i32::from_le_bytes)),
        VR::FL | VR::OF => PrimitiveValue::F32(numbers(bytes, big, f32::from_le_bytes)),
        VR::FD | VR::OD => PrimitiveValue::F64(numbers(bytes, big, f64::from_le_bytes)),
        VR::UV | VR::OV => PrimitiveValue::U64(numbers(bytes, big, u64::from_le_bytes)),
        VR::SV => PrimitiveValue::I64(numbers(bytes, big, i64::from_le_bytes)),
        VR::AT => {
            let halves: C<u16> = numbers(bytes, big, u16::from_le_bytes);
            PrimitiveValue::Tags(halves.chunks_exact(2).map(|pair| Tag(pair[0], pair[1])).collect())
        }
        VR::LO | VR::LT | VR::PN | VR::SH | VR::ST | VR::UC | VR::UT => PrimitiveValue::Str(decoded(bytes, characters)),
        VR::AE | VR::AS | VR::CS | VR::DA | VR::DS | VR::DT | VR::IS | VR::TM | VR::UI | VR::UR => {
            PrimitiveValue::Str(decoded(bytes, None))
        }
    }
}

fn numbers<T, const N: usize>(bytes: &[u8], big_endian: bool, number: fn([u8; N]) -> T) -> C<T> {
    let one = |chunk: &[u8]| {
        let last = if big_endian { N - 1 } else { 0 };
        number(std::array::from_fn(|i| chunk[last.abs_diff(i)]))
    };
    bytes.chunks_exact(N).map(one).collect()
}

/// Text in the file's characters. What these don't hold is read byte by byte, so that two names stay two.
fn decoded(bytes: &[u8], characters: Option<&SpecificCharacterSet>) -> String {
    let byte_by_byte = || bytes.iter().map(|byte| char::from(*byte)).collect();
    match characters {
        _ if bytes.is_ascii() && !bytes.contains(&0x1B) => byte_by_byte(),
        Some(characters) => characters.decode(bytes).unwrap_or_else(|_| byte_by_byte()),
        None => byte_by_byte(),
    }
}

/// Specific Character Set: the last one named, which is the one that its escapes lead to.
pub(super) fn character_set(element: &DataElement<InMemDicomObject>) -> Option<SpecificCharacterSet> {
    let names = element.to_str().ok()?;
    let mut last_first = names.rsplit('\\').take(MAX_PARTS);
    last_first.find_map(|name| SpecificCharacterSet::from_code(name.trim()))
}

/// A value, if it is no longer than one that is read.
fn short(object: &InMemDicomObject, tag: Tag) -> Option<&PrimitiveValue> {
    let value = object.get(tag)?.value().primitive()?;
    (value.calculate_byte_len() <= MAX_READ).then_some(value)
}

/// The whole text of a value, several parts joined by a backslash, without what it is padded with.
pub(super) fn text(object: &InMemDicomObject, tag: Tag) -> Option<String> {
    let value = short(object, tag)?.to_str();
    let text = value.trim_matches(['\0', ' ']);
    (!text.is_empty()).then(|| text.to_owned())
}

/// The parts of a text; there are few.
pub(super) fn texts(object: &InMemDicomObject, tag: Tag) -> Option<Vec<String>> {
    let text = text(object, tag)?;
    let parts = text
        .split('\\')
        .map(|part| part.trim_matches(['\0', ' ']).chars().take(MAX_PART).collect());
    Some(parts.take(MAX_PARTS).collect())
}

/// All numbers of a value, written as digits or as bytes; none if one of them is no finite number.
pub(super) fn decimals(object: &InMemDicomObject, tag: Tag) -> Vec<f64> {
    let numbers = match short(object, tag) {
        Some(PrimitiveValue::Str(_) | PrimitiveValue::Strs(_)) => {
            let parts = texts(object, tag).unwrap_or_default();
            parts.iter().map(|part| part.parse().ok()).collect::<Option<Vec<f64>>>()
        }
        Some(value) => value.to_multi_float64().ok(),
        None => None,
    };
    numbers
        .filter(|numbers| numbers.iter().all(|number| number.is_finite()))
        .unwrap_or_default()
}

/// The offsets of an Extended Offset Table, one a frame.
pub(super) fn offsets(object: &InMemDicomObject) -> Vec<u64> {
    let table = object
        .get(tags::EXTENDED_OFFSET_TABLE)
        .and_then(|table| table.value().primitive());
    match table {
        Some(PrimitiveValue::U64(offsets)) => offsets.to_vec(),
        _ => Vec::new(),
    }
}

/// The first number.
pub(super) fn decimal(object: &InMemDicomObject, tag: Tag) -> Option<f64> {
    decimals(object, tag).first().copied()
}

/// The first number, if it is a whole one. `12.0` is.
pub(super) fn integer(object: &InMemDicomObject, tag: Tag) -> Option<i32> {
    let number = decimal(object, tag)?;
    let whole = number.fract() == 0.0 && number.abs() <= f64::from(i32::MAX);
    whole.then_some(number as i32)
}

/// So many numbers, if there are as many.
pub(super) fn vector<const N: usize>(object: &InMemDicomObject, tag: Tag) -> Option<[f64; N]> {
    decimals(object, tag).try_into().ok()
}

/// The items of a sequence.
pub(super) fn items(object: &InMemDicomObject, tag: Tag) -> &[InMemDicomObject] {
    object.get(tag).and_then(|element| element.items()).unwrap_or_default()
}
