//! Frames of a CT file: pixels into Hounsfield units, one frame at a time.

use std::{ops::Range, path::PathBuf};

use dicom_dictionary_std::tags;
use dicom_transfer_syntax_registry::{TransferSyntaxIndex as _, TransferSyntaxRegistry};
use ndarray::Array2;

use super::{
    DicomFile, FORMAT,
    codecs::{CODECS, Codec, Expected},
    dataset::PixelData,
    fragments, guarded,
    header::Header,
    meta::NATIVE,
    padding::PADDING_HU,
    values,
};
use crate::{
    ct::{CtSlice, Hu, Pixels, Rescale},
    readers::{ReadError, Slices},
};

/// The frames of a file whose header has been found sound. Pixels are decoded where a frame is asked for.
///
/// ```no_run
/// use std::path::Path;
/// use hounsfield::readers::{DicomFile, Slices as _};
/// let path = Path::new("slice.dcm");
/// let frames = DicomFile::parse(std::fs::read(path)?, path)?.frames(None)?;
/// let values = frames.values(frames.len() / 2)?;
/// println!("{:?} HU, {} pixels of padding", values.range, values.padded);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Frames {
    bytes: Vec<u8>,
    header: Header,
    source: Source,
    syntax: String,
    path: PathBuf,
}

/// Where the pixels of the frames come from.
enum Source {
    Native {
        place: Range<usize>,
        big_endian: bool,
        /// 8-bit pixels stand the other way round in their words.
        swapped: bool,
    },
    Encapsulated {
        codec: &'static Codec,
        frames: Vec<Vec<Range<usize>>>,
    },
}

/// A frame, decoded once.
#[derive(Debug, Clone, PartialEq)]
pub struct FrameValues {
    /// `[H, W]` stored values, without the bits outside of Bits Stored.
    pub stored: Array2<i32>,
    /// `[H, W]` Hounsfield units; padding is [`PADDING_HU`].
    pub hu: Array2<Hu>,
    /// How many pixels are padding.
    pub padded: usize,
    /// Lowest and highest Hounsfield units of what is no padding; `None` if all is.
    pub range: Option<(Hu, Hu)>,
}

impl DicomFile {
    /// The frames, if they can be read rightly. `stated` is what the user says stored values mean where the file doesn't.
    ///
    /// # Errors
    ///
    /// Whatever is no CT image in Hounsfield units, a transfer syntax without a decoder, and pixels that don't fit what is
    /// said of them; a `stated` rescale that contradicts the file's own.
    pub fn frames(self, stated: Option<Rescale>) -> Result<Frames, ReadError> {
        let header = Header::of(&self.object, &self.syntax, stated, &self.path)?;
        let source = self.source(&header)?;
        Ok(Frames {
            bytes: self.bytes,
            header,
            source,
            syntax: self.syntax,
            path: self.path,
        })
    }

    fn source(&self, header: &Header) -> Result<Source, ReadError> {
        let broken = |reason: &str| ReadError::Decode {
            format: FORMAT,
            reason: reason.to_owned(),
            path: self.path.clone(),
        };
        let native = NATIVE.iter().any(|(uid, _)| *uid == self.syntax);
        let codec = CODECS.iter().find(|codec| codec.uid == self.syntax);
        let n = header.rescales.len();
        match (&self.pixels, codec) {
            (PixelData::Missing, _) => Err(ReadError::MissingAttribute {
                attribute: "PixelData",
                expected: "the image",
                path: self.path.clone(),
            }),
            (_, None) if !native => Err(self.no_codec()),
            (PixelData::Native { place, words }, None) => {
                self.refuse_wrong_length(place.len(), header.layout.bytes(), n)?;
                let big_endian = self.encoding.big_endian;
                Ok(Source::Native {
                    place: place.clone(),
                    big_endian,
                    swapped: big_endian && *words,
                })
            }
            (PixelData::Encapsulated { table, fragments }, Some(codec)) => {
                let table = self.bytes[table.clone()].chunks_exact(4);
                let table = table.map(|b| u64::from(u32::from_le_bytes([b[0], b[1], b[2], b[3]])));
                let extended = values::decimals(&self.object, tags::EXTENDED_OFFSET_TABLE);
                let offsets: Vec<u64> = match extended.is_empty() {
                    true => table.collect(),
                    false => extended.iter().map(|offset| *offset as u64).collect(),
                };
                let offsets = (!offsets.is_empty()).then_some(&offsets[..]);
                let frames = fragments::frames(&self.bytes, fragments, offsets, n).map_err(broken)?;
                Ok(Source::Encapsulated { codec, frames })
            }
            (PixelData::Native { .. }, Some(_)) => {
                Err(broken("its pixels aren't compressed as its transfer syntax says"))
            }
            (PixelData::Encapsulated { .. }, None) => {
                Err(broken("its pixels are compressed and its transfer syntax isn't"))
            }
        }
    }

    /// Some writers pad the pixels; a whole frame more is another image.
    fn refuse_wrong_length(&self, found: usize, frame: usize, n: usize) -> Result<(), ReadError> {
        match found / frame {
            _ if frame.checked_mul(n).is_none_or(|all| found < all) => Err(ReadError::Truncated {
                format: FORMAT,
                missing: "fewer pixels than Rows x Columns x NumberOfFrames",
                path: self.path.clone(),
            }),
            frames if frames > n => Err(ReadError::SeveralImages {
                found: format!("pixels of {frames} frames where NumberOfFrames says {n}"),
                path: self.path.clone(),
            }),
            _ => Ok(()),
        }
    }

    fn no_codec(&self) -> ReadError {
        let name = TransferSyntaxRegistry.get(&self.syntax).map(|known| known.name());
        ReadError::NoCodec {
            uid: uid(&self.syntax),
            name: name.unwrap_or("unknown").to_owned(),
            path: self.path.clone(),
        }
    }
}

/// A UID as it may stand in a message.
fn uid(text: &str) -> String {
    match text.len() <= 64 && text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.') {
        true => text.to_owned(),
        false => "that is no UID".to_owned(),
    }
}

impl Frames {
    /// `[H, W]` stored values of a frame, as they are written: no rescale, padding left as it is.
    ///
    /// # Errors
    ///
    /// A frame that there is not, a stream that can't be decoded.
    pub fn stored(&self, at: usize) -> Result<Array2<i32>, ReadError> {
        let words = self.words(at)?;
        self.array(self.stored_in(&words))
    }

    /// Stored values and Hounsfield units of a frame.
    ///
    /// # Errors
    ///
    /// As for [`Frames::stored`].
    pub fn values(&self, at: usize) -> Result<FrameValues, ReadError> {
        let words = self.words(at)?;
        let mut hu = self.hu(at, &words);
        let padded = hu.iter().filter(|hu| hu.is_nan()).count();
        let (low, high) = range(&hu);
        fill(&mut hu);
        Ok(FrameValues {
            stored: self.array(self.stored_in(&words))?,
            hu: self.array(hu)?,
            padded,
            range: (low <= high).then_some((low, high)),
        })
    }

    fn stored_in(&self, words: &[u16]) -> Vec<i32> {
        let layout = &self.header.layout;
        words.iter().map(|word| layout.stored(*word)).collect()
    }

    /// The Hounsfield units of a frame's words; padding is NaN.
    fn hu(&self, at: usize, words: &[u16]) -> Vec<Hu> {
        let Header {
            layout,
            rescales,
            padding,
        } = &self.header;
        let rescale = &rescales[at];
        let marks = padding.marks(layout, rescale);
        let mut hu = Vec::with_capacity(words.len());
        // Block by block, so that the passes over it find it in the cache.
        for block in words.chunks(4096) {
            let start = hu.len();
            hu.extend(block.iter().map(|word| rescale.hu(layout.stored(*word))));
            marks.erase(&mut hu[start..], block, layout);
        }
        marks.erase_smeared(&mut hu, words, layout);
        hu
    }

    /// The words of a frame, one a pixel.
    fn words(&self, at: usize) -> Result<Vec<u16>, ReadError> {
        if at >= self.len() {
            return Err(ReadError::WhichSlice {
                found: self.len(),
                asked: at.to_string(),
                path: self.path.clone(),
            });
        }
        let layout = &self.header.layout;
        match &self.source {
            Source::Native {
                place,
                big_endian,
                swapped,
            } => Ok(layout.words(&self.bytes[place.clone()], at, *big_endian, *swapped)),
            Source::Encapsulated { codec, frames } => {
                let stream = match &frames[at][..] {
                    [one] => std::borrow::Cow::Borrowed(&self.bytes[one.clone()]),
                    many => many
                        .iter()
                        .flat_map(|place| &self.bytes[place.clone()])
                        .copied()
                        .collect(),
                };
                let expected = Expected {
                    rows: layout.rows,
                    columns: layout.columns,
                    bits_allocated: layout.allocated,
                    bits_stored: layout.stored,
                    signed: layout.signed,
                };
                let decode_error = |reason: String| ReadError::Decode {
                    format: FORMAT,
                    reason,
                    path: self.path.clone(),
                };
                let words = guarded(&format!("transfer syntax {}", self.syntax), &self.path, || {
                    (codec.decode)(&stream, &expected).map_err(|error| decode_error(error.to_string()))
                })?;
                match words.len() == layout.pixels() {
                    true => Ok(words),
                    false => Err(decode_error(format!(
                        "{} pixels, expected {}",
                        words.len(),
                        layout.pixels()
                    ))),
                }
            }
        }
    }

    fn array<T>(&self, pixels: Vec<T>) -> Result<Array2<T>, ReadError> {
        let layout = &self.header.layout;
        Array2::from_shape_vec((layout.rows, layout.columns), pixels).map_err(|error| ReadError::Decode {
            format: FORMAT,
            reason: error.to_string(),
            path: self.path.clone(),
        })
    }
}

/// Lowest and highest value that is no NaN; infinite if there is none.
fn range(hu: &[Hu]) -> (Hu, Hu) {
    // Of eight neighbours each has its own, so that no comparison waits for another.
    let (mut lows, mut highs) = ([Hu::INFINITY; 8], [Hu::NEG_INFINITY; 8]);
    for chunk in hu.chunks(8) {
        for ((low, high), hu) in lows.iter_mut().zip(&mut highs).zip(chunk) {
            *low = low.min(*hu);
            *high = high.max(*hu);
        }
    }
    let low = lows.into_iter().fold(Hu::INFINITY, Hu::min);
    (low, highs.into_iter().fold(Hu::NEG_INFINITY, Hu::max))
}

/// Padding gets its Hounsfield units.
fn fill(hu: &mut [Hu]) {
    for hu in hu {
        *hu = if hu.is_nan() { PADDING_HU } else { *hu };
    }
}

impl Slices for Frames {
    fn len(&self) -> usize {
        self.header.rescales.len()
    }

    fn read(&self, at: usize) -> Result<CtSlice, ReadError> {
        let mut hu = self.hu(at, &self.words(at)?);
        fill(&mut hu);
        Ok(CtSlice {
            pixels: Pixels::Hu(self.array(hu)?),
        })
    }
}
