//! How the sets differ: the classes in each, and standardised differences of what is known of their patients.
//!
//! Differences are those of Austin, Stat Med 28:3083-3107, 2009, <https://doi.org/10.1002/sim.3697>: of means over the pooled
//! standard deviation; for categories the Mahalanobis form of Yang & Dalton, SAS Global Forum 2012, 335. Patients count
//! once: numbers by their mean, names by the most frequent.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::json;

use super::{AuditError, Check, Finding, Material, Outcome, Settings, Severity, count, counted, patients::NO_SETS};

use crate::stats::distributions::normal_quantile;

/// Austin's limit of what is negligible.
const NEGLIGIBLE: f64 = 0.1;

/// What a reader should know; Cohen's small to medium.
const LARGE: f64 = 0.25;

/// More different names than this are no category.
const LEVELS: usize = 30;

/// Classes in each set.
#[derive(Debug)]
pub struct Classes;

impl Check for Classes {
    fn name(&self) -> &'static str {
        "classes in the sets"
    }

    fn run(&self, material: &Material, _: &Settings) -> Result<Outcome, AuditError> {
        if material.label.iter().all(Option::is_none) {
            return Ok(Outcome::CannotRun(
                "there are no labels: name their column (--label)".to_owned(),
            ));
        }
        let sets = if material.sets.is_empty() {
            vec!["all rows".to_owned()]
        } else {
            material.sets.clone()
        };
        let in_set = |row: usize, set: usize| material.sets.is_empty() || material.set[row] == Some(set);
        let mut by_set = Vec::new();
        for (index, set) in sets.iter().enumerate() {
            let mut classes = BTreeMap::<&str, (usize, BTreeSet<usize>)>::new();
            for row in (0..material.len()).filter(|&row| in_set(row, index)) {
                if let Some(label) = material.label[row].as_deref() {
                    let class = classes.entry(label).or_default();
                    class.0 += 1;
                    class.1.extend(material.patient[row]);
                }
            }
            by_set.push((set, classes));
        }
        let table: Vec<_> = by_set
            .iter()
            .map(|(set, classes)| {
                let classes: BTreeMap<&str, _> = classes
                    .iter()
                    .map(|(label, (rows, patients))| (*label, json!({"rows": rows, "patients": patients.len()})))
                    .collect();
                json!({"set": set, "classes": classes})
            })
            .collect();
        let numbers = json!(table);
        let all: BTreeSet<&str> = by_set.iter().flat_map(|(_, classes)| classes.keys().copied()).collect();
        let lacking: Vec<String> = by_set
            .iter()
            .filter(|(_, classes)| classes.len() == 1 && all.len() > 1)
            .map(|(set, classes)| format!("{set} ({} only)", classes.keys().copied().collect::<Vec<_>>().join("")))
            .collect();
        let mut findings = Vec::new();
        let mut of_table = BTreeMap::<usize, BTreeSet<&str>>::new();
        for row in 0..material.len() {
            of_table
                .entry(material.source(row))
                .or_default()
                .extend(material.label[row].as_deref());
        }
        if material.sets.is_empty()
            && of_table.len() > 1
            && all.len() > 1
            && of_table.values().all(|labels| labels.len() == 1)
        {
            let sentence = format!(
                "each of {} holds one class only: whatever differs between the tables but the disease tells the classes apart",
                counted(of_table.len(), "table")
            );
            findings.push(
                Finding::new(self.name(), Severity::Serious, sentence, numbers.clone())
                    .next("look at the baselines; results need a source that has both classes"),
            );
        }
        if !lacking.is_empty() {
            let sentence = format!(
                "{} of {} one class only, so that nothing can be measured or learnt there: {}",
                count(lacking.len()),
                format_args!(
                    "{} {}",
                    counted(sets.len(), "set"),
                    if lacking.len() == 1 { "holds" } else { "hold" }
                ),
                lacking.join(", ")
            );
            findings.push(
                Finding::new(self.name(), Severity::Serious, sentence, numbers.clone())
                    .next("stratify the split by label; a set that is told by its class is told by its source as well"),
            );
        }
        let parts: Vec<String> = by_set
            .iter()
            .map(|(set, classes)| {
                let rows: usize = classes.values().map(|(rows, _)| rows).sum();
                let shares: Vec<String> = classes
                    .iter()
                    .map(|(label, (n, patients))| {
                        let share = format!(
                            "{label} {} ({:.0} %)",
                            count(*n),
                            100.0 * *n as f64 / rows.max(1) as f64
                        );
                        if material.has_patients {
                            format!("{share} of {}", counted(patients.len(), "patient"))
                        } else {
                            share
                        }
                    })
                    .collect();
                format!(
                    "{set}: {}",
                    if shares.is_empty() {
                        "no labels".to_owned()
                    } else {
                        shares.join(", ")
                    }
                )
            })
            .collect();
        // A table with dozens of labels is in the numbers.
        let sentence = match all.len() > 6 || parts.len() > 8 {
            true => format!(
                "{} in {}; the counts are in the numbers (--json)",
                counted(all.len(), "label"),
                counted(sets.len(), "set")
            ),
            false => parts.join("; "),
        };
        findings.push(Finding::new(self.name(), Severity::Ok, sentence, numbers));
        Ok(Outcome::Ran(findings))
    }
}

/// Differences between the sets.
#[derive(Debug)]
pub struct Differences;

/// One value of each patient (or row) of a set.
enum Values<'a> {
    Numbers(Vec<f64>),
    Names(Vec<&'a str>),
}

impl Check for Differences {
    fn name(&self) -> &'static str {
        "differences between sets"
    }

    fn run(&self, material: &Material, _: &Settings) -> Result<Outcome, AuditError> {
        if material.sets.len() < 2 {
            return Ok(Outcome::CannotRun(NO_SETS.to_owned()));
        }
        let mut columns: Vec<(&str, &[Option<String>])> = vec![("label", &material.label)];
        columns.extend(material.position.as_ref().map(|cells| ("position", &cells[..])));
        columns.extend(material.site.as_ref().map(|cells| ("site", &cells[..])));
        columns.extend(material.meta.iter().map(|(name, cells)| (name.as_str(), &cells[..])));
        let pairs = material.sets.len() * (material.sets.len() - 1) / 2;
        let (mut worst, mut compared, mut skipped) = (Vec::new(), 0, Vec::new());
        for (name, cells) in columns {
            let Some(by_set) = values(material, cells) else {
                if cells.iter().any(Option::is_some) {
                    skipped.push(name);
                }
                continue;
            };
            compared += 1;
            let mut found: Option<(f64, f64, usize, usize, [usize; 2], String)> = None;
            for a in 0..by_set.len() {
                for b in a + 1..by_set.len() {
                    let Some((difference, freedom, words)) = difference(&by_set[a], &by_set[b]) else {
                        continue;
                    };
                    let n = [by_set[a].len(), by_set[b].len()];
                    let chance = by_chance(n, freedom, pairs);
                    if found
                        .as_ref()
                        .is_none_or(|(most, limit, ..)| difference.abs() / chance > most.abs() / limit)
                    {
                        found = Some((difference, chance, a, b, n, words));
                    }
                }
            }
            worst.extend(found.map(|found| (name, found)));
        }
        worst.sort_by(|a, b| b.1.0.abs().total_cmp(&a.1.0.abs()));
        let unit = if material.has_patients { "patient" } else { "row" };
        let mut findings = Vec::new();
        let mut small = 0;
        for (name, (difference, chance, a, b, n, words)) in worst {
            if difference.abs() <= NEGLIGIBLE.max(chance) {
                small += 1;
                continue;
            }
            let shown = if difference.is_finite() {
                format!("{difference:.2}")
            } else {
                "without overlap".to_owned()
            };
            let sentence = format!(
                "`{name}` differs between sets {} and {}: standardised difference {shown} ({words}; {} and {} {unit}s; chance alone rarely gives more than {chance:.2})",
                material.sets[a],
                material.sets[b],
                count(n[0]),
                count(n[1]),
            );
            let numbers = json!({"column": name, "sets": [material.sets[a], material.sets[b]],
                "difference": difference.is_finite().then_some(difference), "rarely_by_chance": chance, "unit": unit, "n": n});
            let severity = if difference.abs() > LARGE {
                Severity::Notable
            } else {
                Severity::Note
            };
            findings.push(
                Finding::new(self.name(), severity, sentence, numbers)
                    .next("say so where the sets are described; stratify the split by it, or give results by it"),
            );
        }
        let sentence = format!(
            "{} of {} {} between sets by less than {NEGLIGIBLE} or than chance may give{}",
            count(small),
            counted(compared, "column"),
            if small == 1 { "differs" } else { "differ" },
            if skipped.is_empty() {
                String::new()
            } else {
                format!("; not compared, for too many different texts: {}", skipped.join(", "))
            },
        );
        findings.push(Finding::new(
            self.name(),
            Severity::Ok,
            sentence,
            json!({"columns": compared, "small": small}),
        ));
        Ok(Outcome::Ran(findings))
    }
}

impl Values<'_> {
    fn len(&self) -> usize {
        match self {
            Self::Numbers(values) => values.len(),
            Self::Names(values) => values.len(),
        }
    }
}

/// The column by set, a value a patient; `None` for texts that are no categories and for columns without cells.
fn values<'a>(material: &Material, cells: &'a [Option<String>]) -> Option<Vec<Values<'a>>> {
    let distinct: BTreeSet<&str> = cells.iter().flatten().map(String::as_str).collect();
    let number = |cell: &str| cell.parse::<f64>().ok().filter(|value| value.is_finite());
    let numeric = !distinct.is_empty() && distinct.len() > 2 && distinct.iter().all(|cell| number(cell).is_some());
    if distinct.is_empty() || (!numeric && distinct.len() > LEVELS) {
        return None;
    }
    let all: Vec<usize> = (0..material.len()).collect();
    let clusters = material.clusters(&all);
    let sets = (0..material.sets.len()).map(|set| {
        let mut of_patient = BTreeMap::<usize, Vec<&str>>::new();
        let known = |row: &usize| !material.has_patients || material.patient[*row].is_some();
        for row in (0..material.len())
            .filter(|&row| material.set[row] == Some(set))
            .filter(known)
        {
            if let Some(cell) = cells[row].as_deref() {
                of_patient.entry(clusters[row]).or_default().push(cell);
            }
        }
        if numeric {
            let mean =
                |cells: Vec<&str>| cells.iter().filter_map(|cell| number(cell)).sum::<f64>() / cells.len() as f64;
            Values::Numbers(of_patient.into_values().map(mean).collect())
        } else {
            let most = |cells: Vec<&'a str>| {
                let mut counts = BTreeMap::<&str, usize>::new();
                for cell in cells {
                    *counts.entry(cell).or_default() += 1;
                }
                counts
                    .into_iter()
                    .rev()
                    .max_by_key(|(_, n)| *n)
                    .map_or("", |(cell, _)| cell)
            };
            Values::Names(of_patient.into_values().map(most).collect())
        }
    });
    Some(sets.collect())
}

/// The standardised difference, its degrees of freedom and the values behind it; infinite where the sets share nothing.
fn difference(a: &Values<'_>, b: &Values<'_>) -> Option<(f64, usize, String)> {
    match (a, b) {
        (Values::Numbers(a), Values::Numbers(b)) => {
            let moments = |values: &[f64]| {
                let n = values.len() as f64;
                let mean = values.iter().sum::<f64>() / n;
                let variance = values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / (n - 1.0);
                (values.len() > 1).then_some((mean, variance))
            };
            let ((mean_a, var_a), (mean_b, var_b)) = (moments(a)?, moments(b)?);
            let (gap, spread) = (mean_a - mean_b, ((var_a + var_b) / 2.0).sqrt());
            let value = if gap == 0.0 { 0.0 } else { gap / spread };
            Some((value, 1, format!("means {mean_a:.2} and {mean_b:.2}")))
        }
        (Values::Names(a), Values::Names(b)) => {
            if a.is_empty() || b.is_empty() {
                return None;
            }
            let levels: BTreeSet<&str> = a.iter().chain(b).copied().collect();
            let share = |values: &[&str], level: &str| {
                values.iter().filter(|value| **value == level).count() as f64 / values.len() as f64
            };
            let shares: Vec<(f64, f64)> = levels.iter().map(|level| (share(a, level), share(b, level))).collect();
            let widest = levels
                .iter()
                .zip(&shares)
                .max_by(|x, y| (x.1.0 - x.1.1).abs().total_cmp(&(y.1.0 - y.1.1).abs()))?;
            let words = format!(
                "{} {:.0} % and {:.0} %",
                widest.0,
                100.0 * widest.1.0,
                100.0 * widest.1.1
            );
            Some((mahalanobis(&shares), levels.len() - 1, words))
        }
        _ => None,
    }
}

/// What two draws of `n` from one population exceed once in twenty comparisons of all `pairs` of sets: the square of the
/// difference is near chi-squared (by Wilson & Hilferty's cube), divided by the harmonic size.
fn by_chance(n: [usize; 2], freedom: usize, pairs: usize) -> f64 {
    let freedom = freedom.max(1) as f64;
    let z = normal_quantile(1.0 - 0.05 / pairs.max(1) as f64);
    let spread = 2.0 / (9.0 * freedom);
    let chi_squared = freedom * (1.0 - spread + z * spread.sqrt()).powi(3);
    (chi_squared * (1.0 / n[0] as f64 + 1.0 / n[1] as f64)).sqrt()
}

/// sqrt(d' S^-1 d) of the shares of all levels but one, S the mean of both sets' multinomial covariances.
fn mahalanobis(shares: &[(f64, f64)]) -> f64 {
    let k = shares.len() - 1;
    let gap: Vec<f64> = shares[1..].iter().map(|(p, q)| p - q).collect();
    if gap.iter().all(|gap| *gap == 0.0) {
        return 0.0;
    }
    let covariance = |i: usize, j: usize| {
        let of = |p: f64, q: f64| if i == j { p * (1.0 - p) } else { -p * q };
        (of(shares[i + 1].0, shares[j + 1].0) + of(shares[i + 1].1, shares[j + 1].1)) / 2.0
    };
    // Gauss with pivots on [S | d]; a pivot of nothing means sets that a level tells apart for certain.
    let mut rows: Vec<Vec<f64>> = (0..k)
        .map(|i| (0..k).map(|j| covariance(i, j)).chain([gap[i]]).collect())
        .collect();
    for column in 0..k {
        let Some(pivot) = (column..k).max_by(|a, b| rows[*a][column].abs().total_cmp(&rows[*b][column].abs())) else {
            break;
        };
        rows.swap(column, pivot);
        if rows[column][column].abs() < 1e-12 {
            return f64::INFINITY;
        }
        let top = rows[column].clone();
        for row in rows.iter_mut().skip(column + 1) {
            let factor = row[column] / top[column];
            row.iter_mut()
                .zip(&top)
                .for_each(|(cell, above)| *cell -= factor * above);
        }
    }
    let mut solution = vec![0.0; k];
    for i in (0..k).rev() {
        let known: f64 = (i + 1..k).map(|j| rows[i][j] * solution[j]).sum();
        solution[i] = (rows[i][k] - known) / rows[i][i];
    }
    let squared: f64 = gap.iter().zip(&solution).map(|(gap, weight)| gap * weight).sum();
    squared.max(0.0).sqrt()
}

#[cfg(test)]
mod tests {
    use super::{super::material::testing::material, *};

    fn run(check: &dyn Check, text: &str) -> Vec<Finding> {
        match check.run(&material(text), &Settings::default()).unwrap() {
            Outcome::Ran(findings) => findings,
            Outcome::CannotRun(why) => panic!("{why}"),
        }
    }

    #[test]
    fn two_levels_give_the_difference_of_proportions_of_austin() {
        // (0.3 - 0.5) / sqrt((0.3 * 0.7 + 0.5 * 0.5) / 2)
        let expected = 0.2 / (0.46_f64 / 2.0).sqrt();
        assert!((mahalanobis(&[(0.3, 0.5), (0.7, 0.5)]) - expected).abs() < 1e-12);
        assert_eq!(mahalanobis(&[(1.0, 0.0), (0.0, 1.0)]), f64::INFINITY);
        assert_eq!(mahalanobis(&[(0.2, 0.2), (0.5, 0.5), (0.3, 0.3)]), 0.0);
    }

    #[test]
    fn numbers_differ_by_their_pooled_deviation() {
        let a = Values::Numbers(vec![1.0, 2.0, 3.0]);
        let b = Values::Numbers(vec![2.0, 4.0, 6.0]);
        // (2 - 4) / sqrt((1 + 4) / 2)
        let (value, ..) = difference(&a, &b).unwrap();
        assert!((value + 2.0 / 2.5_f64.sqrt()).abs() < 1e-12, "{value}");
        assert!(difference(&Values::Numbers(vec![1.0]), &b).is_none());
    }

    #[test]
    fn chance_is_the_quantile_of_chi_squared() {
        // scipy.stats.chi2.ppf([0.95, 0.995], [1, 4]) = 3.841, 14.860; halved by two sets of four.
        let squares = [(1, 1, 3.841), (4, 10, 14.860)];
        for (freedom, pairs, expected) in squares {
            let found = by_chance([4, 4], freedom, pairs).powi(2) / 0.5;
            assert!((found / expected - 1.0).abs() < 0.03, "{found} {expected}");
        }
    }

    #[test]
    fn a_set_of_one_class_is_serious_and_patients_count_once() {
        let text = "who set label\nA train ill\nB train well\nC test ill\nC test ill";
        let findings = run(&Classes, text);
        assert_eq!(findings[0].severity, Severity::Serious);
        assert!(
            findings[0].sentence.contains("test (ill only)"),
            "{}",
            findings[0].sentence
        );
        assert_eq!(findings[1].numbers[0]["classes"]["ill"]["patients"], 1);
        assert!(
            run(&Classes, "who label\nA ill\nB well")
                .iter()
                .all(|finding| finding.severity == Severity::Ok)
        );
    }

    #[test]
    fn ages_that_differ_are_found_and_like_ones_are_not() {
        let rows = |gap: usize| -> String {
            let line = |i: usize| format!("\nA{i} train {}\nB{i} test {}", 40 + i % 20, 40 + i % 20 + gap);
            (0..100).map(line).collect()
        };
        let found = run(&Differences, &format!("who set age{}", rows(6)));
        assert_eq!(found[0].severity, Severity::Notable);
        assert!(
            found[0]
                .sentence
                .starts_with("`age` differs between sets test and train: standardised difference 1.04"),
            "{}",
            found[0].sentence
        );
        assert_eq!(run(&Differences, &format!("who set age{}", rows(0))).len(), 1);
    }
}
