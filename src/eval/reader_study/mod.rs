//! Reader studies: how well people read cases, alone and beside each other, without and with help.
//!
//! The case is the unit, the patient is what is resampled: readings of one patient's cases belong together, and so do all
//! readers' readings of one case. Intervals speak of other patients read by these readers; for other readers too, export
//! the readings to an MRMC program ([`mrmc`]).

mod agree;
mod error;
mod low_risk;
pub mod mrmc;
mod paired;
mod rates;
mod read;

use crate::stats::{Bootstrap, Clusters, Replicates, StatsError};

pub use self::{
    agree::{Agreement, GroupAgreement, WeightedKappa},
    error::ReaderStudyError,
    low_risk::{LowRisk, LowRiskCalls, LowRiskRule},
    paired::{AcrossReaders, ArmComparison, ArmReader, AverageTest, PairedRates, ReaderComparison},
    rates::{Area, Average, Mean, Rate, ReaderRow},
    read::{ReadingColumns, ReadingPlan},
};

/// A case with what is true of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Case {
    /// The patient, an index in the order of the raw identifiers.
    pub patient: usize,
    /// Whether the case is of the positive class.
    pub positive: bool,
    /// A model's score of the case, if the table has one.
    pub score: Option<f64>,
}

/// What the ratings are.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
#[serde(rename_all = "kebab-case", tag = "kind")]
pub enum Scale {
    /// Positive or not.
    Binary,
    /// Steps in their order.
    Ordinal {
        /// The steps: all whole numbers from the smallest to the largest rating, or the ratings that occur.
        steps: Vec<f64>,
    },
    /// Too many values for steps.
    Continuous,
}

/// Readings of cases by readers, in one or more arms.
///
/// ```
/// use hounsfield::{eval::reader_study::{ReaderStudy, ReadingColumns, ReadingPlan}, stats::Bootstrap, tables::TextTable};
/// let column = |name: &str, cells: [&str; 4]| (name.to_owned(), cells.map(|cell| Some(cell.to_owned())).to_vec());
/// let table = TextTable::new(vec![
///     column("reader", ["ann", "ann", "bob", "bob"]),
///     column("case", ["1", "2", "1", "2"]),
///     column("label", ["ill", "well", "ill", "well"]),
///     column("rating", ["ill", "ill", "ill", "well"]),
/// ])?;
/// let [reader, case, label, rating] = ["reader", "case", "label", "rating"].map(str::to_owned);
/// let columns = ReadingColumns { reader, case, label, rating, ..ReadingColumns::default() };
/// let plan = ReadingPlan { columns, positive: "ill".to_owned(), ..ReadingPlan::default() };
/// let report = ReaderStudy::read(&table, &plan)?.measure(&Bootstrap::default(), None)?;
/// assert_eq!(report.readers[0].sensitivity.value, Some(1.0));
/// assert_eq!(report.readers[0].specificity.value, Some(0.0));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct ReaderStudy {
    /// The label of the positive class.
    pub positive: String,
    /// The readers' names, sorted.
    pub readers: Vec<String>,
    /// The arms, the reference first and the others sorted; one empty name where the table has none.
    pub arms: Vec<String>,
    /// The cases in the order of their raw identifiers.
    pub cases: Vec<Case>,
    /// What the ratings are.
    pub scale: Scale,
    /// From this rating on, a case is called positive.
    pub cutoff: f64,
    /// What was left out or found odd while reading.
    pub notes: Vec<String>,
    /// `[readers * arms * cases]`.
    ratings: Vec<Option<f64>>,
}

/// Which cases are looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Stratum {
    /// All cases.
    All,
    /// Cases of the positive class.
    Positive,
    /// Cases of the negative class.
    Negative,
}

impl Stratum {
    const EACH: [Self; 3] = [Self::All, Self::Positive, Self::Negative];

    fn holds(self, case: &Case) -> bool {
        match self {
            Self::All => true,
            Self::Positive => case.positive,
            Self::Negative => !case.positive,
        }
    }
}

impl std::fmt::Display for Stratum {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(match self {
            Self::All => "all",
            Self::Positive => "positive",
            Self::Negative => "negative",
        })
    }
}

/// All numbers of a reader study.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct ReaderReport {
    /// `hounsfield-readers/1`.
    pub schema: String,
    /// The label of the positive class.
    pub positive: String,
    /// What one reading is of: a case.
    pub unit: String,
    /// What the ratings are.
    pub scale: Scale,
    /// From this rating on, a case is called positive.
    pub cutoff: f64,
    /// Cases that anybody read.
    pub n_cases: usize,
    /// Those of the positive class.
    pub n_positive: usize,
    /// Their patients.
    pub n_patients: usize,
    /// Readings of all readers in all arms.
    pub n_readings: usize,
    /// The arms, the reference first; empty without arms.
    pub arms: Vec<String>,
    /// Confidence level of all intervals.
    pub level: f64,
    /// Bootstrap resamples.
    pub resamples: usize,
    /// Seed of the resamples.
    pub seed: u64,
    /// Each reader in each arm.
    pub readers: Vec<ReaderRow>,
    /// The readers' mean in each arm.
    pub averages: Vec<Average>,
    /// Each pair of readers in each arm, in all cases and in each class.
    pub agreement: Vec<Agreement>,
    /// All readers of each arm together.
    pub group_agreement: Vec<GroupAgreement>,
    /// Each pair of readers' sensitivities and specificities.
    pub reader_comparisons: Vec<ReaderComparison>,
    /// Each reader in each arm against the reference arm, and the readers' mean.
    pub arm_comparisons: Vec<ArmComparison>,
    /// Readings of the cases that a model scores low.
    pub low_risk: Option<LowRisk>,
    /// What to know before the numbers.
    pub warnings: Vec<String>,
}

impl ReaderStudy {
    /// The rating, if this reader read this case in this arm.
    pub fn rating(&self, reader: usize, arm: usize, case: usize) -> Option<f64> {
        self.ratings[(reader * self.arms.len() + arm) * self.cases.len() + case]
    }

    /// Whether the reading calls the case positive.
    pub fn call(&self, reader: usize, arm: usize, case: usize) -> Option<bool> {
        self.rating(reader, arm, case).map(|rating| rating >= self.cutoff)
    }

    /// The arm's name; `None` where the table has no arms.
    fn arm(&self, arm: usize) -> Option<String> {
        Some(self.arms[arm].clone()).filter(|name| !name.is_empty())
    }

    /// Cases of the stratum that all of the `seats` (reader, arm) read.
    fn common(&self, stratum: Stratum, seats: &[(usize, usize)]) -> Vec<usize> {
        let read = |case: &usize| {
            let by_all = |&(reader, arm): &(usize, usize)| self.rating(reader, arm, *case).is_some();
            stratum.holds(&self.cases[*case]) && seats.iter().all(by_all)
        };
        (0..self.cases.len()).filter(read).collect()
    }

    /// Number of patients whose these cases are.
    fn patients(&self, cases: &[usize]) -> usize {
        let of: std::collections::BTreeSet<usize> = cases.iter().map(|&case| self.cases[case].patient).collect();
        of.len()
    }

    /// Measures everything.
    ///
    /// # Errors
    ///
    /// Settings that make no interval; a low-risk subset without scores.
    pub fn measure(
        &self,
        bootstrap: &Bootstrap,
        low_risk: Option<LowRiskRule>,
    ) -> Result<ReaderReport, ReaderStudyError> {
        bootstrap.check()?;
        let patients: Vec<usize> = self.cases.iter().map(|case| case.patient).collect();
        let tools = Tools {
            study: self,
            bootstrap,
            clusters: Clusters::new(&patients),
        };
        let mut warnings = self.notes.clone();
        let (readers, averages) = rates::measure(&tools)?;
        let (agreement, group_agreement) = agree::measure(&tools)?;
        let reader_comparisons = paired::readers(&tools)?;
        let arm_comparisons = paired::arms(&tools)?;
        let low_risk = low_risk.map(|rule| low_risk::measure(&tools, rule)).transpose()?;
        warnings.extend(self.cautions(&tools, &agreement));
        warnings.extend(low_risk.iter().flat_map(|subset| subset.warnings.clone()));
        Ok(ReaderReport {
            schema: "hounsfield-readers/1".to_owned(),
            positive: self.positive.clone(),
            unit: "case".to_owned(),
            scale: self.scale.clone(),
            cutoff: self.cutoff,
            n_cases: self.cases.len(),
            n_positive: self.cases.iter().filter(|case| case.positive).count(),
            n_patients: tools.clusters.count(),
            n_readings: self.ratings.iter().flatten().count(),
            arms: self.arms.iter().filter(|arm| !arm.is_empty()).cloned().collect(),
            level: bootstrap.level,
            resamples: bootstrap.resamples,
            seed: bootstrap.seed,
            readers,
            averages,
            agreement,
            group_agreement,
            reader_comparisons,
            arm_comparisons,
            low_risk,
            warnings,
        })
    }

    /// What to know before the numbers.
    fn cautions(&self, tools: &Tools, agreement: &[Agreement]) -> Vec<String> {
        let mut warnings = Vec::new();
        let (readers, arms, cases) = (self.readers.len(), self.arms.len(), self.cases.len());
        let patients = tools.clusters.count();
        let all: Vec<usize> = (0..cases).collect();
        for (stratum, rate) in [(Stratum::Positive, "sensitivity"), (Stratum::Negative, "specificity")] {
            let of_class: Vec<usize> = all
                .iter()
                .copied()
                .filter(|&case| stratum.holds(&self.cases[case]))
                .collect();
            match self.patients(&of_class) {
                0 => warnings.push(format!("no {stratum} case was read: there is no {rate} and no AUC")),
                few if few < 10 => warnings.push(format!(
                    "{few} {stratum} {}: with fewer than 10 the {rate} is no evidence alone",
                    plural(few, "patient")
                )),
                _ => {}
            }
        }
        if patients < cases {
            warnings.push(format!(
                "{cases} cases are of {patients} {}: Wilson, Clopper-Pearson, McNemar and asymptotic intervals of kappa \
                 take cases as independent and are too sure; go by the patient-cluster numbers",
                plural(patients, "patient")
            ));
        }
        let missing = self.ratings.iter().filter(|rating| rating.is_none()).count();
        if missing > 0 {
            warnings.push(format!(
                "{missing} of {} readings (readers x arms x cases) are missing: each comparison is on the cases that both \
                 sides read",
                self.ratings.len()
            ));
            for arm in 0..arms {
                let of_reader = |reader| self.common(Stratum::All, &[(reader, arm)]).len();
                let counts: Vec<usize> = (0..readers).map(of_reader).collect();
                let name = self.arm(arm).map_or(String::new(), |arm| format!(" in arm {arm}"));
                if counts.iter().any(|&count| count != counts[0]) {
                    let counts: Vec<String> = counts.iter().map(usize::to_string).collect();
                    warnings.push(format!(
                        "the design is unequal{name}: the readers read {} cases, so their rates are of different cases",
                        counts.join(", ")
                    ));
                }
            }
        }
        if readers == 1 {
            warnings.push("one reader: there is no agreement between readers, and no mean of readers".to_owned());
        }
        for reader in 0..readers {
            for arm in 0..arms {
                let mut calls = (0..cases).filter_map(|case| self.call(reader, arm, case));
                let Some(first) = calls.next() else { continue };
                if calls.all(|call| call == first) {
                    let class = if first { "positive" } else { "negative" };
                    warnings.push(format!("{} calls every case {class}", self.seat(reader, arm)));
                }
            }
        }
        let undefined = agreement.iter().filter(|row| row.n > 0 && row.kappa.is_none()).count();
        if undefined > 0 {
            warnings.push(format!(
                "kappa is not defined in {undefined} of {} comparisons: both readers give one answer throughout, so that \
                 chance alone explains their agreement",
                agreement.len()
            ));
        }
        warnings
    }

    /// A reader in an arm, in words.
    fn seat(&self, reader: usize, arm: usize) -> String {
        let name = &self.readers[reader];
        self.arm(arm)
            .map_or_else(|| name.clone(), |arm| format!("{name} ({arm})"))
    }
}

/// What every part measures with.
struct Tools<'a> {
    study: &'a ReaderStudy,
    bootstrap: &'a Bootstrap,
    clusters: Clusters,
}

impl Tools<'_> {
    /// A statistic of the `cases` in resampled patients; `None` where they are of fewer than two patients, or where all
    /// resamples agree and an interval would have no width.
    fn resampled<F>(&self, cases: &[usize], statistic: F) -> Result<Option<Replicates>, ReaderStudyError>
    where
        F: Fn(&[u32]) -> Option<f64> + Sync,
    {
        if self.study.patients(cases) < 2 {
            return Ok(None);
        }
        let drawn = self
            .bootstrap
            .resample(&self.clusters, |times| statistic(times).map(|value| vec![value]));
        match drawn {
            Ok(replicates) => {
                let [lower, upper] = replicates.interval(0);
                Ok((lower < upper).then_some(replicates))
            }
            Err(StatsError::Undefined { .. }) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// The percentile interval of [`Self::resampled`].
    fn interval<F>(&self, cases: &[usize], statistic: F) -> Result<Option<[f64; 2]>, ReaderStudyError>
    where
        F: Fn(&[u32]) -> Option<f64> + Sync,
    {
        let replicates = self.resampled(cases, statistic)?;
        Ok(replicates.map(|replicates| replicates.interval(0)))
    }
}

fn plural(count: usize, word: &str) -> String {
    if count == 1 {
        word.to_owned()
    } else {
        format!("{word}s")
    }
}
