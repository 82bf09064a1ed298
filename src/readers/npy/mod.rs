//! `.npy` arrays: volumes `[D, H, W]` and slices `[H, W]`.
//!
//! An array has no units and no place. What holds here:
//!
//! - Signed integers and floats are Hounsfield units. Unsigned ones can't be, since air is -1000: without a stated rescale
//!   (`#rescale=SLOPE,INTERCEPT`) 8 and 16 bits are grey of unknown unit, others are refused.
//! - Slices of a volume are numbered in the order of the array, and slice 0 is at the head: [`write_npy`] writes volumes in
//!   this order.
//! - Geometry stands beside the array, in `NAME.npy.json`: a [`Geometry`] with origin, spacing and directions.
//!
//! The crate `ndarray-npy` asks for the memory that a header claims and converts a whole array; here the length is checked
//! first and slices are converted one by one.

mod header;

use std::{
    fs::File,
    io::{self, Read as _, Write as _},
    path::{Path, PathBuf},
};

use self::header::{Header, MAGIC};
use super::{
    MAX_SIDE, MAX_VOLUME, MAX_VOXELS, ReadError, SliceReader, Slices, Stated, VolumeFile, WriteOptions,
    WriteVolumeError,
    samples::{Kind, Samples, Stored},
    volume::is_whole,
};
use crate::{
    ct::{AxisOrder, CtSlice, CtVolume, Geometry, GeometryError, Pixels, Rescale},
    tables::atomic_write,
};

/// No sidecar is longer.
const MAX_SIDECAR: u64 = 1 << 16;

/// Reads arrays.
#[derive(Debug)]
pub struct Npy;

impl SliceReader for Npy {
    fn name(&self) -> &'static str {
        "NumPy array"
    }

    fn can_read(&self, head: &[u8], _: &Path) -> bool {
        head.starts_with(MAGIC)
    }

    fn open(&self, bytes: Vec<u8>, rescale: Option<Rescale>, path: &Path) -> Result<Box<dyn Slices>, ReadError> {
        let array = NpyArray::open(bytes, rescale, path)?;
        let [_, height, width] = array.stored.size;
        if height.max(width) > MAX_SIDE as usize {
            return Err(ReadError::TooLarge {
                width: u32::try_from(width).unwrap_or(u32::MAX),
                height: u32::try_from(height).unwrap_or(u32::MAX),
                path: path.to_owned(),
            });
        }
        // What is wrong with a sidecar matters to those who ask for the volume.
        let beside = sidecar(path).ok().flatten();
        let geometry = beside.filter(|geometry| geometry.check().is_ok());
        Ok(Box::new(ArraySlices { array, geometry }))
    }

    fn longest(&self) -> u64 {
        MAX_VOLUME
    }

    fn codecs(&self) -> Vec<(String, String)> {
        let details = "[D, H, W] or [H, W], integers and floats, C and Fortran order, from the head";
        vec![("npy".to_owned(), details.to_owned())]
    }
}

/// What the numbers of an array are.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Unit {
    Hu,
    Grey8,
    Grey16,
}

struct NpyArray {
    stored: Stored,
    unit: Unit,
}

/// The slices of an array, in its order.
struct ArraySlices {
    array: NpyArray,
    geometry: Option<Geometry>,
}

impl NpyArray {
    fn open(bytes: Vec<u8>, rescale: Option<Rescale>, path: &Path) -> Result<Self, ReadError> {
        Self::parse(bytes, rescale).map_err(|source| ReadError::Npy {
            source,
            path: path.to_owned(),
        })
    }

    fn parse(bytes: Vec<u8>, rescale: Option<Rescale>) -> Result<Self, NpyError> {
        let header = Header::parse(&bytes)?;
        let numbers = header
            .size
            .iter()
            .try_fold(1usize, |product, n| product.checked_mul(*n));
        let end = numbers
            .filter(|numbers| *numbers <= MAX_VOXELS)
            .and_then(|numbers| numbers.checked_mul(header.kind.bytes()))
            .and_then(|length| length.checked_add(header.begin))
            .ok_or(NpyError::TooLarge { shape: header.size })?;
        if bytes.len() != end {
            return Err(NpyError::Length {
                found: bytes.len(),
                expected: end,
            });
        }
        let unit = match (header.kind, rescale) {
            (_, Some(_)) => Unit::Hu,
            (Kind::U8, None) => Unit::Grey8,
            (Kind::U16, None) => Unit::Grey16,
            (Kind::U32 | Kind::U64, None) => {
                return Err(NpyError::Unsigned {
                    kind: header.kind.name(),
                });
            }
            _ => Unit::Hu,
        };
        let [depth, height, width] = header.size;
        let strides = match header.fortran {
            true => [1, depth, depth * height],
            false => [height * width, width, 1],
        };
        Ok(Self {
            stored: Stored {
                samples: Samples {
                    bytes,
                    begin: header.begin,
                    kind: header.kind,
                    big_endian: header.big_endian,
                },
                size: header.size,
                strides,
                scaling: rescale.map(|rescale| (rescale.slope, rescale.intercept)),
            },
            unit,
        })
    }
}

impl Slices for ArraySlices {
    fn len(&self) -> usize {
        self.array.stored.size[0]
    }

    fn read(&self, at: usize) -> Result<CtSlice, ReadError> {
        let stored = &self.array.stored;
        let pixels = match self.array.unit {
            Unit::Hu => Pixels::Hu(stored.slice(&AxisOrder::SAME, at)),
            Unit::Grey8 => Pixels::Grey8(stored.small(&AxisOrder::SAME, at).mapv(|grey| grey as u8)),
            Unit::Grey16 => Pixels::Grey16(stored.small(&AxisOrder::SAME, at)),
        };
        Ok(CtSlice { pixels })
    }

    fn geometry(&self) -> Option<Geometry> {
        self.geometry
    }
}

/// The volume of an array, with the geometry of its sidecar or, where there is none, of the stated spacing.
pub(super) fn read(bytes: Vec<u8>, stated: Stated, path: &Path) -> Result<VolumeFile, ReadError> {
    let error = |source| ReadError::Npy {
        source,
        path: path.to_owned(),
    };
    let array = NpyArray::open(bytes, stated.rescale, path)?;
    if array.unit != Unit::Hu {
        let kind = array.stored.samples.kind.name();
        return Err(error(NpyError::Unsigned { kind }));
    }
    let geometry = match (sidecar(path).map_err(error)?, stated.spacing) {
        (Some(_), Some(_)) => return Err(error(NpyError::Stated)),
        (Some(geometry), None) => geometry,
        (None, Some(spacing)) => Geometry::axial(spacing),
        (None, None) => return Err(error(NpyError::NoSpacing)),
    };
    geometry.check().map_err(|source| error(source.into()))?;
    Ok(VolumeFile {
        volume: CtVolume {
            voxels: array.stored.volume(),
            geometry,
        },
        format: "npy",
        stored: array.stored.samples.kind.name(),
        scaling: array.stored.scaling,
    })
}

/// `NAME.npy.json` for `NAME.npy`.
fn sidecar_of(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".json");
    name.into()
}

fn sidecar(path: &Path) -> Result<Option<Geometry>, NpyError> {
    let unreadable = |reason: String| NpyError::Sidecar { reason };
    let file = match File::open(sidecar_of(path)) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(unreadable(error.to_string())),
    };
    let mut text = String::new();
    let read = file.take(MAX_SIDECAR).read_to_string(&mut text);
    read.map_err(|error| unreadable(error.to_string()))?;
    // What serde says may quote the file; the place is enough.
    let parsed = serde_json::from_str(&text);
    let place = |error: serde_json::Error| format!("no geometry by line {} column {}", error.line(), error.column());
    parsed.map(Some).map_err(|error| unreadable(place(error)))
}

/// Writes a volume in axial order, from the head to the feet, and its geometry beside it as `NAME.npy.json`. Numbers are
/// 16-bit integers where all of them are whole and fit, else 32-bit floats.
///
/// # Errors
///
/// [`WriteVolumeError`].
pub fn write_npy(volume: &CtVolume, path: &Path, options: &WriteOptions) -> Result<(), WriteVolumeError> {
    volume.geometry.check()?;
    if volume.voxels.is_empty() {
        return Err(WriteVolumeError::Empty);
    }
    let axial = volume.clone().axial();
    let whole = !options.float && is_whole(volume);
    let geometry = serde_json::to_string_pretty(&axial.geometry).expect("checked numbers have a JSON");
    // An array beside the geometry of another would be worse than one without any.
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            return Err(crate::tables::write_error(error, path).into());
        }
        _ => {}
    }
    atomic_write(&sidecar_of(path), |file| writeln!(file, "{geometry}"))?;
    atomic_write(path, |file| {
        file.write_all(&Header::encode(if whole { "<i2" } else { "<f4" }, axial.size()))?;
        axial.voxels.iter().try_for_each(|hu| match whole {
            true => file.write_all(&(*hu as i16).to_le_bytes()),
            false => file.write_all(&hu.to_le_bytes()),
        })
    })?;
    Ok(())
}

/// Why an array is not read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NpyError {
    /// No header as numpy writes it.
    #[error("the header can't be read, expected one of numpy's versions 1 to 3")]
    Header,
    /// Fields with names, or Python objects.
    #[error("the array holds records, expected plain numbers")]
    Records,
    /// Numbers that are not read.
    #[error("the array holds `{found}`, expected integers of 8 to 64 bits or floats of 32 or 64")]
    Datatype {
        /// numpy's description.
        found: String,
    },
    /// No volume and no slice.
    #[error("the array has the shape {found:?}, expected [D, H, W] or [H, W] without zeros")]
    Shape {
        /// What the header says.
        found: Vec<usize>,
    },
    /// More than a machine is asked to hold.
    #[error("the header speaks of {shape:?} numbers, at most {MAX_VOXELS} in all are read")]
    TooLarge {
        /// `[D, H, W]`.
        shape: [usize; 3],
    },
    /// Another length than the header speaks of.
    #[error("the file has {found} bytes, {expected} were expected")]
    Length {
        /// How many there are.
        found: usize,
        /// How many the header speaks of.
        expected: usize,
    },
    /// Numbers that can't be Hounsfield units.
    #[error(
        "{kind} numbers are no Hounsfield units, state what they mean by `#rescale=SLOPE,INTERCEPT` behind the path"
    )]
    Unsigned {
        /// numpy's name of the type.
        kind: &'static str,
    },
    /// Nothing says how far apart voxels are.
    #[error(
        "an array has no spacing: write a geometry beside it as NAME.npy.json, or state it by `--assume-spacing D,H,W` of \
         `hounsfield volume`, which can convert it to NIfTI"
    )]
    NoSpacing,
    /// A spacing that was stated twice.
    #[error("a spacing was stated, and the array has a geometry beside it: leave one out")]
    Stated,
    /// A sidecar that can't be read.
    #[error("the geometry beside the array can't be read ({reason}), expected origin, spacing and directions")]
    Sidecar {
        /// Why.
        reason: String,
    },
    /// A place that is none.
    #[error(transparent)]
    Geometry(#[from] GeometryError),
}

#[cfg(test)]
mod tests {
    use super::*;

    fn npy(descr: &str, fortran: bool, shape: &str, numbers: &[u8]) -> Vec<u8> {
        let fortran = if fortran { "True" } else { "False" };
        let text = format!("{{'descr': '{descr}', 'fortran_order': {fortran}, 'shape': {shape}, }}\n");
        let length = text.len() as u16;
        [MAGIC, &[1, 0], &length.to_le_bytes(), text.as_bytes(), numbers].concat()
    }

    fn open(bytes: Vec<u8>, rescale: Option<&str>) -> Result<ArraySlices, NpyError> {
        let array = NpyArray::parse(bytes, rescale.map(|text| text.parse().unwrap()))?;
        Ok(ArraySlices { array, geometry: None })
    }

    #[test]
    fn both_orders_of_an_array_are_the_same_slices() {
        let c = open(npy("|i1", false, "(2, 1, 3)", &[0, 1, 2, 3, 4, 5]), None).unwrap();
        let f = open(npy("|i1", true, "(2, 1, 3)", &[0, 3, 1, 4, 2, 5]), None).unwrap();
        assert_eq!(c.len(), 2);
        for at in 0..2 {
            assert_eq!(c.read(at).unwrap(), f.read(at).unwrap());
        }
        let slice = open(npy(">i2", false, "(1, 2)", &[0xf8, 0x30, 0, 7]), None).unwrap();
        let expected = Pixels::Hu(ndarray::array![[-2000.0, 7.0]]);
        assert_eq!(slice.read(0).unwrap(), CtSlice { pixels: expected });
    }

    #[test]
    fn unsigned_numbers_are_grey_until_their_meaning_is_stated() {
        let bytes = npy("<u2", false, "(1, 2)", &[0, 0, 0, 4]);
        let grey = Pixels::Grey16(ndarray::array![[0, 1024]]);
        assert_eq!(open(bytes.clone(), None).unwrap().read(0).unwrap().pixels, grey);
        let hu = Pixels::Hu(ndarray::array![[-1024.0, 0.0]]);
        assert_eq!(open(bytes, Some("1,-1024")).unwrap().read(0).unwrap().pixels, hu);
        let wide = open(npy("<u4", false, "(1, 1)", &[0; 4]), None).map(drop).unwrap_err();
        assert!(wide.to_string().contains("#rescale="), "{wide}");
    }

    #[test]
    fn what_is_no_volume_of_numbers_is_an_error() {
        for (descr, shape, numbers, expected) in [
            ("<f2", "(1, 1)", 2, "`<f2`"),
            ("=f4", "(1, 1)", 4, "`=f4`"),
            ("<f4", "(3,)", 12, "[3]"),
            ("<f4", "()", 4, "[]"),
            ("<f4", "(1, 0)", 0, "[1, 0]"),
            ("<f4", "(1, 2)", 4, "bytes"),
            ("<f4", "(1, 1)", 8, "bytes"),
            ("<f8", "(4294967296, 4294967296, 4294967296)", 8, "at most"),
            ("<f4", "(1, x)", 4, "header"),
        ] {
            let error = open(npy(descr, false, shape, &vec![0; numbers]), None)
                .map(drop)
                .unwrap_err();
            assert!(error.to_string().contains(expected), "{error}");
        }
    }
}
