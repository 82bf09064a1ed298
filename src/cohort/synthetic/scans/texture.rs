//! Random textures that differ in grain and in nothing that a histogram could tell.

use ndarray::{Array3, ArrayViewMut3, Axis};
use rand::Rng;
use rand_distr::{Distribution as _, StandardNormal};

/// White noise, `[D, H, W]`, smoothed by a Gaussian of `sigma` voxels. What leaves on one side comes in on the other, so that no
/// place is smoother than another.
pub(super) fn field(rng: &mut impl Rng, size: [usize; 3], sigma: f32) -> Array3<f32> {
    let mut field = Array3::from_shape_simple_fn(size, || StandardNormal.sample(rng));
    let reach = (4.0 * sigma).ceil() as usize;
    let weight = |tap: usize| (-0.5 * ((tap as f32 - reach as f32) / sigma).powi(2)).exp();
    let total: f32 = (0..=2 * reach).map(weight).sum();
    let kernel: Vec<f32> = (0..=2 * reach).map(|tap| weight(tap) / total).collect();
    for axis in 0..3 {
        smooth(field.view_mut(), axis, &kernel);
    }
    field
}

fn smooth(mut field: ArrayViewMut3<'_, f32>, axis: usize, kernel: &[f32]) {
    let n = field.len_of(Axis(axis));
    let reach = kernel.len() / 2;
    let mut around = vec![0.0f32; n + 2 * reach];
    for mut lane in field.lanes_mut(Axis(axis)) {
        for (at, value) in around.iter_mut().enumerate() {
            // The lane's own values, over and over.
            *value = lane[(at + n * reach.div_ceil(n) - reach) % n];
        }
        for (value, near) in lane.iter_mut().zip(around.windows(kernel.len())) {
            *value = near.iter().zip(kernel).map(|(value, weight)| value * weight).sum();
        }
    }
}

/// The field's values by their ranks, spread over `[-1, 1]` as a sine has them: most near the ends. The same numbers come out of
/// any field of this length, at other places.
pub(super) fn equalised(values: &[f32]) -> Vec<f32> {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_unstable_by(|a, b| values[*a].total_cmp(&values[*b]).then(a.cmp(b)));
    let mut out = vec![0.0; values.len()];
    for (rank, at) in order.into_iter().enumerate() {
        let part = (rank as f32 + 0.5) / values.len() as f32;
        out[at] = (std::f32::consts::PI * (part - 0.5)).sin();
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::seed::stream;

    #[test]
    fn grains_differ_and_histograms_do_not() {
        let size = [12, 10, 14];
        let [fine, coarse] = [0.5, 2.5].map(|sigma| {
            let field = field(&mut stream(1, "grain"), size, sigma);
            equalised(field.as_slice().unwrap())
        });
        let sorted = |values: &[f32]| {
            let mut values = values.to_vec();
            values.sort_by(f32::total_cmp);
            values
        };
        assert_eq!(sorted(&fine), sorted(&coarse));
        let steps = |values: &[f32]| values.windows(2).map(|pair| (pair[0] - pair[1]).abs()).sum::<f32>();
        assert!(
            steps(&fine) > 2.0 * steps(&coarse),
            "{} and {}",
            steps(&fine),
            steps(&coarse)
        );
    }

    #[test]
    fn smoothing_keeps_a_constant_and_the_mean_on_axes_shorter_than_the_kernel_too() {
        let mut flat = Array3::from_elem((3, 4, 5), 2.0f32);
        let kernel = [0.1, 0.2, 0.1, 0.05, 0.1, 0.05, 0.1, 0.2, 0.1];
        for axis in 0..3 {
            smooth(flat.view_mut(), axis, &kernel);
        }
        assert!(flat.iter().all(|value| (value - 2.0).abs() < 1e-5));
        let mut one = Array3::zeros((3, 4, 5));
        one[[2, 3, 4]] = 1.0f32;
        for axis in 0..3 {
            smooth(one.view_mut(), axis, &kernel);
        }
        assert!((one.sum() - 1.0).abs() < 1e-5, "{}", one.sum());
    }
}
