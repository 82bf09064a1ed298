//! The header of NIfTI-1 (348 bytes) and NIfTI-2 (540 bytes), read and written.
//!
//! Sources: `nifti1.h` and `nifti2.h` of <https://nifti.nimh.nih.gov>. The crate `nifti` 0.18 writes NIfTI-1 only, and asks
//! for as much memory as a header claims; what is needed of a header is short.

use super::NiftiError;
use crate::readers::samples::Kind;

/// The two versions. What differs is where numbers stand and how wide they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NiftiVersion {
    /// 16-bit sizes, 32-bit geometry.
    One,
    /// 64-bit sizes and geometry.
    Two,
}

impl NiftiVersion {
    /// Bytes of the header, which it begins with.
    pub(super) fn header_bytes(self) -> usize {
        match self {
            Self::One => 348,
            Self::Two => 540,
        }
    }

    /// Where voxels begin at the earliest: behind the header and the four bytes that say whether there are extensions.
    pub(super) fn first_voxel(self) -> usize {
        self.header_bytes() + 4
    }
}

/// What a header says of the voxels and of their place.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Header {
    pub(super) version: NiftiVersion,
    pub(super) big_endian: bool,
    /// Voxels along i, j, k; W, H, D here.
    pub(super) size: [usize; 3],
    pub(super) kind: Kind,
    /// Where voxels begin.
    pub(super) begin: usize,
    /// Slope and intercept, where values are to be scaled.
    pub(super) scaling: Option<(f64, f64)>,
    /// `qfac` and the spacing along i, j, k.
    pub(super) pixdim: [f64; 4],
    /// Millimetres in a unit of length.
    pub(super) millimeters: f64,
    /// `quatern_b`, `_c`, `_d` and `qoffset_x`, `_y`, `_z`, if they are in force.
    pub(super) qform: Option<[f64; 6]>,
    /// `srow_x`, `_y`, `_z`, if they are in force.
    pub(super) sform: Option<[[f64; 4]; 3]>,
}

/// The version and the byte order (whether it is big) that the first bytes speak for. NIfTI-1 shows itself at byte 344 only,
/// so a plausible number of dimensions stands for it here; ANALYZE files look the same and are told apart by
/// [`Header::parse`].
pub(super) fn kind_of(head: &[u8]) -> Option<(NiftiVersion, bool)> {
    let dimensions = |at: usize| head.get(at..at + 2).map(|two| [two[0], two[1]]);
    match head {
        [0x5c, 1, 0, 0, ..] if matches!(dimensions(40)?, [1..=7, 0]) => Some((NiftiVersion::One, false)),
        [0, 0, 1, 0x5c, ..] if matches!(dimensions(40)?, [0, 1..=7]) => Some((NiftiVersion::One, true)),
        [0x1c, 2, 0, 0, b'n', b'+' | b'i', ..] => Some((NiftiVersion::Two, false)),
        [0, 0, 2, 0x1c, b'n', b'+' | b'i', ..] => Some((NiftiVersion::Two, true)),
        _ => None,
    }
}

/// Numbers at the places of a header.
struct Fields<'a> {
    bytes: &'a [u8],
    big_endian: bool,
}

impl Fields<'_> {
    fn array<const N: usize>(&self, at: usize) -> [u8; N] {
        let mut little: [u8; N] = self.bytes[at..at + N].try_into().expect("N bytes were taken");
        if self.big_endian {
            little.reverse();
        }
        little
    }

    fn i16(&self, at: usize) -> i64 {
        i64::from(i16::from_le_bytes(self.array(at)))
    }

    fn i32(&self, at: usize) -> i64 {
        i64::from(i32::from_le_bytes(self.array(at)))
    }

    fn i64(&self, at: usize) -> i64 {
        i64::from_le_bytes(self.array(at))
    }

    fn f32(&self, at: usize) -> f64 {
        f64::from(f32::from_le_bytes(self.array(at)))
    }

    fn f64(&self, at: usize) -> f64 {
        f64::from_le_bytes(self.array(at))
    }
}

impl Header {
    /// Reads a header that `bytes` begin with.
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, NiftiError> {
        let (version, big_endian) = kind_of(bytes).ok_or(NiftiError::NoHeader)?;
        if bytes.len() < version.header_bytes() {
            return Err(NiftiError::Short {
                found: bytes.len() as u64,
                expected: version.header_bytes() as u64,
            });
        }
        let magic = match version {
            NiftiVersion::One => &bytes[344..348],
            NiftiVersion::Two => &bytes[4..8],
        };
        match magic {
            b"n+1\0" | b"n+2\0" => {}
            b"ni1\0" | b"ni2\0" => return Err(NiftiError::Pair),
            _ => return Err(NiftiError::Analyze),
        }
        let fields = Fields { bytes, big_endian };
        let one = version == NiftiVersion::One;
        // Places in NIfTI-1, places in NIfTI-2.
        let whole = |a: usize, b: usize| if one { fields.i16(a) } else { fields.i64(b) };
        let short = |a: usize, b: usize| fields.i16(if one { a } else { b });
        let code = |a: usize, b: usize| if one { fields.i16(a) } else { fields.i32(b) };
        let real = |a: usize, b: usize| if one { fields.f32(a) } else { fields.f64(b) };
        let at = |a: usize, b: usize, nth: usize| real(a + 4 * nth, b + 8 * nth);
        let dim = std::array::from_fn(|nth| whole(40 + 2 * nth, 16 + 8 * nth));
        let units = if one { i64::from(bytes[123]) } else { fields.i32(500) };
        let scaling = (real(112, 176), real(116, 184));
        let offset = if one { fields.f32(108) } else { fields.i64(168) as f64 };
        let qform = [
            real(256, 352),
            real(260, 360),
            real(264, 368),
            real(268, 376),
            real(272, 384),
            real(276, 392),
        ];
        let sform = [0, 1, 2].map(|row| [0, 1, 2, 3].map(|column| at(280, 400, 4 * row + column)));
        Ok(Self {
            version,
            big_endian,
            size: size_of(dim)?,
            kind: kind_named(short(70, 12))?,
            begin: begin_at(offset, version)?,
            scaling: scaling_of(scaling)?,
            pixdim: [0, 1, 2, 3].map(|nth| at(76, 104, nth)),
            millimeters: match units & 7 {
                1 => 1000.0,
                3 => 1e-3,
                // 2 are millimetres, and so is what is not said: all programs that leave it out mean them.
                _ => 1.0,
            },
            qform: (code(252, 344) > 0).then_some(qform),
            sform: (code(254, 348) > 0).then_some(sform),
        })
    }

    /// How many voxels there are.
    pub(super) fn voxels(&self) -> Result<usize, NiftiError> {
        let product = self.size.iter().try_fold(1usize, |product, n| product.checked_mul(*n));
        product.ok_or(NiftiError::Dimensions {
            found: format!("{:?}", self.size),
        })
    }

    /// How many bytes the file has at least, inflated.
    pub(super) fn end(&self) -> Result<u64, NiftiError> {
        let bytes = self.voxels()?.checked_mul(self.kind.bytes());
        let end = bytes.and_then(|bytes| bytes.checked_add(self.begin));
        end.map(|end| end as u64).ok_or(NiftiError::Dimensions {
            found: format!("{:?}", self.size),
        })
    }

    /// The header in little endian, with the four bytes that say that no extensions follow.
    pub(super) fn encode(&self) -> Vec<u8> {
        let one = self.version == NiftiVersion::One;
        let mut bytes = vec![0; self.version.first_voxel()];
        let mut put = |at: usize, field: &[u8]| bytes[at..at + field.len()].copy_from_slice(field);
        let whole = |value: i64| match one {
            true => (value as i16).to_le_bytes().to_vec(),
            false => value.to_le_bytes().to_vec(),
        };
        let code = |value: i32| match one {
            true => (value as i16).to_le_bytes().to_vec(),
            false => value.to_le_bytes().to_vec(),
        };
        let real = |value: f64| match one {
            true => (value as f32).to_le_bytes().to_vec(),
            false => value.to_le_bytes().to_vec(),
        };
        let place = |a: usize, b: usize| if one { a } else { b };
        let step = |a: usize, b: usize, nth: usize| if one { a + nth * 4 } else { b + nth * 8 };
        put(0, &(self.version.header_bytes() as i32).to_le_bytes());
        match self.version {
            NiftiVersion::One => put(344, b"n+1\0"),
            NiftiVersion::Two => put(4, b"n+2\0\r\n\x1a\n"),
        }
        let dim = [
            3,
            self.size[0] as i64,
            self.size[1] as i64,
            self.size[2] as i64,
            1,
            1,
            1,
            1,
        ];
        for (nth, length) in dim.into_iter().enumerate() {
            put(if one { 40 + 2 * nth } else { 16 + 8 * nth }, &whole(length));
        }
        put(place(70, 12), &code_of(self.kind).to_le_bytes());
        put(place(72, 14), &(8 * self.kind.bytes() as i16).to_le_bytes());
        let pixdim = self.pixdim.into_iter().chain([1.0; 4]);
        for (nth, length) in pixdim.enumerate() {
            put(step(76, 104, nth), &real(length));
        }
        match self.version {
            NiftiVersion::One => put(108, &(self.begin as f32).to_le_bytes()),
            NiftiVersion::Two => put(168, &(self.begin as i64).to_le_bytes()),
        }
        let (slope, intercept) = self.scaling.unwrap_or((1.0, 0.0));
        put(place(112, 176), &real(slope));
        put(place(116, 184), &real(intercept));
        // Millimetres, and seconds for a time that there is not: what nibabel writes.
        match self.version {
            NiftiVersion::One => put(123, &[10]),
            NiftiVersion::Two => put(500, &10i32.to_le_bytes()),
        }
        put(place(252, 344), &code(i32::from(self.qform.is_some())));
        put(place(254, 348), &code(i32::from(self.sform.is_some())));
        for (nth, part) in self.qform.iter().flatten().enumerate() {
            put(step(256, 352, nth), &real(*part));
        }
        for (nth, part) in self.sform.iter().flatten().flatten().enumerate() {
            put(step(280, 400, nth), &real(*part));
        }
        bytes
    }
}

/// i, j, k of `dim`. A picture of two dimensions is a volume of one slice; further dimensions have the length 1.
fn size_of(dim: [i64; 8]) -> Result<[usize; 3], NiftiError> {
    let wrong = || NiftiError::Dimensions {
        found: format!("{:?}", &dim[1..=dim[0].clamp(1, 7) as usize]),
    };
    let n = usize::try_from(dim[0])
        .ok()
        .filter(|n| (2..=7).contains(n))
        .ok_or_else(wrong)?;
    let mut size = [1; 3];
    for (nth, &length) in dim[1..=n].iter().enumerate() {
        match (nth, usize::try_from(length)) {
            (_, Ok(0) | Err(_)) => return Err(wrong()),
            (0..3, Ok(length)) => size[nth] = length,
            (_, Ok(1)) => {}
            (_, Ok(found)) => return Err(NiftiError::Several { found }),
        }
    }
    Ok(size)
}

/// The scaling that is in force: none where the slope is 0 or no number (`nifti1.h`, and nibabel's `get_slope_inter`).
fn scaling_of((slope, intercept): (f64, f64)) -> Result<Option<(f64, f64)>, NiftiError> {
    match (slope, intercept) {
        (slope, _) if slope == 0.0 || !slope.is_finite() => Ok(None),
        (slope, intercept) if intercept.is_finite() => Ok(Some((slope, intercept))),
        _ => Err(NiftiError::Intercept { slope }),
    }
}

/// Where voxels begin. 0 is the earliest place in a single file, as nibabel takes it.
fn begin_at(offset: f64, version: NiftiVersion) -> Result<usize, NiftiError> {
    let first = version.first_voxel();
    if offset == 0.0 {
        return Ok(first);
    }
    // Floats of this size are whole up to 2^53; no file is longer.
    if offset.fract() == 0.0 && offset >= first as f64 && offset < 9e15 {
        Ok(offset as usize)
    } else {
        Err(NiftiError::Offset { found: offset, first })
    }
}

/// `datatype` of both versions.
const KINDS: [(i16, Kind); 10] = [
    (2, Kind::U8),
    (4, Kind::I16),
    (8, Kind::I32),
    (16, Kind::F32),
    (64, Kind::F64),
    (256, Kind::I8),
    (512, Kind::U16),
    (768, Kind::U32),
    (1024, Kind::I64),
    (1280, Kind::U64),
];

fn kind_named(code: i64) -> Result<Kind, NiftiError> {
    let known = KINDS.iter().find(|(known, _)| i64::from(*known) == code);
    known.map(|(_, kind)| *kind).ok_or(NiftiError::Datatype {
        code,
        name: match code {
            1 => "bits",
            32 => "complex64",
            128 => "RGB",
            1536 => "float128",
            1792 => "complex128",
            2048 => "complex256",
            2304 => "RGBA",
            _ => "unknown",
        },
    })
}

fn code_of(kind: Kind) -> i16 {
    let known = KINDS.iter().find(|(_, known)| *known == kind);
    known.expect("every kind has a code").0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(version: NiftiVersion) -> Header {
        Header {
            version,
            big_endian: false,
            size: [5, 4, 3],
            kind: Kind::I16,
            begin: version.first_voxel(),
            scaling: Some((0.5, -3.0)),
            pixdim: [-1.0, 0.75, 0.5, 2.5],
            millimeters: 1.0,
            qform: Some([0.0, 0.0, 1.0, -10.0, 20.0, 30.5]),
            sform: Some([[0.75, 0.0, 0.0, 1.0], [0.0, 0.5, 0.0, 2.0], [0.0, 0.0, 2.5, 3.0]]),
        }
    }

    #[test]
    fn what_was_written_is_read_back() {
        for version in [NiftiVersion::One, NiftiVersion::Two] {
            let header = header(version);
            let bytes = header.encode();
            assert_eq!(bytes.len(), version.first_voxel());
            assert_eq!(Header::parse(&bytes).unwrap(), header);
            assert_eq!(header.end().unwrap(), (version.first_voxel() + 5 * 4 * 3 * 2) as u64);
        }
    }

    #[test]
    fn what_a_single_volume_is_not_is_said() {
        let bytes = header(NiftiVersion::One).encode();
        let with = |at: usize, field: &[u8]| {
            let mut bytes = bytes.clone();
            bytes[at..at + field.len()].copy_from_slice(field);
            Header::parse(&bytes).unwrap_err().to_string()
        };
        assert!(with(344, b"ni1").contains("pair"));
        assert!(with(344, b"xyz").contains("ANALYZE"));
        assert!(with(70, &128i16.to_le_bytes()).contains("RGB"));
        assert!(with(42, &(-4i16).to_le_bytes()).contains("-4"));
        assert!(with(108, &100f32.to_le_bytes()).contains("byte 100"));
        assert!(with(108, &f32::NAN.to_le_bytes()).contains("NaN"));
        assert!(with(116, &f32::NAN.to_le_bytes()).contains("intercept"));
        let mut several = bytes.clone();
        several[40] = 4;
        several[48] = 6;
        assert!(Header::parse(&several).unwrap_err().to_string().contains("6 volumes"));
        assert!(
            Header::parse(&bytes[..200])
                .unwrap_err()
                .to_string()
                .contains("200 bytes")
        );
    }

    #[test]
    fn a_slope_of_zero_or_no_number_is_none() {
        for slope in [0.0, f64::NAN, f64::INFINITY] {
            assert_eq!(scaling_of((slope, 5.0)).unwrap(), None);
        }
        assert_eq!(scaling_of((2.0, 5.0)).unwrap(), Some((2.0, 5.0)));
    }
}
