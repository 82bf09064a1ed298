//! P-values adjusted for a declared family of comparisons: the chance of any false finding in it stays below the level.

use super::StatsError;

/// Bonferroni's: each p-value times the size of the family, at most 1.
pub fn bonferroni(p: &[f64]) -> Result<Vec<f64>, StatsError> {
    check(p)?;
    let family = p.len() as f64;
    Ok(p.iter().map(|p| (p * family).min(1.0)).collect())
}

/// Holm's step-down p-values (Scand J Stat 1979;6:65-70), in the order given: never above Bonferroni's and as safe.
///
/// ```
/// use hounsfield::stats::holm;
/// assert_eq!(holm(&[0.5, 0.25, 0.0625]).unwrap(), [0.5, 0.5, 0.1875]);
/// ```
pub fn holm(p: &[f64]) -> Result<Vec<f64>, StatsError> {
    check(p)?;
    let mut order: Vec<usize> = (0..p.len()).collect();
    order.sort_by(|&a, &b| p[a].total_cmp(&p[b]));
    let (mut adjusted, mut least) = (vec![0.0; p.len()], 0.0_f64);
    for (rank, &at) in order.iter().enumerate() {
        // Later ones are never smaller than earlier ones.
        least = least.max((p[at] * (p.len() - rank) as f64).min(1.0));
        adjusted[at] = least;
    }
    Ok(adjusted)
}

fn check(p: &[f64]) -> Result<(), StatsError> {
    match p.iter().find(|p| !(0.0..=1.0).contains(*p)) {
        Some(&found) => Err(StatsError::PValue { found }),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::{bonferroni, holm};

    #[test]
    fn holm_lies_between_the_p_values_and_bonferroni() {
        let p = [0.03, 0.001, 0.7, 0.03, 0.0, 1.0, 0.012];
        let (holm, bonferroni) = (holm(&p).unwrap(), bonferroni(&p).unwrap());
        for ((p, holm), bonferroni) in p.iter().zip(&holm).zip(&bonferroni) {
            assert!(p <= holm && holm <= bonferroni && *bonferroni <= 1.0);
        }
        assert_eq!(holm[0], holm[3]);
    }

    #[test]
    fn no_p_value_is_refused_and_an_empty_family_is_empty() {
        assert!(holm(&[0.1, f64::NAN]).unwrap_err().to_string().contains("NaN"));
        assert!(bonferroni(&[1.1]).is_err());
        assert!(holm(&[]).unwrap().is_empty());
    }
}
