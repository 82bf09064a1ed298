//! Claims on two readers: their tables follow from the margins and kappa.

use super::{
    ClaimsError, Verdict,
    check::{Pair, PrintedP, Recomputed, agrees, shown_p},
    rounding::{half_unit, reads},
};
use crate::stats::{KappaWeights, PairTable, distributions::ln_gamma, mcnemar, tables_with_kappa};

const LEVEL: f64 = 0.95;

/// What a paper that does not say it may have drawn; fewer are rare.
const RESAMPLES: f64 = 1000.0;

pub(super) fn kappa(
    margins: [u64; 2],
    of: u64,
    (printed, decimals): (f64, u32),
    interval: [f64; 2],
    patients: u64,
) -> Result<Recomputed, ClaimsError> {
    let tables = tables_with_kappa(margins[0], margins[1], of, printed, decimals);
    let [table] = &tables[..] else {
        let text = match tables.len() {
            0 => format!("no table of {of} with these margins has such a kappa"),
            count => format!("{count} tables of {of} have such a kappa"),
        };
        return Ok(Recomputed::new(
            agrees(!tables.is_empty()),
            text,
            &[("tables", tables.len() as f64)],
        ));
    };
    let [[both, first], [second, neither]] = *table;
    let undefined = || ClaimsError::NotDefined { test: "kappa" };
    let value = kappa_of([both, first, second, neither]).ok_or_else(undefined)?;
    let resamples = resamples([both, first, second, neither]);
    let [low, high] = [(1.0 - LEVEL) / 2.0, (1.0 + LEVEL) / 2.0].map(|p| quantile(&resamples, p));
    // An end lies where two standard errors of its rank among the resamples may put it.
    let near = |p: f64, end: f64| {
        let slip = 2.0 * (p * (1.0 - p) / RESAMPLES).sqrt();
        let half = half_unit(decimals);
        quantile(&resamples, p - slip) - half <= end && end <= quantile(&resamples, p + slip) + half
    };
    let same = near((1.0 - LEVEL) / 2.0, interval[0]) && near((1.0 + LEVEL) / 2.0, interval[1]);
    let wider = interval[1] - interval[0] >= high - low;
    let verdict = match (reads(value, printed, decimals), same) {
        (true, true) => Verdict::Ok,
        (true, false) => agrees(patients < of && wider),
        (false, _) => Verdict::Mismatch,
    };
    let text = format!(
        "{value:.3}; the only table: both {both}, first alone {first}, second alone {second}, neither {neither}; bootstrap \
         of cases {low:.2} to {high:.2}"
    );
    let numbers = [
        ("kappa", value),
        ("both", both as f64),
        ("first_alone", first as f64),
        ("second_alone", second as f64),
        ("neither", neither as f64),
        ("bootstrap_low", low),
        ("bootstrap_high", high),
    ];
    Ok(Recomputed::new(verdict, text, &numbers))
}

/// McNemar's test without correction; the verdict is on the smallest p.
pub(super) fn paired(pairs: &[Pair], p: PrintedP) -> Result<Recomputed, ClaimsError> {
    let (mut words, mut numbers, mut least) = (Vec::new(), Vec::new(), f64::INFINITY);
    for pair in pairs {
        let undefined = || ClaimsError::NotDefined { test: "McNemar's test" };
        let tables = tables_with_kappa(pair.margins[0], pair.margins[1], pair.of, pair.kappa, pair.decimals);
        let [[[_, first], [second, _]]] = tables[..] else {
            return Err(undefined());
        };
        let test = mcnemar(first, second);
        let found = test.asymptotic.ok_or_else(undefined)?.p;
        least = least.min(found);
        let exact = shown_p(test.exact_p);
        words.push(format!(
            "{} {} ({first} against {second}, exact {exact})",
            pair.name,
            shown_p(found)
        ));
        numbers.push((pair.name.as_str(), found));
    }
    let text = format!("McNemar: {}", words.join(", "));
    Ok(Recomputed::new(p.verdict(least, [least, least]), text, &numbers))
}

fn kappa_of([both, first, second, neither]: [u64; 4]) -> Option<f64> {
    PairTable::new(&[&[both, first], &[second, neither]])?.kappa(KappaWeights::Unweighted)
}

/// Kappa of every resample of the cases with its probability, by rising kappa: all tables of the multinomial, so that no
/// draw has a say. Resamples without a kappa are left out, as programs leave them out.
fn resamples(table: [u64; 4]) -> Vec<(f64, f64)> {
    let n: u64 = table.iter().sum();
    let shares = table.map(|count| (count as f64 / n as f64).ln());
    let mut found = Vec::new();
    for a in 0..=n {
        for b in 0..=n - a {
            for c in 0..=n - a - b {
                let counts = [a, b, c, n - a - b - c];
                let log: f64 = counts
                    .iter()
                    .zip(shares)
                    .map(|(&count, share)| {
                        // No case of a kind that never occurs has probability 1.
                        let power = if count == 0 { 0.0 } else { count as f64 * share };
                        power - ln_gamma(count as f64 + 1.0)
                    })
                    .sum();
                let probability = (log + ln_gamma(n as f64 + 1.0)).exp();
                if probability > 0.0 {
                    found.extend(kappa_of(counts).map(|kappa| (kappa, probability)));
                }
            }
        }
    }
    found.sort_by(|a, b| a.0.total_cmp(&b.0));
    found
}

/// The least value that a share `p` of the resamples does not pass.
fn quantile(resamples: &[(f64, f64)], p: f64) -> f64 {
    let whole: f64 = resamples.iter().map(|(_, probability)| probability).sum();
    let mut passed = 0.0;
    for &(value, probability) in resamples {
        passed += probability;
        if passed >= p * whole {
            return value;
        }
    }
    resamples.last().map_or(0.0, |(value, _)| *value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn resamples_are_all_there_are() {
        let resamples = resamples([3, 2, 1, 4]);
        let whole: f64 = resamples.iter().map(|(_, probability)| probability).sum();
        // All but those in which both readers call all cases alike.
        let alike = 0.3_f64.powi(10) + 0.4_f64.powi(10);
        assert!((whole + alike - 1.0).abs() < 1e-12, "{whole}");
    }

    #[test]
    fn an_interval_without_clusters_to_widen_it_must_be_that_of_the_cases() {
        let verdict = |interval, patients| kappa([22, 19], 50, (0.22, 2), interval, patients).unwrap().verdict;
        assert_eq!(verdict([-0.04, 0.50], 50), Verdict::Ok);
        assert_eq!(verdict([-0.29, 0.63], 50), Verdict::Mismatch);
        assert_eq!(verdict([-0.29, 0.63], 27), Verdict::Consistent);
        assert_eq!(verdict([0.10, 0.30], 27), Verdict::Mismatch);
    }

    #[test]
    fn margins_that_allow_no_such_kappa_contradict_it() {
        let found = kappa([22, 19], 50, (0.99, 2), [0.9, 1.0], 27).unwrap();
        assert_eq!(found.verdict, Verdict::Mismatch, "{}", found.text);
    }
}
