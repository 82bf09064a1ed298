//! A small writer of CT files, for tests that need one of a certain kind. It writes what it is told, right or wrong.

use std::{collections::BTreeMap, io::Write as _, path::Path};

use dicom_dictionary_std::{tags, uids};
use dicom_object::Tag;
use ndarray::Array2;

/// A CT file in the making: an axial slice of 16 bits, signed, rescale 1 and -1024, explicit VR little endian.
///
/// Its patient is `SECRET^NAME`, so that tests can look for that in what they get.
#[derive(Debug, Clone)]
pub struct CtFile {
    elements: BTreeMap<Tag, (String, Value)>,
    syntax: String,
    pixels: Vec<i32>,
}

/// A value before it is known how numbers are written.
#[derive(Debug, Clone)]
enum Value {
    Bytes(Vec<u8>),
    Shorts(Vec<u16>),
    /// Stored values, in as many bytes as Bits Allocated says.
    Pixels,
    Fragments(Vec<Vec<u8>>),
    Items(Vec<Vec<(Tag, String, Value)>>),
}

impl CtFile {
    /// A slice with these stored values, `[H, W]`.
    pub fn new(stored: &Array2<i32>) -> Self {
        let (rows, columns) = stored.dim();
        let mut file = Self {
            elements: BTreeMap::new(),
            syntax: uids::EXPLICIT_VR_LITTLE_ENDIAN.to_owned(),
            pixels: stored.iter().copied().collect(),
        };
        file.elements.insert(tags::PIXEL_DATA, ("OW".to_owned(), Value::Pixels));
        file.text(tags::SOP_CLASS_UID, "UI", uids::CT_IMAGE_STORAGE)
            .text(tags::SOP_INSTANCE_UID, "UI", "2.25.1")
            .text(tags::STUDY_INSTANCE_UID, "UI", "2.25.2")
            .text(tags::SERIES_INSTANCE_UID, "UI", "2.25.3")
            .text(tags::FRAME_OF_REFERENCE_UID, "UI", "2.25.4")
            .text(tags::MODALITY, "CS", "CT")
            .text(tags::IMAGE_TYPE, "CS", r"ORIGINAL\PRIMARY\AXIAL")
            .text(tags::PATIENT_NAME, "PN", "SECRET^NAME")
            .text(tags::PATIENT_ID, "LO", "SECRET-ID")
            .text(tags::IMAGE_ORIENTATION_PATIENT, "DS", r"1\0\0\0\1\0")
            .text(tags::PIXEL_SPACING, "DS", r"0.7\0.7")
            .text(tags::SLICE_THICKNESS, "DS", "2")
            .text(tags::PHOTOMETRIC_INTERPRETATION, "CS", "MONOCHROME2")
            .text(tags::RESCALE_SLOPE, "DS", "1")
            .text(tags::RESCALE_INTERCEPT, "DS", "-1024")
            .number(tags::SAMPLES_PER_PIXEL, 1)
            .number(tags::ROWS, rows as u16)
            .number(tags::COLUMNS, columns as u16)
            .bits(16, 16, true)
            .at([0.0, 0.0, 0.0])
    }

    /// Bits Allocated, Bits Stored with the matching High Bit, Pixel Representation.
    pub fn bits(self, allocated: u16, stored: u16, signed: bool) -> Self {
        self.number(tags::BITS_ALLOCATED, allocated)
            .number(tags::BITS_STORED, stored)
            .number(tags::HIGH_BIT, stored.wrapping_sub(1))
            .number(tags::PIXEL_REPRESENTATION, signed.into())
    }

    /// An attribute with the bytes of a text.
    pub fn text(mut self, tag: Tag, vr: &str, value: &str) -> Self {
        self.elements
            .insert(tag, (vr.to_owned(), Value::Bytes(value.as_bytes().to_vec())));
        self
    }

    /// An attribute of 16 bits.
    pub fn number(mut self, tag: Tag, value: u16) -> Self {
        self.elements.insert(tag, ("US".to_owned(), Value::Shorts(vec![value])));
        self
    }

    /// A sequence; each item is a list of tag, representation and text.
    pub fn sequence(mut self, tag: Tag, items: &[&[(Tag, &str, &str)]]) -> Self {
        let item = |elements: &&[(Tag, &str, &str)]| {
            let element = |(tag, vr, value): &(Tag, &str, &str)| {
                (*tag, (*vr).to_owned(), Value::Bytes(value.as_bytes().to_vec()))
            };
            elements.iter().map(element).collect()
        };
        let items = items.iter().map(item).collect();
        self.elements.insert(tag, ("SQ".to_owned(), Value::Items(items)));
        self
    }

    /// Without an attribute.
    pub fn without(mut self, tag: Tag) -> Self {
        self.elements.remove(&tag);
        self
    }

    /// Image Position (Patient).
    pub fn at(self, [x, y, z]: [f64; 3]) -> Self {
        self.text(tags::IMAGE_POSITION_PATIENT, "DS", &format!(r"{x}\{y}\{z}"))
            .text(tags::SLICE_LOCATION, "DS", &z.to_string())
    }

    /// Another transfer syntax; those that are not compressed are written rightly.
    pub fn syntax(mut self, uid: &str) -> Self {
        self.syntax = uid.to_owned();
        self
    }

    /// Compressed pixels of a syntax: fragments behind an empty offset table.
    pub fn fragments(mut self, uid: &str, fragments: &[&[u8]]) -> Self {
        let fragments = fragments.iter().map(|bytes| bytes.to_vec()).collect();
        self.elements
            .insert(tags::PIXEL_DATA, ("OB".to_owned(), Value::Fragments(fragments)));
        self.syntax(uid)
    }

    /// The file, with preamble and meta information.
    pub fn bytes(&self) -> Vec<u8> {
        let meta = Writer {
            explicit: true,
            big_endian: false,
        };
        let mut syntax = Vec::new();
        meta.element(&mut syntax, Tag(2, 0x10), "UI", self.syntax.as_bytes(), Some(0));
        let mut file = vec![0; 128];
        file.extend(b"DICM");
        meta.element(&mut file, Tag(2, 0), "UL", &(syntax.len() as u32).to_le_bytes(), None);
        file.extend(syntax);
        let data_set = self.data_set();
        if self.syntax == uids::DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN {
            let mut deflate = flate2::write::DeflateEncoder::new(file, flate2::Compression::default());
            deflate.write_all(&data_set).unwrap();
            return deflate.finish().unwrap();
        }
        file.extend(data_set);
        file
    }

    /// Writes the file, with folders where they are missing.
    pub fn write(&self, path: &Path) {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, self.bytes()).unwrap();
    }

    /// What stands behind the meta information.
    fn data_set(&self) -> Vec<u8> {
        let writer = Writer {
            explicit: self.syntax != uids::IMPLICIT_VR_LITTLE_ENDIAN,
            big_endian: self.syntax == "1.2.840.10008.1.2.2",
        };
        let mut out = Vec::new();
        for (tag, (vr, value)) in &self.elements {
            self.value(&mut out, writer, *tag, vr, value);
        }
        out
    }

    fn value(&self, out: &mut Vec<u8>, writer: Writer, tag: Tag, vr: &str, value: &Value) {
        match value {
            Value::Bytes(bytes) => {
                let padding = if vr == "UI" { 0 } else { b' ' };
                writer.element(out, tag, vr, bytes, Some(padding));
            }
            Value::Shorts(numbers) => {
                let bytes: Vec<u8> = numbers.iter().flat_map(|number| writer.u16(*number)).collect();
                writer.element(out, tag, vr, &bytes, None);
            }
            Value::Pixels => {
                let one = |pixel: &i32| match self.allocated() {
                    8 => vec![*pixel as u8],
                    16 => writer.u16(*pixel as u16).to_vec(),
                    _ => writer.u32(*pixel as u32).to_vec(),
                };
                let bytes: Vec<u8> = self.pixels.iter().flat_map(one).collect();
                let vr = if self.allocated() == 8 { "OB" } else { vr };
                writer.element(out, tag, vr, &bytes, Some(0));
            }
            Value::Fragments(fragments) => {
                writer.header(out, tag, vr, u32::MAX);
                writer.item(out, 0xE000, 0);
                for fragment in fragments {
                    writer.item(out, 0xE000, fragment.len().next_multiple_of(2) as u32);
                    out.extend(fragment);
                    out.extend(vec![0; fragment.len() % 2]);
                }
                writer.item(out, 0xE0DD, 0);
            }
            Value::Items(items) => {
                writer.header(out, tag, vr, u32::MAX);
                for item in items {
                    writer.item(out, 0xE000, u32::MAX);
                    for (tag, vr, value) in item {
                        self.value(out, writer, *tag, vr, value);
                    }
                    writer.item(out, 0xE00D, 0);
                }
                writer.item(out, 0xE0DD, 0);
            }
        }
    }

    fn allocated(&self) -> u16 {
        match self.elements.get(&tags::BITS_ALLOCATED) {
            Some((_, Value::Shorts(bits))) => bits[0],
            _ => 16,
        }
    }
}

/// Slices of one series, from the feet up, `spacing` mm apart; `stored` gives the values of each.
pub fn series(slices: usize, spacing: f64, stored: impl Fn(usize) -> Array2<i32>) -> Vec<CtFile> {
    let slice = |at: usize| {
        CtFile::new(&stored(at))
            .at([-100.0, -120.0, at as f64 * spacing])
            .text(tags::SOP_INSTANCE_UID, "UI", &format!("2.25.1.{at}"))
            .text(tags::INSTANCE_NUMBER, "IS", &(slices - at).to_string())
    };
    (0..slices).map(slice).collect()
}

/// How elements are written (PS3.5 7.1).
#[derive(Debug, Clone, Copy)]
struct Writer {
    explicit: bool,
    big_endian: bool,
}

impl Writer {
    fn u16(self, number: u16) -> [u8; 2] {
        if self.big_endian {
            number.to_be_bytes()
        } else {
            number.to_le_bytes()
        }
    }

    fn u32(self, number: u32) -> [u8; 4] {
        if self.big_endian {
            number.to_be_bytes()
        } else {
            number.to_le_bytes()
        }
    }

    fn header(self, out: &mut Vec<u8>, tag: Tag, vr: &str, length: u32) {
        out.extend(self.u16(tag.group()));
        out.extend(self.u16(tag.element()));
        if self.explicit {
            out.extend(vr.as_bytes());
            match matches!(vr, "OB" | "OW" | "OV" | "SQ" | "UN" | "UT") {
                true => out.extend([0, 0]),
                false => return out.extend(self.u16(length as u16)),
            }
        }
        out.extend(self.u32(length));
    }

    fn item(self, out: &mut Vec<u8>, element: u16, length: u32) {
        out.extend(self.u16(0xFFFE));
        out.extend(self.u16(element));
        out.extend(self.u32(length));
    }

    fn element(self, out: &mut Vec<u8>, tag: Tag, vr: &str, value: &[u8], padding: Option<u8>) {
        let padding = padding.filter(|_| value.len() % 2 == 1);
        self.header(out, tag, vr, (value.len() + usize::from(padding.is_some())) as u32);
        out.extend(value);
        out.extend(padding);
    }
}
