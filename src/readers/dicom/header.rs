//! What a file must say before its pixels are taken for Hounsfield units; all that could be misread is refused.

use std::path::Path;

use dicom_dictionary_std::{tags, uids};
use dicom_object::InMemDicomObject;

use super::{
    FORMAT, MAX_FRAMES,
    groups::{self, Groups},
    padding::Padding,
    pixels::Layout,
    values,
};
use crate::{
    ct::Rescale,
    readers::{MAX_SIDE, ReadError},
};

/// Lossy syntaxes: JPEG, JPEG-LS near-lossless, JPEG 2000, its second part, high-throughput.
const LOSSY: [&str; 6] = [
    uids::JPEG_BASELINE8_BIT,
    uids::JPEG_EXTENDED12_BIT,
    uids::JPEGLS_NEAR_LOSSLESS,
    uids::JPEG2000,
    uids::JPEG2000MC,
    uids::HTJ2K,
];

/// What the attributes say of the pixels.
#[derive(Debug)]
pub(super) struct Header {
    pub layout: Layout,
    /// One a frame.
    pub rescales: Vec<Rescale>,
    pub padding: Padding,
}

impl Header {
    /// Reads it. `stated` is the user's rescale for a file that has none.
    pub fn of(image: &InMemDicomObject, syntax: &str, stated: Option<Rescale>, path: &Path) -> Result<Self, ReadError> {
        let ask = Ask { image, path };
        ask.refuse_other_images()?;
        let frames = ask.frames()?;
        let layout = ask.layout()?;
        let rescales = (0..frames)
            .map(|frame| ask.rescale(frame, stated))
            .collect::<Result<_, _>>()?;
        let padding = |tag| values::integer(image, tag);
        let named = padding(tags::PIXEL_PADDING_VALUE)
            .map(|value| Padding::range(value, padding(tags::PIXEL_PADDING_RANGE_LIMIT), layout.signed));
        let padding = Padding {
            named,
            overlays: overlays(image),
            lossy: LOSSY.contains(&syntax),
        };
        Ok(Self {
            layout,
            rescales,
            padding,
        })
    }
}

/// Whether overlays lie in unused bits of the pixels (retired: PS3.3-2004 C.9.2, Overlay Bit Position other than 0).
fn overlays(image: &InMemDicomObject) -> bool {
    let position = |plane: u16| values::integer(image, dicom_core::Tag(0x6000 + 2 * plane, 0x0102));
    (0..16).any(|plane| position(plane).is_some_and(|bit| bit != 0))
}

/// The defined terms that a message may repeat: modalities (PS3.3 C.7.3.1.1.1), photometric interpretations (C.7.6.3.1.2), rescale
/// types (C.11.1.1.2).
const TERMS: &[&str] = &[
    "ARGB",
    "BI",
    "BMD",
    "CMYK",
    "CR",
    "DOC",
    "DX",
    "ECG",
    "ED",
    "EDW",
    "ES",
    "GM",
    "HSV",
    "HU_MOD",
    "IO",
    "IVUS",
    "KO",
    "MG",
    "MGML",
    "MR",
    "NM",
    "OCT",
    "OD",
    "OP",
    "OT",
    "PALETTE COLOR",
    "PCT",
    "PR",
    "PT",
    "PX",
    "REG",
    "RF",
    "RG",
    "RGB",
    "RTDOSE",
    "RTIMAGE",
    "RTPLAN",
    "RTRECORD",
    "RTSTRUCT",
    "SC",
    "SEG",
    "SM",
    "SR",
    "US",
    "XA",
    "XC",
    "XYB",
    "YBR_FULL",
    "YBR_FULL_422",
    "YBR_ICT",
    "YBR_PARTIAL_420",
    "YBR_PARTIAL_422",
    "YBR_RCT",
    "Z_EFF",
];

/// Rescale types of multi-energy images, whose units are not Hounsfield's whatever a user says (C.11.1.1.2).
const ENERGY: [&str; 7] = ["ED", "EDW", "HU_MOD", "MGML", "OD", "PCT", "Z_EFF"];

/// No 16 bits of any scanner mean more, not in the scale for metal either.
const FARTHEST_HU: f32 = 1e6;

/// A term as it may stand in a message; any other text may be about the patient, whatever attribute it stands in.
fn code(text: &str) -> String {
    match TERMS.contains(&text) {
        true => text.to_owned(),
        false => "no known term".to_owned(),
    }
}

/// Questions to the attributes of an image.
struct Ask<'a> {
    image: &'a InMemDicomObject,
    path: &'a Path,
}

impl Ask<'_> {
    fn wrong(&self, attribute: &'static str, found: String, expected: &'static str) -> ReadError {
        ReadError::Attribute {
            attribute,
            found,
            expected,
            path: self.path.to_owned(),
        }
    }

    fn missing(&self, attribute: &'static str, expected: &'static str) -> ReadError {
        ReadError::MissingAttribute {
            attribute,
            expected,
            path: self.path.to_owned(),
        }
    }

    fn number(&self, tag: dicom_core::Tag, attribute: &'static str) -> Result<i32, ReadError> {
        values::integer(self.image, tag).ok_or_else(|| self.missing(attribute, "a whole number"))
    }

    /// No CT, no axial slice, no grey values.
    fn refuse_other_images(&self) -> Result<(), ReadError> {
        let class = values::text(self.image, tags::SOP_CLASS_UID);
        match (class.as_deref(), values::text(self.image, tags::MODALITY).as_deref()) {
            (
                Some(
                    uids::CT_IMAGE_STORAGE
                    | uids::ENHANCED_CT_IMAGE_STORAGE
                    | uids::LEGACY_CONVERTED_ENHANCED_CT_IMAGE_STORAGE,
                ),
                _,
            )
            | (_, Some("CT")) => {}
            (_, Some(other)) => return Err(self.wrong("Modality", code(other), "CT")),
            (Some(_), None) => {
                return Err(self.wrong("SOPClassUID", "of another kind".to_owned(), "CT Image Storage"));
            }
            (None, None) => return Err(self.missing("Modality", "CT")),
        }
        let photometric = values::text(self.image, tags::PHOTOMETRIC_INTERPRETATION);
        match photometric.as_deref() {
            // The Hounsfield units are the same, only the display is inverted (C.7.6.3.1.2).
            Some("MONOCHROME1" | "MONOCHROME2") => {}
            Some(other) => {
                return Err(self.wrong("PhotometricInterpretation", code(other), "MONOCHROME1 or MONOCHROME2"));
            }
            None => return Err(self.missing("PhotometricInterpretation", "MONOCHROME1 or MONOCHROME2")),
        }
        match values::integer(self.image, tags::SAMPLES_PER_PIXEL) {
            None | Some(1) => Ok(()),
            Some(other) => Err(self.wrong("SamplesPerPixel", other.to_string(), "1")),
        }
    }

    /// How many frames there are. None of them is a localizer.
    fn frames(&self) -> Result<usize, ReadError> {
        let said = match values::text(self.image, tags::NUMBER_OF_FRAMES) {
            None => 1,
            // Writers of single frames leave a zero.
            Some(_) => match self.number(tags::NUMBER_OF_FRAMES, "NumberOfFrames")? {
                0 => 1,
                said => said,
            },
        };
        let frames = usize::try_from(said).ok().filter(|n| (1..=MAX_FRAMES).contains(n));
        let frames = frames.ok_or_else(|| self.wrong("NumberOfFrames", said.to_string(), "1 to 65536"))?;
        let groups = Groups::of(self.image);
        if ![0, frames].contains(&groups.frames()) {
            return Err(ReadError::Decode {
                format: FORMAT,
                reason: format!("{} frames and functional groups of {}", frames, groups.frames()),
                path: self.path.to_owned(),
            });
        }
        let localizer =
            |kind: Option<Vec<String>>| kind.is_some_and(|parts| parts.iter().any(|part| part == "LOCALIZER"));
        let frame_type = |frame| groups.read(frame, groups::FRAME_TYPE, values::texts);
        if localizer(values::texts(self.image, tags::IMAGE_TYPE)) || (0..frames).any(|at| localizer(frame_type(at))) {
            return Err(self.wrong("ImageType", "LOCALIZER".to_owned(), "an axial slice"));
        }
        Ok(frames)
    }

    fn layout(&self) -> Result<Layout, ReadError> {
        let (rows, columns) = (self.number(tags::ROWS, "Rows")?, self.number(tags::COLUMNS, "Columns")?);
        if !(1..=MAX_SIDE as i32).contains(&rows) || !(1..=MAX_SIDE as i32).contains(&columns) {
            return Err(ReadError::TooLarge {
                width: columns.unsigned_abs(),
                height: rows.unsigned_abs(),
                path: self.path.to_owned(),
            });
        }
        let number = |tag, attribute, expected, range: std::ops::RangeInclusive<i32>| {
            let found = self.number(tag, attribute)?;
            match range.contains(&found) {
                true => Ok(found as u16),
                false => Err(self.wrong(attribute, found.to_string(), expected)),
            }
        };
        let allocated = number(tags::BITS_ALLOCATED, "BitsAllocated", "8 or 16", 8..=16)?;
        if ![8, 16].contains(&allocated) {
            return Err(self.wrong("BitsAllocated", allocated.to_string(), "8 or 16"));
        }
        let most = i32::from(allocated);
        let stored = number(tags::BITS_STORED, "BitsStored", "2 to BitsAllocated", 2..=most)?;
        let lowest = i32::from(stored) - 1;
        let expected = "BitsStored - 1 to BitsAllocated - 1";
        let high = match values::text(self.image, tags::HIGH_BIT) {
            Some(_) => number(tags::HIGH_BIT, "HighBit", expected, lowest..=most - 1)?,
            None => stored - 1,
        };
        let signed = number(tags::PIXEL_REPRESENTATION, "PixelRepresentation", "0 or 1", 0..=1)? == 1;
        Ok(Layout {
            rows: rows as usize,
            columns: columns as usize,
            allocated,
            stored,
            high,
            signed,
        })
    }

    /// What the stored values of a frame mean (C.11.1.1.2).
    fn rescale(&self, frame: usize, stated: Option<Rescale>) -> Result<Rescale, ReadError> {
        let groups = Groups::of(self.image);
        let own = |place| groups.read(frame, place, values::decimal);
        let (slope, intercept) = (own(groups::SLOPE), own(groups::INTERCEPT));
        match groups.read(frame, groups::UNIT, values::text).as_deref() {
            None | Some(groups::HOUNSFIELD) => {}
            Some(other) if ENERGY.contains(&other) => {
                return Err(self.wrong("RescaleType", code(other), "HU or nothing"));
            }
            // US means unspecified, and many write words of their own.
            Some(_) if stated.is_some() => {}
            Some(other) => {
                return Err(self.wrong(
                    "RescaleType",
                    code(other),
                    "HU or nothing; if its rescale gives Hounsfield units nevertheless, state it: `--assume-rescale \
                     SLOPE,INTERCEPT`, or `#rescale=SLOPE,INTERCEPT` behind the path",
                ));
            }
        }
        if slope == Some(0.0) {
            return Err(self.wrong("RescaleSlope", "0".to_owned(), "a number other than 0"));
        }
        if slope.is_none() && !values::items(self.image, tags::MODALITY_LUT_SEQUENCE).is_empty() {
            // Its entries are unsigned (C.11.1.1.1): what they mean for air is anyone's guess.
            return Err(self.wrong(
                "ModalityLUTSequence",
                "present".to_owned(),
                "RescaleSlope and RescaleIntercept",
            ));
        }
        let rescale = match (slope, intercept, stated) {
            (slope, intercept, Some(stated)) => {
                let same = slope.is_none_or(|slope| slope == stated.slope)
                    && intercept.is_none_or(|intercept| intercept == stated.intercept);
                match same {
                    true => Ok(stated),
                    false => Err(ReadError::Restated {
                        own: format!("{},{}", or_none(slope), or_none(intercept)),
                        stated,
                        path: self.path.to_owned(),
                    }),
                }
            }
            (Some(slope), Some(intercept), None) => Ok(Rescale { slope, intercept }),
            (slope, ..) => Err(self.missing(
                if slope.is_none() {
                    "RescaleSlope"
                } else {
                    "RescaleIntercept"
                },
                "a number, since without it stored values have no Hounsfield units; if you know them, state them: \
                 `--assume-rescale SLOPE,INTERCEPT`, or `#rescale=SLOPE,INTERCEPT` behind the path",
            )),
        }?;
        let far = |stored: i32| rescale.hu(stored).abs() > FARTHEST_HU;
        match far(i32::from(i16::MIN)) || far(i32::from(u16::MAX)) {
            true => Err(self.wrong(
                "RescaleSlope or RescaleIntercept",
                "out of range".to_owned(),
                "Hounsfield units",
            )),
            false => Ok(rescale),
        }
    }
}

fn or_none(number: Option<f64>) -> String {
    number.map_or("nothing".to_owned(), |number| number.to_string())
}
