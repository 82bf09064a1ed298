//! What a DICOM object is, by what it says of itself: which are no axial CT slices.

use super::{
    Reason,
    slice::{Place, cross},
};

/// CT Image Storage, Enhanced CT Image Storage, Legacy Converted Enhanced CT Image Storage (PS3.4 table B.5-1).
const CT: [&str; 3] = [
    "1.2.840.10008.5.1.4.1.1.2",
    "1.2.840.10008.5.1.4.1.1.2.1",
    "1.2.840.10008.5.1.4.1.1.2.2",
];

/// Secondary Capture Image Storage and its four multi-frame kinds.
const SECONDARY_CAPTURE: [&str; 5] = [
    "1.2.840.10008.5.1.4.1.1.7",
    "1.2.840.10008.5.1.4.1.1.7.1",
    "1.2.840.10008.5.1.4.1.1.7.2",
    "1.2.840.10008.5.1.4.1.1.7.3",
    "1.2.840.10008.5.1.4.1.1.7.4",
];

/// Media Storage Directory Storage: what a DICOMDIR is.
const DIRECTORY: &str = "1.2.840.10008.1.3.10";

/// Words of Image Type, value 3 and on, that say that pixels were computed across slices: projections, reformats and
/// renderings as Siemens, GE, Philips and Canon name them, and what an enhanced object may state as Derived Pixel
/// Contrast (PS3.3 C.8.16.1.4). A derived axial slice without such a word (filtered, resampled, averaged in the
/// reconstruction) is an axial slice like others.
const COMPUTED: [&str; 16] = [
    "MIP",
    "MINIP",
    "MPR",
    "CPR",
    "VRT",
    "VR",
    "SSD",
    "PROJECTION",
    "REFORMATTED",
    "MAXIMUM",
    "MINIMUM",
    "SUBTRACTION",
    "DIVISION",
    "MASKED",
    "STD_DEVIATION",
    "QUANTITY",
];

/// What an object says of its kind.
pub(super) struct Said<'a> {
    /// SOP Class UID.
    pub class: Option<&'a str>,
    /// Modality.
    pub modality: Option<&'a str>,
    /// Whether it has rows and columns: raw data and reports of a CT are of its modality too, and have none.
    pub image: bool,
    /// Image Type.
    pub image_type: &'a [String],
}

/// Why an object is none of those that are read, if it is none.
pub(super) fn object(said: &Said) -> Option<Reason> {
    if said.class == Some(DIRECTORY) {
        return Some(Reason::Directory);
    }
    if said.class.is_some_and(|class| SECONDARY_CAPTURE.contains(&class)) {
        return Some(Reason::SecondaryCapture);
    }
    let is_ct = match (said.class, said.modality) {
        (Some(class), _) if CT.contains(&class) => true,
        // Stripped of both: the reader says what is missing.
        (_, Some("CT")) | (None, None) => said.image,
        _ => false,
    };
    if !is_ct {
        return Some(Reason::NotCt);
    }
    image_type(said.image_type)
}

/// Why an image of this type is left out, if it is.
pub(super) fn image_type(values: &[String]) -> Option<Reason> {
    let words = || {
        values
            .iter()
            .skip(2)
            .flat_map(|value| value.split([' ', '/', '-', '.', ',']))
    };
    if words().any(|word| word == "LOCALIZER" || word == "SCOUT" || word == "TOPOGRAM") {
        return Some(Reason::Localizer);
    }
    // A localizer may stand in value 2 of a file that has lost one value.
    if values.iter().any(|value| value == "LOCALIZER") {
        return Some(Reason::Localizer);
    }
    if values.iter().any(|value| value == "SCREEN SAVE") {
        return Some(Reason::SecondaryCapture);
    }
    words().find_map(|word| {
        COMPUTED
            .iter()
            .find(|known| **known == word)
            .copied()
            .map(Reason::Derived)
    })
}

/// A slice is axial when its normal is within this cosine of the body's long axis: 37 degrees, beyond any gantry's tilt
/// (30 degrees).
const AXIAL: f64 = 0.8;

/// Why a slice in this plane is left out, if it is.
pub(super) fn plane(place: &Place) -> Option<Reason> {
    let normal = cross(place.row, place.column).map(f64::abs);
    match normal {
        [_, _, z] if z > AXIAL => None,
        [_, y, _] if y > AXIAL => Some(Reason::NotAxial("coronal")),
        [x, _, _] if x > AXIAL => Some(Reason::NotAxial("sagittal")),
        _ => Some(Reason::NotAxial("oblique")),
    }
}

/// Where columns and rows count up to, by the nearest of the patient's directions: `LP` for a patient who lies as usual.
pub(super) fn letters(place: &Place) -> String {
    let letter = |direction: [f64; 3]| {
        let largest = (0..3).max_by(|a, b| direction[*a].abs().total_cmp(&direction[*b].abs()));
        let axis = largest.unwrap_or(0);
        [["L", "R"], ["P", "A"], ["H", "F"]][axis][usize::from(direction[axis] < 0.0)]
    };
    format!("{}{}", letter(place.row), letter(place.column))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn typed(text: &str) -> Option<Reason> {
        image_type(&text.split('\\').map(str::to_owned).collect::<Vec<_>>())
    }

    #[test]
    fn image_types_as_scanners_write_them() {
        assert_eq!(typed("ORIGINAL\\PRIMARY\\AXIAL\\CT_SOM5 SPI"), None);
        assert_eq!(typed("DERIVED\\PRIMARY\\AXIAL"), None);
        assert_eq!(typed("DERIVED\\SECONDARY\\AXIAL"), None);
        assert_eq!(
            typed("ORIGINAL\\PRIMARY\\LOCALIZER\\CT_SOM5 TOP"),
            Some(Reason::Localizer)
        );
        assert_eq!(
            typed("DERIVED\\SECONDARY\\MPR\\CT_SOM5 MPR"),
            Some(Reason::Derived("MPR"))
        );
        assert_eq!(
            typed("DERIVED\\SECONDARY\\AXIAL\\CT_SOM5 MIP"),
            Some(Reason::Derived("MIP"))
        );
        assert_eq!(
            typed("DERIVED\\SECONDARY\\REFORMATTED\\AVERAGE"),
            Some(Reason::Derived("REFORMATTED"))
        );
        assert_eq!(
            typed("DERIVED\\SECONDARY\\PROJECTION IMAGE"),
            Some(Reason::Derived("PROJECTION"))
        );
        assert_eq!(typed("DERIVED\\SECONDARY\\SCREEN SAVE"), Some(Reason::SecondaryCapture));
        assert_eq!(typed("ORIGINAL\\PRIMARY\\VOLUME\\NONE"), None);
        assert_eq!(typed(""), None);
    }

    #[test]
    fn objects_are_told_by_class_and_modality() {
        let said = |class, modality, image| {
            object(&Said {
                class,
                modality,
                image,
                image_type: &[],
            })
        };
        assert_eq!(said(Some(CT[0]), Some("CT"), true), None);
        assert_eq!(said(Some(CT[1]), None, true), None);
        assert_eq!(said(None, Some("CT"), true), None);
        assert_eq!(said(None, Some("MR"), true), Some(Reason::NotCt));
        // Raw Data Storage, and an encapsulated PDF.
        assert_eq!(
            said(Some("1.2.840.10008.5.1.4.1.1.66"), Some("CT"), false),
            Some(Reason::NotCt)
        );
        assert_eq!(
            said(Some("1.2.840.10008.5.1.4.1.1.104.1"), Some("DOC"), false),
            Some(Reason::NotCt)
        );
        assert_eq!(
            said(Some(SECONDARY_CAPTURE[2]), Some("CT"), true),
            Some(Reason::SecondaryCapture)
        );
        assert_eq!(said(Some(DIRECTORY), None, false), Some(Reason::Directory));
    }

    #[test]
    fn planes_are_named_by_their_normal() {
        let place = |orientation| Place::of([0.0; 3], orientation).unwrap();
        assert_eq!(plane(&place([1.0, 0.0, 0.0, 0.0, 1.0, 0.0])), None);
        let tilted = [1.0, 0.0, 0.0, 0.0, 30f64.to_radians().cos(), -30f64.to_radians().sin()];
        assert_eq!(plane(&place(tilted)), None);
        let coronal = place([1.0, 0.0, 0.0, 0.0, 0.0, -1.0]);
        assert_eq!(plane(&coronal), Some(Reason::NotAxial("coronal")));
        assert_eq!(
            plane(&place([0.0, 1.0, 0.0, 0.0, 0.0, -1.0])),
            Some(Reason::NotAxial("sagittal"))
        );
        assert_eq!(letters(&place([1.0, 0.0, 0.0, 0.0, 1.0, 0.0])), "LP");
        assert_eq!(letters(&place([-1.0, 0.0, 0.0, 0.0, -1.0, 0.0])), "RA");
    }
}
