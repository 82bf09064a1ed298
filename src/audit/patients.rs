//! Patients who stand in two sets, in two tables, under two labels or under two spellings, and rows that have none.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::json;

use super::{AuditError, Check, Finding, LISTED, Listed, Material, Outcome, Settings, Severity, count, counted};

/// What a check says where no column tells patients apart.
pub(super) const NO_PATIENTS: &str = "nothing says whose the rows are: name the patients' column (--patient) or how they are found in the names (--patient-pattern)";

/// What a check says where there are no two sets.
pub(super) const NO_SETS: &str = "there are no two sets: name the column of sets or folds (--set), give a split (--split) or one table a set (train=a.csv test=b.csv)";

/// Patients with rows in more than one set.
#[derive(Debug)]
pub struct InTwoSets;

impl Check for InTwoSets {
    fn name(&self) -> &'static str {
        "patients in two sets"
    }

    fn run(&self, material: &Material, _: &Settings) -> Result<Outcome, AuditError> {
        if !material.has_patients {
            return Ok(Outcome::CannotRun(NO_PATIENTS.to_owned()));
        }
        if material.sets.len() < 2 {
            return Ok(Outcome::CannotRun(NO_SETS.to_owned()));
        }
        let sets_of = groups(material, |row| material.set[row]);
        let shared: BTreeMap<usize, &BTreeSet<usize>> = sets_of
            .iter()
            .filter(|(_, sets)| sets.len() > 1)
            .map(|(patient, sets)| (*patient, sets))
            .collect();
        let in_sets =
            || (0..material.len()).filter(|&row| material.set[row].is_some() && material.patient[row].is_some());
        let lone = (0..material.len())
            .filter(|&row| material.set[row].is_some() && material.patient[row].is_none())
            .count();
        let nowhere = material.without_a_set();
        let caveat: Vec<String> = [(lone, "without a patient"), (nowhere, "in no set")]
            .into_iter()
            .filter(|(n, _)| *n > 0)
            .map(|(n, what)| format!("{} {what}", counted(n, "row")))
            .collect();
        let caveat = match caveat.is_empty() {
            true => String::new(),
            false => format!(" ({} could not be looked at)", caveat.join(" and ")),
        };
        if shared.is_empty() {
            let sentence = format!(
                "no patient of {} stands in two of the {} sets{caveat}",
                count(sets_of.len()),
                material.sets.len()
            );
            let numbers = json!({"patients": sets_of.len(), "in_two_sets": 0, "rows_without_patient": lone,
                "rows_without_set": nowhere});
            return Ok(Outcome::Ran(vec![Finding::new(
                self.name(),
                Severity::Ok,
                sentence,
                numbers,
            )]));
        }
        let mut pairs = BTreeMap::<(usize, usize), usize>::new();
        for sets in shared.values() {
            for (place, a) in sets.iter().enumerate() {
                for b in sets.iter().skip(place + 1) {
                    *pairs.entry((*a, *b)).or_default() += 1;
                }
            }
        }
        let of_shared = |row: &usize| material.patient[*row].is_some_and(|patient| shared.contains_key(&patient));
        let rows = in_sets().filter(of_shared).count();
        // Not empty: a shared patient has two sets at least.
        let worst = pairs
            .iter()
            .max_by_key(|(_, n)| **n)
            .map(|(pair, n)| (*pair, *n))
            .unwrap_or_default();
        let sentence = format!(
            "{} of {} {} in more than one set, and {} of {} rows are theirs; most between {} and {} ({}){caveat}",
            count(shared.len()),
            counted(sets_of.len(), "patient"),
            if shared.len() == 1 { "stands" } else { "stand" },
            count(rows),
            count(in_sets().count()),
            material.sets[worst.0.0],
            material.sets[worst.0.1],
            count(worst.1),
        );
        let between: Vec<_> = pairs
            .iter()
            .map(|((a, b), n)| json!({"sets": [material.sets[*a], material.sets[*b]], "patients": n}))
            .collect();
        let numbers = json!({"patients": sets_of.len(), "in_two_sets": shared.len(), "rows": rows, "between": between,
            "rows_without_patient": lone, "rows_without_set": nowhere});
        let listed = in_sets().filter(of_shared).take(LISTED).map(one).collect();
        let finding = Finding::new(self.name(), Severity::Leak, sentence, numbers)
            .next("draw the sets anew, whole patients at a time (`hounsfield split`), and measure again")
            .list(material, listed);
        Ok(Outcome::Ran(vec![finding]))
    }
}

/// Rows that belong to nobody.
#[derive(Debug)]
pub struct Unknown;

impl Check for Unknown {
    fn name(&self) -> &'static str {
        "rows without a patient"
    }

    fn run(&self, material: &Material, _: &Settings) -> Result<Outcome, AuditError> {
        if !material.has_patients {
            return Ok(Outcome::CannotRun(NO_PATIENTS.to_owned()));
        }
        let mut findings = Vec::new();
        let missing: Vec<usize> = (0..material.len())
            .filter(|&row| material.patient[row].is_none())
            .collect();
        let unknown = material.unknown_to_metadata.as_deref();
        if let Some(unknown) = unknown.filter(|unknown| !unknown.is_empty()) {
            findings.push(self.found(material, unknown, "no patient in the metadata"));
        }
        // Said once, where both are the same rows.
        if !missing.is_empty() && unknown != Some(&missing[..]) {
            findings.push(self.found(material, &missing, "no patient"));
        }
        if findings.is_empty() {
            let sentence = format!("every one of the {} has a patient", counted(material.len(), "row"));
            findings.push(Finding::new(
                self.name(),
                Severity::Ok,
                sentence,
                json!({"rows": material.len(), "without": 0}),
            ));
        }
        Ok(Outcome::Ran(findings))
    }
}

impl Unknown {
    fn found(&self, material: &Material, rows: &[usize], what: &str) -> Finding {
        let mut by_table = BTreeMap::<usize, usize>::new();
        for &row in rows {
            *by_table.entry(material.source(row)).or_default() += 1;
        }
        let tables = material.sources();
        let of_table = |source: &usize| {
            (0..material.len())
                .filter(|&row| material.source(row) == *source)
                .count()
        };
        let parts: Vec<String> = by_table
            .iter()
            .map(|(source, n)| format!("{} of {} in {}", count(*n), count(of_table(source)), tables[*source]))
            .collect();
        let whole = format!("{} of {}", count(rows.len()), counted(material.len(), "row"));
        let have = if rows.len() == 1 { "has" } else { "have" };
        let sentence = match tables.len() {
            1 => format!("{whole} {have} {what}: no check can say whether they are the same people as others"),
            _ => format!(
                "{whole} {have} {what} ({}): no check can say whether they are the same people as others",
                parts.join(", ")
            ),
        };
        let per_table: BTreeMap<&str, usize> = tables
            .iter()
            .enumerate()
            .map(|(source, name)| (name.as_str(), by_table.get(&source).copied().unwrap_or(0)))
            .collect();
        let numbers = json!({"rows": material.len(), "without": rows.len(), "by_table": per_table});
        // One row in a hundred can hardly carry a result.
        let severity = if 100 * rows.len() > material.len() {
            Severity::Serious
        } else {
            Severity::Notable
        };
        Finding::new(self.name(), severity, sentence, numbers)
            .next("find their patients (in the names: --patient-pattern) or leave these rows out")
            .list(material, rows.iter().copied().take(LISTED).map(one).collect())
    }
}

/// Patients of one name in tables that are no sets.
#[derive(Debug)]
pub struct InTwoTables;

impl Check for InTwoTables {
    fn name(&self) -> &'static str {
        "patients in two tables"
    }

    fn run(&self, material: &Material, _: &Settings) -> Result<Outcome, AuditError> {
        if !material.has_patients {
            return Ok(Outcome::CannotRun(NO_PATIENTS.to_owned()));
        }
        if material.sources().len() < 2 {
            return Ok(Outcome::CannotRun("there is one table only".to_owned()));
        }
        let sources = groups(material, |row| Some(material.source(row)));
        let shared: Vec<usize> = sources
            .iter()
            .filter(|(_, of)| of.len() > 1)
            .map(|(patient, _)| *patient)
            .collect();
        let numbers = json!({"patients": sources.len(), "in_two_tables": shared.len()});
        if shared.is_empty() {
            let sentence = format!(
                "none of the {} of patients stands in two tables",
                counted(sources.len(), "name")
            );
            return Ok(Outcome::Ran(vec![Finding::new(
                self.name(),
                Severity::Ok,
                sentence,
                numbers,
            )]));
        }
        let sentence = format!(
            "{} of the {} of patients {} in more than one table: one person each, or two of one name that every check takes for one",
            count(shared.len()),
            counted(sources.len(), "name"),
            if shared.len() == 1 { "stands" } else { "stand" },
        );
        let listed = rows_of(material, &shared);
        let finding = Finding::new(self.name(), Severity::Notable, sentence, numbers)
            .next("ask the tables' makers; where they are different people, put the table's name before theirs")
            .list(material, listed);
        Ok(Outcome::Ran(vec![finding]))
    }
}

/// Patients with rows of more than one label.
#[derive(Debug)]
pub struct TwoLabels;

impl Check for TwoLabels {
    fn name(&self) -> &'static str {
        "patients with two labels"
    }

    fn run(&self, material: &Material, _: &Settings) -> Result<Outcome, AuditError> {
        if !material.has_patients {
            return Ok(Outcome::CannotRun(NO_PATIENTS.to_owned()));
        }
        if material.label.iter().all(Option::is_none) {
            return Ok(Outcome::CannotRun(
                "there are no labels: name their column (--label)".to_owned(),
            ));
        }
        let labels = groups(material, |row| material.label[row].as_deref());
        let both: Vec<usize> = labels
            .iter()
            .filter(|(_, of)| of.len() > 1)
            .map(|(patient, _)| *patient)
            .collect();
        let numbers = json!({"patients": labels.len(), "with_two_labels": both.len()});
        if both.is_empty() {
            let sentence = format!("each of {} has one label", counted(labels.len(), "patient"));
            return Ok(Outcome::Ran(vec![Finding::new(
                self.name(),
                Severity::Ok,
                sentence,
                numbers,
            )]));
        }
        let mut kinds = BTreeMap::<Vec<&str>, usize>::new();
        for patient in &both {
            *kinds.entry(labels[patient].iter().copied().collect()).or_default() += 1;
        }
        // Not empty: somebody has two labels.
        let (kind, n) = kinds
            .iter()
            .max_by_key(|(_, n)| **n)
            .map(|(kind, n)| (kind.join(" and "), *n))
            .unwrap_or_default();
        let sentence = format!(
            "{} of {} {} rows of more than one label, most of {kind} ({}): slice labels, an error, or two people of one name",
            count(both.len()),
            counted(labels.len(), "patient"),
            if both.len() == 1 { "has" } else { "have" },
            count(n),
        );
        let finding = Finding::new(self.name(), Severity::Notable, sentence, numbers)
            .next("where a label is meant to be the patient's, look these up")
            .list(material, rows_of(material, &both));
        Ok(Outcome::Ran(vec![finding]))
    }
}

/// Patients whose names differ in case, punctuation or leading zeros only.
#[derive(Debug)]
pub struct NamedAlike;

impl Check for NamedAlike {
    fn name(&self) -> &'static str {
        "patients named alike"
    }

    fn run(&self, material: &Material, _: &Settings) -> Result<Outcome, AuditError> {
        if !material.has_patients {
            return Ok(Outcome::CannotRun(NO_PATIENTS.to_owned()));
        }
        let mut plain = BTreeMap::<String, Vec<usize>>::new();
        for (patient, name) in material.patient_names().iter().enumerate() {
            plain.entry(plainly(name)).or_default().push(patient);
        }
        plain.retain(|_, patients| patients.len() > 1);
        let names: Vec<usize> = plain.values().flatten().copied().collect();
        let numbers = json!({"patients": material.n_patients(), "alike": names.len(), "groups": plain.len()});
        if names.is_empty() {
            let sentence = "no two patients' names differ in case, punctuation or leading zeros only".to_owned();
            return Ok(Outcome::Ran(vec![Finding::new(
                self.name(),
                Severity::Ok,
                sentence,
                numbers,
            )]));
        }
        let apart = plain.values().filter(|patients| {
            let of = |row: &usize| material.patient[*row].is_some_and(|patient| patients.contains(&patient));
            let sets: BTreeSet<usize> = (0..material.len())
                .filter(of)
                .filter_map(|row| material.set[row])
                .collect();
            sets.len() > 1
        });
        let apart = apart.count();
        let sentence = format!(
            "{} differ from another one in case, punctuation or leading zeros only (`P7`, `p-007`), in {}; {} of these in two sets",
            counted(names.len(), "patients' name"),
            counted(plain.len(), "group"),
            count(apart),
        );
        let severity = if apart > 0 { Severity::Serious } else { Severity::Note };
        let finding = Finding::new(self.name(), severity, sentence, numbers)
            .next("if they are the same people, spell them alike and audit again")
            .list(material, rows_of(material, &names));
        Ok(Outcome::Ran(vec![finding]))
    }
}

/// What a patient's rows have, by patient.
fn groups<T: Ord>(material: &Material, of: impl Fn(usize) -> Option<T>) -> BTreeMap<usize, BTreeSet<T>> {
    let mut groups = BTreeMap::<usize, BTreeSet<T>>::new();
    for (row, patient) in material.patient.iter().enumerate() {
        if let (Some(patient), Some(value)) = (patient, of(row)) {
            groups.entry(*patient).or_default().insert(value);
        }
    }
    groups
}

fn rows_of(material: &Material, patients: &[usize]) -> Vec<Listed> {
    let patients: BTreeSet<usize> = patients.iter().copied().collect();
    let of = |row: &usize| material.patient[*row].is_some_and(|patient| patients.contains(&patient));
    (0..material.len()).filter(of).take(LISTED).map(one).collect()
}

fn one(row: usize) -> Listed {
    Listed {
        row,
        other: None,
        value: None,
    }
}

/// Small letters and digits only, numbers without leading zeros; words stay apart from numbers.
fn plainly(name: &str) -> String {
    let mut plain = String::new();
    let mut letters = name.to_lowercase().chars().collect::<Vec<_>>().into_iter().peekable();
    while let Some(letter) = letters.next() {
        if letter.is_ascii_digit() {
            let mut number = letter.to_string();
            while let Some(digit) = letters.next_if(char::is_ascii_digit) {
                number.push(digit);
            }
            plain.push(' ');
            plain += number.trim_start_matches('0');
            plain.push(' ');
        } else if letter.is_alphanumeric() {
            plain.push(letter);
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::{super::material::testing::material, *};

    fn found(check: &dyn Check, text: &str) -> Finding {
        match check.run(&material(text), &Settings::default()).unwrap() {
            Outcome::Ran(mut findings) => findings.remove(0),
            Outcome::CannotRun(why) => panic!("{why}"),
        }
    }

    #[test]
    fn a_patient_in_two_sets_is_a_leak_and_one_in_none_is_not() {
        let leak = found(&InTwoSets, "who set\nA train\nA test\nB test\nB -");
        assert_eq!(leak.severity, Severity::Leak);
        assert_eq!(leak.numbers["rows"], 2);
        assert_eq!(leak.rows.iter().map(|place| place.row).collect::<Vec<_>>(), [1, 2]);
        assert_eq!(
            found(&InTwoSets, "who set\nA train\nB test\nB -").severity,
            Severity::Ok
        );
    }

    #[test]
    fn names_that_differ_in_zeros_are_alike_and_other_numbers_are_not() {
        let alike = found(&NamedAlike, "who set\nP-07 train\np7 test\nP70 test\nP_7_1 train");
        assert_eq!(alike.severity, Severity::Serious);
        assert_eq!(alike.numbers["alike"], 2);
        assert_eq!(plainly("a1b2"), "a 1 b 2 ");
        assert_ne!(plainly("P1_23"), plainly("P12_3"));
    }

    #[test]
    fn two_labels_of_one_patient_are_counted() {
        let found = found(&TwoLabels, "who label\nA ill\nA well\nB ill");
        assert_eq!(found.numbers["with_two_labels"], 1);
        assert!(found.sentence.contains("ill and well (1)"), "{}", found.sentence);
    }

    #[test]
    fn rows_without_a_patient_are_serious_unless_they_are_few() {
        assert_eq!(found(&Unknown, "who set\nA a\n- b").severity, Severity::Serious);
        let many: String = (0..200).map(|row| format!("\nP{row} a")).collect();
        assert_eq!(
            found(&Unknown, &format!("who set{many}\n- b")).severity,
            Severity::Notable
        );
        assert_eq!(found(&Unknown, "who set\nA a").severity, Severity::Ok);
    }

    #[test]
    fn sentences_hold_no_identifier() {
        let text = "who set label\nJane_Doe a ill\nJane_Doe b well\njane-doe b ill";
        for check in [&InTwoSets as &dyn Check, &TwoLabels, &NamedAlike, &Unknown] {
            let found = found(check, text);
            assert!(!format!("{found:?}").to_lowercase().contains("doe"), "{found:?}");
        }
    }
}
