//! What an index keeps of one slice. A hundred thousand of them lie in memory at once, so that what a whole series has in
//! common is held once, and pixels are held as their hash and a few numbers.

use std::{
    collections::HashSet,
    hash::Hash,
    ops::RangeInclusive,
    sync::{Arc, Mutex, PoisonError},
};

use crate::{
    ct::{Hu, Rescale},
    readers::SliceAddress,
};

/// One slice that was found: where it is, what its file says of it, what its pixels are.
#[derive(Debug, Clone)]
pub struct Slice {
    /// Where it is.
    pub address: SliceAddress,
    /// Under which of the folders that were asked for, counted from 0.
    pub root: usize,
    /// What it has in common with its neighbours.
    pub series: Arc<SeriesFacts>,
    /// The file's own identity and the number of the frame in it; `None` where the file has none.
    pub instance: Option<(u128, usize)>,
    /// Whether another slice that was found has its identity, and is another one all the same.
    pub reused: bool,
    /// Instance Number: decides between slices at one position, and nothing else.
    pub number: Option<i32>,
    /// Acquisition Number: tells the phases of a series apart.
    pub acquisition: Option<i32>,
    /// Temporal Position Index: tells phases apart where all are one acquisition.
    pub temporal: Option<i32>,
    /// Where the slice lies in the patient; `None` where the file does not say it usably.
    pub place: Option<Place>,
    /// From row to row and from column to column, in mm; `None` where the file does not say it usably.
    pub pixel_spacing: Option<[f64; 2]>,
    /// Slice Thickness in mm.
    pub thickness: Option<f64>,
    /// What stored values mean, by the file or by the user; `None` for files that hold Hounsfield units.
    pub rescale: Option<Rescale>,
    /// Peak voltage of the tube in kV.
    pub kvp: Option<f64>,
    /// Gantry/Detector Tilt in degrees, as the file states it.
    pub tilt: Option<f64>,
    /// Whether the file says that text is part of the picture (Burned In Annotation).
    pub burned_in: bool,
    /// Rows of the image.
    pub rows: usize,
    /// Columns of the image.
    pub columns: usize,
    /// What the pixels are; `None` where they were not decoded.
    pub image: Option<Image>,
}

impl Slice {
    /// A slice of which only is known where it is.
    pub(super) fn at(address: SliceAddress, root: usize, series: &Arc<SeriesFacts>) -> Self {
        Self {
            address,
            root,
            series: Arc::clone(series),
            instance: None,
            reused: false,
            number: None,
            acquisition: None,
            temporal: None,
            place: None,
            pixel_spacing: None,
            thickness: None,
            rescale: None,
            kvp: None,
            tilt: None,
            burned_in: false,
            rows: 0,
            columns: 0,
            image: None,
        }
    }
}

/// Where a slice lies, in the patient's coordinates: x to the left, y to the back, z to the head (PS3.3 C.7.6.2.1.1).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Place {
    /// Centre of the first pixel in mm.
    pub position: [f64; 3],
    /// Direction in which columns count up, a unit vector.
    pub row: [f64; 3],
    /// Direction in which rows count up, a unit vector.
    pub column: [f64; 3],
}

/// The pixels of a slice in numbers. Padding takes no part in any of them but its own share.
#[derive(Debug, Clone, PartialEq)]
pub struct Image {
    /// SHA-256 of rows and columns, then all stored values row by row, each as 32 bits, little endian: whole numbers for
    /// DICOM, floating Hounsfield units for volumes.
    pub sha256: [u8; 32],
    /// Lowest and highest value; `None` where all is padding.
    pub range: Option<(Hu, Hu)>,
    /// Mean; `None` where all is padding.
    pub mean: Option<f64>,
    /// Share of the pixels that are padding, 0 to 1.
    pub padded: f32,
    /// Share of the body that is lung, 0 to 1.
    pub lung: f32,
}

/// What the slices of a series have in common. Raw identifiers live here, and leave it as pseudonyms only.
#[derive(Clone, Default, PartialEq, Eq, Hash)]
pub struct SeriesFacts {
    /// Patient ID; for a volume its file's name without endings.
    pub patient_id: Option<String>,
    /// Patient's Name and Patient's Birth Date, together.
    pub person: Option<String>,
    /// Accession Number.
    pub accession: Option<String>,
    /// Study Instance UID.
    pub study: Option<String>,
    /// Series Instance UID; where a file has none, the folder that holds it.
    pub series: String,
    /// Whether the file has no Series Instance UID.
    pub series_is_folder: bool,
    /// Whether this is a volume of a file that knows no patient.
    pub volume: bool,
    /// Manufacturer.
    pub manufacturer: Option<String>,
    /// Manufacturer's Model Name.
    pub model: Option<String>,
    /// Convolution Kernel.
    pub kernel: Option<String>,
    /// Image Type, its values joined by backslashes.
    pub image_type: String,
    /// Institution Name.
    pub institution: Option<String>,
    /// Transfer Syntax UID; empty for volumes.
    pub transfer_syntax: String,
}

/// What a patient is told by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum PatientBy {
    /// Patient ID.
    Id,
    /// Name and birth date.
    Person,
    /// The study: each counts as a patient of its own.
    Study,
    /// The series: each counts as a patient of its own.
    Series,
    /// The name of a volume's file.
    File,
}

impl SeriesFacts {
    /// The raw identifier of the patient, and what it is. Never to be shown.
    pub fn patient(&self) -> (&str, PatientBy) {
        let by_id = if self.volume { PatientBy::File } else { PatientBy::Id };
        let ways = [
            (&self.patient_id, by_id),
            (&self.person, PatientBy::Person),
            (&self.study, PatientBy::Study),
        ];
        ways.into_iter()
            .find_map(|(id, by)| id.as_deref().map(|id| (id, by)))
            .unwrap_or((&self.series, PatientBy::Series))
    }

    /// The raw identifier of the study. Never to be shown.
    pub fn study(&self) -> &str {
        self.study.as_deref().unwrap_or(&self.series)
    }
}

/// Says nothing of whom it is about.
impl std::fmt::Debug for SeriesFacts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SeriesFacts").finish_non_exhaustive()
    }
}

/// Values that are equal are held once.
#[derive(Debug)]
pub(super) struct Held<T>(Mutex<HashSet<Arc<T>>>);

impl<T: Eq + Hash> Held<T> {
    pub fn new() -> Self {
        Self(Mutex::default())
    }

    /// The one value that equals this one.
    pub fn one(&self, value: T) -> Arc<T> {
        // A set is whole after any panic of another thread: an insertion is all that happens to it.
        let mut held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = held.get(&value) {
            return Arc::clone(known);
        }
        let value = Arc::new(value);
        held.insert(Arc::clone(&value));
        value
    }
}

impl Place {
    /// A place of what a file states; `None` where the directions are no two perpendicular unit vectors or a position is
    /// a hundred metres away or more, which is no number of a scanner.
    pub fn of(position: [f64; 3], orientation: [f64; 6]) -> Option<Self> {
        let [a, b, c, d, e, f] = orientation;
        let (row, column) = (unit([a, b, c])?, unit([d, e, f])?);
        let square = dot(row, column).abs() < SQUARE;
        (square && position.iter().all(|mm| mm.abs() < FARTHEST)).then_some(Self { position, row, column })
    }

    /// The slice's normal, on the side of the head.
    pub fn up(&self) -> [f64; 3] {
        let normal = cross(self.row, self.column);
        if normal[2] < 0.0 {
            normal.map(|part| -part)
        } else {
            normal
        }
    }
}

/// What pixels of a CT may measure, in mm.
pub(super) const PIXEL: RangeInclusive<f64> = 0.01..=100.0;

/// No position is as far from the origin, in mm.
const FARTHEST: f64 = 1e5;

/// Two directions are perpendicular when their product is below this: three decimals of a direction are usual.
const SQUARE: f64 = 0.02;

/// The vector with length 1, if its length is that of a rounded direction.
fn unit(vector: [f64; 3]) -> Option<[f64; 3]> {
    let length = dot(vector, vector).sqrt();
    (0.95..1.05).contains(&length).then(|| vector.map(|part| part / length))
}

pub(super) fn dot(a: [f64; 3], b: [f64; 3]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

pub(super) fn cross(a: [f64; 3], b: [f64; 3]) -> [f64; 3] {
    [
        a[1] * b[2] - a[2] * b[1],
        a[2] * b[0] - a[0] * b[2],
        a[0] * b[1] - a[1] * b[0],
    ]
}

pub(super) fn minus(a: [f64; 3], b: [f64; 3]) -> [f64; 3] {
    [a[0] - b[0], a[1] - b[1], a[2] - b[2]]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_patient_without_an_identifier_is_told_by_what_there_is() {
        let mut facts = SeriesFacts {
            patient_id: Some("7".to_owned()),
            person: Some("Doe".to_owned()),
            study: Some("1.2".to_owned()),
            series: "1.2.3".to_owned(),
            ..SeriesFacts::default()
        };
        assert_eq!(facts.patient(), ("7", PatientBy::Id));
        facts.patient_id = None;
        assert_eq!(facts.patient(), ("Doe", PatientBy::Person));
        facts.person = None;
        assert_eq!(facts.patient(), ("1.2", PatientBy::Study));
        facts.study = None;
        assert_eq!(facts.patient(), ("1.2.3", PatientBy::Series));
        assert!(!format!("{facts:?}").contains("1.2"));
    }

    #[test]
    fn directions_that_are_none_give_no_place() {
        assert!(Place::of([0.0; 3], [1.0, 0.0, 0.0, 0.0, 1.0, 0.0]).is_some());
        assert!(Place::of([0.0; 3], [0.0; 6]).is_none());
        assert!(Place::of([0.0; 3], [1.0, 0.0, 0.0, 1.0, 0.0, 0.0]).is_none());
        assert!(Place::of([f64::NAN, 0.0, 0.0], [1.0, 0.0, 0.0, 0.0, 1.0, 0.0]).is_none());
        assert!(Place::of([0.0, 0.0, 1e300], [1.0, 0.0, 0.0, 0.0, 1.0, 0.0]).is_none());
        let prone = Place::of([0.0; 3], [-1.0, 0.0, 0.0, 0.0, 1.0, 0.0]).unwrap();
        assert_eq!(prone.up(), [0.0, 0.0, 1.0]);
    }

    #[test]
    fn equal_values_are_held_once() {
        let held = Held::new();
        assert!(Arc::ptr_eq(&held.one("a".to_owned()), &held.one("a".to_owned())));
    }
}
