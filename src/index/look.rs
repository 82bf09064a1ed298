//! Looks into one file: which slices it holds, and why not if none.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
    sync::{
        Arc, Condvar, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use ndarray::ArrayView2;
use sha2::{Digest as _, Sha256};

use super::{
    LeftOut, Reason, kind,
    slice::{Held, Image, PIXEL, Place, SeriesFacts, Slice},
};
use crate::{
    ct::{CtVolume, Geometry, Hu, Pixels, Rescale, lung_fraction},
    readers::{
        self, Begun, Dicom, DicomFile, Facts, Finding, FrameValues, PADDING_HU, ReadError, SliceAddress,
        SliceReader as _, confidential,
    },
};

/// Air around a body is below this in any CT, however noisy; a volume without it is a mask, or no CT.
pub(super) const NO_AIR: Hu = -200.0;

/// No Hounsfield unit is as far from 0: dense metal has some 30,000, on extended scales.
const FARTHEST: Hu = 1e6;

/// Volumes that are in memory at once, however many threads there are: one of 512 x 512 x 1000 takes a gigabyte.
const VOLUMES: usize = 2;

/// How files are looked into.
pub(super) struct Look<'a> {
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
    /// Places for volumes.
    pub volumes: Places,
    /// Set when the user wants no more; what was seen of a file is then not whole.
    pub stop: &'a AtomicBool,
}

/// Places that threads take in turn.
pub(crate) struct Places {
    free: Mutex<usize>,
    given_back: Condvar,
}

impl Places {
    /// As many as volumes may be in memory at once.
    pub fn for_volumes() -> Self {
        Self {
            free: Mutex::new(VOLUMES),
            given_back: Condvar::new(),
        }
    }

    /// Waits for a place; it is free again when what is given is dropped.
    pub fn take(&self) -> Taken<'_> {
        // A count is whole after any panic of another thread.
        let free = self.free.lock().unwrap_or_else(PoisonError::into_inner);
        let mut free = self
            .given_back
            .wait_while(free, |free| *free == 0)
            .unwrap_or_else(PoisonError::into_inner);
        *free -= 1;
        Taken(self)
    }
}

/// A place, until it is dropped.
pub(crate) struct Taken<'a>(&'a Places);

impl Drop for Taken<'_> {
    fn drop(&mut self) {
        *self.0.free.lock().unwrap_or_else(PoisonError::into_inner) += 1;
        self.0.given_back.notify_one();
    }
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

impl<'a> Look<'a> {
    /// A look of which nothing is held yet.
    pub fn new(rescale: Option<Rescale>, stop: &'a AtomicBool) -> Self {
        Self {
            rescale,
            pixels: false,
            confidential: false,
            series: Held::new(),
            findings: Held::new(),
            volumes: Places::for_volumes(),
            stop,
        }
    }

    /// Looks into a file or a member of an archive, which may be broken in any way.
    pub fn file(&self, address: &SliceAddress, root: usize) -> Seen {
        // Nothing that is looked into outlives a panic in it, and what is held is whole after one.
        catch_unwind(AssertUnwindSafe(|| self.slices(address, root))).unwrap_or_else(|_| {
            let sentence = "its decoder gave up on broken content".to_owned();
            Seen::left_out(address, Reason::Unreadable(sentence))
        })
    }

    fn slices(&self, address: &SliceAddress, root: usize) -> Seen {
        let looked = || -> Result<Seen, ReadError> {
            let begun = readers::begin(address)?;
            let Some(reader) = begun.reader else {
                return Ok(Seen::left_out(address, Reason::NoImage));
            };
            if reader.name() == readers::Image.name() {
                return Ok(Seen::left_out(address, Reason::Picture));
            }
            if reader.name() != Dicom.name() {
                // Without pixels only series of DICOM files are asked for.
                return if self.pixels {
                    self.volume(begun, address, root)
                } else {
                    Ok(Seen::default())
                };
            }
            self.dicom(begun.content()?, address, root)
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
            if let Some(reason) = image.as_ref().and_then(|image| beyond(image.range?)) {
                seen.leave(&address, reason);
                continue;
            }
            seen.slices.push(Slice {
                instance: facts.sop_instance.as_deref().map(|uid| (mark(uid), at)),
                number: facts.instance_number,
                acquisition: plane.acquisition,
                place,
                temporal: plane.temporal_position,
                pixel_spacing: usable(plane.pixel_spacing),
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
    fn volume(&self, begun: Begun, address: &SliceAddress, root: usize) -> Result<Seen, ReadError> {
        let _place = self.volumes.take();
        if self.stop.load(Ordering::Relaxed) {
            return Ok(Seen::default());
        }
        let volume = begun.open()?;
        let Some(geometry) = volume.geometry() else {
            let path = PathBuf::from(address.to_string());
            return Err(ReadError::NoPlace { path });
        };
        let series = self.series.one(SeriesFacts {
            patient_id: Some(stem(named(address))),
            series: address.to_string(),
            volume: true,
            ..SeriesFacts::default()
        });
        let (mut lowest, mut highest) = (Hu::INFINITY, Hu::NEG_INFINITY);
        let mut seen = Seen::default();
        // One slice after the other: of the volume no more is in memory than its file's own numbers.
        for at in (0..volume.len()).take_while(|_| !self.stop.load(Ordering::Relaxed)) {
            let Pixels::Hu(hu) = volume.read(at)?.pixels else {
                return Ok(Seen::left_out(address, Reason::Picture));
            };
            // What is no number is padding to some writers.
            let (low, high) = extent(hu.iter().copied().filter(|hu| !hu.is_nan()));
            (lowest, highest) = (lowest.min(low), highest.max(high));
            seen.slices
                .push(of_volume(hu.view(), &geometry, at, address, root, &series));
        }
        match no_hu((lowest, highest)) {
            Some(reason) => Ok(Seen::left_out(address, reason)),
            None => Ok(seen),
        }
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
        accession: facts.accession_number.clone(),
        study: facts.study.clone(),
        series_is_folder: facts.series.is_none(),
        series: facts.series.clone().unwrap_or_else(folder),
        volume: false,
        manufacturer: facts.manufacturer.clone(),
        model: facts.model.clone(),
        kernel: facts.kernel.clone(),
        image_type: facts.image_type.join("\\"),
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

fn of_volume(
    hu: ArrayView2<Hu>,
    geometry: &Geometry,
    at: usize,
    address: &SliceAddress,
    root: usize,
    series: &Arc<SeriesFacts>,
) -> Slice {
    let (rows, columns) = hu.dim();
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
        pixel_spacing: usable(Some([geometry.spacing[1], geometry.spacing[2]])),
        rows,
        columns,
        image: Some(of_hu(hu)),
        ..Slice::at(address, root, series)
    }
}

/// A slice of a volume, where nothing is padding and some values may be no numbers.
fn of_hu(hu: ArrayView2<Hu>) -> Image {
    let finite = || hu.iter().copied().filter(|hu| hu.is_finite());
    let n = finite().count();
    let sum: f64 = finite().map(f64::from).sum();
    let range = extent(finite());
    Image {
        sha256: hash(hu.dim(), hu.iter().map(|hu| hu.to_le_bytes())),
        range: (n > 0).then_some(range),
        mean: (n > 0).then(|| sum / n as f64),
        padded: 0.0,
        lung: lung_fraction(hu),
    }
}

/// The lowest and the highest value.
fn extent(values: impl Iterator<Item = Hu>) -> (Hu, Hu) {
    values.fold((Hu::INFINITY, Hu::NEG_INFINITY), |(low, high), hu| {
        (low.min(hu), high.max(hu))
    })
}

/// Why values of this range are none that a CT has, if they are none.
fn beyond((lowest, highest): (Hu, Hu)) -> Option<Reason> {
    let near = |hu: Hu| hu.abs() <= FARTHEST;
    (!near(lowest) || !near(highest)).then_some(Reason::BeyondHu(lowest, highest))
}

/// Why a volume whose values have this range holds no Hounsfield units of a body, if it holds none.
fn no_hu((lowest, highest): (Hu, Hu)) -> Option<Reason> {
    let far = beyond((lowest, highest)).filter(|_| lowest <= highest);
    far.or_else(|| (lowest > NO_AIR).then_some(Reason::NoHu(lowest)))
}

/// Why a volume is left out of an index by its values, if it is: masks, and what was never rescaled. Values that are no finite
/// numbers are passed over.
pub fn no_ct(volume: &CtVolume) -> Option<Reason> {
    no_hu(extent(volume.voxels.iter().copied().filter(|hu| hu.is_finite())))
}

/// A pixel spacing that can be one.
fn usable(spacing: Option<[f64; 2]>) -> Option<[f64; 2]> {
    spacing.filter(|spacing| spacing.iter().all(|mm| PIXEL.contains(mm)))
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
    use std::sync::atomic::AtomicUsize;

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
    fn values_and_spacings_that_no_scanner_makes_are_told() {
        assert!(beyond((-32_768.0, 65_535.0)).is_none());
        for range in [(0.0, Hu::INFINITY), (-1e38, 0.0), (Hu::NAN, 0.0)] {
            assert!(beyond(range).is_some(), "{range:?}");
        }
        assert!(usable(Some([0.7, 0.7])).is_some());
        for spacing in [[f64::NAN, 0.7], [-0.7, 0.7], [0.0, 0.7], [1e308, 1e-308]] {
            assert!(usable(Some(spacing)).is_none(), "{spacing:?}");
        }
    }

    #[test]
    fn no_more_volumes_than_places_are_open() {
        let places = Places::for_volumes();
        let (open, most) = (AtomicUsize::new(0), AtomicUsize::new(0));
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    let _place = places.take();
                    most.fetch_max(open.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                    std::thread::sleep(std::time::Duration::from_millis(2));
                    open.fetch_sub(1, Ordering::SeqCst);
                });
            }
        });
        assert!((1..=VOLUMES).contains(&most.into_inner()));
    }

    #[test]
    fn a_volume_is_named_by_its_file_without_endings() {
        assert_eq!(stem(Path::new("a/P001.nii.gz")), "P001");
        assert_eq!(stem(Path::new("a/P001.1.NII")), "P001.1");
        assert_eq!(stem(Path::new("a/x")), "x");
    }
}
