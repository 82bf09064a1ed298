//! Readings of the same cases against each other: two readers, or one reader without and with help.
//!
//! McNemar's test takes cases as independent. The clustered test takes patients so: the variance of the difference is that
//! of a ratio of patients' totals (Rao & Scott, Biometrics 1992, doi:10.2307/2532311; Obuchowski, Stat Med 1998;17:1495).

use std::collections::BTreeMap;

use super::{Mean, ReaderStudyError, Scale, Stratum, Tools, rates::Seat};
use crate::stats::{
    McNemar, Replicates, ZTest,
    distributions::{normal_two_sided, t_two_sided},
    mcnemar,
};

/// Two shares of the same cases, called as they are.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct PairedRates {
    /// Cases of the class that both sides read.
    pub n: usize,
    /// Their patients.
    pub n_patients: usize,
    /// The first side's sensitivity or specificity in them; `None` without cases.
    pub first: Option<f64>,
    /// The second side's.
    pub second: Option<f64>,
    /// First minus second.
    pub difference: Option<f64>,
    /// Percentile interval over resampled patients.
    pub interval: Option<[f64; 2]>,
    /// McNemar's test on the cases that one side alone called as they are.
    pub mcnemar: McNemar,
    /// The test that takes patients as independent; `None` with fewer than two patients or where no case differs.
    pub clustered: Option<ZTest>,
}

/// Two readers in one arm.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct ReaderComparison {
    /// The first reader.
    pub first: String,
    /// The second reader.
    pub second: String,
    /// The arm; `None` without arms.
    pub arm: Option<String>,
    /// In positives.
    pub sensitivity: PairedRates,
    /// In negatives.
    pub specificity: PairedRates,
}

/// An arm against the reference arm: first the arm, second the reference.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct ArmComparison {
    /// The arm.
    pub arm: String,
    /// What it is compared with.
    pub reference: String,
    /// Each reader with readings in both.
    pub readers: Vec<ArmReader>,
    /// The readers' mean difference in sensitivity, specificity and, for more than two steps, AUC.
    pub averages: Vec<AverageTest>,
}

/// One reader's two arms.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct ArmReader {
    /// The reader.
    pub reader: String,
    /// In positives.
    pub sensitivity: PairedRates,
    /// In negatives.
    pub specificity: PairedRates,
    /// Difference of the AUC, of ratings with more than two steps.
    pub auc: Option<Mean>,
}

/// The mean of the readers' differences.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct AverageTest {
    /// `sensitivity`, `specificity` or `auc`.
    pub metric: &'static str,
    /// Readers with readings in both arms.
    pub n_readers: usize,
    /// Every reader counts the same; `None` where one has no difference.
    pub difference: Option<f64>,
    /// Percentile interval over resampled patients, for these readers.
    pub interval: Option<[f64; 2]>,
    /// Patients as a sample, these readers as they are; of the AUC with the bootstrap's standard error.
    pub clustered: Option<ZTest>,
    /// Readers as a sample, these cases as they are: a t test of the readers' differences; `None` with fewer than two
    /// readers or where all differ alike.
    pub across_readers: Option<AcrossReaders>,
}

/// A t test of readers' differences.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize)]
pub struct AcrossReaders {
    /// The statistic.
    pub t: f64,
    /// Readers less one.
    pub df: f64,
    /// Two-sided.
    pub p: f64,
}

/// A side of a comparison: a reader in an arm.
type Side = (usize, usize);

const CLASSES: [(bool, &str); 2] = [(true, "sensitivity"), (false, "specificity")];

/// Every pair of readers.
pub(super) fn readers(tools: &Tools) -> Result<Vec<ReaderComparison>, ReaderStudyError> {
    let study = tools.study;
    let mut rows = Vec::new();
    for arm in 0..study.arms.len() {
        for first in 0..study.readers.len() {
            for second in first + 1..study.readers.len() {
                let sides = [(first, arm), (second, arm)];
                rows.push(ReaderComparison {
                    first: study.readers[first].clone(),
                    second: study.readers[second].clone(),
                    arm: study.arm(arm),
                    sensitivity: paired(tools, sides, true)?,
                    specificity: paired(tools, sides, false)?,
                });
            }
        }
    }
    Ok(rows)
}

/// Every arm against the first.
pub(super) fn arms(tools: &Tools) -> Result<Vec<ArmComparison>, ReaderStudyError> {
    let study = tools.study;
    let mut rows = Vec::new();
    for arm in 1..study.arms.len() {
        let all = (0..study.readers.len()).map(|reader| [(reader, arm), (reader, 0)]);
        let both: Vec<[Side; 2]> = all
            .filter(|sides| !study.common(Stratum::All, sides).is_empty())
            .collect();
        let graded = study.scale != Scale::Binary;
        let mut readers = Vec::new();
        for &sides in &both {
            readers.push(ArmReader {
                reader: study.readers[sides[0].0].clone(),
                sensitivity: paired(tools, sides, true)?,
                specificity: paired(tools, sides, false)?,
                auc: if graded { Some(areas(tools, sides)?) } else { None },
            });
        }
        let mut averages = Vec::new();
        if !both.is_empty() {
            for (class, metric) in CLASSES {
                averages.push(average(tools, &both, class, metric)?);
            }
            if graded {
                averages.push(average_area(tools, &both)?);
            }
        }
        rows.push(ArmComparison {
            arm: study.arms[arm].clone(),
            reference: study.arms[0].clone(),
            readers,
            averages,
        });
    }
    Ok(rows)
}

fn stratum(class: bool) -> Stratum {
    if class { Stratum::Positive } else { Stratum::Negative }
}

/// For each case of the class that both sides read, whether each called it as it is.
fn hits(tools: &Tools, sides: [Side; 2], class: bool) -> Vec<(usize, [bool; 2])> {
    let study = tools.study;
    let hit = |case, (reader, arm): Side| study.call(reader, arm, case) == Some(class);
    let cases = study.common(stratum(class), &sides);
    cases
        .into_iter()
        .map(|case| (case, sides.map(|side| hit(case, side))))
        .collect()
}

/// Mean difference of the hits with each case `times` over.
fn difference(hits: &[(usize, [bool; 2])], times: &[u32]) -> Option<f64> {
    let (mut sum, mut of) = (0_i64, 0_i64);
    for &(case, [first, second]) in hits {
        of += i64::from(times[case]);
        sum += i64::from(times[case]) * (i64::from(first) - i64::from(second));
    }
    (of > 0).then(|| sum as f64 / of as f64)
}

fn paired(tools: &Tools, sides: [Side; 2], class: bool) -> Result<PairedRates, ReaderStudyError> {
    let hits = hits(tools, sides, class);
    let once = vec![1; tools.study.cases.len()];
    let cases: Vec<usize> = hits.iter().map(|(case, _)| *case).collect();
    let count = |wanted: fn(&[bool; 2]) -> bool| hits.iter().filter(|(_, both)| wanted(both)).count();
    let share = |hits: usize| (!cases.is_empty()).then(|| hits as f64 / cases.len() as f64);
    let found = difference(&hits, &once);
    Ok(PairedRates {
        n: cases.len(),
        n_patients: tools.study.patients(&cases),
        first: share(count(|both| both[0])),
        second: share(count(|both| both[1])),
        difference: found,
        interval: match found {
            None => None,
            Some(_) => tools.interval(&cases, |times| difference(&hits, times))?,
        },
        mcnemar: mcnemar(
            count(|both| both[0] && !both[1]) as u64,
            count(|both| !both[0] && both[1]) as u64,
        ),
        clustered: clustered(tools, &[hits]),
    })
}

/// The z test of the mean of readers' differences, patients being independent: the differences about their means are
/// summed within patients.
fn clustered(tools: &Tools, readers: &[Vec<(usize, [bool; 2])>]) -> Option<ZTest> {
    let once = vec![1; tools.study.cases.len()];
    let mut residuals = BTreeMap::<usize, f64>::new();
    let mut mean = 0.0;
    for hits in readers {
        let own = difference(hits, &once)?;
        mean += own / readers.len() as f64;
        let share = 1.0 / (hits.len() * readers.len()) as f64;
        for &(case, [first, second]) in hits {
            let differs = f64::from(u8::from(first)) - f64::from(u8::from(second));
            *residuals.entry(tools.study.cases[case].patient).or_default() += (differs - own) * share;
        }
    }
    let patients = residuals.len() as f64;
    let squares: f64 = residuals.values().map(|residual| residual * residual).sum();
    let error = (patients / (patients - 1.0) * squares).sqrt();
    // Below rounding: no case differs, or all do alike.
    (patients > 1.0 && error > 1e-12).then(|| z_test(mean / error))
}

fn z_test(z: f64) -> ZTest {
    let p = normal_two_sided(z);
    ZTest { z, p }
}

fn areas(tools: &Tools, sides: [Side; 2]) -> Result<Mean, ReaderStudyError> {
    let cases = tools.study.common(Stratum::All, &sides);
    let seats = sides.map(|(reader, arm)| Seat::of(tools, reader, arm, cases.clone()));
    let over = |times: &[u32]| Some(seats[0].auc(times)? - seats[1].auc(times)?);
    let value = over(&vec![1; tools.study.cases.len()]);
    let interval = if value.is_some() {
        tools.interval(&cases, over)?
    } else {
        None
    };
    Ok(Mean { value, interval })
}

fn average(
    tools: &Tools,
    both: &[[Side; 2]],
    class: bool,
    metric: &'static str,
) -> Result<AverageTest, ReaderStudyError> {
    let readers: Vec<_> = both.iter().map(|&sides| hits(tools, sides, class)).collect();
    let cases: Vec<usize> = readers.iter().flatten().map(|(case, _)| *case).collect();
    let each = |times: &[u32]| readers.iter().map(|hits| difference(hits, times)).collect();
    let mut test = averaged(tools, metric, readers.len(), &cases, each)?;
    test.clustered = clustered(tools, &readers);
    Ok(test)
}

fn average_area(tools: &Tools, both: &[[Side; 2]]) -> Result<AverageTest, ReaderStudyError> {
    let study = tools.study;
    let seats: Vec<[Seat; 2]> = both
        .iter()
        .map(|&sides| {
            let cases = study.common(Stratum::All, &sides);
            sides.map(|(reader, arm)| Seat::of(tools, reader, arm, cases.clone()))
        })
        .collect();
    let cases: Vec<usize> = both
        .iter()
        .flat_map(|sides| study.common(Stratum::All, sides))
        .collect();
    let each = |times: &[u32]| {
        let own = |[first, second]: &[Seat; 2]| Some(first.auc(times)? - second.auc(times)?);
        seats.iter().map(own).collect()
    };
    averaged(tools, "auc", seats.len(), &cases, each)
}

/// Mean, interval and t test of the readers' differences.
fn averaged(
    tools: &Tools,
    metric: &'static str,
    n_readers: usize,
    cases: &[usize],
    each: impl Fn(&[u32]) -> Option<Vec<f64>> + Sync,
) -> Result<AverageTest, ReaderStudyError> {
    let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len() as f64;
    let values = each(&vec![1; tools.study.cases.len()]);
    let difference = values.as_deref().map(mean);
    let replicates = match values {
        None => None,
        Some(_) => tools.resampled(cases, |times| each(times).map(|values| mean(&values)))?,
    };
    let z = |replicates: &Replicates| Some(difference? / replicates.standard_error(0));
    let across = |values: &Vec<f64>| {
        let (n, mean) = (values.len() as f64, mean(values));
        let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
        let error = (squares / (n * (n - 1.0))).sqrt();
        (n > 1.0 && error > 1e-12).then(|| AcrossReaders {
            t: mean / error,
            df: n - 1.0,
            p: t_two_sided(mean / error, n - 1.0),
        })
    };
    Ok(AverageTest {
        metric,
        n_readers,
        difference,
        interval: replicates.as_ref().map(|replicates| replicates.interval(0)),
        clustered: replicates.as_ref().and_then(z).map(z_test),
        across_readers: values.as_ref().and_then(across),
    })
}
