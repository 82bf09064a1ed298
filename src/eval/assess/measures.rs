//! The numbers of one score in their order, each with the intervals that it can have.

use std::collections::BTreeSet;

use super::{
    AssessPlan, Cut, Interval, Measure,
    intervals::{Intervals, NoInterval},
    statistics::{Slot, Statistics},
};
use crate::{
    eval::{EvalError, ResultRow, Scores, Unit, caution::Size},
    stats::{
        ClusterRanking, Clusters, Components, Scale, clopper_pearson, clustered_delong, delong,
        negative_predictive_value, newcombe, positive_predictive_value, wilson,
    },
};

/// What the measures of one score are made from.
pub(super) struct Measures<'a> {
    pub head: &'a str,
    pub set: &'a str,
    /// Rows before they were pooled.
    pub rows: usize,
    pub units: &'a Scores,
    pub size: &'a Size,
    pub clusters: &'a Clusters,
    pub plan: &'a AssessPlan,
    pub statistics: &'a Statistics<'a>,
    pub intervals: &'a Intervals<'a>,
    /// All statistics of the data.
    pub point: &'a [f64],
}

/// What a statistic stands on, and with it the interval that it has where all resamples agree.
#[derive(Clone, Copy)]
enum Base {
    /// A share of so many patients.
    Share(usize),
    /// The area under the curve.
    Area,
    /// Both classes, and nothing else to fall back on.
    Both,
}

impl Measures<'_> {
    /// One number.
    pub fn measure(&self, metric: &str, value: Option<f64>, ci: Option<[f64; 2]>, measured: &str) -> Measure {
        let plan = self.plan;
        let source = match plan.unit {
            Unit::Slice => "score per slice".to_owned(),
            unit => format!("{} per {unit}", plan.pool.pooled("score")),
        };
        Measure {
            row: ResultRow {
                features: String::new(),
                head: self.head.to_owned(),
                set: self.set.to_owned(),
                unit: plan.unit,
                pool: (plan.unit != Unit::Slice).then_some(plan.pool),
                n_patients: self.size.patients,
                n_rows: self.rows,
                n_positive: self.size.positives as usize,
                metric: metric.to_owned(),
                value,
                ci,
                level: plan.bootstrap.level,
                method: format!("{source}; {measured}"),
            },
            interval: None,
            note: None,
        }
    }

    /// No row of a patient can depend on another, as there is none.
    pub fn independent(&self) -> bool {
        self.units.len() == self.clusters.count()
    }

    /// The value of a statistic, `None` where it is not defined.
    pub fn value(&self, slot: Slot) -> Option<f64> {
        Some(self.point[slot as usize]).filter(|value| value.is_finite())
    }

    /// A statistic with its bootstrap interval, or with what stands in where all resamples agree.
    fn resampled(&self, metric: &str, slot: Slot, measured: &str, base: Base) -> Result<Measure, EvalError> {
        let value = self.value(slot);
        let mut found = self.measure(metric, value, None, measured);
        let (positives, negatives) = (self.size.positive_patients, self.size.negative_patients);
        let level = self.plan.bootstrap.level;
        let percent = self.intervals.percent();
        let mut say = |interval: Option<Interval>, ci: Option<[f64; 2]>, method: &str, note: Option<String>| {
            (found.interval, found.row.ci, found.note) = (interval, ci, note);
            if !method.is_empty() {
                found.row.method += &format!("; {method}");
            }
        };
        let few = match base {
            Base::Share(patients) => patients < 2,
            _ => positives.min(negatives) < 2,
        };
        let Some(value) = value else {
            let why = match base {
                Base::Share(0) => "not defined: no unit that it is a share of",
                _ if positives.min(negatives) == 0 => "not defined: one class is absent",
                _ => "not defined for these scores",
            };
            say(None, None, why, Some(why.to_owned()));
            return Ok(found);
        };
        if few {
            let why = "no interval: fewer than 2 patients in a class";
            say(None, None, why, Some(why.to_owned()));
            return Ok(found);
        }
        match self.intervals.percentile(slot as usize) {
            Ok((ci, left_out)) => {
                let words = self.intervals.words("percentile") + &left_out;
                say(Some(Interval::Bootstrap), Some(ci), &words, None);
            }
            Err(NoInterval::Words(why)) => {
                let why = format!("no interval: {why}");
                say(None, None, &why, Some(why.clone()));
            }
            Err(NoInterval::NoWidth) => {
                let extreme = value == 0.0 || value == 1.0;
                let (interval, ci, on) = match base {
                    Base::Share(patients) if extreme => {
                        let ci = wilson(value as usize * patients, patients, level)?;
                        (Interval::Wilson, ci, patients)
                    }
                    Base::Area if extreme => {
                        let ci = newcombe(value, positives, negatives, level)?;
                        (Interval::Newcombe, ci, self.size.patients)
                    }
                    _ => {
                        let why = "no interval: all resamples have this value";
                        say(None, None, why, Some(why.to_owned()));
                        return Ok(found);
                    }
                };
                let method =
                    format!("{percent} % {interval} score interval on {on} patients, as all bootstrap resamples agree");
                say(Some(interval), Some(ci), &method, None);
            }
        }
        Ok(found)
    }

    /// The same number with an interval that is computed, or the sentence why there is none.
    fn computed(&self, of: &Measure, interval: Interval, measured: &str, ci: Result<[f64; 2], String>) -> Measure {
        let percent = self.intervals.percent();
        let mut found = self.measure(&of.row.metric, of.row.value, ci.as_ref().ok().copied(), measured);
        found.interval = Some(interval);
        found.row.method += &match &ci {
            Ok(_) => format!("; {percent} % {interval} interval"),
            Err(why) => format!("; no {interval} interval: {why}"),
        };
        found.note = ci.err().map(|why| format!("no interval: {why}"));
        found
    }

    /// The area with its intervals, and the part of it that matters.
    pub fn of_ranking(&self) -> Result<Vec<Measure>, EvalError> {
        let midranks = "AUC by midranks";
        let auc = self.resampled("auc", Slot::Auc, midranks, Base::Area)?;
        let mut found = Vec::new();
        if let Some(value) = auc.row.value {
            let (positive, score) = (self.units.positive(), self.units.score());
            let level = self.plan.bootstrap.level;
            let jackknife = ClusterRanking::new(positive, score, self.clusters).jackknife();
            let bca = self
                .intervals
                .replicates
                .bca(Slot::Auc as usize, value, jackknife.as_deref());
            let ci = match bca.percentile_since {
                None => Ok(bca.ci),
                Some(why) => Err(why.to_owned()),
            };
            let of_resamples = format!("{midranks}; {}", self.intervals.words("BCa"));
            let mut corrected = self.computed(&auc, Interval::Bca, midranks, ci);
            if corrected.row.ci.is_some() {
                corrected.row.method = self.measure("auc", None, None, &of_resamples).row.method;
            }
            found.push(corrected);
            let components = Components::new(positive, score)?;
            let plain = delong(&[&components]).and_then(|areas| areas.interval(0, level, Scale::Wald));
            let plain = plain.map_err(|error| error.to_string());
            if self.independent() {
                found.push(self.computed(&auc, Interval::Delong, midranks, plain));
            } else {
                let clustered = clustered_delong(&[&components], self.clusters)
                    // Near 1 Wald's interval misses the area too often and runs beyond 1.
                    .and_then(|areas| areas.interval(0, level, Scale::Logit));
                let clustered = clustered.map_err(|error| error.to_string());
                let on_logits = format!("{midranks}, logit scale");
                found.push(self.computed(&auc, Interval::ClusteredDelong, &on_logits, clustered));
                let mut plain = self.computed(&auc, Interval::Delong, midranks, plain);
                let unsafe_since = "takes the rows of a patient for independent, hence too narrow";
                plain.row.method += &format!(", {unsafe_since}");
                plain.note = plain.note.or(Some(unsafe_since.to_owned()));
                found.push(plain);
            }
        }
        found.insert(0, auc);
        let (axis, [from, to]) = self.plan.partial;
        let axis = format!("{axis:?}").to_lowercase();
        let range = format!("{} of {from} to {to}", axis);
        let area = format!("area under the curve over a {range}, at most {:.4}", to - from);
        found.push(self.resampled("partial-auc", Slot::PartialAuc, &area, Base::Both)?);
        let corrected = format!("area over a {range} on McClish's scale, 0.5 for chance and 1 for a perfect score");
        found.push(self.resampled(
            "partial-auc-corrected",
            Slot::CorrectedPartialAuc,
            &corrected,
            Base::Both,
        )?);
        Ok(found)
    }

    /// How the threshold came about.
    pub fn cut(&self) -> String {
        match (self.plan.cut, self.units.thresholds()) {
            (Cut::At(threshold), _) => format!("threshold {threshold} as given"),
            (Cut::OfSet(threshold), _) => {
                format!("Youden threshold {threshold:.4} of the whole set, hence optimistic, kept in all resamples")
            }
            (Cut::Own, Some(own)) => match own.iter().all(|threshold| *threshold == own[0]) {
                true => format!("the scores' own threshold {:.4}", own[0]),
                false => "the scores' own threshold of each row".to_owned(),
            },
            _ => match self.value(Slot::YoudenThreshold) {
                Some(threshold) => format!(
                    "Youden threshold {threshold:.4} of these same rows, hence optimistic, found anew in every resample"
                ),
                None => "no threshold can be found on one class".to_owned(),
            },
        }
    }

    /// Whether the threshold was there before the data.
    pub fn frozen(&self) -> bool {
        matches!(
            (self.plan.cut, self.units.thresholds()),
            (Cut::At(_), _) | (Cut::Own, Some(_))
        )
    }

    /// What the threshold does.
    pub fn of_cut(&self) -> Result<Vec<Measure>, EvalError> {
        let (positive, called) = (self.units.positive(), self.statistics.called());
        let patients = |who: &dyn Fn(usize) -> bool| {
            let rows = (0..positive.len()).filter(|&row| who(row));
            rows.map(|row| self.units.patient()[row]).collect::<BTreeSet<_>>().len()
        };
        let rows = |who: &dyn Fn(usize) -> bool| (0..positive.len()).filter(|&row| who(row)).count();
        let cut = self.cut();
        let (is_positive, is_negative) = (|row: usize| positive[row], |row: usize| !positive[row]);
        let (is_called, not_called) = (|row: usize| called[row], |row: usize| !called[row]);
        let right = |row: usize| positive[row] == called[row];
        type Who<'w> = &'w dyn Fn(usize) -> bool;
        let shares: [(&str, Slot, Who); 5] = [
            ("sensitivity", Slot::Sensitivity, &is_positive),
            ("specificity", Slot::Specificity, &is_negative),
            ("accuracy", Slot::Accuracy, &|_| true),
            ("ppv", Slot::Ppv, &is_called),
            ("npv", Slot::Npv, &not_called),
        ];
        let level = self.plan.bootstrap.level;
        let mut found = Vec::new();
        for (metric, slot, of) in shares {
            let measured = match metric {
                "ppv" | "npv" => format!("{cut}, at the prevalence of these units"),
                _ => cut.clone(),
            };
            let share = self.resampled(metric, slot, &measured, Base::Share(patients(of)))?;
            let counted = self.independent() && self.frozen() && share.row.value.is_some();
            let again = share.clone();
            found.push(share);
            if counted {
                let (hits, trials) = (rows(&|row| of(row) && right(row)), rows(of));
                let counts = format!("{measured}, {hits} of {trials}");
                if again.interval != Some(Interval::Wilson) {
                    let ci = Ok(wilson(hits, trials, level)?);
                    found.push(self.computed(&again, Interval::Wilson, &counts, ci));
                }
                let ci = Ok(clopper_pearson(hits, trials, level)?);
                found.push(self.computed(&again, Interval::ClopperPearson, &counts, ci));
            }
        }
        found.extend(self.at_prevalence(&cut, &found)?);
        Ok(found)
    }

    /// Predictive values at the user's prevalence. Where all resamples agree, the ends of the intervals of sensitivity
    /// and specificity make the interval.
    fn at_prevalence(&self, cut: &str, found: &[Measure]) -> Result<Vec<Measure>, EvalError> {
        let Some(prevalence) = self.plan.prevalence else {
            return Ok(Vec::new());
        };
        let ends = |metric: &str| found.iter().find(|share| share.row.metric == metric)?.row.ci;
        let ends = ends("sensitivity").zip(ends("specificity"));
        type Bayes = fn(f64, f64, f64) -> Option<f64>;
        let both: [(&str, Slot, Bayes); 2] = [
            ("ppv-at-prevalence", Slot::PpvAtPrevalence, positive_predictive_value),
            ("npv-at-prevalence", Slot::NpvAtPrevalence, negative_predictive_value),
        ];
        let of = |(metric, slot, bayes): (&str, Slot, Bayes)| {
            let measured = format!("{cut}, at a prevalence of {prevalence} by Bayes' theorem");
            let mut value = self.resampled(metric, slot, &measured, Base::Both)?;
            if let (Some(_), None, Some((sensitivity, specificity))) = (value.row.value, value.row.ci, ends) {
                let end = |at: usize| bayes(sensitivity[at], specificity[at], prevalence);
                if let (Some(lower), Some(upper)) = (end(0), end(1)) {
                    let agreed = "from the ends of the intervals of sensitivity and specificity, as resamples agree";
                    value.row.method = self
                        .measure(metric, None, None, &format!("{measured}; {agreed}"))
                        .row
                        .method;
                    (value.row.ci, value.interval, value.note) = (Some([lower, upper]), Some(Interval::Ends), None);
                }
            }
            Ok(value)
        };
        both.into_iter().map(of).collect()
    }

    /// Operating points that are asked for by what they reach, with the threshold found anew in every resample.
    pub fn of_targets(&self) -> Result<Vec<Measure>, EvalError> {
        let mut targets = vec![(
            "sensitivity",
            self.plan.sensitivity,
            ["specificity-at-sensitivity", "threshold-for-sensitivity"],
            [
                Slot::SpecificityAtSensitivity,
                Slot::ThresholdForSensitivity,
                Slot::SpecificityKept,
            ],
            self.size.negative_patients,
        )];
        if let Some(specificity) = self.plan.specificity {
            targets.push((
                "specificity",
                specificity,
                ["sensitivity-at-specificity", "threshold-for-specificity"],
                [
                    Slot::SensitivityAtSpecificity,
                    Slot::ThresholdForSpecificity,
                    Slot::SensitivityKept,
                ],
                self.size.positive_patients,
            ));
        }
        let mut found = Vec::new();
        for (reached, target, [metric, threshold_metric], [slot, threshold, kept], patients) in targets {
            let at = format!("{reached} at least {target} on these same rows");
            let anew = format!("{at}, threshold found anew in every resample");
            found.push(self.resampled(metric, slot, &anew, Base::Share(patients))?);
            if let Some(threshold) = self.value(threshold) {
                let frozen =
                    format!("{at}, threshold {threshold:.4} kept in all resamples, which leaves its choice out");
                let mut of_kept = self.resampled(metric, kept, &frozen, Base::Share(patients))?;
                if of_kept.interval == Some(Interval::Bootstrap) {
                    of_kept.interval = Some(Interval::ThresholdKept);
                    of_kept.note = Some("leaves the choice of the threshold out, hence too narrow".to_owned());
                    found.push(of_kept);
                }
            }
            found.push(self.resampled(threshold_metric, threshold, &anew, Base::Both)?);
        }
        let anew = "largest sensitivity + specificity - 1 on these same rows, hence optimistic; threshold found anew in \
                    every resample";
        found.push(self.resampled("youden", Slot::Youden, anew, Base::Both)?);
        found.push(self.resampled("youden-threshold", Slot::YoudenThreshold, anew, Base::Both)?);
        Ok(found)
    }

    /// A statistic that needs both classes and has a bootstrap interval only.
    pub fn of_both(&self, metric: &str, slot: Slot, measured: &str) -> Result<Measure, EvalError> {
        self.resampled(metric, slot, measured, Base::Both)
    }
}
