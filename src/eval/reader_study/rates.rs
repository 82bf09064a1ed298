//! Sensitivity, specificity and AUC of each reader, and the readers' mean.

use super::{ReaderStudyError, Scale, Stratum, Tools};
use crate::stats::{Ranking, clopper_pearson, newcombe, wilson};

/// A proportion with its intervals.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct Rate {
    /// Cases called as they are.
    pub hits: usize,
    /// Cases of the class.
    pub of: usize,
    /// Their patients.
    pub patients: usize,
    /// The proportion; `None` without cases.
    pub value: Option<f64>,
    /// Percentile interval over resampled patients, Wilson's on the patients where all resamples agree; `None` with fewer
    /// than two patients.
    pub interval: Option<[f64; 2]>,
    /// How the interval was made.
    pub interval_method: String,
    /// Wilson's interval, as if cases were independent.
    pub wilson: Option<[f64; 2]>,
    /// Clopper and Pearson's interval, as if cases were independent.
    pub clopper_pearson: Option<[f64; 2]>,
}

/// An area under the curve of the ratings.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct Area {
    /// By midranks; `None` where a class is absent.
    pub value: Option<f64>,
    /// Percentile interval over resampled patients, Newcombe's on the patients where all resamples agree.
    pub interval: Option<[f64; 2]>,
    /// How the interval was made.
    pub interval_method: String,
}

/// One reader in one arm.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct ReaderRow {
    /// The reader.
    pub reader: String,
    /// The arm; `None` without arms.
    pub arm: Option<String>,
    /// Cases that the reader read.
    pub n_cases: usize,
    /// Their patients.
    pub n_patients: usize,
    /// Positives called positive.
    pub sensitivity: Rate,
    /// Negatives called negative.
    pub specificity: Rate,
    /// Of ratings with more than two steps.
    pub auc: Option<Area>,
}

/// A mean over readers.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct Mean {
    /// Every reader counts the same; `None` where one of them has no value.
    pub value: Option<f64>,
    /// Percentile interval over resampled patients, for these readers.
    pub interval: Option<[f64; 2]>,
}

/// The readers' mean in one arm.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct Average {
    /// The arm; `None` without arms.
    pub arm: Option<String>,
    /// Readers that read anything in the arm.
    pub n_readers: usize,
    /// Mean sensitivity.
    pub sensitivity: Mean,
    /// Mean specificity.
    pub specificity: Mean,
    /// Mean AUC, of ratings with more than two steps.
    pub auc: Option<Mean>,
}

/// A reader in an arm with the ratings of the cases that were read.
pub(super) struct Seat {
    cases: Vec<usize>,
    positive: Vec<bool>,
    called: Vec<bool>,
    ranking: Ranking,
}

impl Seat {
    pub fn of(tools: &Tools, reader: usize, arm: usize, cases: Vec<usize>) -> Self {
        let study = tools.study;
        let positive: Vec<bool> = cases.iter().map(|&case| study.cases[case].positive).collect();
        // Only cases that were read are handed in.
        let rating: Vec<f64> = cases
            .iter()
            .filter_map(|&case| study.rating(reader, arm, case))
            .collect();
        Self {
            called: rating.iter().map(|&rating| rating >= study.cutoff).collect(),
            ranking: Ranking::new(&positive, &rating),
            positive,
            cases,
        }
    }

    /// Sensitivity (`class` true) or specificity with each case `times` over.
    pub fn rate(&self, class: bool, times: &[u32]) -> Option<f64> {
        let (mut hits, mut of) = (0_u64, 0_u64);
        for ((&case, &positive), &called) in self.cases.iter().zip(&self.positive).zip(&self.called) {
            if positive == class {
                of += u64::from(times[case]);
                hits += u64::from(times[case]) * u64::from(called == class);
            }
        }
        (of > 0).then(|| hits as f64 / of as f64)
    }

    pub fn auc(&self, times: &[u32]) -> Option<f64> {
        let own: Vec<u32> = self.cases.iter().map(|&case| times[case]).collect();
        self.ranking.auc(&own)
    }

    fn of_class(&self, class: bool) -> Vec<usize> {
        let pairs = self.cases.iter().zip(&self.positive);
        pairs
            .filter(|(_, positive)| **positive == class)
            .map(|(&case, _)| case)
            .collect()
    }
}

/// Every reader in every arm, and the means.
pub(super) fn measure(tools: &Tools) -> Result<(Vec<ReaderRow>, Vec<Average>), ReaderStudyError> {
    let study = tools.study;
    let (mut rows, mut averages) = (Vec::new(), Vec::new());
    for arm in 0..study.arms.len() {
        let mut seats = Vec::new();
        for reader in 0..study.readers.len() {
            let cases = study.common(Stratum::All, &[(reader, arm)]);
            if cases.is_empty() {
                continue;
            }
            let seat = Seat::of(tools, reader, arm, cases);
            rows.push(ReaderRow {
                reader: study.readers[reader].clone(),
                arm: study.arm(arm),
                n_cases: seat.cases.len(),
                n_patients: study.patients(&seat.cases),
                sensitivity: rate(tools, &seat, true)?,
                specificity: rate(tools, &seat, false)?,
                auc: match study.scale {
                    Scale::Binary => None,
                    _ => Some(area(tools, &seat)?),
                },
            });
            seats.push(seat);
        }
        if seats.len() > 1 {
            averages.push(average(tools, arm, &seats)?);
        }
    }
    Ok((rows, averages))
}

fn rate(tools: &Tools, seat: &Seat, class: bool) -> Result<Rate, ReaderStudyError> {
    let level = tools.bootstrap.level;
    let cases = seat.of_class(class);
    let patients = tools.study.patients(&cases);
    let of = cases.len();
    let value = seat.rate(class, &vec![1; tools.study.cases.len()]);
    let hits = (value.unwrap_or(0.0) * of as f64).round() as usize;
    let (interval, interval_method) = match value {
        None => (None, "not defined, no case of the class was read".to_owned()),
        Some(_) if patients < 2 => (None, "no interval, fewer than 2 patients".to_owned()),
        Some(value) if value == 0.0 || value == 1.0 => (
            Some(wilson(value as usize * patients, patients, level)?),
            format!("Wilson on {patients} patients, as all resamples agree"),
        ),
        Some(_) => (
            tools.interval(&cases, |times| seat.rate(class, times))?,
            "patient-cluster bootstrap, percentile".to_owned(),
        ),
    };
    let some = (of > 0).then_some(of);
    Ok(Rate {
        hits,
        of,
        patients,
        value,
        interval,
        interval_method,
        wilson: some.map(|of| wilson(hits, of, level)).transpose()?,
        clopper_pearson: some.map(|of| clopper_pearson(hits, of, level)).transpose()?,
    })
}

fn area(tools: &Tools, seat: &Seat) -> Result<Area, ReaderStudyError> {
    let value = seat.auc(&vec![1; tools.study.cases.len()]);
    let [positives, negatives] = [true, false].map(|class| tools.study.patients(&seat.of_class(class)));
    let (interval, method) = match value {
        None => (None, "not defined, one class is absent".to_owned()),
        Some(_) if positives.min(negatives) < 2 => (None, "no interval, fewer than 2 patients in a class".to_owned()),
        Some(value) if value == 0.0 || value == 1.0 => (
            Some(newcombe(value, positives, negatives, tools.bootstrap.level)?),
            format!("Newcombe on {} patients, as all resamples agree", positives + negatives),
        ),
        Some(_) => (
            tools.interval(&seat.cases, |times| seat.auc(times))?,
            "patient-cluster bootstrap, percentile".to_owned(),
        ),
    };
    Ok(Area {
        value,
        interval,
        interval_method: method,
    })
}

fn average(tools: &Tools, arm: usize, seats: &[Seat]) -> Result<Average, ReaderStudyError> {
    let once = vec![1; tools.study.cases.len()];
    let cases: Vec<usize> = seats.iter().flat_map(|seat| seat.cases.iter().copied()).collect();
    let mean = |of: &(dyn Fn(&Seat, &[u32]) -> Option<f64> + Sync)| -> Result<Mean, ReaderStudyError> {
        let over = |times: &[u32]| {
            let values = seats.iter().map(|seat| of(seat, times)).collect::<Option<Vec<f64>>>()?;
            Some(values.iter().sum::<f64>() / values.len() as f64)
        };
        let value = over(&once);
        let interval = if value.is_some() {
            tools.interval(&cases, over)?
        } else {
            None
        };
        Ok(Mean { value, interval })
    };
    Ok(Average {
        arm: tools.study.arm(arm),
        n_readers: seats.len(),
        sensitivity: mean(&|seat, times| seat.rate(true, times))?,
        specificity: mean(&|seat, times| seat.rate(false, times))?,
        auc: match tools.study.scale {
            Scale::Binary => None,
            _ => Some(mean(&|seat, times| seat.auc(times))?),
        },
    })
}
