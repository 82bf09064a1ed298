//! Single-frame CT images of DICOM (PS3.3 C.8.2.1) in Hounsfield units.
//!
//! - Rescale Slope and Intercept are applied (C.11.1.1.2); a file without them is refused, never read as slope 1.
//! - MONOCHROME1 files are read like MONOCHROME2: the Hounsfield units are the same, only the display is inverted
//!   (C.7.6.3.1.2).
//! - Pixel Padding Value, or the range to Pixel Padding Range Limit (C.7.5.1.1.2), becomes [`PADDING_HU`].
//! - Files without the preamble, and data sets without file meta information, are read too.

use std::{
    error::Error,
    io, panic,
    path::{Path, PathBuf},
};

use dicom_core::{DataElement, PrimitiveValue, Tag, VR};
use dicom_dictionary_std::{tags, uids};
use dicom_object::{DefaultDicomObject, FileMetaTableBuilder, InMemDicomObject, OpenFileOptions};
use dicom_pixeldata::{ConvertOptions, ModalityLutOption, PixelDecoder as _, Rescale, VoiLutOption};
use dicom_transfer_syntax_registry::{TransferSyntaxIndex as _, TransferSyntaxRegistry};
use ndarray::Array2;

use super::{MAX_SIDE, ReadError, SliceReader, Slices};
use crate::ct::{self, CtSlice, Hu, Pixels};

/// Padding is what no X-ray passed through: it becomes the lowest value of the usual 12-bit scale, just below air.
pub const PADDING_HU: Hu = -1024.0;

const FORMAT: &str = "DICOM";

/// Reads CT Image Storage.
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
            _ => bare_data_set(head) && by_name(),
        }
    }

    fn open(&self, bytes: Vec<u8>, _: Option<ct::Rescale>, path: &Path) -> Result<Box<dyn Slices>, ReadError> {
        Ok(Box::new(File {
            bytes,
            path: path.to_owned(),
        }))
    }

    fn codecs(&self) -> Vec<(String, String)> {
        let mut codecs: Vec<_> = TransferSyntaxRegistry
            .iter()
            .filter(|syntax| syntax.can_decode_all() && !NOT_CT.contains(&syntax.uid()))
            .map(|syntax| (format!("DICOM {}", syntax.uid()), syntax.name().to_owned()))
            .collect();
        codecs.sort();
        codecs
    }
}

struct File {
    bytes: Vec<u8>,
    path: PathBuf,
}

impl Slices for File {
    fn len(&self) -> usize {
        1
    }

    fn read(&self, _: usize) -> Result<CtSlice, ReadError> {
        decode(&self.bytes, &self.path)
    }
}

/// Syntaxes of the registry that are no way to a CT slice: decoders of 8 bits (CT has 16), and pixels that the file only
/// points to (JPIP).
const NOT_CT: [&str; 6] = [
    uids::JPEG_BASELINE8_BIT,
    uids::JPEG_EXTENDED12_BIT,
    uids::JPIP_REFERENCED,
    uids::JPIP_REFERENCED_DEFLATE,
    uids::JPIPHTJ2K_REFERENCED,
    uids::JPIPHTJ2K_REFERENCED_DEFLATE,
];

/// A data set that starts without file meta information: group 0008, and an element number as it occurs there.
fn bare_data_set(head: &[u8]) -> bool {
    matches!(head, [8, 0, 0..=0x20, 0, ..] if head.len() > 8)
}

/// Decodes a file that is in memory.
fn decode(bytes: &[u8], path: &Path) -> Result<CtSlice, ReadError> {
    let mut object = guarded(FORMAT, path, || parse(bytes, path))?;
    name_representations(&mut object);
    let header = Header::of(&object, path)?;
    let syntax = object.meta().transfer_syntax().trim_end_matches(['\0', ' ']).to_owned();
    let mut hu = guarded(&format!("transfer syntax {syntax}"), path, || {
        stored_hu(&object, &header, &syntax, path)
    })?;
    if let Some((low, high)) = header.padding {
        // The same arithmetic as the decoder's, so that equal stored values give equal Hounsfield units.
        let rescale = |stored: i32| header.rescale.apply(f64::from(stored)) as Hu;
        let (a, b) = (rescale(low), rescale(high));
        hu.mapv_inplace(|hu| {
            if (a.min(b)..=a.max(b)).contains(&hu) {
                PADDING_HU
            } else {
                hu
            }
        });
    }
    Ok(CtSlice { pixels: Pixels::Hu(hu) })
}

/// Runs a decoder of someone else's, which may panic on content that is broken: the RLE decoder does.
fn guarded<T>(what: &str, path: &Path, decode: impl FnOnce() -> Result<T, ReadError>) -> Result<T, ReadError> {
    // Nothing that `decode` touches outlives a panic in it.
    panic::catch_unwind(panic::AssertUnwindSafe(decode)).unwrap_or_else(|_| {
        Err(ReadError::DecoderPanic {
            format: what.to_owned(),
            path: path.to_owned(),
        })
    })
}

fn parse(bytes: &[u8], path: &Path) -> Result<DefaultDicomObject, ReadError> {
    if bare_data_set(bytes) {
        // Explicit VR has two letters where implicit VR has the lower half of a length, which is small this early.
        let explicit = bytes[4..6].iter().all(u8::is_ascii_uppercase);
        let syntax = match explicit {
            true => uids::EXPLICIT_VR_LITTLE_ENDIAN,
            false => uids::IMPLICIT_VR_LITTLE_ENDIAN,
        };
        return parse_data_set(bytes, syntax, path);
    }
    OpenFileOptions::new()
        .from_reader(bytes)
        .or_else(|error| match (error, lenient_meta(bytes)) {
            (dicom_object::ReadError::ReadUnrecognizedTransferSyntax { uid, .. }, _) => Err(no_codec(&uid, None, path)),
            (dicom_object::ReadError::ReadUnsupportedTransferSyntax { uid, name, .. }, _) => {
                Err(no_codec(uid, Some(name), path))
            }
            // The library refuses file meta information for flaws that say nothing of the image, such as a title that
            // is too long.
            (dicom_object::ReadError::ParseMetaDataSet { .. }, Some((syntax, data_set))) => {
                parse_data_set(data_set, &syntax, path)
            }
            (error, _) => Err(broken(&error, path)),
        })
}

fn parse_data_set(bytes: &[u8], syntax: &str, path: &Path) -> Result<DefaultDicomObject, ReadError> {
    let known = TransferSyntaxRegistry
        .get(syntax)
        .ok_or_else(|| no_codec(syntax, None, path))?;
    let object = InMemDicomObject::read_dataset_with_ts(bytes, known).map_err(|e| broken(&e, path))?;
    let meta = FileMetaTableBuilder::new().transfer_syntax(syntax);
    object.with_meta(meta).map_err(|e| broken(&e, path))
}

/// The transfer syntax and the data set of a file, by the lengths of the meta elements alone (PS3.10 7.1: they are in
/// explicit VR little endian).
fn lenient_meta(bytes: &[u8]) -> Option<(String, &[u8])> {
    let mut rest = if bytes.get(128..132)? == b"DICM" {
        &bytes[132..]
    } else {
        bytes
    };
    let mut syntax = None;
    while let [2, 0, low, high, a, b, ..] = *rest {
        let long = matches!(&[a, b], b"OB" | b"OW" | b"UN" | b"UT" | b"SQ" | b"UC" | b"UR");
        let (header, length): (usize, usize) = match long {
            true => (12, u32::from_le_bytes(rest.get(8..12)?.try_into().ok()?) as usize),
            false => (8, u16::from_le_bytes(rest.get(6..8)?.try_into().ok()?) as usize),
        };
        let value = rest.get(header..header.checked_add(length)?)?;
        if [low, high] == [0x10, 0] {
            syntax = Some(
                std::str::from_utf8(value)
                    .ok()?
                    .trim_end_matches(['\0', ' '])
                    .to_owned(),
            );
        }
        rest = &rest[header + length..];
    }
    Some((syntax?, rest))
}

/// The attributes that are read, with their representation: some converters write all of them as UN, unknown
/// (PS3.5 6.2.2: then in little endian), which the library would take byte by byte.
const READ: [(Tag, VR); 17] = [
    (tags::SOP_CLASS_UID, VR::UI),
    (tags::MODALITY, VR::CS),
    (tags::IMAGE_TYPE, VR::CS),
    (tags::NUMBER_OF_FRAMES, VR::IS),
    (tags::SAMPLES_PER_PIXEL, VR::US),
    (tags::PHOTOMETRIC_INTERPRETATION, VR::CS),
    (tags::ROWS, VR::US),
    (tags::COLUMNS, VR::US),
    (tags::BITS_ALLOCATED, VR::US),
    (tags::BITS_STORED, VR::US),
    (tags::HIGH_BIT, VR::US),
    (tags::PIXEL_REPRESENTATION, VR::US),
    (tags::PIXEL_PADDING_VALUE, VR::US),
    (tags::PIXEL_PADDING_RANGE_LIMIT, VR::US),
    (tags::RESCALE_INTERCEPT, VR::DS),
    (tags::RESCALE_SLOPE, VR::DS),
    (tags::RESCALE_TYPE, VR::LO),
];

fn name_representations(object: &mut DefaultDicomObject) {
    for (tag, representation) in READ {
        let Some(bytes) = object
            .get(tag)
            .filter(|element| element.vr() == VR::UN)
            .and_then(|e| e.to_bytes().ok())
        else {
            continue;
        };
        let value = match (representation, bytes.as_ref()) {
            (VR::US, &[low, high]) => PrimitiveValue::from(u16::from_le_bytes([low, high])),
            (VR::US, _) => continue,
            (_, text) => PrimitiveValue::from(String::from_utf8_lossy(text).into_owned()),
        };
        object.put(DataElement::new(tag, representation, value));
    }
}

fn no_codec(uid: &str, name: Option<&str>, path: &Path) -> ReadError {
    ReadError::NoCodec {
        uid: uid.trim_end_matches(['\0', ' ']).to_owned(),
        name: name.unwrap_or("unknown").to_owned(),
        path: path.to_owned(),
    }
}

/// The parser's error without the values that it may quote.
fn broken(error: &(dyn Error + 'static), path: &Path) -> ReadError {
    let mut cause = Some(error);
    while let Some(error) = cause {
        if error
            .downcast_ref::<io::Error>()
            .is_some_and(|e| e.kind() == io::ErrorKind::UnexpectedEof)
        {
            return ReadError::Truncated {
                format: FORMAT,
                missing: "the data set is cut off",
                path: path.to_owned(),
            };
        }
        cause = error.source();
    }
    ReadError::Decode {
        format: FORMAT,
        reason: "the data set can't be parsed".to_owned(),
        path: path.to_owned(),
    }
}

/// What the attributes say of the pixels, after all that we could misread has been refused.
struct Header {
    rows: usize,
    columns: usize,
    rescale: Rescale,
    /// Lowest and highest stored value of the padding.
    padding: Option<(i32, i32)>,
}

impl Header {
    fn of(object: &DefaultDicomObject, path: &Path) -> Result<Self, ReadError> {
        let wrong = |attribute, found: String, expected| ReadError::Attribute {
            attribute,
            found,
            expected,
            path: path.to_owned(),
        };
        let missing = |attribute, expected| ReadError::MissingAttribute {
            attribute,
            expected,
            path: path.to_owned(),
        };
        let class = text(object, tags::SOP_CLASS_UID);
        let modality = text(object, tags::MODALITY);
        match (class.as_deref(), modality.as_deref()) {
            (Some(uids::ENHANCED_CT_IMAGE_STORAGE | uids::LEGACY_CONVERTED_ENHANCED_CT_IMAGE_STORAGE), _) => {
                return Err(ReadError::SeveralImages {
                    found: "an enhanced (multi-frame) CT object".to_owned(),
                    path: path.to_owned(),
                });
            }
            (Some(uids::CT_IMAGE_STORAGE), _) | (_, Some("CT")) => {}
            (_, Some(other)) => return Err(wrong("Modality", other.to_owned(), "CT")),
            (Some(other), None) => return Err(wrong("SOPClassUID", other.to_owned(), "CT Image Storage")),
            (None, None) => return Err(missing("Modality", "CT")),
        }
        if text(object, tags::IMAGE_TYPE).is_some_and(|value| value.split('\\').any(|part| part == "LOCALIZER")) {
            return Err(wrong("ImageType", "LOCALIZER".to_owned(), "an axial slice"));
        }
        if let Some(frames) = integer(object, tags::NUMBER_OF_FRAMES).filter(|frames| *frames != 1) {
            return Err(ReadError::SeveralImages {
                found: format!("{frames} frames"),
                path: path.to_owned(),
            });
        }
        match text(object, tags::PHOTOMETRIC_INTERPRETATION).as_deref() {
            Some("MONOCHROME1" | "MONOCHROME2") => {}
            Some(other) => {
                return Err(wrong(
                    "PhotometricInterpretation",
                    other.to_owned(),
                    "MONOCHROME1 or MONOCHROME2",
                ));
            }
            None => return Err(missing("PhotometricInterpretation", "MONOCHROME1 or MONOCHROME2")),
        }
        let number = |tag, attribute| integer(object, tag).ok_or_else(|| missing(attribute, "a number"));
        let (rows, columns) = (number(tags::ROWS, "Rows")?, number(tags::COLUMNS, "Columns")?);
        if !(1..=MAX_SIDE as i32).contains(&rows) || !(1..=MAX_SIDE as i32).contains(&columns) {
            return Err(ReadError::TooLarge {
                width: columns.unsigned_abs(),
                height: rows.unsigned_abs(),
                path: path.to_owned(),
            });
        }
        // CT has 16 bits allocated (C.8.2.1.1.4); other widths are the ones that decoders are known to get wrong.
        let allocated = number(tags::BITS_ALLOCATED, "BitsAllocated")?;
        if allocated != 16 {
            return Err(wrong("BitsAllocated", allocated.to_string(), "16"));
        }
        let stored = number(tags::BITS_STORED, "BitsStored")?;
        if !(2..=16).contains(&stored) {
            return Err(wrong("BitsStored", stored.to_string(), "2 to 16"));
        }
        let high_bit = number(tags::HIGH_BIT, "HighBit")?;
        if high_bit != stored - 1 {
            return Err(wrong("HighBit", high_bit.to_string(), "BitsStored - 1"));
        }
        // US means unspecified, and multi-energy images have units that are not Hounsfield's.
        if let Some(unit) = text(object, tags::RESCALE_TYPE).filter(|unit| !unit.is_empty() && unit != "HU") {
            return Err(wrong("RescaleType", unit, "HU or nothing"));
        }
        const WHY: &str = "a number: without it stored values have no Hounsfield units";
        let slope = decimal(object, tags::RESCALE_SLOPE).ok_or_else(|| missing("RescaleSlope", WHY))?;
        let intercept = decimal(object, tags::RESCALE_INTERCEPT).ok_or_else(|| missing("RescaleIntercept", WHY))?;
        if slope == 0.0 {
            return Err(wrong("RescaleSlope", slope.to_string(), "a number other than 0"));
        }
        let signed = integer(object, tags::PIXEL_REPRESENTATION) == Some(1);
        let padding = |tag| {
            // Writers get the attribute's representation wrong: 63536 in a file of signed values means -2000.
            integer(object, tag).map(|value| {
                if signed {
                    i32::from(value as i16)
                } else {
                    i32::from(value as u16)
                }
            })
        };
        let padding = padding(tags::PIXEL_PADDING_VALUE).map(|value| {
            let limit = padding(tags::PIXEL_PADDING_RANGE_LIMIT).unwrap_or(value);
            (value.min(limit), value.max(limit))
        });
        Ok(Self {
            rows: rows as usize,
            columns: columns as usize,
            rescale: Rescale { slope, intercept },
            padding,
        })
    }
}

/// `[H, W]` Hounsfield units of all pixels, padding included.
fn stored_hu(object: &DefaultDicomObject, header: &Header, syntax: &str, path: &Path) -> Result<Array2<Hu>, ReadError> {
    let decode_error = |reason: String| ReadError::Decode {
        format: FORMAT,
        reason,
        path: path.to_owned(),
    };
    let known = TransferSyntaxRegistry.get(syntax);
    if !known.is_some_and(|known| known.can_decode_all()) || NOT_CT.contains(&syntax) {
        return Err(no_codec(syntax, known.map(|known| known.name()), path));
    }
    if object.get(tags::PIXEL_DATA).is_none() {
        return Err(ReadError::MissingAttribute {
            attribute: "PixelData",
            expected: "the image",
            path: path.to_owned(),
        });
    }
    let pixels = object
        .decode_pixel_data()
        .map_err(|error| decode_error(chain(&error)))?;
    let (found, expected) = (pixels.data().len(), header.rows * header.columns * 2);
    let encapsulated = known.is_some_and(|known| known.is_encapsulated_pixel_data());
    if found < expected {
        return Err(ReadError::Truncated {
            format: FORMAT,
            missing: "fewer pixels than Rows x Columns",
            path: path.to_owned(),
        });
    }
    if found >= 2 * expected {
        return Err(ReadError::SeveralImages {
            found: format!("pixels of {} frames", found / expected),
            path: path.to_owned(),
        });
    }
    // Some writers pad native pixel data; a decoder that gives more than it should has met another image.
    if encapsulated && found != expected {
        return Err(decode_error(format!("{found} bytes of pixels, expected {expected}")));
    }
    let options = ConvertOptions::new()
        .with_modality_lut(ModalityLutOption::Override(header.rescale))
        .with_voi_lut(VoiLutOption::Identity);
    let hu = pixels
        .to_vec_frame_with_options::<Hu>(0, &options)
        .map_err(|error| decode_error(chain(&error)))?;
    Array2::from_shape_vec((header.rows, header.columns), hu).map_err(|error| decode_error(error.to_string()))
}

/// The decoder's error with its causes. Decoders see pixels only, so that nothing of a patient can be in it.
fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}

fn text(object: &DefaultDicomObject, tag: Tag) -> Option<String> {
    let value = object.get(tag)?.value().to_str().ok()?;
    Some(value.trim_matches(['\0', ' ']).to_owned())
}

fn integer(object: &DefaultDicomObject, tag: Tag) -> Option<i32> {
    object.get(tag)?.to_int().ok()
}

fn decimal(object: &DefaultDicomObject, tag: Tag) -> Option<f64> {
    object.get(tag)?.to_float64().ok().filter(|value| value.is_finite())
}

#[cfg(test)]
mod tests {
    use super::*;

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
    fn rescale_is_applied_to_signed_values() {
        assert_eq!(hu(&file(|_| ())), [-1000.0, -998.0, 0.0, -5000.0, -4998.0, -800.0]);
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
        let unknown = file(|object| {
            for (tag, _) in READ {
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
            file(set(tags::SOP_CLASS_UID, VR::UI, uids::ENHANCED_CT_IMAGE_STORAGE)),
            file(|object| {
                object.remove_element(tags::PIXEL_DATA);
            }),
        ];
        let words = [
            "Modality is MR",
            "PhotometricInterpretation is RGB",
            "24 frames",
            "BitsAllocated is 32",
            "HighBit is 11",
            "RescaleType is US",
            "RescaleSlope is 0",
            "3 x 60000",
            "2 frames",
            "fewer pixels",
            "LOCALIZER",
            "enhanced",
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
        let data_set = lenient_meta(&bytes).unwrap().1;
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
