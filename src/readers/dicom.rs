//! Single-frame CT images of DICOM (PS3.3 C.8.2.1) in Hounsfield units.
//!
//! - Rescale Slope and Intercept are applied (C.11.1.1.2); a file without them is refused, never read as slope 1.
//! - MONOCHROME1 files are read like MONOCHROME2: the Hounsfield units are the same, only the display is inverted
//!   (C.7.6.3.1.2).
//! - Pixel Padding Value, or the range to Pixel Padding Range Limit (C.7.5.1.1.2), becomes [`PADDING_HU`].
//! - Files without the preamble, and data sets without file meta information, are read too.

use std::{error::Error, io, panic, path::Path};

use dicom_core::Tag;
use dicom_dictionary_std::{tags, uids};
use dicom_object::{DefaultDicomObject, FileMetaTableBuilder, InMemDicomObject, OpenFileOptions};
use dicom_pixeldata::{ConvertOptions, ModalityLutOption, PixelDecoder as _, Rescale, VoiLutOption};
use dicom_transfer_syntax_registry::{TransferSyntaxIndex as _, TransferSyntaxRegistry, entries};
use ndarray::Array2;

use super::{MAX_SIDE, ReadError, SliceReader, read_bytes};
use crate::ct::{CtSlice, Hu, Pixels};

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

    fn read(&self, path: &Path) -> Result<CtSlice, ReadError> {
        decode(&read_bytes(path)?, path)
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
    let object = guarded(FORMAT, path, || parse(bytes, path))?;
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
            true => entries::EXPLICIT_VR_LITTLE_ENDIAN.erased(),
            false => entries::IMPLICIT_VR_LITTLE_ENDIAN.erased(),
        };
        let meta = FileMetaTableBuilder::new().transfer_syntax(syntax.uid());
        let object = InMemDicomObject::read_dataset_with_ts(bytes, &syntax).map_err(|e| broken(&e, path))?;
        return object.with_meta(meta).map_err(|e| broken(&e, path));
    }
    OpenFileOptions::new().from_reader(bytes).map_err(|error| match error {
        dicom_object::ReadError::ReadUnrecognizedTransferSyntax { uid, .. } => no_codec(&uid, None, path),
        dicom_object::ReadError::ReadUnsupportedTransferSyntax { uid, name, .. } => no_codec(uid, Some(name), path),
        error => broken(&error, path),
    })
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
