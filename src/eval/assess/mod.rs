//! All that reviewers ask of a score: the ROC curve and its area, operating points, predictive values, calibration and
//! net benefit, each with the intervals that have a name.

mod intervals;
mod measures;
mod plan;
mod probabilities;
mod statistics;
mod table;

use self::{intervals::Intervals, measures::Measures, statistics::Statistics};
pub use self::{
    plan::{AssessPlan, Cut},
    table::assess_table,
};
use super::{
    EvalError, ResultRow, RocCurve, Scores,
    caution::{Size, flat, turned},
    roc::{self, BandPoint, GRID, RocPoint},
};
use crate::stats::{CalibrationBin, Clusters};

/// How an interval was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Interval {
    /// Percentile interval of resampled patients.
    Bootstrap,
    /// The same resamples, bias-corrected and accelerated.
    Bca,
    /// Percentile interval with the threshold of the data kept in all resamples.
    ThresholdKept,
    /// DeLong's, rows taken for independent.
    Delong,
    /// DeLong's with the rows of a patient as dependent as they are (Obuchowski).
    ClusteredDelong,
    /// Score interval of a proportion.
    Wilson,
    /// Exact interval of a proportion.
    ClopperPearson,
    /// Score interval of an AUC.
    Newcombe,
    /// From the ends of the intervals of sensitivity and specificity.
    Ends,
}

impl std::fmt::Display for Interval {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(match self {
            Self::Bootstrap => "bootstrap",
            Self::Bca => "BCa",
            Self::ThresholdKept => "threshold kept",
            Self::Delong => "DeLong",
            Self::ClusteredDelong => "clustered DeLong",
            Self::Wilson => "Wilson",
            Self::ClopperPearson => "Clopper-Pearson",
            Self::Newcombe => "Newcombe",
            Self::Ends => "ends of both",
        })
    }
}

/// One number with one of its intervals.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Measure {
    /// The number; `method` says all.
    #[serde(flatten)]
    pub row: ResultRow,
    /// How its interval was made; `None` where none was tried.
    pub interval: Option<Interval>,
    /// Why there is no value or no interval, or what is odd about it.
    pub note: Option<String>,
}

/// Net benefit at one threshold probability.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Decision {
    /// The probability from which on one would treat.
    pub threshold: f64,
    /// Net benefit of treating by the score.
    pub model: f64,
    /// Pointwise percentile interval of it.
    pub model_ci: Option<[f64; 2]>,
    /// Net benefit of treating everyone; no one's is 0.
    pub all: f64,
}

/// One score on one set or subgroup.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Assessment {
    /// The column of the score.
    pub head: String,
    /// The set, `all` where there are none.
    pub set: String,
    /// Column and value of the subgroup, if it is one.
    pub group: Option<[String; 2]>,
    /// How the threshold came about.
    pub cut: String,
    /// Patients with rows of the positive and of the negative class.
    pub class_patients: [usize; 2],
    /// All numbers.
    pub measures: Vec<Measure>,
    /// The ROC curve; `None` where one class is absent.
    pub roc: Option<RocCurve>,
    /// The calibration curve; empty where scores are no probabilities.
    pub calibration: Vec<CalibrationBin>,
    /// The decision curve; empty where scores are no probabilities or one class is absent.
    pub decision: Vec<Decision>,
    /// What a reader must know before the numbers.
    pub warnings: Vec<String>,
    /// Why the training of the score must be taken for one that did not converge.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_converged: Option<String>,
}

impl Assessment {
    /// The measure of a metric with this kind of interval.
    pub fn by(&self, metric: &str, interval: Interval) -> Option<&Measure> {
        let own = |measure: &&Measure| measure.row.metric == metric && measure.interval == Some(interval);
        self.measures.iter().find(own)
    }

    /// The first measure of a metric.
    pub fn get(&self, metric: &str) -> Option<&Measure> {
        self.measures.iter().find(|measure| measure.row.metric == metric)
    }
}

/// Measures one score on one set. All bootstrap intervals come from one pass of resampled patients.
///
/// ```
/// use hounsfield::{
///     eval::{AssessPlan, Scores, Unit, assess},
///     stats::Bootstrap,
/// };
/// let positive = vec![true, true, true, false, false, false, true, false];
/// let score = vec![0.9, 0.8, 0.4, 0.3, 0.5, 0.1, 0.7, 0.2];
/// let scores = Scores::new(positive, score, (0..8).collect())?;
/// let plan = AssessPlan { bootstrap: Bootstrap { resamples: 200, ..Bootstrap::default() }, ..AssessPlan::default() };
/// let found = assess("model", "test", &scores, &plan)?;
/// assert_eq!(found.get("auc").unwrap().row.value, Some(15.0 / 16.0));
/// # Ok::<(), hounsfield::eval::EvalError>(())
/// ```
///
/// # Errors
///
/// No rows, settings that make no interval, patients of both classes pooled. Degenerate scores are no errors: what is not
/// defined has no value and a note that says why.
pub fn assess(head: &str, set: &str, scores: &Scores, plan: &AssessPlan) -> Result<Assessment, EvalError> {
    plan.check()?;
    if scores.is_empty() {
        return Err(EvalError::Empty { set: set.to_owned() });
    }
    let pooled = scores.pool(plan.unit, plan.pool)?;
    let units = pooled.scores.as_ref();
    let size = Size::of(units);
    let statistics = Statistics::new(units, plan);
    let clusters = Clusters::new(units.patient());
    let replicates = plan.bootstrap.resample(&clusters, |weights| statistics.of(weights))?;
    let intervals = Intervals::new(&replicates, &plan.bootstrap);
    let ones = vec![1; units.len()];
    // All rows hold all classes that there are.
    let point = statistics.of(&ones).unwrap_or_default();

    let mut warnings = size.warnings(set, plan.unit, pooled.mixed);
    let measures = Measures {
        head,
        set,
        rows: scores.len(),
        units,
        size: &size,
        clusters: &clusters,
        plan,
        statistics: &statistics,
        intervals: &intervals,
        point: &point,
    };
    let mut found = measures.of_ranking()?;
    found.extend(measures.of_cut()?);
    found.extend(measures.of_targets()?);
    found.extend(measures.of_probabilities(&mut warnings)?);
    if let Some(auc) = found.first() {
        warnings.extend(turned(&auc.row));
    }
    if measures.frozen() {
        warnings.extend(flat(head, set, plan.unit, &statistics.called()));
    }

    let value = |metric: &str| -> f64 {
        let found = found.iter().find(|measure| measure.row.metric == metric);
        found.and_then(|measure| measure.row.value).unwrap_or_default()
    };
    let roc = statistics.both().then(|| {
        let [first, ..] = statistics.curves();
        let varies = found
            .first()
            .is_some_and(|auc| auc.interval == Some(Interval::Bootstrap) && auc.row.ci.is_some());
        let band = |step: u64| {
            let [lower, upper] = replicates.interval(first + step as usize);
            let fpr = step as f64 / GRID as f64;
            BandPoint { fpr, lower, upper }
        };
        RocCurve {
            features: String::new(),
            head: head.to_owned(),
            set: set.to_owned(),
            unit: plan.unit,
            points: roc::corners(&statistics.ranking, &ones),
            operating: RocPoint {
                threshold: None,
                fpr: 1.0 - value("specificity"),
                tpr: value("sensitivity"),
            },
            // Without spread in the resamples a band would only pretend to certainty.
            band: if varies {
                (0..=GRID).map(band).collect()
            } else {
                Vec::new()
            },
            level: plan.bootstrap.level,
        }
    });
    let (calibration, decision) = (measures.calibration()?, measures.decision());
    Ok(Assessment {
        head: head.to_owned(),
        set: set.to_owned(),
        group: None,
        cut: measures.cut(),
        class_patients: [size.positive_patients, size.negative_patients],
        measures: found,
        roc,
        calibration,
        decision,
        warnings,
        not_converged: None,
    })
}
