//! How patients are split: whole sites out first, then by patient, stratified by label, seeded.

use std::collections::{BTreeMap, BTreeSet};

use rand::{Rng, seq::SliceRandom as _};

use super::{Cohort, CohortError, counted, duplicates};
use crate::{seed, stats::grouped_folds, tables::looks_identifying};

/// How to split a cohort.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum SplitPlan {
    /// One split into training, validation and test sets.
    Holdout {
        /// Sites that are held out whole; each becomes a set `external:SITE`.
        #[serde(default)]
        external: Vec<String>,
        /// Shares of the other sites' patients.
        #[serde(default)]
        fractions: Fractions,
        /// Shares of the patients of the positive class, where they differ from those of the negative class: Pu et al. 2020 train on
        /// 97 of 151 patients of the one and on 393 of 498 of the other. Default: `fractions`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        positive_fractions: Option<Fractions>,
        /// What is drawn.
        #[serde(default)]
        unit: SplitUnit,
    },
    /// Cross-validation: every row is scored once by a head that has not seen its patient.
    Folds {
        /// Sites that are held out whole, scored by a head fitted on all other rows.
        #[serde(default)]
        external: Vec<String>,
        /// Number of folds to draw.
        #[serde(default)]
        k: Option<usize>,
        /// Or the column that gives the fold of each row.
        #[serde(default)]
        column: Option<String>,
        /// What is drawn.
        #[serde(default)]
        unit: SplitUnit,
    },
    /// Cross-validation that is drawn again and again, so that no one draw of the folds decides. Whatever is chosen or
    /// fitted, hyperparameters, thresholds and calibration, is chosen on inner folds of the other outer folds.
    NestedCv {
        /// Sites that are held out whole, scored by a head fitted on all other rows.
        #[serde(default)]
        external: Vec<String>,
        /// Outer folds of each repeat. Default: 5.
        #[serde(default = "five")]
        k: usize,
        /// Inner folds, for hyperparameters, thresholds and calibration. Default: 5.
        #[serde(default = "five")]
        inner: usize,
        /// How often the outer folds are drawn. Default: 10.
        #[serde(default = "ten")]
        repeats: usize,
        /// What is drawn.
        #[serde(default)]
        unit: SplitUnit,
    },
    /// A split that came with the data.
    Column {
        /// The column; its values are `train`, `validation` (or `val`), `test` and `external:SITE`; rows without one are
        /// left out.
        column: String,
        /// Sites that are held out whole.
        #[serde(default)]
        external: Vec<String>,
        /// What was drawn.
        #[serde(default)]
        unit: SplitUnit,
    },
}

fn five() -> usize {
    5
}

fn ten() -> usize {
    10
}

/// Shares of the patients of each class.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fractions {
    /// What heads are fitted on.
    pub train: f64,
    /// What the decision threshold is chosen on.
    #[serde(default)]
    pub validation: f64,
    /// What is only evaluated.
    #[serde(default)]
    pub test: f64,
}

impl Default for Fractions {
    /// 80 : 10 : 10, as in Song 2020, but of patients.
    fn default() -> Self {
        Self {
            train: 0.8,
            validation: 0.1,
            test: 0.1,
        }
    }
}

impl Fractions {
    /// The sets that get any patients, with their shares.
    fn shares(self) -> Result<Vec<(Set, f64)>, CohortError> {
        let Self {
            train,
            validation,
            test,
        } = self;
        let sum = train + validation + test;
        let sound = [train, validation, test].iter().all(|share| *share >= 0.0) && train > 0.0;
        if !sound || (sum - 1.0).abs() > 1e-6 {
            return Err(CohortError::Fractions {
                train,
                validation,
                test,
                sum,
            });
        }
        let shares = [(Set::Train, train), (Set::Validation, validation), (Set::Test, test)];
        Ok(shares.into_iter().filter(|(_, share)| *share > 0.0).collect())
    }
}

/// What is drawn when a set is drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SplitUnit {
    /// Patients: the only honest choice.
    #[default]
    Patient,
    /// Slices, so that one patient stands on both sides. For showing what leakage does: every output says so.
    Slice,
}

/// The set that a row is in.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Set {
    /// Heads are fitted on it.
    Train,
    /// The decision threshold is chosen on it.
    Validation,
    /// Only evaluated.
    Test,
    /// Evaluated by the head that was fitted on the other folds.
    Fold(usize),
    /// Evaluated, in every repeat, by the head that was fitted on the other folds of the repeat.
    OutOfFold,
    /// A site held out whole.
    External(String),
}

impl std::fmt::Display for Set {
    /// `train`, `validation`, `test`, `fold:0`, `out-of-fold` or `external:SITE`.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Train => f.write_str("train"),
            Self::Validation => f.write_str("validation"),
            Self::Test => f.write_str("test"),
            Self::Fold(fold) => write!(f, "fold:{fold}"),
            Self::OutOfFold => f.write_str("out-of-fold"),
            Self::External(site) => write!(f, "external:{site}"),
        }
    }
}

/// A split that was checked ([`SplitPlan::split`]): no patient and no image stands in two sets, unless slices were asked for.
#[derive(Debug, Clone, PartialEq)]
pub struct Split {
    sets: Vec<Option<Set>>,
    /// `[repeats][rows]`; empty for a split that is drawn once.
    repeats: Vec<Vec<Option<usize>>>,
    leaky: bool,
}

impl Split {
    /// The set of each row of the cohort; `None` for rows that take no part.
    pub fn sets(&self) -> &[Option<Set>] {
        &self.sets
    }

    /// [`Self::sets`], and in nested cross-validation the folds of the first repeat: the sets between which nothing may leak.
    pub fn first_draw(&self) -> Vec<Option<Set>> {
        match self.repeats.first() {
            Some(folds) => self.with_folds(folds),
            None => self.sets.clone(),
        }
    }

    fn with_folds(&self, folds: &[Option<usize>]) -> Vec<Option<Set>> {
        let fold_or_set = |(fold, set): (&Option<usize>, &Option<Set>)| fold.map(Set::Fold).or(set.clone());
        folds.iter().zip(&self.sets).map(fold_or_set).collect()
    }

    /// Whether patients were allowed on both sides.
    pub fn is_leaky(&self) -> bool {
        self.leaky
    }

    /// The outer fold of each row in each repeat of nested cross-validation, `None` for rows that have none; no repeats
    /// for other splits.
    pub fn repeats(&self) -> &[Vec<Option<usize>>] {
        &self.repeats
    }

    /// The number of folds; 0 for a split without folds, or with new folds in every repeat.
    pub fn n_folds(&self) -> usize {
        let folds = self.sets.iter().flatten().filter_map(|set| match set {
            Set::Fold(fold) => Some(fold + 1),
            _ => None,
        });
        folds.max().unwrap_or(0)
    }
}

impl SplitPlan {
    /// What is drawn.
    pub fn unit(&self) -> SplitUnit {
        match self {
            Self::Holdout { unit, .. }
            | Self::Folds { unit, .. }
            | Self::NestedCv { unit, .. }
            | Self::Column { unit, .. } => *unit,
        }
    }

    /// The column that the split comes from, where it does.
    pub fn column(&self) -> Option<&str> {
        match self {
            Self::Holdout { .. } | Self::NestedCv { .. } => None,
            Self::Folds { column, .. } => column.as_deref(),
            Self::Column { column, .. } => Some(column),
        }
    }

    /// The sites that are held out.
    pub fn external(&self) -> &[String] {
        match self {
            Self::Holdout { external, .. }
            | Self::Folds { external, .. }
            | Self::NestedCv { external, .. }
            | Self::Column { external, .. } => external,
        }
    }

    /// Splits a cohort. The same patients, labels and seed give the same split in whatever order the rows stand (by slice,
    /// where leakage is asked for, the order of the rows goes in).
    ///
    /// # Errors
    ///
    /// A site or column that is not there, too few patients of a class, and above all a patient or an image (by
    /// SHA-256) in two sets.
    pub fn split(&self, cohort: &Cohort, seed: u64) -> Result<Split, CohortError> {
        let split = self.unchecked(cohort, seed)?;
        if !split.leaky {
            check_patients(cohort, &split.sets)?;
            check_images(cohort, &split.sets)?;
            for folds in &split.repeats {
                let sets = split.with_folds(folds);
                check_patients(cohort, &sets)?;
                check_images(cohort, &sets)?;
            }
        }
        let trains = |set: &Set| matches!(set, Set::Train | Set::Fold(_) | Set::OutOfFold);
        if !split.sets.iter().flatten().any(trains) {
            let why = "look at `split.external`, the labels and the split column";
            return Err(CohortError::NoTraining { why });
        }
        Ok(split)
    }

    /// As [`Self::split`], but patients and images may stand in two sets: for an audit, which says so. Heads are never
    /// fitted on it.
    ///
    /// # Errors
    ///
    /// A site or column that is not there, too few patients of a class.
    pub fn unchecked(&self, cohort: &Cohort, seed: u64) -> Result<Split, CohortError> {
        let mut sets = self.external_sets(cohort)?;
        let mut repeats = Vec::new();
        let inside: Vec<usize> = (0..cohort.len())
            .filter(|row| sets[*row].is_none() && cohort.positive[*row].is_some())
            .collect();
        match self {
            Self::Holdout {
                fractions,
                positive_fractions,
                unit,
                ..
            } => {
                let of_class = [*fractions, positive_fractions.unwrap_or(*fractions)];
                for (row, set) in holdout(cohort, &inside, of_class, *unit, seed)? {
                    sets[row] = Some(set);
                }
            }
            Self::Folds { k, column, unit, .. } => {
                let folds = match (k, column) {
                    (Some(k), None) if *k >= 2 => {
                        drawn_folds(cohort, &inside, *k, *unit, &mut seed::stream(seed, "split/folds"))?
                    }
                    (None, Some(column)) => given_folds(cohort, &inside, column)?,
                    (k, column) => {
                        let found = format!(
                            "k = {} and column = {}",
                            k.map_or("none".to_owned(), |k| k.to_string()),
                            column.as_deref().unwrap_or("none")
                        );
                        return Err(CohortError::FoldsPlan { found });
                    }
                };
                for (row, fold) in inside.iter().zip(folds) {
                    sets[*row] = Some(Set::Fold(fold));
                }
            }
            Self::NestedCv {
                k,
                inner,
                repeats: wanted,
                unit,
                ..
            } => {
                let (k, inner, wanted) = (*k, *inner, *wanted);
                if k < 2 || inner < 2 || wanted == 0 {
                    return Err(CohortError::NestedPlan {
                        k,
                        inner,
                        repeats: wanted,
                    });
                }
                inside.iter().for_each(|row| sets[*row] = Some(Set::OutOfFold));
                for repeat in 0..wanted {
                    // A stream a repeat: more repeats leave the first as they were.
                    let mut rng = seed::stream(seed, "split/nested-cv");
                    rng.set_stream(repeat as u64);
                    let mut folds = vec![None; cohort.len()];
                    for (row, fold) in inside.iter().zip(drawn_folds(cohort, &inside, k, *unit, &mut rng)?) {
                        folds[*row] = Some(fold);
                    }
                    repeats.push(folds);
                }
            }
            Self::Column { column, .. } => {
                for (row, set) in given_sets(cohort, &inside, column)? {
                    sets[row] = set;
                }
            }
        }
        for (set, positive) in sets.iter_mut().zip(&cohort.positive) {
            if positive.is_none() {
                *set = None;
            }
        }
        let leaky = self.unit() == SplitUnit::Slice;
        Ok(Split { sets, repeats, leaky })
    }

    fn external_sets(&self, cohort: &Cohort) -> Result<Vec<Option<Set>>, CohortError> {
        let sites = &cohort.rows.site;
        if !self.external().is_empty() && sites.iter().all(Option::is_none) {
            return Err(CohortError::NoSites);
        }
        for site in self.external() {
            if !sites.iter().flatten().any(|found| found == site) {
                let sites = counted(sites.iter().flatten().map(String::as_str));
                return Err(CohortError::NoSuchSite {
                    site: site.clone(),
                    sites,
                });
            }
        }
        let held_out = sites
            .iter()
            .map(|site| site.as_ref().filter(|site| self.external().contains(site)));
        Ok(held_out
            .map(|site| site.map(|site| Set::External(site.clone())))
            .collect())
    }
}

/// Draws patients (or slices) of each class into the three sets, in shares rounded by largest remainder.
fn holdout(
    cohort: &Cohort,
    inside: &[usize],
    fractions: [Fractions; 2],
    unit: SplitUnit,
    seed: u64,
) -> Result<Vec<(usize, Set)>, CohortError> {
    let [negative, positive] = fractions.map(Fractions::shares);
    let (negative, positive) = (negative?, positive?);
    let names = |shares: &[(Set, f64)]| {
        shares
            .iter()
            .map(|(set, _)| set.to_string())
            .collect::<Vec<_>>()
            .join(", ")
    };
    if names(&negative) != names(&positive) {
        return Err(CohortError::FractionSets {
            positive: names(&positive),
            negative: names(&negative),
        });
    }

    // A patient with rows of both classes counts as positive.
    let mut units = BTreeMap::<(usize, String), (bool, Vec<usize>)>::new();
    for &row in inside {
        let key = match unit {
            SplitUnit::Patient => (cohort.patient[row], String::new()),
            SplitUnit::Slice => (cohort.patient[row], cohort.rows.slice_id[row].clone()),
        };
        let entry = units.entry(key).or_default();
        entry.0 |= cohort.positive[row] == Some(true);
        entry.1.push(row);
    }
    let mut drawn = Vec::new();
    for (class, shares) in [(true, positive), (false, negative)] {
        let mut stratum: Vec<&Vec<usize>> = units
            .values()
            .filter(|(positive, _)| *positive == class)
            .map(|(_, rows)| rows)
            .collect();
        if stratum.len() < shares.len() {
            return Err(CohortError::TooFewPatients {
                class: if class { "positive" } else { "negative" }.to_owned(),
                patients: stratum.len(),
                sets: shares.len(),
                names: names(&shares),
            });
        }
        stratum.shuffle(&mut seed::stream(
            seed,
            if class { "split/positive" } else { "split/negative" },
        ));
        let mut stratum = stratum.into_iter();
        for ((set, _), count) in shares.iter().zip(largest_remainder(&shares, stratum.len())) {
            for rows in stratum.by_ref().take(count) {
                drawn.extend(rows.iter().map(|row| (*row, set.clone())));
            }
        }
    }
    Ok(drawn)
}

/// Whole counts that sum to `n`, as near to the shares as can be, none of them 0.
fn largest_remainder(shares: &[(Set, f64)], n: usize) -> Vec<usize> {
    let exact: Vec<f64> = shares.iter().map(|(_, share)| share * n as f64).collect();
    let mut counts: Vec<usize> = exact.iter().map(|x| (x.floor() as usize).max(1)).collect();
    while counts.iter().sum::<usize>() < n {
        let lacking = |i: &usize| exact[*i] - counts[*i] as f64;
        let next = (0..counts.len()).max_by(|a, b| lacking(a).total_cmp(&lacking(b)).then(b.cmp(a)));
        counts[next.expect("there is a training set")] += 1;
    }
    while counts.iter().sum::<usize>() > n {
        let largest = (0..counts.len())
            .max_by_key(|i| counts[*i])
            .expect("there is a training set");
        counts[largest] -= 1;
    }
    counts
}

fn drawn_folds(
    cohort: &Cohort,
    inside: &[usize],
    k: usize,
    unit: SplitUnit,
    rng: &mut impl Rng,
) -> Result<Vec<usize>, CohortError> {
    let positive: Vec<bool> = inside.iter().map(|row| cohort.positive[*row] == Some(true)).collect();
    let groups: Vec<usize> = match unit {
        SplitUnit::Patient => inside.iter().map(|row| cohort.patient[*row]).collect(),
        SplitUnit::Slice => (0..inside.len()).collect(),
    };
    Ok(grouped_folds(&positive, &groups, k, rng)?)
}

/// The folds that a column names, numbered in the order of their names.
fn given_folds(cohort: &Cohort, inside: &[usize], column: &str) -> Result<Vec<usize>, CohortError> {
    let cells = given(cohort, column)?;
    let mut names = BTreeSet::new();
    for &row in inside {
        let Some(name) = &cells[row] else {
            let column = column.to_owned();
            let missing = inside.iter().filter(|row| cells[**row].is_none()).count();
            return Err(CohortError::MissingCells {
                what: "fold",
                column,
                missing,
                rows: inside.len(),
                first: row + 1,
            });
        };
        names.insert(name.as_str());
    }
    if names.len() < 2 {
        let found = format!("one fold in column `{column}`");
        return Err(CohortError::FoldsPlan { found });
    }
    let index: BTreeMap<&str, usize> = names.into_iter().enumerate().map(|(i, name)| (name, i)).collect();
    Ok(inside
        .iter()
        .map(|row| index[cells[*row].as_deref().unwrap_or_default()])
        .collect())
}

fn given_sets(cohort: &Cohort, inside: &[usize], column: &str) -> Result<Vec<(usize, Option<Set>)>, CohortError> {
    let cells = given(cohort, column)?;
    let set = |row: usize| match cells[row].as_deref().map(str::to_lowercase).as_deref() {
        None | Some("") => Ok(None),
        Some("train" | "training") => Ok(Some(Set::Train)),
        Some("validation" | "val" | "valid" | "tune" | "tuning") => Ok(Some(Set::Validation)),
        Some("test" | "testing") => Ok(Some(Set::Test)),
        Some(word) => match (word.starts_with("external:"), &cells[row]) {
            (true, Some(cell)) => Ok(Some(Set::External(cell["external:".len()..].to_owned()))),
            _ => Err(CohortError::SplitValue {
                row: row + 1,
                value: match (&cells[row], looks_identifying(column)) {
                    (Some(cell), false) => format!("`{cell}`"),
                    _ => "another word".to_owned(),
                },
                column: column.to_owned(),
                expected: "the words are `train`, `validation` (or `val`), `test` and `external:SITE`; an empty cell leaves the row out",
            }),
        },
    };
    inside.iter().map(|row| Ok((*row, set(*row)?))).collect()
}

/// The column of the split, which was read with the cohort.
fn given<'a>(cohort: &'a Cohort, column: &str) -> Result<&'a [Option<String>], CohortError> {
    let unread = || CohortError::FoldsPlan {
        found: format!("column `{column}`, which was not read with the cohort"),
    };
    cohort.given.as_deref().ok_or_else(unread)
}

fn check_patients(cohort: &Cohort, sets: &[Option<Set>]) -> Result<(), CohortError> {
    let mut first_of = BTreeMap::new();
    let mut leaks = BTreeMap::new();
    for (row, set) in sets.iter().enumerate() {
        let Some(set) = set else { continue };
        let (first, first_set) = *first_of.entry(cohort.patient[row]).or_insert((row, set));
        if first_set != set {
            leaks.entry(cohort.patient[row]).or_insert((first, row));
        }
    }
    let Some(&(first, second)) = leaks.values().min() else {
        return Ok(());
    };
    let name = |row: usize| sets[row].as_ref().map(Set::to_string).unwrap_or_default();
    Err(CohortError::PatientLeak {
        patients: leaks.len(),
        first: first + 1,
        second: second + 1,
        first_set: name(first),
        second_set: name(second),
    })
}

fn check_images(cohort: &Cohort, sets: &[Option<Set>]) -> Result<(), CohortError> {
    let crossing: Vec<(usize, usize)> = duplicates(cohort)
        .iter()
        .filter_map(|duplicate| {
            let used: Vec<usize> = duplicate
                .rows
                .iter()
                .copied()
                .filter(|row| sets[*row].is_some())
                .collect();
            let other = used.iter().find(|row| sets[**row] != sets[used[0]])?;
            Some((used[0], *other))
        })
        .collect();
    let Some(&(first, second)) = crossing.iter().min() else {
        return Ok(());
    };
    let name = |row: usize| sets[row].as_ref().map(Set::to_string).unwrap_or_default();
    Err(CohortError::ImageLeak {
        images: crossing.len(),
        first: first + 1,
        second: second + 1,
        first_set: name(first),
        second_set: name(second),
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use rand::seq::SliceRandom as _;

    use super::{super::testing, *};

    fn plan(text: &str) -> SplitPlan {
        toml::from_str(text).unwrap()
    }

    /// The set of each patient, by the patient's number.
    fn by_patient(cohort: &Cohort, split: &Split) -> BTreeMap<usize, Option<Set>> {
        let mut sets = BTreeMap::new();
        for (patient, set) in cohort.patient.iter().zip(split.sets()) {
            assert_eq!(
                sets.entry(*patient).or_insert(set.clone()),
                set,
                "a patient stands in two sets"
            );
        }
        sets
    }

    #[test]
    fn patients_are_split_by_class_and_sites_are_held_out_whole() {
        let cohort = testing::cohort(50);
        let split = plan("kind = 'holdout'\nexternal = ['far']").split(&cohort, 0).unwrap();
        let sets = by_patient(&cohort, &split);
        let count = |set: &Set, class: bool| {
            sets.iter()
                .filter(|(patient, found)| found.as_ref() == Some(set) && (*patient % 2 == 0) == class)
                .count()
        };
        // 40 patients are near, 20 of each class: 16, 2, 2.
        for class in [true, false] {
            assert_eq!(
                [Set::Train, Set::Validation, Set::Test].map(|set| count(&set, class)),
                [16, 2, 2]
            );
            assert_eq!(count(&Set::External("far".to_owned()), class), 5);
        }
    }

    #[test]
    fn each_class_has_shares_of_its_own_where_they_are_given() {
        let cohort = testing::cohort(40);
        let of = |text: &str| plan(&format!("kind = 'holdout'\n{text}")).split(&cohort, 3);
        let shares = "fractions = { train = 0.8, validation = 0.1, test = 0.1 }";
        let own = |train: f64, rest: f64| {
            format!("{shares}\npositive_fractions = {{ train = {train}, validation = {rest}, test = {rest} }}")
        };
        assert_eq!(of(&own(0.8, 0.1)).unwrap(), of("").unwrap());
        let sets = by_patient(&cohort, &of(&own(0.6, 0.2)).unwrap());
        let count = |set: &Set, class: bool| {
            let found = sets
                .iter()
                .filter(|(patient, found)| found.as_ref() == Some(set) && (*patient % 2 == 0) == class);
            found.count()
        };
        let counts = |class| [Set::Train, Set::Validation, Set::Test].map(|set| count(&set, class));
        assert_eq!((counts(true), counts(false)), ([12, 4, 4], [16, 2, 2]));
        // The other class is drawn as before.
        let before = by_patient(&cohort, &of("").unwrap());
        assert!(
            sets.iter()
                .filter(|(patient, _)| *patient % 2 == 1)
                .all(|(patient, set)| before[patient] == *set)
        );
        let error = of(&format!("{shares}\npositive_fractions = {{ train = 0.5, test = 0.5 }}")).unwrap_err();
        assert!(matches!(error, CohortError::FractionSets { .. }), "{error}");
        let error = of(&format!("{shares}\npositive_fractions = {{ train = 0.5, test = 0.2 }}")).unwrap_err();
        assert!(matches!(error, CohortError::Fractions { .. }), "{error}");
    }

    #[test]
    fn the_shares_of_pu_2020_are_the_patients_of_pu_2020() {
        let shares = |of: usize, parts: [usize; 3]| {
            let [train, validation, test] = parts.map(|part| part as f64 / of as f64);
            Fractions {
                train,
                validation,
                test,
            }
            .shares()
            .unwrap()
        };
        assert_eq!(largest_remainder(&shares(151, [97, 27, 27]), 151), [97, 27, 27]);
        assert_eq!(largest_remainder(&shares(498, [393, 55, 50]), 498), [393, 55, 50]);
    }

    #[test]
    fn the_order_of_the_rows_does_not_matter() {
        let shuffled = testing::table(30, |rows| rows.shuffle(&mut seed::stream(1, "test")));
        let shuffled = testing::read(&shuffled, testing::columns()).unwrap();
        let ordered = testing::cohort(30);
        for text in ["kind = 'holdout'", "kind = 'folds'\nk = 5"] {
            let (a, b) = (
                plan(text).split(&ordered, 3).unwrap(),
                plan(text).split(&shuffled, 3).unwrap(),
            );
            assert_eq!(by_patient(&ordered, &a), by_patient(&shuffled, &b));
            let other = plan(text).split(&ordered, 4).unwrap();
            assert_ne!(
                by_patient(&ordered, &a),
                by_patient(&ordered, &other),
                "the seed decides nothing"
            );
        }
    }

    #[test]
    fn a_patient_or_an_image_in_two_sets_stops_the_split_unless_slices_were_asked_for() {
        let mut cohort = testing::cohort(12);
        let by_slice = "kind = 'holdout'\nunit = 'slice'\nfractions = { train = 0.5, validation = 0.25, test = 0.25 }";
        assert!(plan(by_slice).split(&cohort, 0).unwrap().is_leaky());

        let column = "kind = 'column'\ncolumn = 'fold'";
        let words = ["train", "val", "test"];
        let fold = cohort.given.as_mut().unwrap();
        fold.iter_mut()
            .enumerate()
            .for_each(|(row, cell)| *cell = Some(words[row % 3].to_owned()));
        let error = plan(column).split(&cohort, 0).unwrap_err();
        assert!(
            matches!(
                error,
                CohortError::PatientLeak {
                    patients: 12,
                    first: 1,
                    second: 2,
                    ..
                }
            ),
            "{error}"
        );

        let mut cohort = testing::cohort(12);
        let hash = |row: usize| Some(format!("hash {}", if row == 35 { 0 } else { row }));
        cohort.sha256 = (0..cohort.len()).map(hash).collect();
        let error = plan("kind = 'folds'\ncolumn = 'fold'").split(&cohort, 0).unwrap_err();
        assert!(
            matches!(
                error,
                CohortError::ImageLeak {
                    images: 1,
                    first: 1,
                    second: 36,
                    ..
                }
            ),
            "{error}"
        );
    }

    #[test]
    fn every_repeat_of_nested_folds_keeps_patients_whole_and_leaves_the_earlier_ones_alone() {
        let cohort = testing::cohort(50);
        let draw = |text: &str| plan(&format!("kind = 'nested-cv'\nexternal = ['far']\n{text}")).split(&cohort, 0);
        let split = draw("k = 4\nrepeats = 3").unwrap();
        assert_eq!((split.repeats().len(), split.n_folds()), (3, 0));
        for folds in split.repeats() {
            let mut fold_of = BTreeMap::new();
            for (row, fold) in folds.iter().enumerate() {
                assert_eq!(fold.is_some(), split.sets()[row] == Some(Set::OutOfFold));
                assert_eq!(fold_of.entry(cohort.patient[row]).or_insert(*fold), fold);
            }
            for fold in 0..4 {
                let patients = fold_of.values().filter(|found| **found == Some(fold)).count();
                assert_eq!(patients, 10, "fold {fold}");
            }
        }
        assert_ne!(split.repeats()[0], split.repeats()[1]);
        assert_eq!(draw("k = 4\nrepeats = 1").unwrap().repeats()[0], split.repeats()[0]);
        assert_eq!(draw("").unwrap().repeats().len(), 10);
        assert!(draw("unit = 'slice'").unwrap().is_leaky());
        for text in ["k = 1", "inner = 1", "repeats = 0"] {
            assert!(
                matches!(draw(text).unwrap_err(), CohortError::NestedPlan { .. }),
                "{text}"
            );
        }
    }

    #[test]
    fn plans_that_make_no_split_are_refused() {
        let cohort = testing::cohort(12);
        let refused = |text: &str| plan(text).split(&cohort, 0).unwrap_err();
        let sum = "kind = 'holdout'\nfractions = { train = 0.8, validation = 0.1, test = 0.2 }";
        assert!(matches!(refused(sum), CohortError::Fractions { .. }));
        assert!(matches!(
            refused("kind = 'holdout'\nexternal = ['nowhere']"),
            CohortError::NoSuchSite { .. }
        ));
        assert!(matches!(refused("kind = 'folds'"), CohortError::FoldsPlan { .. }));
        assert!(matches!(
            refused("kind = 'folds'\nk = 5\ncolumn = 'fold'"),
            CohortError::FoldsPlan { .. }
        ));
        assert!(matches!(
            refused("kind = 'column'\ncolumn = 'fold'"),
            CohortError::SplitValue { row: 1, .. }
        ));
        let few = plan("kind = 'holdout'").split(&testing::cohort(4), 0).unwrap_err();
        assert!(
            matches!(
                few,
                CohortError::TooFewPatients {
                    patients: 2,
                    sets: 3,
                    ..
                }
            ),
            "{few}"
        );
    }

    #[test]
    fn counts_are_the_nearest_to_the_shares_and_none_is_zero() {
        let shares =
            |text: [f64; 3]| -> Vec<(Set, f64)> { text.into_iter().map(|share| (Set::Train, share)).collect() };
        assert_eq!(largest_remainder(&shares([0.8, 0.1, 0.1]), 10), [8, 1, 1]);
        assert_eq!(largest_remainder(&shares([0.8, 0.1, 0.1]), 4), [2, 1, 1]);
        assert_eq!(largest_remainder(&shares([0.34, 0.33, 0.33]), 100), [34, 33, 33]);
        assert_eq!(largest_remainder(&shares([0.5, 0.25, 0.25]), 7), [3, 2, 2]);
    }
}
