//! Whose slices they are, where files contradict each other or say nothing.

use std::{
    collections::{BTreeSet, HashMap, HashSet, hash_map::Entry},
    sync::Arc,
};

use super::{
    Scan,
    slice::{SeriesFacts, Slice},
};
use crate::words::{count, counted};

/// What the files of a study say of its patient.
#[derive(Default)]
struct Said<'a> {
    ids: BTreeSet<&'a str>,
    persons: BTreeSet<&'a str>,
}

/// Gives the study's patient to slices whose files have no Patient ID, where all others of the study agree on one and on
/// the person; else half of a study would be a patient of its own. Says so, and which studies are of several patients.
pub(super) fn agree(slices: &mut [Slice]) -> Vec<String> {
    let mut studies = HashMap::<&str, Said>::new();
    for facts in slices.iter().map(|slice| &slice.series) {
        if let Some(study) = &facts.study {
            let said = studies.entry(study).or_default();
            said.ids.extend(facts.patient_id.as_deref());
            said.persons.extend(facts.person.as_deref());
        }
    }
    let several = studies.values().filter(|said| said.ids.len() > 1).count();
    let one = |said: &Said| match said.persons.len() {
        0 | 1 if said.ids.len() == 1 => said.ids.first().map(|id| (*id).to_owned()),
        _ => None,
    };
    let ids: HashMap<String, String> = studies
        .iter()
        .filter_map(|(study, said)| Some(((*study).to_owned(), one(said)?)))
        .collect();
    let mut filled = HashMap::<Arc<SeriesFacts>, Arc<SeriesFacts>>::new();
    let (mut n, mut of) = (0, HashSet::new());
    for slice in slices.iter_mut().filter(|slice| slice.series.patient_id.is_none()) {
        let Some((study, id)) = slice.series.study.as_ref().and_then(|study| ids.get_key_value(study)) else {
            continue;
        };
        let facts = filled.entry(Arc::clone(&slice.series)).or_insert_with(|| {
            Arc::new(SeriesFacts {
                patient_id: Some(id.clone()),
                ..(*slice.series).clone()
            })
        });
        slice.series = Arc::clone(facts);
        n += 1;
        of.insert(study);
    }
    let mut warnings = Vec::new();
    if n > 0 {
        warnings.push(format!(
            "{} without Patient ID in {}: the one that the study's other files agree on was taken",
            counted(n, "slice"),
            studies_of(of.len())
        ));
    }
    if several > 0 {
        warnings.push(format!(
            "{} with slices of more than one Patient ID: each counts as a patient, look whether they are one",
            studies_of(several)
        ));
    }
    warnings
}

fn studies_of(n: usize) -> String {
    format!("{} {}", count(n), super::words(n, "study"))
}

/// Slices whose pixels another patient has too: a split would put copies on both of its sides.
pub(super) fn copies(scans: &[Scan]) -> Option<String> {
    let mut owners = HashMap::<[u8; 32], &str>::new();
    let (mut n, mut patients) = (0, HashSet::new());
    for scan in scans {
        let patient = scan.series.patient().0;
        for image in scan.slices.iter().filter_map(|placed| placed.slice.image.as_ref()) {
            // Slices of nothing but air are alike by themselves.
            if image.range.is_none_or(|(low, high)| low >= high) {
                continue;
            }
            match owners.entry(image.sha256) {
                Entry::Vacant(place) => drop(place.insert(patient)),
                Entry::Occupied(owner) if *owner.get() != patient => {
                    n += 1;
                    patients.extend([patient, *owner.get()]);
                }
                Entry::Occupied(_) => {}
            }
        }
    }
    (n > 0).then(|| {
        format!(
            "{} with the pixels of another patient's slice, among {}: copies, or one person under two identifiers, which \
             a split may put on both of its sides",
            counted(n, "slice"),
            counted(patients.len(), "patient")
        )
    })
}

#[cfg(test)]
mod tests {
    use super::{
        super::{series::scans, testing},
        *,
    };

    fn slice(z: f64, change: impl Fn(&mut SeriesFacts)) -> Slice {
        let mut slice = testing::slice(z);
        change(Arc::make_mut(&mut slice.series));
        slice
    }

    #[test]
    fn a_study_whose_files_agree_has_one_patient() {
        let mut slices = vec![
            testing::slice(0.0),
            slice(1.0, |facts| facts.patient_id = None),
            slice(2.0, |facts| facts.patient_id = None),
            slice(3.0, |facts| {
                (facts.patient_id, facts.study) = (None, Some("1.9".to_owned()))
            }),
        ];
        let warnings = agree(&mut slices);
        let ids: Vec<bool> = slices.iter().map(|slice| slice.series.patient_id.is_some()).collect();
        assert_eq!(ids, [true, true, true, false]);
        assert!(Arc::ptr_eq(&slices[1].series, &slices[2].series));
        assert_eq!(
            warnings,
            ["2 slices without Patient ID in 1 study: the one that the study's other files agree on was taken"]
        );
    }

    #[test]
    fn a_study_whose_files_contradict_each_other_is_said_and_left() {
        let mut slices = vec![
            testing::slice(0.0),
            slice(1.0, |facts| facts.patient_id = Some("another".to_owned())),
            slice(2.0, |facts| facts.patient_id = None),
        ];
        let warnings = agree(&mut slices);
        assert!(slices[2].series.patient_id.is_none());
        assert_eq!(warnings.len(), 1);
        assert!(warnings[0].starts_with("1 study with slices of more"), "{warnings:?}");
        assert!(!warnings[0].contains("another ") && !warnings[0].contains("SECRET"));
        // A person of another name is another patient.
        let mut slices = vec![
            slice(0.0, |facts| facts.person = Some("DOE".to_owned())),
            slice(1.0, |facts| {
                (facts.patient_id, facts.person) = (None, Some("ROE".to_owned()))
            }),
        ];
        assert!(agree(&mut slices).is_empty());
        assert!(slices[1].series.patient_id.is_none());
    }

    #[test]
    fn pixels_of_two_patients_are_counted() {
        let mut slices = vec![testing::slice(0.0), testing::slice(1.0)];
        slices.push(slice(0.0, |facts| facts.patient_id = Some("another".to_owned())));
        slices.push(slice(1.0, |facts| facts.patient_id = Some("another".to_owned())));
        assert_eq!(copies(&scans(slices.clone(), &mut Vec::new())), None);
        slices[2].image = slices[0].image.clone();
        let said = copies(&scans(slices.clone(), &mut Vec::new())).unwrap();
        assert!(
            said.starts_with("1 slice with the pixels of another patient's slice, among 2 patients"),
            "{said}"
        );
        for slice in &mut slices {
            slice.image.as_mut().unwrap().range = Some((-1024.0, -1024.0));
        }
        assert_eq!(copies(&scans(slices, &mut Vec::new())), None);
    }
}
