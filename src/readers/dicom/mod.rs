//! CT images of DICOM (PS3.3 C.8.2.1, C.8.15) in Hounsfield units.
//!
//! - Rescale Slope and Intercept are applied (C.11.1.1.2); a file without them is refused, never read as slope 1.
//! - MONOCHROME1 files are read like MONOCHROME2: the Hounsfield units are the same, only the display is inverted
//!   (C.7.6.3.1.2).
//! - Padding (C.7.5.1.1.2) becomes [`PADDING_HU`], said or not.
//! - Enhanced multi-frame objects have a rescale and a place for each frame.
//! - Files without the preamble, and data sets without file meta information, are read too.
//!
//! `meta` and `dataset` find the attributes and the pixels in the file, `header` refuses what could be misread, `frames`
//! makes Hounsfield units; `facts` is what series are made from.

mod codecs;
mod dataset;
mod facts;
mod fragments;
mod frames;
mod groups;
mod header;
mod meta;
mod padding;
mod pixels;
mod values;

use std::{
    panic,
    path::{Path, PathBuf},
};

use dicom_object::{DefaultDicomObject, FileMetaTableBuilder};

use self::{
    codecs::CODECS,
    dataset::{Encoding, Flaw, PixelData},
};
pub use self::{
    facts::{Facts, Plane},
    frames::{FrameValues, Frames},
    padding::PADDING_HU,
};
use super::{ReadError, SliceReader, Slices};
use crate::ct::Rescale;

const FORMAT: &str = "DICOM";

/// No object may have more frames. Whole-body scans have some 3,000, perfusion some 20,000.
const MAX_FRAMES: usize = 1 << 16;

/// Reads CT Image Storage, Enhanced CT and Legacy Converted Enhanced CT.
#[derive(Debug)]
pub struct Dicom;

impl SliceReader for Dicom {
    fn name(&self) -> &'static str {
        "DICOM CT"
    }

    fn can_read(&self, head: &[u8], path: &Path) -> bool {
        let by_name = || {
            path.extension()
                .is_none_or(|e| e.eq_ignore_ascii_case("dcm") || e.eq_ignore_ascii_case("ima"))
        };
        match head {
            _ if head.get(128..132) == Some(b"DICM") => true,
            // Group 0002 without a preamble: File Meta Information Group Length.
            [2, 0, 0, 0, b'U', b'L', ..] => true,
            _ => meta::bare_data_set(head) && by_name(),
        }
    }

    fn open(&self, bytes: Vec<u8>, rescale: Option<Rescale>, path: &Path) -> Result<Box<dyn Slices>, ReadError> {
        Ok(Box::new(DicomFile::parse(bytes, path)?.frames(rescale)?))
    }

    /// A multi-frame object may hold a whole scan.
    fn longest(&self) -> u64 {
        meta::MAX_OBJECT as u64
    }

    fn codecs(&self) -> Vec<(String, String)> {
        let compressed = CODECS.iter().map(|codec| (codec.uid, codec.name));
        let mut codecs: Vec<_> = meta::NATIVE
            .into_iter()
            .chain(compressed)
            .map(|(uid, name)| (format!("DICOM {uid}"), name.to_owned()))
            .collect();
        codecs.sort();
        codecs
    }
}

/// A DICOM file, parsed; its pixels are not decoded yet, and nothing is said about whether it is CT.
pub struct DicomFile {
    /// The file, or what a deflated one inflates to.
    bytes: Vec<u8>,
    object: DefaultDicomObject,
    pixels: PixelData,
    encoding: Encoding,
    syntax: String,
    path: PathBuf,
}

impl DicomFile {
    /// Parses a file with this content; the path is for messages.
    ///
    /// # Errors
    ///
    /// A file that ends early or contradicts itself.
    pub fn parse(bytes: Vec<u8>, path: &Path) -> Result<Self, ReadError> {
        guarded(FORMAT, path, || {
            parse(bytes, path).map_err(|flaw| read_error(flaw, path))
        })
    }

    /// All attributes but the pixels. Values of more than a mebibyte are left empty.
    pub fn object(&self) -> &DefaultDicomObject {
        &self.object
    }
}

fn parse(mut bytes: Vec<u8>, path: &Path) -> Result<DicomFile, Flaw> {
    let meta::Start {
        syntax,
        mut at,
        encoding,
    } = meta::start(&bytes)?;
    if syntax == dicom_dictionary_std::uids::DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN {
        bytes = meta::inflate(&bytes[at..])?;
        at = 0;
    }
    let data_set = dataset::read(&bytes, at, encoding)?;
    let meta = FileMetaTableBuilder::new()
        .media_storage_sop_class_uid("")
        .media_storage_sop_instance_uid("")
        .implementation_class_uid("")
        .transfer_syntax(&syntax)
        .build()
        .map_err(|_| Flaw::Broken("its transfer syntax can't be named"))?;
    Ok(DicomFile {
        object: data_set.attributes.with_exact_meta(meta),
        pixels: data_set.pixels,
        encoding,
        syntax,
        path: path.to_owned(),
        bytes,
    })
}

fn read_error(flaw: Flaw, path: &Path) -> ReadError {
    match flaw {
        Flaw::Truncated => ReadError::Truncated {
            format: FORMAT,
            missing: "the data set is cut off",
            path: path.to_owned(),
        },
        Flaw::Broken(reason) => ReadError::Decode {
            format: FORMAT,
            reason: reason.to_owned(),
            path: path.to_owned(),
        },
    }
}

/// Runs what a broken file may make panic: a panic inside a decoder must not end a run over ten thousand files.
fn guarded<T>(what: &str, path: &Path, read: impl FnOnce() -> Result<T, ReadError>) -> Result<T, ReadError> {
    // Nothing that `read` touches outlives a panic in it.
    panic::catch_unwind(panic::AssertUnwindSafe(read)).unwrap_or_else(|_| {
        Err(ReadError::DecoderPanic {
            format: what.to_owned(),
            path: path.to_owned(),
        })
    })
}

#[cfg(test)]
mod tests {
    use dicom_core::{DataElement, PrimitiveValue, Tag, VR};
    use dicom_dictionary_std::{tags, uids};
    use dicom_object::InMemDicomObject;

    use super::*;
    use crate::ct::{CtSlice, Hu, Pixels};

    fn decode(bytes: &[u8], path: &Path) -> Result<CtSlice, ReadError> {
        Dicom.open(bytes.to_vec(), None, path)?.read(0)
    }

    /// A CT image of 2 x 3 pixels, changed by `change`, as the bytes of a file.
    fn file(change: impl FnOnce(&mut InMemDicomObject)) -> Vec<u8> {
        let text = |tag, vr, value: &str| DataElement::new(tag, vr, PrimitiveValue::from(value));
        let short = |tag, value: u16| DataElement::new(tag, VR::US, PrimitiveValue::from(value));
        let mut object = InMemDicomObject::from_element_iter([
            text(tags::SOP_CLASS_UID, VR::UI, uids::CT_IMAGE_STORAGE),
            text(tags::SOP_INSTANCE_UID, VR::UI, "2.25.1"),
            text(tags::MODALITY, VR::CS, "CT"),
            text(tags::PATIENT_NAME, VR::PN, "SECRET^NAME"),
            text(tags::PATIENT_ID, VR::LO, "SECRET-ID"),
            short(tags::SAMPLES_PER_PIXEL, 1),
            text(tags::PHOTOMETRIC_INTERPRETATION, VR::CS, "MONOCHROME2"),
            short(tags::ROWS, 2),
            short(tags::COLUMNS, 3),
            short(tags::BITS_ALLOCATED, 16),
            short(tags::BITS_STORED, 16),
            short(tags::HIGH_BIT, 15),
            short(tags::PIXEL_REPRESENTATION, 1),
            text(tags::RESCALE_INTERCEPT, VR::DS, "-1000"),
            text(tags::RESCALE_SLOPE, VR::DS, "2"),
            DataElement::new(
                tags::PIXEL_DATA,
                VR::OW,
                PrimitiveValue::U16([0u16, 1, 500, 63536, 63537, 100].into_iter().collect()),
            ),
        ]);
        change(&mut object);
        let meta = FileMetaTableBuilder::new().transfer_syntax(uids::EXPLICIT_VR_LITTLE_ENDIAN);
        let mut bytes = Vec::new();
        object.with_meta(meta).unwrap().write_all(&mut bytes).unwrap();
        bytes
    }

    fn set(tag: Tag, vr: VR, value: impl Into<PrimitiveValue>) -> impl FnOnce(&mut InMemDicomObject) {
        let value = value.into();
        move |object| {
            object.put(DataElement::new(tag, vr, value));
        }
    }

    fn hu(bytes: &[u8]) -> Vec<Hu> {
        match decode(bytes, Path::new("test.dcm")).unwrap().pixels {
            Pixels::Hu(hu) => hu.into_raw_vec_and_offset().0,
            other => panic!("{other:?}"),
        }
    }

    fn error(bytes: &[u8]) -> ReadError {
        decode(bytes, Path::new("test.dcm")).unwrap_err()
    }

    #[test]
    fn rescale_is_applied_to_signed_values_and_padding_is_known_without_being_named() {
        assert_eq!(hu(&file(|_| ())), [-1000.0, -998.0, 0.0, PADDING_HU, -4998.0, -800.0]);
    }

    #[test]
    fn padding_becomes_air_even_if_its_sign_is_written_wrong() {
        let one = hu(&file(set(tags::PIXEL_PADDING_VALUE, VR::US, 63536u16)));
        assert_eq!(one, [-1000.0, -998.0, 0.0, PADDING_HU, -4998.0, -800.0]);
        let range = hu(&file(|object| {
            set(tags::PIXEL_PADDING_VALUE, VR::SS, -2000i16)(object);
            set(tags::PIXEL_PADDING_RANGE_LIMIT, VR::SS, -1999i16)(object);
        }));
        assert_eq!(range[3..5], [PADDING_HU; 2]);
    }

    #[test]
    fn attributes_of_unknown_representation_mean_the_same() {
        let read = [
            tags::SOP_CLASS_UID,
            tags::MODALITY,
            tags::SAMPLES_PER_PIXEL,
            tags::PHOTOMETRIC_INTERPRETATION,
            tags::ROWS,
            tags::COLUMNS,
            tags::BITS_ALLOCATED,
            tags::BITS_STORED,
            tags::HIGH_BIT,
            tags::PIXEL_REPRESENTATION,
            tags::RESCALE_INTERCEPT,
            tags::RESCALE_SLOPE,
        ];
        let unknown = file(|object| {
            for tag in read {
                if let Some(element) = object.take(tag) {
                    let bytes: Vec<u8> = element.to_bytes().unwrap().into_owned();
                    object.put(DataElement::new(tag, VR::UN, PrimitiveValue::from(bytes)));
                }
            }
        });
        assert_eq!(hu(&unknown), hu(&file(|_| ())));
    }

    #[test]
    fn a_missing_rescale_is_an_error_not_slope_1() {
        for tag in [tags::RESCALE_SLOPE, tags::RESCALE_INTERCEPT] {
            let error = error(&file(|object| {
                object.remove_element(tag);
            }));
            assert!(matches!(error, ReadError::MissingAttribute { .. }), "{error}");
        }
    }

    #[test]
    fn what_could_be_misread_is_refused_by_name() {
        let refused = [
            file(set(tags::MODALITY, VR::CS, "MR")),
            file(set(tags::PHOTOMETRIC_INTERPRETATION, VR::CS, "RGB")),
            file(set(tags::NUMBER_OF_FRAMES, VR::IS, "24")),
            file(set(tags::BITS_ALLOCATED, VR::US, 32u16)),
            file(set(tags::HIGH_BIT, VR::US, 11u16)),
            file(set(tags::RESCALE_TYPE, VR::LO, "US")),
            file(set(tags::RESCALE_SLOPE, VR::DS, "0")),
            file(set(tags::ROWS, VR::US, 60_000u16)),
            file(set(tags::ROWS, VR::US, 1u16)),
            file(set(tags::COLUMNS, VR::US, 4u16)),
            file(set(tags::IMAGE_TYPE, VR::CS, "ORIGINAL\\PRIMARY\\LOCALIZER")),
            file(set(tags::SAMPLES_PER_PIXEL, VR::US, 3u16)),
            file(set(tags::NUMBER_OF_FRAMES, VR::IS, "2000000000")),
            file(set(tags::PHOTOMETRIC_INTERPRETATION, VR::CS, "Secret^Name")),
            file(|object| {
                object.remove_element(tags::PIXEL_DATA);
            }),
        ];
        let words = [
            "Modality is MR",
            "PhotometricInterpretation is RGB",
            "fewer pixels than Rows x Columns x NumberOfFrames",
            "BitsAllocated is 32",
            "HighBit is 11",
            "RescaleType is US",
            "RescaleSlope is 0",
            "3 x 60000",
            "2 frames",
            "fewer pixels",
            "LOCALIZER",
            "SamplesPerPixel is 3",
            "NumberOfFrames is 2000000000",
            "no known term",
            "PixelData is missing",
        ];
        // The class outranks the modality, which is why an MR object needs both.
        let mr = file(|object| {
            set(tags::MODALITY, VR::CS, "MR")(object);
            set(tags::SOP_CLASS_UID, VR::UI, uids::MR_IMAGE_STORAGE)(object);
        });
        for (bytes, word) in std::iter::once(&mr).chain(&refused[1..]).zip(words) {
            let message = error(bytes).to_string();
            assert!(message.contains(word) && !message.contains("SECRET"), "{message}");
            assert!(message.ends_with("test.dcm"), "{message}");
        }
    }

    #[test]
    fn monochrome1_has_the_same_hounsfield_units() {
        let inverted = file(set(tags::PHOTOMETRIC_INTERPRETATION, VR::CS, "MONOCHROME1"));
        assert_eq!(hu(&inverted), hu(&file(|_| ())));
    }

    #[test]
    fn a_codec_that_is_missing_is_named() {
        let mut bytes = file(|_| ());
        // Explicit VR little endian and HTJ2K have UIDs of other lengths: rewrite the value in place by a private one.
        let at = bytes
            .windows(19)
            .position(|window| window == b"1.2.840.10008.1.2.1")
            .unwrap();
        bytes[at..at + 19].copy_from_slice(b"1.2.840.10008.1.2.7");
        let message = error(&bytes).to_string();
        assert!(message.contains("1.2.840.10008.1.2.7"), "{message}");
    }

    #[test]
    fn files_without_preamble_or_meta_information_are_read() {
        let bytes = file(|_| ());
        let whole = hu(&bytes);
        assert_eq!(hu(&bytes[132..]), whole);
        let data_set = &bytes[meta::start(&bytes).unwrap().at..];
        assert!(Dicom.can_read(data_set, Path::new("slice")) && !Dicom.can_read(data_set, Path::new("slice.png")));
        assert_eq!(hu(data_set), whole);
    }

    #[test]
    fn a_title_that_is_too_long_does_not_hide_the_image() {
        let bytes = file(|_| ());
        let mut long = bytes[..132].to_vec();
        let group = 12 + u32::from_le_bytes(bytes[140..144].try_into().unwrap()) as usize;
        long.extend(&bytes[132..132 + group]);
        // Source Application Entity Title, two letters longer than its representation allows.
        long.extend([2, 0, 0x16, 0, b'A', b'E', 18, 0]);
        long.extend([b'X'; 18]);
        long.extend(&bytes[132 + group..]);
        let length = (group - 12 + 26) as u32;
        long[140..144].copy_from_slice(&length.to_le_bytes());
        assert_eq!(hu(&long), hu(&bytes));
    }

    /// A file cut off anywhere is an error and no panic.
    #[test]
    fn truncated_files_are_errors() {
        let bytes = file(|_| ());
        for length in 0..bytes.len() {
            let cut = decode(&bytes[..length], Path::new("test.dcm"));
            assert!(cut.is_err(), "{length} of {} bytes", bytes.len());
        }
    }
}
