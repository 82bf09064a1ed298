//! Data sets (PS3.5 chapter 7): attributes into an object, and where the pixels stand.
//!
//! The walk is our own, the attributes are dicom-object's. The reader of that library (0.10) allocates what a length claims
//! (4 GiB for 184 bytes) and overflows the stack where 10,000 sequences stand in each other; here a length is held against
//! what is there before memory is asked for, depth and number of elements are bounded, and pixels stay where they are.

use std::ops::Range;

use dicom_core::{
    DataElement, PrimitiveValue, Tag, VR,
    dictionary::{DataDictionary as _, DataDictionaryEntry as _},
    header::Header as _,
    value::DataSetSequence,
};
use dicom_dictionary_std::{StandardDataDictionary, tags};
use dicom_encoding::text::SpecificCharacterSet;
use dicom_object::InMemDicomObject;

use super::values;

/// How deep sequences may stand in each other; those of CT end at 4.
const MAX_DEPTH: usize = 32;

/// How many elements are read, of some hundred bytes each in memory. 2,000 frames of enhanced CT have about 200,000.
const MAX_ELEMENTS: usize = 1_000_000;

/// How many elements an item counts for, by the memory that it takes.
const ITEM_COUNTS: usize = 8;

/// Longer values are noted and not kept: overlays, spectra, what a vendor stores for itself.
const MAX_VALUE: usize = 1 << 20;

/// What stands for them: text, and no number.
const LONG: &str = "\u{FFFD}";

const ITEM: Tag = Tag(0xFFFE, 0xE000);
const ITEM_END: Tag = Tag(0xFFFE, 0xE00D);
const SEQUENCE_END: Tag = Tag(0xFFFE, 0xE0DD);

const NO_ITEM: &str = "a sequence holds what is no item";

/// Why a data set can't be read.
#[derive(Debug, PartialEq)]
pub(super) enum Flaw {
    /// It ends too early.
    Truncated,
    /// It contradicts itself.
    Broken(&'static str),
}

/// How elements are written.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Encoding {
    pub explicit: bool,
    pub big_endian: bool,
}

impl Encoding {
    pub const IMPLICIT: Self = Self {
        explicit: false,
        big_endian: false,
    };
    pub const LITTLE: Self = Self {
        explicit: true,
        big_endian: false,
    };
    pub const BIG: Self = Self {
        explicit: true,
        big_endian: true,
    };

    pub fn u16(self, bytes: [u8; 2]) -> u16 {
        match self.big_endian {
            true => u16::from_be_bytes(bytes),
            false => u16::from_le_bytes(bytes),
        }
    }

    pub fn u32(self, bytes: [u8; 4]) -> u32 {
        match self.big_endian {
            true => u32::from_be_bytes(bytes),
            false => u32::from_le_bytes(bytes),
        }
    }
}

/// Where Pixel Data stands in the file.
#[derive(Debug, PartialEq)]
pub(super) enum PixelData {
    Missing,
    Native {
        place: Range<usize>,
        /// Its representation is OW: 8-bit pixels stand two in a word.
        words: bool,
    },
    Encapsulated {
        /// The Basic Offset Table.
        table: Range<usize>,
        fragments: Vec<Range<usize>>,
    },
}

/// The attributes of a file without its pixels, and where these are.
#[derive(Debug)]
pub(super) struct DataSet {
    pub attributes: InMemDicomObject,
    pub pixels: PixelData,
}

/// Reads the data set that starts at a byte of the file.
pub(super) fn read(bytes: &[u8], at: usize, encoding: Encoding) -> Result<DataSet, Flaw> {
    let mut walk = Walk {
        bytes,
        at,
        left: MAX_ELEMENTS,
        characters: None,
        pixels: PixelData::Missing,
    };
    let mut attributes = InMemDicomObject::new_empty();
    while walk.at < bytes.len() {
        match walk.element(bytes.len(), encoding, 0) {
            Ok(Some(element)) => {
                if element.tag() == tags::SPECIFIC_CHARACTER_SET {
                    walk.characters = values::character_set(&element);
                }
                attributes.put(element);
            }
            Ok(None) => {}
            // All that matters stands before the pixels; writers leave padding and worse behind them.
            Err(_) if walk.pixels != PixelData::Missing => break,
            Err(flaw) => return Err(flaw),
        }
    }
    Ok(DataSet {
        attributes,
        pixels: walk.pixels,
    })
}

type Element = DataElement<InMemDicomObject>;

/// An element's tag, its representation, and its length if that is stated.
struct Header {
    tag: Tag,
    vr: VR,
    length: Option<usize>,
}

struct Walk<'a> {
    bytes: &'a [u8],
    at: usize,
    /// How many more elements and items are read.
    left: usize,
    characters: Option<SpecificCharacterSet>,
    pixels: PixelData,
}

impl Walk<'_> {
    /// The next element of a data set that ends at `end` at the latest; nothing for Pixel Data.
    fn element(&mut self, end: usize, encoding: Encoding, depth: usize) -> Result<Option<Element>, Flaw> {
        self.count(1)?;
        let Header { tag, mut vr, length } = self.header(end, encoding)?;
        let Some(length) = length else {
            return match vr {
                VR::OB | VR::OW if tag == tags::PIXEL_DATA => {
                    let (table, fragments) = self.fragments(end)?;
                    // An icon has pixels too; they are of no use here.
                    if depth == 0 {
                        self.pixels = PixelData::Encapsulated { table, fragments };
                    }
                    Ok(None)
                }
                VR::SQ => self.sequence(tag, end, None, encoding, depth).map(Some),
                // PS3.5 6.2.2, note 3: what is unknown and of undefined length is a sequence in implicit VR.
                VR::UN => self.sequence(tag, end, None, Encoding::IMPLICIT, depth).map(Some),
                _ => Err(Flaw::Broken("an element without a length is no sequence")),
            };
        };
        let place = self.take(length, end)?;
        if tag == tags::PIXEL_DATA {
            if depth == 0 {
                self.pixels = PixelData::Native {
                    place,
                    words: vr == VR::OW,
                };
            }
            return Ok(None);
        }
        let mut encoding = encoding;
        if vr == VR::UN {
            // Some converters write everything as unknown, then in little endian (PS3.5 6.2.2).
            (vr, encoding) = (dictionary_vr(tag), Encoding::IMPLICIT);
        }
        if vr == VR::SQ {
            self.at = place.start;
            match self.sequence(tag, place.end, Some(place.end), encoding, depth) {
                Err(Flaw::Broken(NO_ITEM) | Flaw::Truncated) => {
                    // Who takes names out of files may write blanks over whole sequences.
                    self.at = place.end;
                    vr = VR::UN;
                }
                found => return found.map(Some),
            }
        }
        let value = match &self.bytes[place] {
            value if value.len() > MAX_VALUE => PrimitiveValue::from(LONG),
            value => values::primitive(vr, value, encoding, self.characters.as_ref()),
        };
        Ok(Some(DataElement::new(tag, vr, value)))
    }

    /// A sequence's items up to its stated end or its delimiter.
    fn sequence(
        &mut self,
        tag: Tag,
        limit: usize,
        end: Option<usize>,
        encoding: Encoding,
        depth: usize,
    ) -> Result<Element, Flaw> {
        if depth == MAX_DEPTH {
            return Err(Flaw::Broken("sequences stand in each other more than 32 deep"));
        }
        let mut items = Vec::new();
        while Some(self.at) != end {
            let (found, length) = self.delimiter(limit, encoding)?;
            match found {
                ITEM => items.push(self.item(limit, length, encoding, depth + 1)?),
                SEQUENCE_END if end.is_none() => break,
                _ => return Err(Flaw::Broken(NO_ITEM)),
            }
        }
        Ok(DataElement::new(tag, VR::SQ, DataSetSequence::from(items)))
    }

    fn item(
        &mut self,
        limit: usize,
        length: Option<usize>,
        encoding: Encoding,
        depth: usize,
    ) -> Result<InMemDicomObject, Flaw> {
        self.count(ITEM_COUNTS)?;
        let end = match length {
            Some(length) => {
                let place = self.take(length, limit)?;
                self.at = place.start;
                place.end
            }
            None => limit,
        };
        let mut item = InMemDicomObject::new_empty();
        while length.is_none() || self.at < end {
            if length.is_none() && self.peek_tag(encoding) == Some(ITEM_END) {
                self.delimiter(end, encoding)?;
                break;
            }
            if let Some(element) = self.element(end, encoding, depth)? {
                item.put(element);
            }
        }
        Ok(item)
    }

    /// The items of encapsulated pixels (PS3.5 A.4): the offset table and the fragments.
    fn fragments(&mut self, end: usize) -> Result<(Range<usize>, Vec<Range<usize>>), Flaw> {
        let mut places = Vec::new();
        loop {
            match self.delimiter(end, Encoding::LITTLE)? {
                (ITEM, Some(length)) => places.push(self.take(length, end)?),
                (SEQUENCE_END, _) => break,
                _ => return Err(Flaw::Broken("compressed pixels hold what is no fragment")),
            }
        }
        if places.is_empty() {
            return Err(Flaw::Broken("compressed pixels have no offset table"));
        }
        let table = places.remove(0);
        Ok((table, places))
    }

    fn header(&mut self, end: usize, encoding: Encoding) -> Result<Header, Flaw> {
        let [a, b, c, d, e, f, g, h] = self.array(end)?;
        let tag = Tag(encoding.u16([a, b]), encoding.u16([c, d]));
        if tag.group() == 0xFFFE {
            return Err(Flaw::Broken("a delimiter stands where an element should"));
        }
        let letters = encoding.explicit && e.is_ascii_uppercase() && f.is_ascii_uppercase();
        // Writers of explicit VR slip in elements in implicit VR; the letters tell.
        let (vr, length) = match VR::from_binary([e, f]).filter(|_| letters) {
            Some(vr) if has_long_length(vr) => (vr, stated(encoding.u32(self.array(end)?))),
            Some(vr) => (vr, Some(usize::from(encoding.u16([g, h])))),
            // Representations of a later standard have the long form (PS3.5 7.1.2).
            None if letters => (VR::UN, stated(encoding.u32(self.array(end)?))),
            None => (dictionary_vr(tag), stated(encoding.u32([e, f, g, h]))),
        };
        let vr = match (vr, length) {
            _ if tag == tags::PIXEL_DATA && vr == VR::UN => VR::OW,
            // In implicit VR only sequences have no length, and many are private.
            (VR::UN, None) if !letters => VR::SQ,
            _ => vr,
        };
        Ok(Header { tag, vr, length })
    }

    /// The tag and length of an item or a delimiter.
    fn delimiter(&mut self, end: usize, encoding: Encoding) -> Result<(Tag, Option<usize>), Flaw> {
        let [a, b, c, d, e, f, g, h] = self.array(end)?;
        let tag = Tag(encoding.u16([a, b]), encoding.u16([c, d]));
        Ok((tag, stated(encoding.u32([e, f, g, h]))))
    }

    fn peek_tag(&self, encoding: Encoding) -> Option<Tag> {
        let bytes = self.bytes.get(self.at..self.at + 4)?;
        Some(Tag(
            encoding.u16([bytes[0], bytes[1]]),
            encoding.u16([bytes[2], bytes[3]]),
        ))
    }

    fn array<const N: usize>(&mut self, end: usize) -> Result<[u8; N], Flaw> {
        let place = self.take(N, end)?;
        Ok(std::array::from_fn(|i| self.bytes[place.start + i]))
    }

    /// Steps over so many bytes, if they are there.
    fn take(&mut self, length: usize, end: usize) -> Result<Range<usize>, Flaw> {
        match self.at.checked_add(length) {
            Some(stop) if stop <= end => Ok(std::mem::replace(&mut self.at, stop)..stop),
            _ if end == self.bytes.len() => Err(Flaw::Truncated),
            _ => Err(Flaw::Broken("an element is longer than what it stands in")),
        }
    }

    fn count(&mut self, elements: usize) -> Result<(), Flaw> {
        self.left = self
            .left
            .checked_sub(elements)
            .ok_or(Flaw::Broken("it has more than a million elements"))?;
        Ok(())
    }
}

/// Whether an element of this representation has four bytes of length in explicit VR (PS3.5 7.1.2).
pub(super) fn has_long_length(vr: VR) -> bool {
    use VR::{OB, OD, OF, OL, OV, OW, SQ, SV, UC, UN, UR, UT, UV};
    matches!(vr, OB | OD | OF | OL | OV | OW | SQ | SV | UC | UN | UR | UT | UV)
}

/// A length, unless it is the one that means undefined.
fn stated(length: u32) -> Option<usize> {
    (length != u32::MAX).then_some(length as usize)
}

/// The representation that the standard gives an attribute; where it leaves a choice, the unsigned one.
fn dictionary_vr(tag: Tag) -> VR {
    match StandardDataDictionary.by_tag(tag) {
        Some(entry) => entry.vr().relaxed(),
        None if tag.group() % 2 == 1 && (0x10..=0xFF).contains(&tag.element()) => VR::LO,
        None => VR::UN,
    }
}
