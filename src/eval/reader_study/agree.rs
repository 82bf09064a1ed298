//! How far readers agree, in all cases and in each class: agreement in positives says nothing of agreement in negatives.

use super::{ReaderStudyError, Scale, Stratum, Tools};
use crate::stats::{FleissKappa, Kappa, KappaWeights, PairTable, fleiss_kappa, fleiss_kappa_with_error};

/// A kappa of the ratings' steps.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct WeightedKappa {
    /// How much a disagreement counts.
    pub weights: KappaWeights,
    /// The kappa with its asymptotic errors; `None` where chance alone explains the agreement.
    pub kappa: Option<Kappa>,
    /// Percentile interval over resampled patients.
    pub interval: Option<[f64; 2]>,
}

/// Two readers in one arm and one stratum.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct Agreement {
    /// The first reader.
    pub first: String,
    /// The second reader.
    pub second: String,
    /// The arm; `None` without arms.
    pub arm: Option<String>,
    /// Which cases.
    pub stratum: Stratum,
    /// Cases that both read.
    pub n: usize,
    /// Their patients.
    pub n_patients: usize,
    /// Calls `[[++, +-], [-+, --]]`, the first reader's in rows.
    pub table: [[u64; 2]; 2],
    /// Share of the cases that both call alike.
    pub agreement: Option<f64>,
    /// Cohen's kappa of the calls with its asymptotic errors.
    pub kappa: Option<Kappa>,
    /// Percentile interval of kappa over resampled patients.
    pub interval: Option<[f64; 2]>,
    /// Prevalence- and bias-adjusted kappa.
    pub adjusted_kappa: Option<f64>,
    /// Kappas of ordinal ratings.
    pub weighted: Vec<WeightedKappa>,
}

/// All readers in one arm and one stratum.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct GroupAgreement {
    /// The arm; `None` without arms.
    pub arm: Option<String>,
    /// Which cases.
    pub stratum: Stratum,
    /// Readers that read anything in the arm.
    pub n_readers: usize,
    /// Cases that at least two of them read.
    pub n: usize,
    /// Their patients.
    pub n_patients: usize,
    /// Fleiss' kappa of the calls with its asymptotic errors.
    pub kappa: Option<FleissKappa>,
    /// Percentile interval over resampled patients.
    pub interval: Option<[f64; 2]>,
}

/// Every pair and every group.
pub(super) fn measure(tools: &Tools) -> Result<(Vec<Agreement>, Vec<GroupAgreement>), ReaderStudyError> {
    let study = tools.study;
    let (mut pairs, mut groups) = (Vec::new(), Vec::new());
    for arm in 0..study.arms.len() {
        for first in 0..study.readers.len() {
            for second in first + 1..study.readers.len() {
                for stratum in Stratum::EACH {
                    pairs.push(pair(tools, [first, second], arm, stratum)?);
                }
            }
        }
        for stratum in Stratum::EACH {
            groups.extend(group(tools, arm, stratum)?);
        }
    }
    Ok((pairs, groups))
}

fn pair(tools: &Tools, readers: [usize; 2], arm: usize, stratum: Stratum) -> Result<Agreement, ReaderStudyError> {
    let study = tools.study;
    let cases = study.common(stratum, &readers.map(|reader| (reader, arm)));
    // Only cases that both read: positive calls are category 0, so that the table reads ++ first.
    let called = readers.map(|reader| -> Vec<usize> {
        let calls = cases.iter().filter_map(|&case| study.call(reader, arm, case));
        calls.map(|call| usize::from(!call)).collect()
    });
    let table = PairTable::of_ratings(&called[0], &called[1], &vec![1; cases.len()], 2);
    let (kappa, interval) = kappa(tools, &cases, &called, 2, KappaWeights::Unweighted)?;
    let mut weighted = Vec::new();
    if let Scale::Ordinal { steps } = &study.scale {
        let rated = readers.map(|reader| -> Vec<usize> {
            let ratings = cases.iter().filter_map(|&case| study.rating(reader, arm, case));
            // Every rating is a step.
            ratings
                .map(|rating| steps.iter().position(|&step| step == rating).unwrap_or_default())
                .collect()
        });
        for weights in [KappaWeights::Unweighted, KappaWeights::Linear, KappaWeights::Quadratic] {
            let (kappa, interval) = self::kappa(tools, &cases, &rated, steps.len(), weights)?;
            weighted.push(WeightedKappa {
                weights,
                kappa,
                interval,
            });
        }
    }
    Ok(Agreement {
        first: study.readers[readers[0]].clone(),
        second: study.readers[readers[1]].clone(),
        arm: study.arm(arm),
        stratum,
        n: cases.len(),
        n_patients: study.patients(&cases),
        table: [0, 1].map(|i| [0, 1].map(|j| table.count(i, j))),
        agreement: table.agreement(),
        kappa,
        interval,
        adjusted_kappa: table.adjusted_kappa(),
        weighted,
    })
}

/// Cohen's kappa of two readers' categories, and its interval over resampled patients.
fn kappa(
    tools: &Tools,
    cases: &[usize],
    given: &[Vec<usize>; 2],
    categories: usize,
    weights: KappaWeights,
) -> Result<(Option<Kappa>, Option<[f64; 2]>), ReaderStudyError> {
    let table = |times: &[u32]| PairTable::of_ratings(&given[0], &given[1], times, categories);
    let kappa = table(&vec![1; cases.len()]).kappa_with_error(weights, tools.bootstrap.level)?;
    let interval = match kappa {
        None => None,
        Some(_) => tools.interval(cases, |times| {
            let own: Vec<u32> = cases.iter().map(|&case| times[case]).collect();
            table(&own).kappa(weights)
        })?,
    };
    Ok((kappa, interval))
}

/// All readers of an arm; `None` for fewer than three, whom Cohen's kappa describes.
fn group(tools: &Tools, arm: usize, stratum: Stratum) -> Result<Option<GroupAgreement>, ReaderStudyError> {
    let study = tools.study;
    let all = 0..study.readers.len();
    let readers = all.filter(|&reader| !study.common(Stratum::All, &[(reader, arm)]).is_empty());
    let readers: Vec<usize> = readers.collect();
    if readers.len() < 3 {
        return Ok(None);
    }
    let (mut cases, mut given) = (Vec::new(), Vec::new());
    for case in study.common(stratum, &[]) {
        let calls: Vec<bool> = readers
            .iter()
            .filter_map(|&reader| study.call(reader, arm, case))
            .collect();
        if calls.len() > 1 {
            let positive = calls.iter().filter(|&&call| call).count();
            cases.push(case);
            given.push(vec![positive as u64, (calls.len() - positive) as u64]);
        }
    }
    let kappa = fleiss_kappa_with_error(&given, tools.bootstrap.level)?;
    let interval = match kappa {
        None => None,
        Some(_) => tools.interval(&cases, |times| {
            let own: Vec<u32> = cases.iter().map(|&case| times[case]).collect();
            fleiss_kappa(&given, &own)
        })?,
    };
    Ok(Some(GroupAgreement {
        arm: study.arm(arm),
        stratum,
        n_readers: readers.len(),
        n: cases.len(),
        n_patients: study.patients(&cases),
        kappa,
        interval,
    }))
}
