//! The kinds of claims, each with the inputs that its recomputation needs.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{ClaimsError, Verdict, agreement, counts, means, performance};

/// How a claim is recomputed. The verdict follows from the rule of the kind.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
#[expect(missing_docs, reason = "fields carry the names of what the papers print")]
pub enum Check {
    /// Parts add up to the total, or contradict it.
    Sum { parts: Vec<u64>, total: u64 },
    /// Several ways to count the same give the same.
    EqualSums { sides: Vec<Vec<u64>> },
    /// What is left.
    Difference { from: u64, less: u64, result: u64 },
    /// A share in percent, printed with so many decimals.
    Percentage {
        hits: u64,
        of: u64,
        percent: f64,
        decimals: u32,
    },
    /// A share of rows in whole percent, shown with the intervals that were not printed.
    Proportion {
        hits: usize,
        of: usize,
        percent: f64,
        /// The same share in patients.
        #[serde(default)]
        patients: Option<[usize; 2]>,
        /// The interval that is printed, where it is one of a harder question.
        #[serde(default)]
        interval: Option<[f64; 2]>,
    },
    /// The mean of printed values, which are taken as they are printed.
    Mean { values: Vec<f64>, mean: f64, decimals: u32 },
    /// The mean (and standard deviation) of groups together; the groups' figures are rounded to `input_decimals`.
    WeightedMean {
        groups: Vec<Group>,
        input_decimals: u32,
        mean: f64,
        decimals: u32,
        #[serde(default)]
        sd: Option<f64>,
    },
    /// Groups have one mean (analysis of variance from summaries); means are rounded to `input_decimals`.
    EqualMeans {
        groups: Vec<Group>,
        input_decimals: u32,
        p: PrintedP,
    },
    /// Rows and columns of counts are independent.
    Independence {
        table: Vec<Vec<u64>>,
        test: Independence,
        p: PrintedP,
    },
    /// A printed split and the saved numbers of rows: rows that are cut to the last one were not split by patient.
    CutOfRows {
        ratio: Vec<u64>,
        patients: u64,
        rows: Vec<u64>,
    },
    /// What the paper says and what its authors' program does.
    TwoSources {
        items: Vec<String>,
        printed: Vec<f64>,
        other: Vec<f64>,
        source: String,
    },
    /// Whole percentages are shares of so many units (the test of Brown & Heathers 2017, doi:10.1177/1948550616673876).
    Granularity {
        series: Vec<Series>,
        units: Vec<u64>,
        of: String,
    },
    /// An AUC is a whole number of (half) pairs of positives and negatives.
    AucPairs {
        auc: f64,
        decimals: u32,
        positives: usize,
        negatives: usize,
    },
    /// A percentile bootstrap of rows is known exactly: binomial quantiles. Clusters make it wider.
    ResampledProportion {
        hits: u64,
        of: u64,
        percent: f64,
        interval: [f64; 2],
        patients: u64,
    },
    /// Two readers' 2 x 2 table follows from their margins and kappa.
    KappaFromMargins {
        margins: [u64; 2],
        of: u64,
        kappa: f64,
        decimals: u32,
        interval: [f64; 2],
        patients: u64,
    },
    /// Two readers on the same cases, by the tables that follow from margins and kappa.
    PairedReaders { pairs: Vec<Pair>, p: PrintedP },
    /// An AUC's interval lies between that of independent rows and that of as many rows as patients.
    AucInterval {
        auc: f64,
        interval: [f64; 2],
        decimals: u32,
        level: f64,
        positives: usize,
        negatives: usize,
        positive_patients: usize,
    },
    /// Two AUCs on the same cases, whose correlation is not printed.
    AucDifference {
        aucs: [f64; 2],
        positives: usize,
        negatives: usize,
        positive_patients: usize,
        correlations: [f64; 2],
        p: PrintedP,
    },
    /// A level that is said to be adjusted for multiplicity.
    Bonferroni { alpha: f64, level: f64, families: Vec<u64> },
    /// A range that is worded as an effect.
    EffectRange {
        printed: [f64; 2],
        estimate: f64,
        interval: [f64; 2],
    },
    /// The number of classes in a formula and in the task.
    ClassCount { printed: u64, classes: Vec<String> },
    /// Only data can tell.
    Data { needs: String },
    /// A setting.
    Config {},
}

/// A group's summary.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Group {
    /// Its size.
    pub n: u64,
    /// Its mean.
    pub mean: f64,
    /// Its standard deviation, where it is printed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sd: Option<f64>,
}

/// Percentages of one kind.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Series {
    /// What they are, e.g. `sensitivities`.
    pub name: String,
    /// Whole percentages.
    pub percents: Vec<f64>,
}

/// Two readers' agreement on one class.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Pair {
    /// What is compared, e.g. `specificity`.
    pub name: String,
    /// Cases that each reader called positive.
    pub margins: [u64; 2],
    /// Cases.
    pub of: u64,
    /// The printed kappa.
    pub kappa: f64,
    /// Its decimals.
    pub decimals: u32,
}

/// A test of independence.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Independence {
    /// Without continuity correction.
    ChiSquared,
    /// Exact, two-sided.
    Fisher,
}

/// What is printed of a p-value.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize, Serialize)]
#[serde(untagged, deny_unknown_fields)]
pub enum PrintedP {
    /// The number.
    Value {
        /// As printed.
        value: f64,
        /// Decimals.
        decimals: u32,
    },
    /// An upper bound.
    Below {
        /// The bound.
        below: f64,
    },
    /// A lower bound, or "no significant difference".
    Above {
        /// The bound.
        above: f64,
    },
}

impl PrintedP {
    /// The verdict on a p-value with the range that rounding of its inputs leaves.
    pub(super) fn verdict(self, p: f64, [low, high]: [f64; 2]) -> Verdict {
        let (at_print, within_reach) = match self {
            Self::Value { value, decimals } => return super::rounding::verdict(p, [low, high], value, decimals),
            Self::Below { below } => (p < below, low < below),
            Self::Above { above } => (p > above, high > above),
        };
        match (at_print, within_reach) {
            (true, _) => Verdict::Ok,
            (false, true) => Verdict::OkRoundOnly,
            (false, false) => Verdict::Mismatch,
        }
    }
}

/// What a recomputation gives.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Recomputed {
    /// For the table.
    pub text: String,
    /// For programs.
    pub numbers: BTreeMap<String, f64>,
    pub verdict: Verdict,
}

impl Recomputed {
    pub(super) fn new(verdict: Verdict, text: String, numbers: &[(&str, f64)]) -> Self {
        Self {
            text,
            numbers: numbers
                .iter()
                .map(|(name, value)| ((*name).to_owned(), *value))
                .collect(),
            verdict,
        }
    }
}

/// `OK` or `MISMATCH`.
pub(super) fn holds(holds: bool) -> Verdict {
    if holds { Verdict::Ok } else { Verdict::Mismatch }
}

/// `CONSISTENT` or `MISMATCH`, for a condition that is necessary only.
pub(super) fn agrees(agrees: bool) -> Verdict {
    if agrees { Verdict::Consistent } else { Verdict::Mismatch }
}

/// Three decimals, two digits for what is smaller.
pub(super) fn shown_p(p: f64) -> String {
    if p < 1e-3 {
        format!("{p:.1e}")
    } else if p < 0.01 {
        format!("{p:.4}")
    } else {
        format!("{p:.3}")
    }
}

impl Check {
    pub(super) fn run(&self) -> Result<Recomputed, ClaimsError> {
        Ok(match self {
            Self::Sum { parts, total } => counts::sum(parts, *total),
            Self::EqualSums { sides } => counts::equal_sums(sides),
            Self::Difference { from, less, result } => counts::difference(*from, *less, *result),
            Self::Percentage {
                hits,
                of,
                percent,
                decimals,
            } => counts::percentage(*hits, *of, *percent, *decimals),
            Self::CutOfRows { ratio, patients, rows } => counts::cut_of_rows(ratio, *patients, rows),
            Self::TwoSources {
                items,
                printed,
                other,
                source,
            } => counts::two_sources(items, printed, other, source),
            Self::Granularity { series, units, of } => counts::granularity(series, units, of)?,
            Self::ClassCount { printed, classes } => counts::class_count(*printed, classes),
            Self::Independence { table, test, p } => counts::independence(table, *test, *p)?,
            Self::Mean { values, mean, decimals } => means::mean(values, *mean, *decimals),
            Self::WeightedMean {
                groups,
                input_decimals,
                mean,
                decimals,
                sd,
            } => means::weighted(groups, *input_decimals, (*mean, *sd), *decimals)?,
            Self::EqualMeans {
                groups,
                input_decimals,
                p,
            } => means::equal(groups, *input_decimals, *p)?,
            Self::Proportion {
                hits,
                of,
                percent,
                patients,
                interval,
            } => performance::proportion([*hits, *of], *percent, *patients, *interval)?,
            Self::AucPairs {
                auc,
                decimals,
                positives,
                negatives,
            } => performance::pairs(*auc, *decimals, *positives, *negatives)?,
            Self::ResampledProportion {
                hits,
                of,
                percent,
                interval,
                patients,
            } => performance::resampled([*hits, *of], *percent, *interval, *patients),
            Self::AucInterval {
                auc,
                interval,
                decimals,
                level,
                positives,
                negatives,
                positive_patients,
            } => {
                let sizes = [*positives, *positive_patients, *negatives];
                performance::interval(*auc, *interval, *decimals, *level, sizes)?
            }
            Self::AucDifference {
                aucs,
                positives,
                negatives,
                positive_patients,
                correlations,
                p,
            } => {
                let sizes = [*positives, *positive_patients, *negatives];
                performance::difference(*aucs, sizes, *correlations, *p)?
            }
            Self::Bonferroni { alpha, level, families } => performance::bonferroni(*alpha, *level, families),
            Self::EffectRange {
                printed,
                estimate,
                interval,
            } => performance::effect_range(*printed, *estimate, *interval),
            Self::KappaFromMargins {
                margins,
                of,
                kappa,
                decimals,
                interval,
                patients,
            } => agreement::kappa(*margins, *of, (*kappa, *decimals), *interval, *patients)?,
            Self::PairedReaders { pairs, p } => agreement::paired(pairs, *p)?,
            Self::Data { needs } => Recomputed::new(Verdict::Data, format!("needs {needs}"), &[]),
            Self::Config {} => Recomputed::new(Verdict::Config, "a setting".to_owned(), &[]),
        })
    }
}
