//! Two scores of the same rows, paired: the difference of their AUCs with interval and test, over a family of comparisons.

use super::{EvalError, Interval, Pooling, ScoreColumn, ScoreTable, Scores, Unit, caution::Size};
use crate::stats::{
    Alternative, AucCovariance, Bootstrap, ClusterRanking, Clusters, Components, StatsError, bonferroni,
    clustered_delong, delong, holm,
};

/// How scores are compared.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct ComparePlan {
    /// What one score is to be of.
    pub unit: Unit,
    /// How scores of slices become one of the unit.
    pub pool: Pooling,
    /// How intervals are made.
    pub bootstrap: Bootstrap,
    /// Which scores are compared.
    pub family: Family,
}

/// Which scores are compared; p-values are adjusted over all of these comparisons, and over no others.
#[derive(Debug, Clone, PartialEq, Eq, Default, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Family {
    /// Every score with every other.
    #[default]
    AllPairs,
    /// Every other score with this one.
    Against(String),
    /// These pairs.
    Pairs(Vec<[String; 2]>),
}

/// The comparisons of one set.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Comparisons {
    /// The set, `all` where there are none.
    pub set: String,
    /// The family in words: what was declared.
    pub family: String,
    /// Patients in the set.
    pub n_patients: usize,
    /// Rows that have all scores of the family.
    pub n_rows: usize,
    /// Units of the positive class.
    pub n_positive: usize,
    /// Units.
    pub n_units: usize,
    /// The scores with their AUCs.
    pub auc: Vec<(String, f64)>,
    /// One a pair.
    pub comparisons: Vec<Comparison>,
    /// Pairs that were declared and are not compared. They have no p-value, and the others are adjusted without them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub not_compared: Vec<NotCompared>,
    /// What a reader must know before the numbers.
    pub warnings: Vec<String>,
}

/// A pair of scores of which at least one is of a training that did not converge: a difference from such says nothing.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct NotCompared {
    /// The first score's column.
    pub first: String,
    /// The second score's column.
    pub second: String,
    /// Which did not converge, and why it is said so.
    pub why: String,
}

impl NotCompared {
    /// What stands in the way of comparing these columns.
    fn of(table: &ScoreTable, pair: [usize; 2]) -> Option<Self> {
        let [first, second] = pair.map(|column| &table.scores[column]);
        let why = |column: &ScoreColumn| {
            let why = column.not_converged.as_ref()?;
            Some(format!("{} did not converge: {why}", column.name))
        };
        let whys: Vec<String> = [first, second].into_iter().filter_map(why).collect();
        (!whys.is_empty()).then(|| Self {
            first: first.name.clone(),
            second: second.name.clone(),
            why: whys.join("; "),
        })
    }
}

/// One pair of scores.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Comparison {
    /// The first score's column.
    pub first: String,
    /// The second score's column.
    pub second: String,
    /// First AUC less second.
    pub difference: f64,
    /// Its intervals and tests.
    pub tests: Vec<DifferenceTest>,
}

/// One interval and test of a difference.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct DifferenceTest {
    /// How it was made.
    pub interval: Interval,
    /// Interval of the difference.
    pub ci: Option<[f64; 2]>,
    /// Standard error of the difference.
    pub standard_error: Option<f64>,
    /// Two-sided p-value of no difference.
    pub p: Option<f64>,
    /// Adjusted over the family after Holm.
    pub p_holm: Option<f64>,
    /// Adjusted over the family after Bonferroni.
    pub p_bonferroni: Option<f64>,
    /// How the numbers were made, in words.
    pub method: String,
    /// Why there is none, or what is odd about it.
    pub note: Option<String>,
}

impl Family {
    /// The pairs as places among the scores.
    fn pairs(&self, names: &[&str]) -> Result<Vec<[usize; 2]>, EvalError> {
        if names.len() < 2 {
            return Err(EvalError::OneScore {
                scores: names.join(", "),
            });
        }
        let wrong = |pair: String| EvalError::Pair {
            pair,
            scores: names.join(", "),
        };
        let place = |name: &str| names.iter().position(|known| *known == name);
        match self {
            Self::AllPairs => {
                let of_first = |first: usize| (first + 1..names.len()).map(move |second| [first, second]);
                Ok((0..names.len()).flat_map(of_first).collect())
            }
            Self::Against(reference) => {
                let reference = place(reference).ok_or_else(|| wrong(format!("{reference}:...")))?;
                let others = (0..names.len()).filter(|other| *other != reference);
                Ok(others.map(|other| [other, reference]).collect())
            }
            Self::Pairs(pairs) => {
                let mut found: Vec<[usize; 2]> = Vec::new();
                for [first, second] in pairs {
                    let pair = place(first).zip(place(second)).filter(|(a, b)| a != b);
                    let (a, b) = pair.ok_or_else(|| wrong(format!("{first}:{second}")))?;
                    // A comparison that stands twice, or turned, is one comparison.
                    if !found.contains(&[a, b]) && !found.contains(&[b, a]) {
                        found.push([a, b]);
                    }
                }
                Ok(found)
            }
        }
    }

    fn words(&self, comparisons: usize, left_out: usize) -> String {
        let declared = match self {
            Self::AllPairs => format!("all {comparisons} pairs of scores, as no smaller family was declared"),
            Self::Against(reference) => format!("declared: {comparisons} comparisons with {reference}"),
            Self::Pairs(_) => format!("declared: {comparisons} comparisons"),
        };
        match left_out {
            0 => declared,
            all if all == comparisons => format!("{declared}; none is made, as trainings did not converge"),
            left_out => format!(
                "{declared}; {left_out} of them not compared, as a training did not converge, and p-values are adjusted over the \
                 other {}",
                comparisons - left_out
            ),
        }
    }
}

/// Compares the scores of a table on each of the named sets (all where none is named), on the rows that have all scores of
/// the family. Scores whose training did not converge are in no comparison.
///
/// # Errors
///
/// Fewer than two scores, a pair or set that is not there, no rows, one class only.
pub fn compare(table: &ScoreTable, sets: &[String], plan: &ComparePlan) -> Result<Vec<Comparisons>, EvalError> {
    plan.bootstrap.check()?;
    let names: Vec<&str> = table.scores.iter().map(|column| column.name.as_str()).collect();
    let (mut pairs, mut not_compared) = (Vec::new(), Vec::new());
    for pair in plan.family.pairs(&names)? {
        match NotCompared::of(table, pair) {
            None => pairs.push(pair),
            Some(why) => not_compared.push(why),
        }
    }
    let there = table.sets();
    if let Some(set) = sets.iter().find(|set| !there.iter().any(|(name, _)| name == *set)) {
        let names: Vec<&str> = there.iter().map(|(name, _)| name.as_str()).collect();
        return Err(EvalError::NoSuchSet {
            set: set.clone(),
            sets: names.join(", "),
        });
    }
    let wanted = there
        .into_iter()
        .filter(|(name, _)| sets.is_empty() || sets.contains(name));
    wanted
        .map(|(set, rows)| {
            let found = of_set(table, set, &rows, &names, &pairs, plan)?;
            Ok(Comparisons {
                family: plan.family.words(pairs.len() + not_compared.len(), not_compared.len()),
                not_compared: not_compared.clone(),
                ..found
            })
        })
        .collect()
}

fn of_set(
    table: &ScoreTable,
    set: String,
    rows: &[usize],
    names: &[&str],
    pairs: &[[usize; 2]],
    plan: &ComparePlan,
) -> Result<Comparisons, EvalError> {
    let mut columns: Vec<usize> = pairs.iter().flatten().copied().collect();
    columns.sort_unstable();
    columns.dedup();
    let place = |column: usize| columns.binary_search(&column).unwrap_or_default();
    let scored = table.scored(&columns, rows);
    if scored.is_empty() {
        return Err(EvalError::Empty { set });
    }
    // Where nothing is left to compare, the set still has a size.
    if columns.is_empty() {
        return without_pairs(table, set, rows, plan);
    }
    // Pooled units are in the order of their patients, hence the same for all columns.
    let mut pooled = Vec::new();
    let mut mixed = 0;
    for &column in &columns {
        let scores = table.scores(column, &scored)?;
        let units = scores.pool(plan.unit, plan.pool)?;
        mixed = units.mixed;
        pooled.push(units.scores.into_owned());
    }
    let (positive, clusters) = (pooled[0].positive(), Clusters::new(pooled[0].patient()));
    let size = Size::of(&pooled[0]);
    let mut warnings = size.warnings(&set, plan.unit, mixed);
    let lost = rows.len() - scored.len();
    if lost > 0 {
        warnings.push(format!(
            "{lost} of {} rows of {set} lack one of the scores and are left out of all comparisons",
            rows.len()
        ));
    }
    let components: Vec<Components> = pooled
        .iter()
        .map(|units| Components::new(positive, units.score()))
        .collect::<Result<_, _>>()?;
    let components: Vec<&Components> = components.iter().collect();
    let independent = positive.len() == clusters.count();
    let plain = delong(&components);
    let clustered = clustered_delong(&components, &clusters);
    let rankings: Vec<ClusterRanking> = pooled
        .iter()
        .map(|units| ClusterRanking::new(positive, units.score(), &clusters))
        .collect();
    let mut replicates = plan.bootstrap.resample_auc(&clusters, &rankings)?;

    let mut comparisons = Vec::new();
    for &[first, second] in pairs {
        let pair = [place(first), place(second)];
        let difference = components[pair[0]].auc() - components[pair[1]].auc();
        let asymptotic = |interval: Interval, areas: &Result<AucCovariance, StatsError>| {
            from_covariance(interval, areas, pair, plan.bootstrap.level)
        };
        let statistic = replicates.push_difference(pair);
        let ends = replicates.interval(statistic);
        let resampled = match size.positive_patients.min(size.negative_patients) {
            0 | 1 => Err("fewer than 2 patients of a class".to_owned()),
            _ if ends[0] == ends[1] => Err("all resamples have one difference".to_owned()),
            _ => Ok((
                ends,
                replicates.standard_error(statistic),
                replicates.p_value(statistic, 0.0),
            )),
        };
        let words = format!(
            "percentile interval of the paired difference over {} patient-cluster bootstrap resamples, seed {}; p by its \
             inversion",
            plan.bootstrap.resamples, plan.bootstrap.seed
        );
        let mut tests = vec![test(Interval::Bootstrap, resampled, words)];
        if independent {
            tests.push(asymptotic(Interval::Delong, &plain));
        } else {
            tests.push(asymptotic(Interval::ClusteredDelong, &clustered));
            let mut rows_alone = asymptotic(Interval::Delong, &plain);
            let caveat = "takes the rows of a patient for independent, hence too sure";
            rows_alone.note = rows_alone.note.or(Some(caveat.to_owned()));
            tests.push(rows_alone);
        }
        comparisons.push(Comparison {
            first: names[first].to_owned(),
            second: names[second].to_owned(),
            difference,
            tests,
        });
    }
    adjust(&mut comparisons)?;
    let named = |(column, component): (&usize, &&Components)| (names[*column].to_owned(), component.auc());
    Ok(Comparisons {
        family: String::new(),
        not_compared: Vec::new(),
        n_patients: size.patients,
        n_rows: scored.len(),
        n_positive: size.positives as usize,
        n_units: positive.len(),
        auc: columns.iter().zip(&components).map(named).collect(),
        comparisons,
        warnings,
        set,
    })
}

/// The size of a set on which no pair is compared.
fn without_pairs(
    table: &ScoreTable,
    set: String,
    rows: &[usize],
    plan: &ComparePlan,
) -> Result<Comparisons, EvalError> {
    let of_rows = |cells: &[usize]| rows.iter().map(|&row| cells[row]).collect::<Vec<_>>();
    let positive = rows.iter().map(|&row| table.positive[row]).collect();
    let mut labels = Scores::new(positive, vec![0.0; rows.len()], of_rows(&table.patient))?;
    if let Some(scan) = &table.scan {
        labels = labels.with_scans(of_rows(scan));
    }
    let units = labels.pool(plan.unit, Pooling::Mean)?;
    let size = Size::of(&units.scores);
    Ok(Comparisons {
        family: String::new(),
        n_patients: size.patients,
        n_rows: rows.len(),
        n_positive: size.positives as usize,
        n_units: units.scores.len(),
        auc: Vec::new(),
        comparisons: Vec::new(),
        not_compared: Vec::new(),
        warnings: size.warnings(&set, plan.unit, units.mixed),
        set,
    })
}

fn from_covariance(
    interval: Interval,
    areas: &Result<AucCovariance, StatsError>,
    pair: [usize; 2],
    level: f64,
) -> DifferenceTest {
    let tested = areas.as_ref().map_err(ToString::to_string).and_then(|areas| {
        areas
            .paired_test(pair, level, Alternative::TwoSided)
            .map_err(|error| error.to_string())
    });
    let words = format!("{interval} of the paired difference, two-sided normal test");
    test(
        interval,
        tested.map(|found| (found.ci, found.standard_error, found.p)),
        words,
    )
}

fn test(interval: Interval, found: Result<([f64; 2], f64, f64), String>, method: String) -> DifferenceTest {
    let (numbers, note) = match found {
        Ok(numbers) => (Some(numbers), None),
        Err(why) => (None, Some(why)),
    };
    DifferenceTest {
        interval,
        ci: numbers.map(|(ci, _, _)| ci),
        standard_error: numbers.map(|(_, error, _)| error),
        p: numbers.map(|(_, _, p)| p),
        p_holm: None,
        p_bonferroni: None,
        method,
        note,
    }
}

/// Adjusts the p-values of each kind of test over the family. A comparison without a p-value stays one of the family: it
/// counts as 1, so that the others are adjusted for all that was declared.
fn adjust(comparisons: &mut [Comparison]) -> Result<(), EvalError> {
    let kinds = comparisons.first().map_or(0, |comparison| comparison.tests.len());
    for kind in 0..kinds {
        let p: Vec<f64> = comparisons
            .iter()
            .map(|comparison| comparison.tests[kind].p.unwrap_or(1.0))
            .collect();
        let (by_holm, by_bonferroni) = (holm(&p)?, bonferroni(&p)?);
        for (at, comparison) in comparisons.iter_mut().enumerate() {
            let test = &mut comparison.tests[kind];
            if test.p.is_some() {
                (test.p_holm, test.p_bonferroni) = (Some(by_holm[at]), Some(by_bonferroni[at]));
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        eval::{PatientColumn, ScorePlan},
        tables::TextTable,
    };

    fn table(scores: &[(&str, &[f64])]) -> ScoreTable {
        let rows = scores[0].1.len();
        let mut columns = vec![(
            "label".to_owned(),
            (0..rows).map(|row| Some((row % 2).to_string())).collect::<Vec<_>>(),
        )];
        for (name, values) in scores {
            columns.push((
                (*name).to_owned(),
                values.iter().map(|value| Some(value.to_string())).collect(),
            ));
        }
        let plan = ScorePlan {
            patient: PatientColumn::PerRow,
            positive: Some("1".to_owned()),
            ..ScorePlan::default()
        };
        ScoreTable::new(&TextTable::new(columns).unwrap(), &plan).unwrap()
    }

    fn plan(family: Family) -> ComparePlan {
        ComparePlan {
            unit: Unit::Patient,
            pool: Pooling::Mean,
            bootstrap: Bootstrap {
                resamples: 200,
                ..Bootstrap::default()
            },
            family,
        }
    }

    #[test]
    fn families_are_what_was_declared() {
        let names = ["a", "b", "c"];
        assert_eq!(Family::AllPairs.pairs(&names).unwrap(), [[0, 1], [0, 2], [1, 2]]);
        assert_eq!(Family::Against("b".to_owned()).pairs(&names).unwrap(), [[0, 1], [2, 1]]);
        let pair = |a: &str, b: &str| [a.to_owned(), b.to_owned()];
        let turned = Family::Pairs(vec![pair("c", "a"), pair("a", "c")]);
        assert_eq!(turned.pairs(&names).unwrap(), [[2, 0]]);
        assert!(Family::Pairs(vec![pair("a", "a")]).pairs(&names).is_err());
        assert!(
            Family::AllPairs
                .pairs(&["a"])
                .unwrap_err()
                .to_string()
                .contains("at least 2")
        );
    }

    #[test]
    fn scores_that_rank_alike_have_no_test_and_stay_in_the_family() {
        let a = [0.1, 0.6, 0.3, 0.9, 0.5, 0.4, 0.2, 0.8];
        let (b, c) = (a.map(|a: f64| a * 2.0), [0.5, 0.4, 0.1, 0.7, 0.3, 0.2, 0.6, 0.9]);
        let scores = table(&[("a", &a), ("b", &b), ("c", &c)]);
        let found = compare(&scores, &[], &plan(Family::AllPairs)).unwrap().remove(0);
        assert!(found.family.contains("no smaller family was declared"));
        let [alike, other, _] = &found.comparisons[..] else {
            panic!("three pairs")
        };
        assert!(alike.difference == 0.0 && alike.tests.iter().all(|test| test.p.is_none() && test.note.is_some()));
        let delong = &other.tests[1];
        assert_eq!(delong.interval, Interval::Delong);
        assert!((delong.p_bonferroni.unwrap() - (3.0 * delong.p.unwrap()).min(1.0)).abs() < 1e-12);
        assert!(delong.p_holm <= delong.p_bonferroni);
    }

    #[test]
    fn a_training_that_did_not_converge_is_in_no_comparison_and_in_no_adjustment() {
        let (a, b) = (
            [0.1, 0.6, 0.3, 0.9, 0.5, 0.4, 0.2, 0.8],
            [0.5, 0.4, 0.1, 0.7, 0.3, 0.2, 0.6, 0.9],
        );
        let c = [0.4, 0.1, 0.2, 0.8, 0.7, 0.5, 0.3, 0.6];
        let mut scores = table(&[("a", &a), ("b", &b), ("c", &c)]);
        let two = compare(&table(&[("a", &a), ("b", &b)]), &[], &plan(Family::AllPairs))
            .unwrap()
            .remove(0);
        scores.scores[2].not_converged = Some("its loss is flat".to_owned());
        let found = compare(&scores, &[], &plan(Family::AllPairs)).unwrap().remove(0);
        assert_eq!(found.comparisons, two.comparisons);
        assert!(
            found.family.contains("2 of them not compared") && found.family.ends_with("the other 1"),
            "{}",
            found.family
        );
        assert_eq!(found.auc, two.auc);
        let not: Vec<&str> = found.not_compared.iter().map(|pair| pair.first.as_str()).collect();
        assert_eq!(not, ["a", "b"]);
        assert_eq!(found.not_compared[0].why, "c did not converge: its loss is flat");
        let found = compare(&scores, &[], &plan(Family::Against("c".to_owned())))
            .unwrap()
            .remove(0);
        assert!(found.comparisons.is_empty() && found.not_compared.len() == 2);
        assert_eq!((found.n_patients, found.n_positive, found.n_units), (8, 4, 8));
    }
}
