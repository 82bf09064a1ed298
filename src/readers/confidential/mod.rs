//! Which attributes of a DICOM object identify a patient: the basic profile of PS3.15, annex E, table E.1-1, and all
//! private ones. Names and numbers only; no value is looked at further than whether there is one.

mod profile;

use std::collections::BTreeMap;

use dicom_core::{PrimitiveValue, Tag, value::Value};
use dicom_object::{InMemDicomObject, mem::InMemElement};

use self::profile::{PROFILE, REPEATED};

/// An attribute that holds a value and may identify a patient.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Finding {
    /// Its tag; of private attributes the lowest one.
    pub tag: Tag,
    /// Its keyword; `private attributes` for all private ones together.
    pub keyword: &'static str,
    /// What the profile does with it (table E.1-1a): `X` removes, `Z` empties, `D` puts a dummy in its place, `U` another
    /// UID; `Z/D` and the like are for the kind of object to choose.
    pub action: &'static str,
    /// How many times it stands in the object with a value, items of sequences included.
    pub n: usize,
}

/// The attributes with a value that the basic profile would change, by tag; private ones last.
///
/// ```
/// use dicom_core::{DataElement, VR};
/// use dicom_dictionary_std::tags;
/// use dicom_object::InMemDicomObject;
/// let object = InMemDicomObject::from_element_iter([
///     DataElement::new(tags::MODALITY, VR::CS, "CT"),
///     DataElement::new(tags::PATIENT_NAME, VR::PN, "Made^Up"),
///     DataElement::new(tags::PATIENT_ID, VR::LO, " "),
/// ]);
/// let found = hounsfield::readers::confidential(&object);
/// assert_eq!(found.len(), 1);
/// assert_eq!((found[0].keyword, found[0].action), ("PatientName", "Z"));
/// ```
pub fn confidential(object: &InMemDicomObject) -> Vec<Finding> {
    let mut found = BTreeMap::<Tag, Finding>::new();
    let mut private = None::<Finding>;
    // A list of its own and no recursion: items may be nested deeper than a stack is long.
    let mut left = vec![object];
    while let Some(object) = left.pop() {
        for element in object.iter().filter(|element| holds_a_value(element)) {
            left.extend(element.items().into_iter().flatten());
            let tag = element.header().tag;
            if tag.group() % 2 == 1 {
                let known = private.get_or_insert(Finding {
                    tag,
                    keyword: "private attributes",
                    action: "X",
                    n: 0,
                });
                known.n += 1;
                known.tag = known.tag.min(tag);
            } else if let Some((keyword, action)) = listed(tag) {
                let none = Finding {
                    tag,
                    keyword,
                    action,
                    n: 0,
                };
                found.entry(tag).or_insert(none).n += 1;
            }
        }
    }
    found.into_values().chain(private).collect()
}

fn holds_a_value(element: &InMemElement) -> bool {
    match element.value() {
        Value::Primitive(PrimitiveValue::Str(text)) => is_text(text),
        Value::Primitive(PrimitiveValue::Strs(texts)) => texts.iter().any(|text| is_text(text)),
        Value::Primitive(value) => value.multiplicity() > 0,
        Value::Sequence(sequence) => !sequence.items().is_empty(),
        Value::PixelSequence(_) => true,
    }
}

/// Whether there is more than padding.
fn is_text(text: &str) -> bool {
    !text.trim_matches(['\0', ' ']).is_empty()
}

/// Keyword and action of the attribute, where the table has it.
fn listed(tag: Tag) -> Option<(&'static str, &'static str)> {
    let number = u32::from(tag.group()) << 16 | u32::from(tag.element());
    if let Ok(at) = PROFILE.binary_search_by_key(&number, |row| row.0) {
        return Some((PROFILE[at].1, PROFILE[at].2));
    }
    let repeated = REPEATED.iter().find(|(tag, mask, ..)| number & mask == *tag);
    repeated.map(|(.., keyword, action)| (*keyword, *action))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_sorted_and_knows_what_everyone_knows() {
        assert!(PROFILE.is_sorted_by(|a, b| a.0 < b.0));
        assert_eq!(listed(Tag(0x0010, 0x0010)), Some(("PatientName", "Z")));
        assert_eq!(listed(Tag(0x0008, 0x0050)), Some(("AccessionNumber", "Z")));
        assert_eq!(listed(Tag(0x0020, 0x000e)), Some(("SeriesInstanceUID", "U")));
        assert_eq!(listed(Tag(0x601e, 0x3000)), Some(("OverlayData", "X")));
        assert_eq!(listed(Tag(0x50fe, 0x1234)), Some(("CurveData", "X")));
        for tag in [
            Tag(0x0028, 0x1052),
            Tag(0x7fe0, 0x0010),
            Tag(0x6000, 0x0010),
            Tag(0x0008, 0x0060),
        ] {
            assert_eq!(listed(tag), None, "{tag}");
        }
    }
}
