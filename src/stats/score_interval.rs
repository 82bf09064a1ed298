//! Score intervals, which keep a width where a bootstrap has none: for a proportion of 0 or 1, for an AUC of 0 or 1.

use super::StatsError;

/// Wilson's score interval of `hits` in `trials`, without continuity correction (Wilson, JASA 1927,
/// doi:10.1080/01621459.1927.10502953). `trials` is positive.
pub fn wilson(hits: usize, trials: usize, level: f64) -> Result<[f64; 2], StatsError> {
    let z = normal_quantile(level)?;
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

/// Newcombe's score interval of an AUC, method 5 (Newcombe, Stat Med 2006;25:559-573, doi:10.1002/sim.2324): the
/// areas that lie within z of the observed one under the Hanley-McNeil variance at that area.
pub fn newcombe(auc: f64, positives: usize, negatives: usize, level: f64) -> Result<[f64; 2], StatsError> {
    let z = normal_quantile(level)?;
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

/// The z of a two-sided level: 1.96 for 0.95. Algorithm AS 241 (Wichura, Appl Stat 1988, doi:10.2307/2347330),
/// relative error 1e-16; without its far tail, where no level of use lies.
#[expect(clippy::excessive_precision, reason = "the constants as they were printed")]
fn normal_quantile(level: f64) -> Result<f64, StatsError> {
    if !(level > 0.0 && level < 1.0) {
        return Err(StatsError::Level { found: level });
    }
    const A: [f64; 8] = [
        3.387_132_872_796_366_608_0,
        1.331_416_678_917_843_774_5e2,
        1.971_590_950_306_551_442_7e3,
        1.373_169_376_550_946_112_5e4,
        4.592_195_393_154_987_145_7e4,
        6.726_577_092_700_870_085_3e4,
        3.343_057_558_358_812_810_5e4,
        2.509_080_928_730_122_672_7e3,
    ];
    const B: [f64; 8] = [
        1.0,
        4.231_333_070_160_091_125_2e1,
        6.871_870_074_920_579_083_0e2,
        5.394_196_021_424_751_107_7e3,
        2.121_379_430_158_659_586_7e4,
        3.930_789_580_009_271_061_0e4,
        2.872_908_573_572_194_267_4e4,
        5.226_495_278_852_854_561_0e3,
    ];
    const C: [f64; 8] = [
        1.423_437_110_749_683_577_34,
        4.630_337_846_156_545_295_90,
        5.769_497_221_460_691_405_50,
        3.647_848_324_763_204_605_04,
        1.270_458_252_452_368_382_58,
        2.417_807_251_774_506_117_70e-1,
        2.272_384_498_926_918_458_33e-2,
        7.745_450_142_783_414_076_40e-4,
    ];
    const D: [f64; 8] = [
        1.0,
        2.053_191_626_637_758_821_87,
        1.676_384_830_183_803_849_40,
        6.897_673_349_851_000_045_50e-1,
        1.481_039_764_274_800_745_90e-1,
        1.519_866_656_361_645_719_66e-2,
        5.475_938_084_995_344_946_00e-4,
        1.050_750_071_644_416_843_24e-9,
    ];
    let ratio = |above: &[f64; 8], below: &[f64; 8], r: f64| {
        let polynomial = |c: &[f64; 8]| c.iter().rev().fold(0.0, |sum, c| sum * r + c);
        polynomial(above) / polynomial(below)
    };
    let q = level / 2.0;
    if q <= 0.425 {
        return Ok(q * ratio(&A, &B, 0.180_625 - q * q));
    }
    Ok(ratio(&C, &D, (-(0.5 - q).ln()).sqrt() - 1.6))
}

#[cfg(test)]
mod tests {
    use super::{newcombe, wilson};

    #[test]
    fn a_perfect_score_still_has_an_interval() {
        let [lower, upper] = wilson(12, 12, 0.95).unwrap();
        assert!(upper == 1.0 && lower > 0.7 && lower < 0.8, "{lower}");
        let [lower, upper] = newcombe(1.0, 12, 12, 0.95).unwrap();
        assert!(upper == 1.0 && lower > 0.7 && lower < 0.95, "{lower}");
        assert!(wilson(1, 2, 1.0).is_err());
    }

    #[test]
    fn swapped_outcomes_mirror_the_intervals() {
        let ([a, b], [c, d]) = (wilson(3, 10, 0.9).unwrap(), wilson(7, 10, 0.9).unwrap());
        assert!((a + d - 1.0).abs() < 1e-15 && (b + c - 1.0).abs() < 1e-15);
        let ([a, b], [c, d]) = (newcombe(0.2, 9, 5, 0.9).unwrap(), newcombe(0.8, 9, 5, 0.9).unwrap());
        assert!((a + d - 1.0).abs() < 1e-12 && (b + c - 1.0).abs() < 1e-12);
    }
}
