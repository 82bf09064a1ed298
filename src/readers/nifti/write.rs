//! Volumes into NIfTI files.

use std::{
    io::{self, Write},
    path::Path,
};

use flate2::{Compression, GzBuilder};

use super::{
    Header, NiftiVersion,
    affine::{quaternion, turned},
};
use crate::{
    ct::{CtVolume, Geometry},
    readers::{
        samples::Kind,
        volume::{WriteOptions, WriteVolumeError, is_whole},
    },
    tables::atomic_write,
};

/// Sizes of NIfTI-1 are 16 bits.
const LONGEST: usize = 32767;

/// Writes a volume as it is ordered: `.nii`, or compressed where the name ends in `.gz`.
///
/// Numbers are 16-bit integers where all of them are whole and fit, else 32-bit floats; the slope is 1. `sform` holds the
/// geometry, and so does `qform` where the axes are at right angles. It is NIfTI-1, whose geometry has 32 bits, unless an
/// axis is too long for it or the options ask for NIfTI-2. The header names nobody, and the same volume gives the same
/// bytes.
///
/// # Errors
///
/// [`WriteVolumeError`].
pub fn write_nifti(volume: &CtVolume, path: &Path, options: &WriteOptions) -> Result<(), WriteVolumeError> {
    volume.geometry.check()?;
    if volume.voxels.is_empty() {
        return Err(WriteVolumeError::Empty);
    }
    let whole = !options.float && is_whole(volume);
    let longest = volume.size().into_iter().max().unwrap_or_default();
    let version = match (options.nifti, longest > LONGEST) {
        (Some(NiftiVersion::Two), _) | (_, true) => NiftiVersion::Two,
        (Some(NiftiVersion::One) | None, false) => NiftiVersion::One,
    };
    let header = header_of(volume, version, if whole { Kind::I16 } else { Kind::F32 }).encode();
    let compressed = path.extension().is_some_and(|ending| ending.eq_ignore_ascii_case("gz"));
    atomic_write(path, |file| {
        if compressed {
            // No name and no time in it.
            let mut stream = GzBuilder::new().write(file, Compression::default());
            write_all(volume, &header, whole, &mut stream)?;
            stream.finish().map(drop)
        } else {
            write_all(volume, &header, whole, file)
        }
    })?;
    Ok(())
}

fn write_all(volume: &CtVolume, header: &[u8], whole: bool, file: &mut impl Write) -> io::Result<()> {
    file.write_all(header)?;
    let mut bytes = Vec::new();
    // W is the fastest axis in the file and in the array.
    for row in volume.voxels.rows() {
        bytes.clear();
        for hu in row {
            match whole {
                true => bytes.extend((*hu as i16).to_le_bytes()),
                false => bytes.extend(hu.to_le_bytes()),
            }
        }
        file.write_all(&bytes)?;
    }
    Ok(())
}

fn header_of(volume: &CtVolume, version: NiftiVersion, kind: Kind) -> Header {
    let [depth, height, width] = volume.size();
    let geometry = &volume.geometry;
    let [dk, dj, di] = geometry.spacing;
    let (factor, qform) = qform_of(geometry);
    Header {
        version,
        big_endian: false,
        size: [width, height, depth],
        kind,
        begin: version.first_voxel(),
        scaling: Some((1.0, 0.0)),
        pixdim: [factor, di, dj, dk],
        millimeters: 1.0,
        qform,
        sform: Some(turned(geometry.affine())),
    }
}

/// `qfac`, and the quaternion with the offset where there is one: a tilted gantry has none.
fn qform_of(geometry: &Geometry) -> (f64, Option<[f64; 6]>) {
    if !geometry.is_orthogonal() {
        return (1.0, None);
    }
    let [[_, _, _, x], [_, _, _, y], [_, _, _, z]] = turned(geometry.affine());
    let directions = Geometry {
        spacing: [1.0; 3],
        ..*geometry
    };
    let (factor, [b, c, d]) = quaternion(turned(directions.affine()).map(|[i, j, k, _]| [i, j, k]));
    (factor, Some([b, c, d, x, y, z]))
}
