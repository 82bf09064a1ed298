//! What a file says of its patient, series, scanner and place, as series are made from it. Nothing is refused here.

use dicom_dictionary_std::tags;
use dicom_object::InMemDicomObject;

use super::{
    DicomFile, MAX_FRAMES,
    dataset::PixelData,
    groups::{self, Groups},
    values,
};
use crate::ct::Rescale;

/// What a file says of itself. Text is trimmed, and what is missing, empty or unreadable is `None`.
///
/// It holds names, dates and identifiers of patients as the file has them: pseudonyms are made from these, and they are
/// never shown.
#[derive(Clone, PartialEq)]
#[expect(missing_docs, reason = "each is the DICOM attribute of its name")]
pub struct Facts {
    pub sop_class: Option<String>,
    pub sop_instance: Option<String>,
    /// Study Instance UID.
    pub study: Option<String>,
    /// Series Instance UID.
    pub series: Option<String>,
    pub frame_of_reference: Option<String>,
    pub patient_id: Option<String>,
    pub patient_name: Option<String>,
    pub patient_birth_date: Option<String>,
    pub accession_number: Option<String>,
    pub modality: Option<String>,
    pub image_type: Vec<String>,
    pub series_number: Option<i32>,
    pub instance_number: Option<i32>,
    pub acquisition_number: Option<i32>,
    pub study_date: Option<String>,
    pub manufacturer: Option<String>,
    /// Manufacturer's Model Name.
    pub model: Option<String>,
    /// Convolution Kernel; several parts are joined by a backslash.
    pub kernel: Option<String>,
    pub institution: Option<String>,
    pub station: Option<String>,
    pub kvp: Option<f64>,
    /// Gantry/Detector Tilt in degrees.
    pub gantry_tilt: Option<f64>,
    /// Whether a contrast agent is named, or said not to have been given.
    pub contrast: Option<bool>,
    /// Burned In Annotation.
    pub burned_in: Option<bool>,
    pub transfer_syntax: String,
    pub rows: Option<usize>,
    pub columns: Option<usize>,
    pub patient_position: Option<String>,
    /// One a frame, at least one.
    pub planes: Vec<Plane>,
}

/// What is said of one frame.
#[derive(Debug, Clone, PartialEq)]
pub struct Plane {
    /// Image Position (Patient): the centre of the first pixel, x y z in mm towards left, back and head.
    pub position: Option<[f64; 3]>,
    /// Image Orientation (Patient): directions along a row and along a column.
    pub orientation: Option<[f64; 6]>,
    /// Pixel Spacing in mm: how far rows, and how far columns are apart.
    pub pixel_spacing: Option<[f64; 2]>,
    /// Slice Thickness in mm.
    pub thickness: Option<f64>,
    /// What its stored values mean.
    pub rescale: Option<Rescale>,
    /// Image Type, or Frame Type.
    pub image_type: Vec<String>,
    /// Acquisition Number, or Frame Acquisition Number.
    pub acquisition: Option<i32>,
    /// Temporal Position Index, or Temporal Position Identifier.
    pub temporal_position: Option<i32>,
}

impl std::fmt::Debug for Facts {
    /// Nothing that could name a patient.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Facts")
            .field("transfer_syntax", &self.transfer_syntax)
            .field("frames", &self.planes.len())
            .finish_non_exhaustive()
    }
}

impl DicomFile {
    /// What the file says of its patient, series, scanner and place.
    pub fn facts(&self) -> Facts {
        let image = &*self.object;
        let groups = Groups::of(image);
        let text = |tag| values::text(image, tag);
        let integer = |tag| values::integer(image, tag);
        let side = |tag| integer(tag).and_then(|side| usize::try_from(side).ok());
        let frames = self.n_planes(groups);
        // A stack without groups has one position, and nothing says which frame lies there.
        let placed = frames == 1 || groups.frames() > 0;
        let planes: Vec<Plane> = (0..frames).map(|at| self.plane(groups, at, placed)).collect();
        Facts {
            sop_class: text(tags::SOP_CLASS_UID),
            sop_instance: text(tags::SOP_INSTANCE_UID),
            study: text(tags::STUDY_INSTANCE_UID),
            series: text(tags::SERIES_INSTANCE_UID),
            frame_of_reference: text(tags::FRAME_OF_REFERENCE_UID),
            patient_id: text(tags::PATIENT_ID),
            patient_name: text(tags::PATIENT_NAME),
            patient_birth_date: text(tags::PATIENT_BIRTH_DATE),
            accession_number: text(tags::ACCESSION_NUMBER),
            modality: text(tags::MODALITY),
            image_type: values::texts(image, tags::IMAGE_TYPE).unwrap_or_else(|| planes[0].image_type.clone()),
            series_number: integer(tags::SERIES_NUMBER),
            instance_number: integer(tags::INSTANCE_NUMBER),
            acquisition_number: integer(tags::ACQUISITION_NUMBER),
            study_date: text(tags::STUDY_DATE),
            manufacturer: text(tags::MANUFACTURER),
            model: text(tags::MANUFACTURER_MODEL_NAME),
            kernel: groups.read(0, groups::KERNEL, values::text),
            institution: text(tags::INSTITUTION_NAME),
            station: text(tags::STATION_NAME),
            kvp: groups.read(0, groups::KVP, values::decimal),
            gantry_tilt: groups.read(0, groups::TILT, values::decimal),
            contrast: contrast(image),
            burned_in: text(tags::BURNED_IN_ANNOTATION).and_then(|word| yes_or_no(&word)),
            transfer_syntax: self.syntax.clone(),
            rows: side(tags::ROWS),
            columns: side(tags::COLUMNS),
            patient_position: text(tags::PATIENT_POSITION),
            planes,
        }
    }

    /// As many as there are groups, or as the file says, if so many can be there.
    fn n_planes(&self, groups: Groups<'_>) -> usize {
        let number = |tag| values::integer(&self.object, tag).and_then(|n| usize::try_from(n).ok());
        let possible = match &self.pixels {
            PixelData::Missing => 1,
            PixelData::Native { place, .. } => {
                let factors = [tags::ROWS, tags::COLUMNS, tags::BITS_ALLOCATED].map(|tag| number(tag).unwrap_or(1));
                let bits = factors.into_iter().fold(1, usize::saturating_mul);
                place.len() / bits.div_ceil(8).max(1)
            }
            PixelData::Encapsulated { fragments, .. } => fragments.len(),
        };
        match groups.frames() {
            0 => number(tags::NUMBER_OF_FRAMES).unwrap_or(1).min(possible),
            n => n,
        }
        .clamp(1, MAX_FRAMES)
    }

    /// What is said of a frame; `placed` if the file says of each where it is.
    fn plane(&self, groups: Groups<'_>, at: usize, placed: bool) -> Plane {
        let slope = groups.read(at, groups::SLOPE, values::decimal);
        let intercept = groups.read(at, groups::INTERCEPT, values::decimal);
        let unit = groups.read(at, groups::UNIT, values::text);
        let hounsfield = unit.is_none_or(|unit| unit == groups::HOUNSFIELD);
        let rescale = slope.filter(|slope| hounsfield && *slope != 0.0).zip(intercept);
        Plane {
            position: groups.read(at, groups::POSITION, values::vector).filter(|_| placed),
            orientation: groups.read(at, groups::ORIENTATION, values::vector),
            pixel_spacing: groups.read(at, groups::SPACING, values::vector),
            thickness: groups.read(at, groups::THICKNESS, values::decimal),
            rescale: rescale.map(|(slope, intercept)| Rescale { slope, intercept }),
            image_type: groups
                .read(at, groups::FRAME_TYPE, values::texts)
                .or_else(|| values::texts(&self.object, tags::IMAGE_TYPE))
                .unwrap_or_default(),
            acquisition: groups
                .read(at, groups::ACQUISITION, values::integer)
                .or_else(|| values::integer(&self.object, tags::ACQUISITION_NUMBER)),
            temporal_position: groups
                .read(at, groups::TEMPORAL, values::integer)
                .or_else(|| values::integer(&self.object, tags::TEMPORAL_POSITION_IDENTIFIER)),
        }
    }
}

/// An agent that is named was given, unless its name says that none was.
fn contrast(image: &InMemDicomObject) -> Option<bool> {
    match values::text(image, tags::CONTRAST_BOLUS_AGENT) {
        Some(agent) => Some(!matches!(
            agent.to_ascii_uppercase().as_str(),
            "NO" | "NONE" | "N" | "NO CONTRAST" | "-"
        )),
        None => (!values::items(image, tags::CONTRAST_BOLUS_AGENT_SEQUENCE).is_empty()).then_some(true),
    }
}

fn yes_or_no(word: &str) -> Option<bool> {
    match word {
        "YES" => Some(true),
        "NO" => Some(false),
        _ => None,
    }
}
