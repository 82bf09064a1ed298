//! Claims on means of groups.

use super::{
    ClaimsError,
    check::{Group, PrintedP, Recomputed, holds, shown_p},
    rounding::{half_unit, reads, verdict},
};
use crate::stats::{Summary, anova, pooled, weighted_mean};

/// Steps over the range that rounding leaves a mean; even, so that the printed mean is one of them.
const STEPS: u32 = 10;

pub(super) fn mean(values: &[f64], printed: f64, decimals: u32) -> Recomputed {
    let mean = values.iter().sum::<f64>() / values.len() as f64;
    let text = format!("{mean:.2}");
    Recomputed::new(holds(reads(mean, printed, decimals)), text, &[("mean", mean)])
}

/// The pooled standard deviation counts too, where it is printed: the worse of both verdicts stands.
pub(super) fn weighted(
    groups: &[Group],
    input_decimals: u32,
    (printed, printed_sd): (f64, Option<f64>),
    decimals: u32,
) -> Result<Recomputed, ClaimsError> {
    let means: Vec<f64> = groups.iter().map(|group| group.mean).collect();
    let sizes: Vec<f64> = groups.iter().map(|group| group.n as f64).collect();
    let mean = weighted_mean(&means, &sizes).ok_or(ClaimsError::NotDefined { test: "weighted mean" })?;
    let half = half_unit(input_decimals);
    let reachable = [mean - half, mean + half];
    let mut found = verdict(mean, reachable, printed, decimals);
    let mut text = format!("{mean:.2} ({:.2} to {:.2} by rounding)", reachable[0], reachable[1]);
    let mut numbers = vec![("mean", mean), ("mean_low", reachable[0]), ("mean_high", reachable[1])];
    if let Some(printed_sd) = printed_sd {
        let sd = pooled(&summaries(groups)?)
            .ok_or(ClaimsError::NotDefined { test: "pooled SD" })?
            .sd;
        // All deviations up or down by half a unit move the pooled one by as much; the means' rounding moves it less.
        found = found.max(verdict(sd, [sd - half, sd + half], printed_sd, decimals));
        text += &format!(", SD {sd:.2}");
        numbers.push(("sd", sd));
    }
    Ok(Recomputed::new(found, text, &numbers))
}

/// The p-value at the printed means, and its range when every mean is moved within its rounding.
pub(super) fn equal(groups: &[Group], input_decimals: u32, p: PrintedP) -> Result<Recomputed, ClaimsError> {
    let groups = summaries(groups)?;
    let undefined = || ClaimsError::NotDefined {
        test: "analysis of variance",
    };
    let printed = anova(&groups).ok_or_else(undefined)?;
    let (mut low, mut high) = (printed.p, printed.p);
    let half = half_unit(input_decimals);
    for place in 0..(STEPS + 1).pow(u32::try_from(groups.len()).expect("few groups")) {
        let mut rest = place;
        let moved: Vec<Summary> = groups
            .iter()
            .map(|group| {
                let step = f64::from(rest % (STEPS + 1)) / f64::from(STEPS);
                rest /= STEPS + 1;
                Summary {
                    mean: group.mean + half * (2.0 * step - 1.0),
                    ..*group
                }
            })
            .collect();
        let p = anova(&moved).ok_or_else(undefined)?.p;
        (low, high) = (low.min(p), high.max(p));
    }
    let text = format!(
        "p = {}, F = {:.2} ({} to {} by rounding of the means)",
        shown_p(printed.p),
        printed.f,
        shown_p(low),
        shown_p(high)
    );
    let numbers = [("p", printed.p), ("f", printed.f), ("p_low", low), ("p_high", high)];
    Ok(Recomputed::new(p.verdict(printed.p, [low, high]), text, &numbers))
}

fn summaries(groups: &[Group]) -> Result<Vec<Summary>, ClaimsError> {
    let summary = |group: &Group| {
        let sd = group.sd.ok_or(ClaimsError::NotDefined {
            test: "spread of groups without SD",
        })?;
        Ok(Summary {
            n: group.n,
            mean: group.mean,
            sd,
        })
    };
    groups.iter().map(summary).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::claims::Verdict;

    /// Verdicts stand in the order of badness as far as means go: `max` is the worse.
    #[test]
    fn a_wrong_spread_spoils_a_right_mean() {
        let group = |mean| Group {
            n: 10,
            mean,
            sd: Some(1.0),
        };
        let groups = [group(4.0), group(6.0)];
        let right = weighted(&groups, 1, (5.0, Some(1.4)), 1).unwrap();
        assert_eq!(right.verdict, Verdict::Ok, "{}", right.text);
        let wrong = weighted(&groups, 1, (5.0, Some(1.0)), 1).unwrap();
        assert_eq!(wrong.verdict, Verdict::Mismatch, "{}", wrong.text);
    }

    #[test]
    fn groups_without_spread_are_an_error_and_no_nan() {
        let group = |mean| Group {
            n: 10,
            mean,
            sd: Some(0.0),
        };
        let error = equal(&[group(4.0), group(4.0)], 0, PrintedP::Above { above: 0.05 }).unwrap_err();
        assert!(error.to_string().contains("analysis of variance"), "{error}");
    }
}
