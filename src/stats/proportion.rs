//! Intervals of proportions, and of an AUC from counts alone: they keep a width where a bootstrap has none.

use super::{
    StatsError,
    distributions::{beta_quantile, z_of_level},
};

/// Wilson's score interval of `hits` in `trials`, without continuity correction (Wilson, JASA 1927,
/// doi:10.1080/01621459.1927.10502953). `trials` is positive.
pub fn wilson(hits: usize, trials: usize, level: f64) -> Result<[f64; 2], StatsError> {
    let z = z_of_level(level)?;
    let n = trials as f64;
    let p = hits as f64 / n;
    let middle = p + z * z / (2.0 * n);
    let half = z * (p * (1.0 - p) / n + z * z / (4.0 * n * n)).sqrt();
    let scale = 1.0 + z * z / n;
    // Exact ends, which rounding would miss by 1e-17.
    let lower = if hits == 0 { 0.0 } else { (middle - half) / scale };
    let upper = if hits == trials { 1.0 } else { (middle + half) / scale };
    Ok([lower, upper])
}

/// The exact interval of `hits` in `trials` (Clopper & Pearson, Biometrika 1934, doi:10.1093/biomet/26.4.404): covers at
/// least at its level, often above it. `trials` is positive.
pub fn clopper_pearson(hits: usize, trials: usize, level: f64) -> Result<[f64; 2], StatsError> {
    z_of_level(level)?;
    let (k, n, tail) = (hits as f64, trials as f64, (1.0 - level) / 2.0);
    let lower = if hits == 0 {
        0.0
    } else {
        beta_quantile(tail, k, n - k + 1.0)
    };
    let upper = if hits == trials {
        1.0
    } else {
        beta_quantile(1.0 - tail, k + 1.0, n - k)
    };
    Ok([lower, upper])
}

/// Newcombe's score interval of an AUC, method 5 (Newcombe, Stat Med 2006;25:559-573, doi:10.1002/sim.2324): the
/// areas that lie within z of the observed one under the Hanley-McNeil variance at that area.
pub fn newcombe(auc: f64, positives: usize, negatives: usize, level: f64) -> Result<[f64; 2], StatsError> {
    let z = z_of_level(level)?;
    let (m, n) = (positives as f64, negatives as f64);
    let excess = (m + n) / 2.0 - 1.0;
    let variance = |area: f64| {
        area * (1.0 - area) * (1.0 + excess * ((1.0 - area) / (2.0 - area) + area / (1.0 + area))) / (m * n)
    };
    let inside = |area: f64| (area - auc).powi(2) <= z * z * variance(area);
    // From the observed area, which is inside, towards an end, which is outside unless it is the observed area.
    let bound = |end: f64| {
        let (mut inner, mut outer) = (auc, end);
        for _ in 0..100 {
            let middle = inner.midpoint(outer);
            if inside(middle) { inner = middle } else { outer = middle }
        }
        inner.midpoint(outer)
    };
    Ok([bound(0.0), bound(1.0)])
}

#[cfg(test)]
mod tests {
    use super::{clopper_pearson, newcombe, wilson};

    #[test]
    fn a_perfect_score_still_has_an_interval() {
        let [lower, upper] = wilson(12, 12, 0.95).unwrap();
        assert!(upper == 1.0 && lower > 0.7 && lower < 0.8, "{lower}");
        let [lower, upper] = newcombe(1.0, 12, 12, 0.95).unwrap();
        assert!(upper == 1.0 && lower > 0.7 && lower < 0.95, "{lower}");
        assert!(wilson(1, 2, 1.0).is_err());
    }

    /// Expected: `statsmodels.stats.proportion.proportion_confint(k, n, 0.05, "beta")`, statsmodels 0.15.
    #[test]
    fn exact_intervals_are_those_of_statsmodels() {
        let expected = [
            (12, 15, [0.5191088661931469, 0.9566879948941635]),
            (15, 20, [0.5089541282920425, 0.9134285308985653]),
            (49, 50, [0.8935304542885001, 0.9994937720169592]),
            (0, 7, [0.0, 0.4096163972250034]),
            (7, 7, [0.5903836027749966, 1.0]),
            (500, 1000, [0.46854917297179194, 0.5314508270282081]),
        ];
        for (hits, trials, [lower, upper]) in expected {
            let [found_lower, found_upper] = clopper_pearson(hits, trials, 0.95).unwrap();
            assert!(
                (found_lower - lower).abs() < 1e-11,
                "{hits}/{trials}: {found_lower}, {lower}"
            );
            assert!(
                (found_upper - upper).abs() < 1e-11,
                "{hits}/{trials}: {found_upper}, {upper}"
            );
        }
    }

    #[test]
    fn swapped_outcomes_mirror_the_intervals() {
        let ([a, b], [c, d]) = (wilson(3, 10, 0.9).unwrap(), wilson(7, 10, 0.9).unwrap());
        assert!((a + d - 1.0).abs() < 1e-15 && (b + c - 1.0).abs() < 1e-15);
        let ([a, b], [c, d]) = (newcombe(0.2, 9, 5, 0.9).unwrap(), newcombe(0.8, 9, 5, 0.9).unwrap());
        assert!((a + d - 1.0).abs() < 1e-12 && (b + c - 1.0).abs() < 1e-12);
    }
}
