//! Logistic regression on one covariate by Newton's method with step halving, as Lin, Lin & Weng (Mach Learn 2007,
//! doi:10.1007/s10994-007-5018-6) fit Platt's sigmoid; targets may be fractions.

/// The fitted line `slope * x + intercept` of the log odds.
#[derive(Debug, Clone, Copy)]
pub(super) struct Line {
    pub slope: f64,
    pub intercept: f64,
    /// The inverse of the information: variances and covariance of `[intercept, slope]`; zeros for a constant covariate.
    pub covariance: [[f64; 2]; 2],
}

/// Newton needs 5 to 10 steps; more than this is no convergence, and the last step is as near as rounding lets it be.
const STEPS: usize = 100;

/// Keeps a flat information from dividing by zero (Lin et al., `sigma`).
const RIDGE: f64 = 1e-12;

/// `1 / (1 + exp(-x))` without overflow.
pub(super) fn expit(x: f64) -> f64 {
    if x >= 0.0 {
        1.0 / (1.0 + (-x).exp())
    } else {
        let odds = x.exp();
        odds / (1.0 + odds)
    }
}

/// `ln(p / (1 - p))`.
pub(super) fn logit(p: f64) -> f64 {
    p.ln() - (-p).ln_1p()
}

/// Fits the line. Slices are of one length, `x` finite; weights of positive sum, the weighted mean of the targets above 0
/// and below 1, and targets of 0 and 1 alone must not be separated by `x`: their line would be infinite.
pub(super) fn logistic(x: &[f64], target: &[f64], weight: &[f64], start: Option<&Line>) -> Line {
    let counted = || {
        x.iter()
            .zip(target)
            .zip(weight)
            .filter(|(_, weight)| **weight > 0.0)
            .map(|((&x, &target), &weight)| (x, target, weight))
    };
    let total: f64 = weight.iter().sum();
    let (low, high) = counted().fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), (x, ..)| {
        (low.min(x), high.max(x))
    });
    if low == high {
        let mean = counted().map(|(_, target, weight)| weight * target).sum::<f64>() / total;
        return Line {
            slope: 0.0,
            intercept: logit(mean),
            covariance: [[0.0; 2]; 2],
        };
    }
    // To a mean of 0 and an SD of 1; first to [-1, 1], so that squares of huge scores are numbers.
    let (middle, half) = (low / 2.0 + high / 2.0, high / 2.0 - low / 2.0);
    let mean = counted()
        .map(|(x, _, weight)| weight * ((x - middle) / half))
        .sum::<f64>()
        / total;
    let variance = counted()
        .map(|(x, _, weight)| weight * ((x - middle) / half - mean).powi(2))
        .sum::<f64>()
        / total;
    let sd = variance.sqrt();
    let rows: Vec<(f64, f64, f64)> = counted()
        .map(|(x, target, weight)| (((x - middle) / half - mean) / sd, target, weight))
        .collect();

    let (scale, shift) = (half * sd, mean / sd + middle / (half * sd));
    let loss = |a: f64, b: f64| -> f64 {
        let of_row = |&(z, target, weight): &(f64, f64, f64)| {
            let eta = a + b * z;
            weight * (eta.max(0.0) - target * eta + (-eta.abs()).exp().ln_1p())
        };
        rows.iter().map(of_row).sum()
    };
    let (mut a, mut b) = start.map_or((0.0, 0.0), |line| {
        (line.intercept + line.slope * scale * shift, line.slope * scale)
    });
    let mut value = loss(a, b);
    let mut information = [0.0; 3];
    for _ in 0..STEPS {
        let (mut gradient, mut sums) = ([0.0; 2], [RIDGE, 0.0, RIDGE]);
        for &(z, target, weight) in &rows {
            let p = expit(a + b * z);
            let (residual, curvature) = (weight * (p - target), weight * p * (1.0 - p));
            gradient[0] += residual;
            gradient[1] += residual * z;
            sums[0] += curvature;
            sums[1] += curvature * z;
            sums[2] += curvature * z * z;
        }
        information = sums;
        if gradient.iter().all(|part| part.abs() < 1e-11 * total) {
            break;
        }
        let determinant = sums[0] * sums[2] - sums[1] * sums[1];
        let da = -(sums[2] * gradient[0] - sums[1] * gradient[1]) / determinant;
        let db = -(sums[0] * gradient[1] - sums[1] * gradient[0]) / determinant;
        let descent = gradient[0] * da + gradient[1] * db;
        // So near that rounding hides whether the loss falls; the full step is right there.
        if -descent <= 1e-10 * value {
            (a, b) = (a + da, b + db);
            continue;
        }
        let mut step = 1.0;
        let next = loop {
            let (next_a, next_b) = (a + step * da, b + step * db);
            let next = loss(next_a, next_b);
            if next <= value + 1e-4 * step * descent {
                (a, b) = (next_a, next_b);
                break Some(next);
            }
            step /= 2.0;
            // Lin et al.'s `minstep`: rounding is all that is left.
            if step < 1e-10 {
                break None;
            }
        };
        match next {
            Some(next) => value = next,
            None => break,
        }
    }
    // Back from z = x / scale - shift.
    let [i0, i1, i2] = information;
    let determinant = i0 * i2 - i1 * i1;
    let (va, vab, vb) = (i2 / determinant, -i1 / determinant, i0 / determinant);
    Line {
        slope: b / scale,
        intercept: a - b * shift,
        covariance: [
            [va - 2.0 * shift * vab + shift * shift * vb, (vab - shift * vb) / scale],
            [(vab - shift * vb) / scale, vb / (scale * scale)],
        ],
    }
}

/// The intercept alone, where the slope is 1: log odds `x + intercept`. Both classes have weight.
pub(super) fn offset(x: &[f64], positive: &[bool], weight: &[f64]) -> f64 {
    let excess = |a: f64| -> (f64, f64) {
        let mut sums = (0.0, 0.0);
        for ((&x, &positive), &weight) in x.iter().zip(positive).zip(weight) {
            let p = expit(x + a);
            sums.0 += weight * (p - f64::from(u8::from(positive)));
            sums.1 += weight * p * (1.0 - p);
        }
        sums
    };
    // The excess rises with the intercept: Newton, kept inside a bracket.
    let (mut low, mut high, mut a) = (-1500.0, 1500.0, 0.0);
    for _ in 0..200 {
        let (value, slope) = excess(a);
        if value > 0.0 {
            high = a
        } else {
            low = a
        }
        let next = a - value / slope;
        if (next - a).abs() <= 1e-13 * (1.0 + a.abs()) {
            return next;
        }
        // Asked after that: at the end the step is nothing, and the bracket's end is here.
        let next = if next > low && next < high {
            next
        } else {
            f64::midpoint(low, high)
        };
        a = next;
    }
    a
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shifted_and_stretched_covariate_changes_the_line_only_by_that() {
        let x = [0.1, 0.4, 0.35, 0.8, 0.2, 0.9];
        let target = [0.0, 0.0, 1.0, 1.0, 1.0, 0.0];
        let plain = logistic(&x, &target, &[1.0; 6], None);
        let moved: Vec<f64> = x.iter().map(|x| 1e6 + 1e3 * x).collect();
        let line = logistic(&moved, &target, &[1.0; 6], None);
        assert!((line.slope * 1e3 - plain.slope).abs() < 1e-8);
        assert!((line.intercept + line.slope * 1e6 - plain.intercept).abs() < 1e-6);
        let again = logistic(&x, &target, &[1.0; 6], Some(&plain));
        assert!((again.slope - plain.slope).abs() < 1e-10);
        assert!((again.covariance[1][1] / plain.covariance[1][1] - 1.0).abs() < 1e-8);
    }

    #[test]
    fn weights_count_like_as_many_rows() {
        let (x, target) = ([1.0, 2.0, 3.0, 4.0], [0.0, 1.0, 0.0, 1.0]);
        let weighted = logistic(&x, &target, &[1.0, 2.0, 0.0, 1.0], None);
        let repeated = logistic(&[1.0, 2.0, 2.0, 4.0], &[0.0, 1.0, 1.0, 1.0], &[1.0; 4], None);
        assert_eq!(weighted.slope, repeated.slope);
    }

    #[test]
    fn the_offset_is_found_from_far_away() {
        let positive = [true, false, false, false];
        let found = offset(&[600.0; 4], &positive, &[1.0; 4]);
        assert!((found - (logit(0.25) - 600.0)).abs() < 1e-9, "{found}");
        assert!((expit(logit(0.3)) - 0.3).abs() < 1e-15 && expit(-800.0) == 0.0);
    }
}
