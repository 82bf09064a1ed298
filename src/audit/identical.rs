//! Image files that are equal byte for byte, by SHA-256.

use rayon::prelude::*;
use serde_json::json;

use super::{AuditError, Check, Finding, LISTED, Listed, Material, Outcome, Settings, Severity, count, counted};
use crate::{cohort::same_bytes, readers::sha256};

/// What a check says where rows have no images.
pub(super) const NO_IMAGES: &str = "the rows have no images: name the column of their paths (--path)";

/// One file under two rows.
#[derive(Debug)]
pub struct SameBytes;

impl Check for SameBytes {
    fn name(&self) -> &'static str {
        "identical images"
    }

    fn run(&self, material: &Material, _: &Settings) -> Result<Outcome, AuditError> {
        if material.paths.iter().all(Option::is_none) {
            return Ok(Outcome::CannotRun(NO_IMAGES.to_owned()));
        }
        let hashes: Vec<Option<String>> = material
            .paths
            .par_iter()
            .enumerate()
            .map(|(row, path)| match material.sha256.get(row) {
                Some(Some(known)) => Some(known.clone()),
                _ => sha256(path.as_deref()?).ok(),
            })
            .collect();
        let read = hashes.iter().flatten().count();
        let missing = material.paths.iter().flatten().count() - read;
        if read == 0 {
            let why = format!(
                "none of {} could be read: are the paths relative to the table?",
                counted(missing, "image file")
            );
            return Ok(Outcome::CannotRun(why));
        }
        let groups = same_bytes(&hashes);
        let differ = |group: &Vec<usize>, of: &dyn Fn(usize) -> Option<usize>| {
            let known: Vec<usize> = group.iter().filter_map(|&row| of(row)).collect();
            known.iter().any(|value| *value != known[0])
        };
        let across_sets: Vec<&Vec<usize>> = groups
            .iter()
            .filter(|group| differ(group, &|row| material.set[row]))
            .collect();
        let across_patients = groups
            .iter()
            .filter(|group| differ(group, &|row| material.patient[row]))
            .count();
        let two_labels = groups
            .iter()
            .filter(|group| group.iter().any(|&row| material.label[row] != material.label[group[0]]));
        let two_labels = two_labels.count();
        let rows: usize = groups.iter().map(Vec::len).sum();
        let numbers = json!({"images": read, "unreadable": missing, "groups": groups.len(), "rows": rows,
            "groups_in_two_sets": across_sets.len(), "groups_of_two_patients": across_patients,
            "groups_of_two_labels": two_labels});
        let mut findings = Vec::new();
        if missing > 0 {
            let sentence = format!(
                "{} of {} could not be read and no check of images saw them",
                count(missing),
                counted(missing + read, "image file")
            );
            let unread = (0..material.len()).filter(|&row| material.paths[row].is_some() && hashes[row].is_none());
            let listed = unread
                .take(LISTED)
                .map(|row| Listed {
                    row,
                    other: None,
                    value: None,
                })
                .collect();
            let finding = Finding::new(self.name(), Severity::Serious, sentence, json!({"unreadable": missing}))
                .next("mend their paths, which are relative to the table, and audit again")
                .list(material, listed);
            findings.push(finding);
        }
        let listed = |groups: &[&Vec<usize>]| -> Vec<Listed> {
            let others = groups
                .iter()
                .flat_map(|group| group[1..].iter().map(|&other| (group[0], other)));
            others
                .take(LISTED)
                .map(|(row, other)| Listed {
                    row,
                    other: Some(other),
                    value: Some(1.0),
                })
                .collect()
        };
        let all: Vec<&Vec<usize>> = groups.iter().collect();
        let among = |n: usize, what: &str| {
            if n > 0 {
                format!(", {} of {what}", count(n))
            } else {
                String::new()
            }
        };
        let whose = among(across_patients, "two patients") + &among(two_labels, "two labels");
        let finding = if !across_sets.is_empty() {
            let sentence = format!(
                "{} of {} byte for byte in two sets{whose}",
                counted(across_sets.len(), "image"),
                format_args!(
                    "{} {}",
                    count(read),
                    if across_sets.len() == 1 { "stands" } else { "stand" }
                ),
            );
            Finding::new(self.name(), Severity::Leak, sentence, numbers)
                .next("keep one row of each, or put all rows of one image (and its patients) into one set")
                .list(material, listed(&across_sets))
        } else if groups.is_empty() {
            let sentence = format!("no two of {} are equal byte for byte", counted(read, "image file"));
            Finding::new(self.name(), Severity::Ok, sentence, numbers)
        } else {
            let sentence = format!(
                "{} of {} repeated byte for byte within a set{whose}",
                counted(groups.len(), "image"),
                format_args!("{} {}", count(read), if groups.len() == 1 { "is" } else { "are" }),
            );
            let severity = if across_patients + two_labels > 0 {
                Severity::Serious
            } else {
                Severity::Note
            };
            Finding::new(self.name(), severity, sentence, numbers)
                .next(match across_patients {
                    0 => "keep one row of each",
                    _ => "keep one row of each; an image of two patients shows that the patients are not told apart",
                })
                .list(material, listed(&all))
        };
        findings.push(finding);
        Ok(Outcome::Ran(findings))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::material::testing::material;

    fn worst(text: &str, contents: &[&str]) -> Finding {
        let folder = tempfile::tempdir().unwrap();
        let mut material = material(text);
        for (row, content) in contents.iter().enumerate() {
            let path = folder.path().join(row.to_string());
            if !content.is_empty() {
                std::fs::write(&path, content).unwrap();
            }
            material.paths[row] = Some(path);
        }
        match SameBytes.run(&material, &Settings::default()).unwrap() {
            Outcome::Ran(mut findings) => findings.pop().unwrap(),
            Outcome::CannotRun(why) => panic!("{why}"),
        }
    }

    #[test]
    fn equal_files_in_two_sets_are_a_leak_whoever_they_are_of() {
        let text = "who set label\nA train ill\nB test ill\nC test well";
        assert_eq!(worst(text, &["one", "one", "two"]).severity, Severity::Leak);
        assert_eq!(worst(text, &["one", "two", "three"]).severity, Severity::Ok);
        let inside = worst(text, &["one", "two", "two"]);
        assert_eq!(
            (inside.severity, &inside.numbers["groups_of_two_labels"]),
            (Severity::Serious, &json!(1))
        );
        assert_eq!(worst(text, &["one", "one", ""]).numbers["unreadable"], 1);
    }
}
