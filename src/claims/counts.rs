//! Claims on counts: sums, shares, splits, tests of independence.

use super::{
    ClaimsError,
    check::{Independence, PrintedP, Recomputed, Series, agrees, holds, shown_p},
    rounding::reads,
};
use crate::stats::{chi_squared, chi_squared_yates, counts_of_percentage, fisher_exact, smallest_n};

/// More units than any reader study has.
const MOST_UNITS: u64 = 1000;

pub(super) fn sum(parts: &[u64], total: u64) -> Recomputed {
    let sum: u64 = parts.iter().sum();
    let text = format!("{} = {sum}", joined(parts, " + "));
    Recomputed::new(holds(sum == total), text, &[("sum", sum as f64)])
}

pub(super) fn equal_sums(sides: &[Vec<u64>]) -> Recomputed {
    let sums: Vec<u64> = sides.iter().map(|side| side.iter().sum()).collect();
    let alike = sums.windows(2).all(|pair| pair[0] == pair[1]);
    let first = sums.first().copied().unwrap_or(0);
    let text = format!("{} {}", joined(&sums, " and "), if alike { "agree" } else { "differ" });
    Recomputed::new(holds(alike), text, &[("sum", first as f64)])
}

pub(super) fn difference(from: u64, less: u64, result: u64) -> Recomputed {
    let left = from as f64 - less as f64;
    let text = format!("{from} - {less} = {left}");
    Recomputed::new(
        holds(from.checked_sub(less) == Some(result)),
        text,
        &[("difference", left)],
    )
}

pub(super) fn percentage(hits: u64, of: u64, percent: f64, decimals: u32) -> Recomputed {
    let value = 100.0 * hits as f64 / of as f64;
    let text = format!("{hits}/{of} = {value:.2} %");
    Recomputed::new(holds(reads(value, percent, decimals)), text, &[("percent", value)])
}

/// Patients that are split leave slices in uneven parts; slices that are cut leave exactly the floor of every share, and
/// the rest in the last part. The paper speaks of patients, so the second contradicts it.
pub(super) fn cut_of_rows(ratio: &[u64], patients: u64, rows: &[u64]) -> Recomputed {
    let (all, whole): (u64, u64) = (rows.iter().sum(), ratio.iter().sum());
    let mut cut: Vec<u64> = ratio.iter().map(|share| share * all / whole).collect();
    let rest = all - cut.iter().sum::<u64>();
    cut.last_mut().into_iter().for_each(|last| *last += rest);
    let by_rows = cut == rows;
    let shares: Vec<String> = ratio
        .iter()
        .map(|share| format!("{:.1}", *share as f64 * patients as f64 / whole as f64))
        .collect();
    let verb = if by_rows { "is exactly" } else { "is not" };
    let text = format!(
        "saved counts {} are {:.2} % of {all} slices and the rest {verb} a cut of slices ({} patients would be split)",
        joined(rows, "/"),
        100.0 * rows.first().map_or(0.0, |&first| first as f64) / all as f64,
        shares.join("/"),
    );
    let numbers = [
        ("rows", all as f64),
        ("first_share_percent", 100.0 * rows[0] as f64 / all as f64),
    ];
    Recomputed::new(agrees(!by_rows), text, &numbers)
}

pub(super) fn two_sources(items: &[String], printed: &[f64], other: &[f64], source: &str) -> Recomputed {
    let pairs = items.iter().zip(printed).zip(other);
    let words: Vec<String> = pairs
        .map(|((item, printed), other)| {
            let relation = if printed == other {
                "as printed"
            } else {
                "not as printed"
            };
            format!("{item} {other} {relation}")
        })
        .collect();
    let text = format!("{source}: {}", words.join(", "));
    let apart = printed.iter().zip(other).filter(|(a, b)| a != b).count();
    Recomputed::new(
        agrees(apart == 0 && printed.len() == other.len()),
        text,
        &[("differences", apart as f64)],
    )
}

pub(super) fn granularity(series: &[Series], units: &[u64], of: &str) -> Result<Recomputed, ClaimsError> {
    let fits = |n: u64, series: &Series| {
        let possible = |percent: &f64| counts_of_percentage(*percent, 0, n).is_some();
        series.percents.iter().all(possible)
    };
    let possible: Vec<u64> = units
        .iter()
        .copied()
        .filter(|&n| series.iter().all(|one| fits(n, one)))
        .collect();
    let mut numbers = Vec::new();
    let mut least = Vec::new();
    for one in series {
        let smallest = smallest_n(&one.percents, 0, MOST_UNITS);
        least.push(format!(
            "{} {}",
            smallest.map_or(format!("over {MOST_UNITS}"), |n| n.to_string()),
            one.name
        ));
        numbers.extend(smallest.map(|n| (one.name.as_str(), n as f64)));
    }
    let text = match possible.is_empty() {
        true => format!(
            "impossible of {} {of}; smallest possible: {}",
            joined(units, ", "),
            least.join(", ")
        ),
        false => format!("possible of {} {of}", joined(&possible, ", ")),
    };
    Ok(Recomputed::new(agrees(!possible.is_empty()), text, &numbers))
}

pub(super) fn class_count(printed: u64, classes: &[String]) -> Recomputed {
    let count = classes.len() as u64;
    let ratio = count as f64 / printed as f64;
    let text = format!(
        "{count} classes ({}): the loss is scaled by {ratio:.3}",
        classes.join(", ")
    );
    Recomputed::new(
        holds(printed == count),
        text,
        &[("classes", count as f64), ("scale", ratio)],
    )
}

pub(super) fn independence(table: &[Vec<u64>], test: Independence, p: PrintedP) -> Result<Recomputed, ClaimsError> {
    let rows: Vec<&[u64]> = table.iter().map(Vec::as_slice).collect();
    let square = match &rows[..] {
        [[a, b], [c, d]] => Some([[*a, *b], [*c, *d]]),
        _ => None,
    };
    let undefined = || ClaimsError::NotDefined { test: "independence" };
    let plain = chi_squared(&rows).ok_or_else(undefined)?;
    let mut numbers = vec![("chi_squared_p", plain.p), ("statistic", plain.statistic)];
    let mut others = vec![format!("chi-square {}", shown_p(plain.p))];
    let mut value = plain.p;
    if let Some(square) = square {
        let yates = chi_squared_yates(square).ok_or_else(undefined)?.p;
        let exact = fisher_exact(square);
        numbers.extend([("yates_p", yates), ("fisher_p", exact)]);
        others.push(format!("Yates {}", shown_p(yates)));
        others.push(format!("Fisher {}", shown_p(exact)));
        if test == Independence::Fisher {
            value = exact;
        }
    } else if test == Independence::Fisher {
        return Err(undefined());
    }
    numbers.push(("p", value));
    let text = format!("p = {} ({})", shown_p(value), others.join(", "));
    Ok(Recomputed::new(p.verdict(value, [value, value]), text, &numbers))
}

fn joined(values: &[u64], between: &str) -> String {
    values.iter().map(u64::to_string).collect::<Vec<_>>().join(between)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::claims::Verdict;

    #[test]
    fn a_split_of_patients_is_told_from_a_cut_of_slices() {
        assert_eq!(
            cut_of_rows(&[80, 10, 10], 166, &[6692, 836, 838]).verdict,
            Verdict::Mismatch
        );
        assert_eq!(
            cut_of_rows(&[80, 10, 10], 166, &[6650, 890, 826]).verdict,
            Verdict::Consistent
        );
    }

    #[test]
    fn percentages_that_the_units_allow_are_consistent() {
        let series = [Series {
            name: "x".to_owned(),
            percents: vec![75.0, 38.0],
        }];
        assert_eq!(
            granularity(&series, &[8, 9], "patients").unwrap().verdict,
            Verdict::Consistent
        );
        assert_eq!(
            granularity(&series, &[9], "patients").unwrap().verdict,
            Verdict::Mismatch
        );
    }

    #[test]
    fn a_difference_below_zero_is_shown_and_no_panic() {
        let left = difference(3, 5, 2);
        assert_eq!((left.verdict, left.numbers["difference"]), (Verdict::Mismatch, -2.0));
    }
}
