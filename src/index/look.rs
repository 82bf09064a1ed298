//! Looks into one file: which slices it holds, and why not if none.

use std::{
    fs::File,
    io::{self, Read as _},
    panic::{AssertUnwindSafe, catch_unwind},
    path::Path,
    sync::Arc,
};

use ndarray::{ArrayView2, Axis};
use sha2::{Digest as _, Sha256};

use super::{
    LeftOut, Reason, kind,
    slice::{Held, Image, Place, SeriesFacts, Slice},
};
use crate::{
    ct::{CtVolume, Hu, Rescale, lung_fraction},
    readers::{
        self, Dicom, DicomFile, Facts, Finding, FrameValues, PADDING_HU, READERS, ReadError, SliceAddress,
        SliceReader as _, confidential,
    },
};

/// Air around a body is below this in any CT, however noisy; a volume without it is a mask, or no CT.
pub(super) const NO_AIR: Hu = -200.0;

/// Enough for every signature (the preamble of a DICOM file and its four letters).
const HEAD: u64 = 132;

/// How files are looked into.
pub(super) struct Look {
    /// What stored values mean where a file does not say it.
    pub rescale: Option<Rescale>,
    /// Whether pixels are decoded; else volumes are passed over.
    pub pixels: bool,
    /// Whether attributes with identifying content are listed.
    pub confidential: bool,
    /// Facts of series, each held once.
    pub series: Held<SeriesFacts>,
    /// Lists of attributes with identifying content, each held once.
    pub findings: Held<Vec<Finding>>,
}

/// What a file holds.
#[derive(Default)]
pub(super) struct Seen {
    pub slices: Vec<Slice>,
    pub left_out: Vec<LeftOut>,
    /// The attributes of a DICOM file that hold identifying content.
    pub confidential: Option<Arc<Vec<Finding>>>,
    /// Whether a DICOM file says that text is part of its pictures.
    pub burned_in: bool,
}

/// A reader's sentence without the path at its end, which may name a patient.
pub(super) fn sentence(error: &ReadError) -> String {
    error.without_path()
}

impl Look {
    /// Looks into a file or a member of an archive, which may be broken in any way.
    pub fn file(&self, address: &SliceAddress, root: usize) -> Seen {
        // Nothing that is looked into outlives a panic in it, and what is held is whole after one.
        catch_unwind(AssertUnwindSafe(|| self.slices(address, root))).unwrap_or_else(|_| {
            let sentence = "its decoder gave up on broken content".to_owned();
            Seen::left_out(address, Reason::Unreadable(sentence))
        })
    }

    fn slices(&self, address: &SliceAddress, root: usize) -> Seen {
        let named = named(address);
        let looked = || -> Result<Seen, ReadError> {
            let (head, content) = start(address)?;
            let Some(reader) = READERS.iter().find(|reader| reader.can_read(&head, named)) else {
                return Ok(Seen::left_out(address, Reason::NoImage));
            };
            if reader.name() == readers::Image.name() {
                return Ok(Seen::left_out(address, Reason::Picture));
            }
            if reader.name() != Dicom.name() {
                // Without pixels only series of DICOM files are asked for.
                return if self.pixels {
                    self.volume(address, root)
                } else {
                    Ok(Seen::default())
                };
            }
            let content = match content {
                Some(content) => content,
                None => readers::content(address)?,
            };
            self.dicom(content, address, root)
        };
        looked().unwrap_or_else(|error| Seen::left_out(address, Reason::Unreadable(sentence(&error))))
    }

    fn dicom(&self, content: Vec<u8>, address: &SliceAddress, root: usize) -> Result<Seen, ReadError> {
        let path = Path::new(&address.to_string()).to_owned();
        let file = DicomFile::parse(content, &path)?;
        let facts = file.facts();
        let mut seen = Seen {
            confidential: self
                .confidential
                .then(|| self.findings.one(confidential(file.object()))),
            burned_in: facts.burned_in == Some(true),
            ..Seen::default()
        };
        let said = kind::Said {
            class: facts.sop_class.as_deref(),
            modality: facts.modality.as_deref(),
            image: facts.rows.is_some() && facts.columns.is_some(),
            image_type: &facts.image_type,
        };
        if let Some(reason) = kind::object(&said) {
            seen.leave(address, reason);
            return Ok(seen);
        }
        // A file's own word stands; the user's is for files that say nothing.
        let silent = facts.planes.iter().any(|plane| plane.rescale.is_none());
        let stated = self.rescale.filter(|_| silent);
        let frames = match self.pixels.then(|| file.frames(stated)).transpose() {
            Ok(frames) => frames,
            Err(error) => {
                seen.leave(address, Reason::Unreadable(sentence(&error)));
                return Ok(seen);
            }
        };
        let series = self.series.one(series_facts(&facts, address));
        let many = facts.planes.len() > 1;
        // A list that grows by pushing has room for four, and there are as many lists as files.
        seen.slices.reserve_exact(facts.planes.len());
        for (at, plane) in facts.planes.iter().enumerate() {
            let address = SliceAddress {
                slice: many.then_some(at),
                rescale: stated,
                ..address.clone()
            };
            let place = plane
                .position
                .zip(plane.orientation)
                .and_then(|(position, orientation)| Place::of(position, orientation));
            if let Some(reason) = kind::image_type(&plane.image_type).or_else(|| place.as_ref().and_then(kind::plane)) {
                seen.leave(&address, reason);
                continue;
            }
            let image = match frames.as_ref().map(|frames| frames.values(at)).transpose() {
                Ok(values) => values.map(|values| of_frame(&values)),
                Err(error) => {
                    seen.leave(&address, Reason::Unreadable(sentence(&error)));
                    continue;
                }
            };
            seen.slices.push(Slice {
                instance: facts.sop_instance.as_deref().map(|uid| (mark(uid), at)),
                number: facts.instance_number,
                acquisition: plane.acquisition,
                place,
                pixel_spacing: plane.pixel_spacing,
                thickness: plane.thickness,
                rescale: plane.rescale.or(stated),
                kvp: facts.kvp,
                tilt: facts.gantry_tilt,
                burned_in: seen.burned_in,
                rows: facts.rows.unwrap_or(0),
                columns: facts.columns.unwrap_or(0),
                image,
                ..Slice::at(address, root, &series)
            });
        }
        Ok(seen)
    }

    /// A volume of a file that knows no patient.
    fn volume(&self, address: &SliceAddress, root: usize) -> Result<Seen, ReadError> {
        let volume = readers::read_volume(Path::new(&address.to_string()))?.axial();
        let lowest = volume.voxels.iter().copied().fold(Hu::INFINITY, Hu::min);
        if lowest > NO_AIR {
            return Ok(Seen::left_out(address, Reason::NoHu(lowest)));
        }
        let series = self.series.one(SeriesFacts {
            patient_id: Some(stem(named(address))),
            series: address.to_string(),
            volume: true,
            ..SeriesFacts::default()
        });
        let slices = (0..volume.voxels.dim().0).map(|at| of_volume(&volume, at, address, root, &series));
        Ok(Seen {
            slices: slices.collect(),
            ..Seen::default()
        })
    }
}

impl Seen {
    fn left_out(address: &SliceAddress, reason: Reason) -> Self {
        let mut seen = Self::default();
        seen.leave(address, reason);
        seen
    }

    fn leave(&mut self, address: &SliceAddress, reason: Reason) {
        let address = address.clone();
        if self.left_out.is_empty() {
            self.left_out.reserve_exact(1);
        }
        self.left_out.push(LeftOut { address, reason });
    }
}

/// The first bytes of a file, and all of it where that is a member of an archive.
fn start(address: &SliceAddress) -> Result<(Vec<u8>, Option<Vec<u8>>), ReadError> {
    if address.member.is_some() {
        let content = readers::content(address)?;
        return Ok((content[..content.len().min(HEAD as usize)].to_vec(), Some(content)));
    }
    let head = || -> io::Result<Vec<u8>> {
        let mut head = Vec::new();
        File::open(&address.file)?.take(HEAD).read_to_end(&mut head)?;
        Ok(head)
    };
    match head() {
        Ok(head) => Ok((head, None)),
        Err(source) => Err(ReadError::Io {
            source,
            path: address.file.clone(),
        }),
    }
}

/// The file, or the one in the archive.
fn named(address: &SliceAddress) -> &Path {
    address.member.as_ref().map_or(address.file.as_path(), Path::new)
}

/// A file's name without its endings: `P001` of `P001.nii.gz`.
fn stem(path: &Path) -> String {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let lower = name.to_ascii_lowercase();
    let end = [".nii.gz", ".nii", ".npy"].into_iter().find(|end| lower.ends_with(end));
    name[..name.len() - end.map_or(0, str::len)].to_owned()
}

/// The first 128 bits of a UID's hash: a UID has up to 64 bytes, and 128 bits never meet by chance.
fn mark(uid: &str) -> u128 {
    let hash = Sha256::digest(uid);
    hash.iter().take(16).fold(0, |mark, byte| mark << 8 | u128::from(*byte))
}

fn series_facts(facts: &Facts, address: &SliceAddress) -> SeriesFacts {
    let person = match (&facts.patient_name, &facts.patient_birth_date) {
        (Some(name), birth) => Some(format!("{name}\u{1f}{}", birth.as_deref().unwrap_or_default())),
        (None, _) => None,
    };
    let folder = || {
        let inside = address.member.as_deref().and_then(|member| member.rsplit_once('/'));
        match (&address.member, address.file.parent()) {
            (Some(_), _) => format!("{}!{}", address.file.display(), inside.map_or("", |(folder, _)| folder)),
            (None, parent) => parent.unwrap_or(Path::new("")).display().to_string(),
        }
    };
    SeriesFacts {
        patient_id: facts.patient_id.clone(),
        person,
        study: facts.study.clone(),
        series_is_folder: facts.series.is_none(),
        series: facts.series.clone().unwrap_or_else(folder),
        volume: false,
        manufacturer: facts.manufacturer.clone(),
        model: facts.model.clone(),
        kernel: facts.kernel.clone(),
        institution: facts.institution.clone(),
        transfer_syntax: facts.transfer_syntax.clone(),
    }
}

fn of_frame(values: &FrameValues) -> Image {
    let (n, padded) = (values.hu.len(), values.padded.min(values.hu.len()));
    let sum: f64 = values.hu.iter().copied().map(f64::from).sum();
    let real = sum - padded as f64 * f64::from(PADDING_HU);
    Image {
        sha256: hash(
            values.stored.dim(),
            values.stored.iter().map(|stored| stored.to_le_bytes()),
        ),
        range: values.range,
        mean: (padded < n).then(|| real / (n - padded) as f64),
        padded: padded as f32 / n.max(1) as f32,
        lung: lung_fraction(values.hu.view()),
    }
}

fn of_volume(volume: &CtVolume, at: usize, address: &SliceAddress, root: usize, series: &Arc<SeriesFacts>) -> Slice {
    let (_, rows, columns) = volume.voxels.dim();
    let geometry = &volume.geometry;
    let [d, h, w] = geometry.directions;
    let along = at as f64 * geometry.spacing[0];
    let position = [0, 1, 2].map(|axis| geometry.origin[axis] + along * d[axis]);
    let address = SliceAddress {
        slice: Some(at),
        ..address.clone()
    };
    Slice {
        number: i32::try_from(at).ok(),
        place: Place::of(position, [w[0], w[1], w[2], h[0], h[1], h[2]]),
        pixel_spacing: Some([geometry.spacing[1], geometry.spacing[2]]),
        rows,
        columns,
        image: Some(of_hu(volume.voxels.index_axis(Axis(0), at))),
        ..Slice::at(address, root, series)
    }
}

/// A slice of a volume, where nothing is padding and some values may be no numbers.
fn of_hu(hu: ArrayView2<Hu>) -> Image {
    let finite = || hu.iter().copied().filter(|hu| hu.is_finite());
    let n = finite().count();
    let sum: f64 = finite().map(f64::from).sum();
    let range = finite().fold((Hu::INFINITY, Hu::NEG_INFINITY), |(low, high), hu| {
        (low.min(hu), high.max(hu))
    });
    Image {
        sha256: hash(hu.dim(), hu.iter().map(|hu| hu.to_le_bytes())),
        range: (n > 0).then_some(range),
        mean: (n > 0).then(|| sum / n as f64),
        padded: 0.0,
        lung: lung_fraction(hu),
    }
}

/// See [`Image::sha256`].
fn hash((rows, columns): (usize, usize), values: impl Iterator<Item = [u8; 4]>) -> [u8; 32] {
    let mut bytes = Vec::with_capacity(8 + 4 * rows * columns);
    // No image that was decoded has as many rows.
    bytes.extend((rows as u32).to_le_bytes());
    bytes.extend((columns as u32).to_le_bytes());
    values.for_each(|value| bytes.extend(value));
    Sha256::digest(&bytes).into()
}

#[cfg(test)]
mod tests {
    use ndarray::Array2;

    use super::*;

    #[test]
    fn padding_enters_neither_mean_nor_range() {
        let hu = ndarray::array![[PADDING_HU, 10.0], [20.0, 30.0]];
        let image = of_frame(&FrameValues {
            stored: Array2::zeros((2, 2)),
            hu,
            padded: 1,
            range: Some((10.0, 30.0)),
        });
        assert_eq!(image.mean, Some(20.0));
        assert_eq!(image.padded, 0.25);
        let none = of_frame(&FrameValues {
            stored: Array2::zeros((1, 1)),
            hu: ndarray::array![[PADDING_HU]],
            padded: 1,
            range: None,
        });
        assert_eq!((none.mean, none.padded), (None, 1.0));
    }

    /// Expected: Python's `hashlib.sha256(struct.pack("<2I2i", 1, 2, -5, 7)).hexdigest()`.
    #[test]
    fn pixels_are_hashed_with_their_size() {
        let stored = [-5i32, 7];
        let found = hash((1, 2), stored.iter().map(|value| value.to_le_bytes()));
        assert_eq!(
            crate::tables::hex(&found),
            "78130e4d7cb757829032985cc9f4107a3748516e722428f637ea7a0fb0dc5dd1"
        );
        assert_ne!(found, hash((2, 1), stored.iter().map(|value| value.to_le_bytes())));
    }

    #[test]
    fn a_volume_is_named_by_its_file_without_endings() {
        assert_eq!(stem(Path::new("a/P001.nii.gz")), "P001");
        assert_eq!(stem(Path::new("a/P001.1.NII")), "P001.1");
        assert_eq!(stem(Path::new("a/x")), "x");
    }
}
