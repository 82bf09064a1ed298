//! Claims on sensitivity, specificity and areas under ROC curves.

use super::{
    ClaimsError, Verdict,
    check::{PrintedP, Recomputed, agrees, holds, shown_p},
    rounding::{half_unit, reads},
};
use crate::stats::{
    clopper_pearson, compare_areas, distributions::binomial_cdf, hanley_mcneil, logit_interval, wald_interval, wilson,
};

/// Level of the intervals that papers print without saying so.
const LEVEL: f64 = 0.95;

pub(super) fn proportion(
    [hits, of]: [usize; 2],
    percent: f64,
    patients: Option<[usize; 2]>,
    printed: Option<[f64; 2]>,
) -> Result<Recomputed, ClaimsError> {
    let value = 100.0 * hits as f64 / of as f64;
    let (score, exact) = (
        percents(wilson(hits, of, LEVEL)?),
        percents(clopper_pearson(hits, of, LEVEL)?),
    );
    let mut text = format!(
        "{hits}/{of} = {value:.1} % (Wilson {}, Clopper-Pearson {})",
        ends(score),
        ends(exact)
    );
    let mut numbers = vec![
        ("percent", value),
        ("wilson_low", score[0]),
        ("wilson_high", score[1]),
        ("clopper_pearson_low", exact[0]),
        ("clopper_pearson_high", exact[1]),
    ];
    if let Some([hits, of]) = patients {
        let exact = percents(clopper_pearson(hits, of, LEVEL)?);
        text += &format!("; of patients {hits}/{of}: {}", ends(exact));
        numbers.extend([("patients_low", exact[0]), ("patients_high", exact[1])]);
    }
    if let Some([low, high]) = printed {
        let wider = if high - low > exact[1] - exact[0] {
            "wider"
        } else {
            "no wider"
        };
        text += &format!("; printed {low:.0} to {high:.0} is {wider}");
    }
    Ok(Recomputed::new(holds(reads(value, percent, 0)), text, &numbers))
}

/// Of untied scores the area is a whole number of pairs, with ties one of half pairs.
pub(super) fn pairs(auc: f64, decimals: u32, positives: usize, negatives: usize) -> Result<Recomputed, ClaimsError> {
    let all = positives as f64 * negatives as f64;
    let nearest = (2.0 * auc * all).round() / 2.0;
    let possible = reads(nearest / all, auc, decimals);
    let (m, n) = (positives as u64, negatives as u64);
    let undefined = ClaimsError::NotDefined {
        test: "interval of the AUC",
    };
    let error = hanley_mcneil(auc, m, n).ok_or(undefined)?;
    let mut text = format!("{nearest} of {all} pairs; Hanley-McNeil SE {error:.3}");
    let mut numbers = vec![("pairs", nearest), ("standard_error", error)];
    if let Some([low, high]) = wald_interval(auc, error, LEVEL)? {
        text += &format!(", {low:.3} to {high:.3} (Wald)");
        numbers.extend([("wald_low", low), ("wald_high", high)]);
    }
    if let Some([low, high]) = logit_interval(auc, error, LEVEL)? {
        text += &format!(", {low:.3} to {high:.3} (logit)");
        numbers.extend([("logit_low", low), ("logit_high", high)]);
    }
    Ok(Recomputed::new(agrees(possible), text, &numbers))
}

/// The percentile bootstrap of independent rows gives binomial quantiles. Fewer patients than rows make it wider.
pub(super) fn resampled([hits, of]: [u64; 2], percent: f64, printed: [f64; 2], patients: u64) -> Recomputed {
    let share = hits as f64 / of as f64;
    let quantile = |p: f64| (0..of).find(|&k| binomial_cdf(k, of, share) >= p).unwrap_or(of);
    let exact = [(1.0 - LEVEL) / 2.0, (1.0 + LEVEL) / 2.0].map(|p| 100.0 * quantile(p) as f64 / of as f64);
    let inflation = ((printed[1] - printed[0]) / (exact[1] - exact[0])).powi(2);
    let point = reads(100.0 * share, percent, 0);
    let equal = (0..2).all(|end| reads(exact[end], printed[end], 0));
    let around = printed[0] <= percent && percent <= printed[1];
    let verdict = match (point, equal) {
        (true, true) => Verdict::Ok,
        (true, false) => agrees(patients < of && around && inflation >= 1.0),
        (false, _) => Verdict::Mismatch,
    };
    let mut text = format!(
        "{hits}/{of} = {:.1} %, bootstrap of rows {} to {}",
        100.0 * share,
        exact[0],
        exact[1]
    );
    if !equal {
        text += &format!(" (printed: {inflation:.1} times its variance)");
    }
    let numbers = [
        ("percent", 100.0 * share),
        ("bootstrap_low", exact[0]),
        ("bootstrap_high", exact[1]),
        ("variance_inflation", inflation),
    ];
    Recomputed::new(verdict, text, &numbers)
}

/// `sizes` are positive rows, positive patients and negatives: the truth lies between as many independent positives as
/// there are rows and as many as there are patients.
pub(super) fn interval(
    auc: f64,
    printed: [f64; 2],
    decimals: u32,
    level: f64,
    [rows, patients, negatives]: [usize; 3],
) -> Result<Recomputed, ClaimsError> {
    let of = |positives: usize| -> Result<[f64; 2], ClaimsError> {
        let undefined = || ClaimsError::NotDefined {
            test: "interval of the AUC",
        };
        let error = hanley_mcneil(auc, positives as u64, negatives as u64).ok_or_else(undefined)?;
        wald_interval(auc, error, level)?.ok_or_else(undefined)
    };
    let (narrow, wide) = (of(rows)?, of(patients)?);
    let width = |[low, high]: [f64; 2]| high - low;
    // Two printed ends, each off by half a unit.
    let slack = 2.0 * half_unit(decimals);
    let between = width(printed) >= width(narrow) - slack && width(printed) <= width(wide) + slack;
    let text = format!(
        "{:.3} to {:.3} of {rows} independent exams, {:.3} to {:.3} of {patients} (Hanley-McNeil); width {:.2} between \
         {:.2} and {:.2}",
        narrow[0],
        narrow[1],
        wide[0],
        wide[1],
        width(printed),
        width(narrow),
        width(wide)
    );
    let numbers = [
        ("rows_low", narrow[0]),
        ("rows_high", narrow[1]),
        ("patients_low", wide[0]),
        ("patients_high", wide[1]),
    ];
    Ok(Recomputed::new(
        agrees(between && printed[0] <= auc && auc <= printed[1]),
        text,
        &numbers,
    ))
}

/// The p-values of all plausible correlations, at both sizes of [`interval`].
pub(super) fn difference(
    [a, b]: [f64; 2],
    [rows, patients, negatives]: [usize; 3],
    correlations: [f64; 2],
    printed: PrintedP,
) -> Result<Recomputed, ClaimsError> {
    let mut found = Vec::new();
    for positives in [rows, patients] {
        for correlation in correlations {
            let error = |auc| hanley_mcneil(auc, positives as u64, negatives as u64);
            let test = error(a)
                .zip(error(b))
                .and_then(|(of_a, of_b)| compare_areas(a, of_a, b, of_b, correlation));
            found.push(
                test.ok_or(ClaimsError::NotDefined {
                    test: "difference of AUCs",
                })?
                .p,
            );
        }
    }
    let low = found.iter().copied().fold(f64::INFINITY, f64::min);
    let high = found.iter().copied().fold(0.0, f64::max);
    let possible = match printed {
        PrintedP::Value { value, .. } => low <= value && value <= high,
        PrintedP::Below { below } => low < below,
        PrintedP::Above { above } => high > above,
    };
    let text = format!(
        "p {} to {} for {rows} or {patients} positives, correlation {} to {}",
        shown_p(low),
        shown_p(high),
        correlations[0],
        correlations[1]
    );
    let numbers = [("p_low", low), ("p_high", high), ("p_rows_uncorrelated", found[0])];
    Ok(Recomputed::new(agrees(possible), text, &numbers))
}

pub(super) fn bonferroni(alpha: f64, level: f64, families: &[u64]) -> Recomputed {
    let levels: Vec<f64> = families
        .iter()
        .map(|&size| 100.0 * (1.0 - alpha / size as f64))
        .collect();
    let words = levels
        .iter()
        .zip(families)
        .map(|(level, size)| format!("{level:.2} % for {size}"));
    let text = format!("Bonferroni: {}", words.collect::<Vec<_>>().join(", "));
    let possible = levels.iter().any(|found| reads(*found, 100.0 * level, 0));
    let least = levels.iter().copied().fold(f64::INFINITY, f64::min);
    Recomputed::new(agrees(possible), text, &[("least_level_percent", least)])
}

/// A range that is an interval is no range of effects.
pub(super) fn effect_range(printed: [f64; 2], estimate: f64, interval: [f64; 2]) -> Recomputed {
    let same = printed == interval;
    let text = match same {
        true => format!("the range is the 95 % interval of one estimate, {estimate:.0} %"),
        false => format!("the range is not the interval of the estimate, {estimate:.0} %"),
    };
    Recomputed::new(agrees(!same), text, &[("estimate", estimate)])
}

fn percents(interval: [f64; 2]) -> [f64; 2] {
    interval.map(|end| 100.0 * end)
}

fn ends([low, high]: [f64; 2]) -> String {
    format!("{low:.1} to {high:.1}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bootstrap_that_no_cluster_explains_is_a_mismatch() {
        assert_eq!(resampled([28, 50], 56.0, [42.0, 70.0], 50).verdict, Verdict::Ok);
        assert_eq!(resampled([28, 50], 56.0, [40.0, 72.0], 50).verdict, Verdict::Mismatch);
        assert_eq!(resampled([28, 50], 56.0, [40.0, 72.0], 27).verdict, Verdict::Consistent);
        assert_eq!(resampled([28, 50], 56.0, [50.0, 60.0], 27).verdict, Verdict::Mismatch);
    }

    #[test]
    fn an_auc_between_two_pairs_is_a_mismatch() {
        assert_eq!(pairs(0.850, 3, 15, 20).unwrap().verdict, Verdict::Consistent);
        assert_eq!(pairs(0.851, 3, 15, 20).unwrap().verdict, Verdict::Mismatch);
    }

    #[test]
    fn an_interval_as_narrow_as_no_sample_allows_is_a_mismatch() {
        let verdict = |printed| interval(0.7, printed, 2, 0.99, [50, 27, 50]).unwrap().verdict;
        assert_eq!(verdict([0.56, 0.85]), Verdict::Consistent);
        assert_eq!(verdict([0.65, 0.75]), Verdict::Mismatch);
        assert_eq!(verdict([0.40, 0.95]), Verdict::Mismatch);
    }
}
