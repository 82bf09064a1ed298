//! How far what enters batch norms is from what they stored, and how sure that is.

use rand::RngExt as _;
use tch::{Device, Kind, Tensor};

use super::super::{TorchError, layers::Entering};
use crate::seed;

/// Draws of images and channels with replacement. Row 0 of everything is the images and channels as they are.
pub(super) const RESAMPLES: usize = 200;

/// Added to both variances before they are compared, so that channels that are always zero agree.
const LEAST_VARIANCE: f64 = 1e-4;

/// Added to distances before they are compared: below it all fit equally well. It is that of variances 4 % apart, or means 3 % of
/// a deviation, which whether statistics were taken batch by batch or at once already makes.
const LEAST_DISTANCE: f64 = 1e-4;

/// Other channels' statistics that a channel is compared with, to see what chance gives.
const OTHERS: i64 = 8;

/// The weights of images in every resample.
#[derive(Debug)]
pub(super) struct Resamples {
    /// `[B, N]`, rows sum to 1.
    images: Tensor,
    seed: u64,
}

impl Resamples {
    /// Of `n` images; `what` names them.
    pub fn new(n: usize, seed: u64, what: &str) -> Result<Self, TorchError> {
        let images = weights(n, seed, &format!("settle/resamples/{what}"))?;
        Ok(Self { images, seed })
    }

    /// One site, over all images.
    pub fn fit(&self, site: Entered) -> Result<Fit, TorchError> {
        let unit = (&site.variance + LEAST_VARIANCE).rsqrt(); // [C]
        let mean = (&site.means - &site.mean) * &unit; // [N, C]
        let square = &site.variances * unit.square() + mean.square(); // [N, C]
        let mean = self.images.matmul(&mean); // [B, C]
        let variance = (self.images.matmul(&square) - mean.square()).clamp_min(0.0);
        let variance = variance + unit.square() * LEAST_VARIANCE; // [B, C], 1 where both agree
        let channels = unit.size()[0];
        let drawn = weights(channels as usize, self.seed, &format!("settle/channels/{}", site.name))?;
        let distance = (hellinger(&mean, &variance) * drawn).sum_dim_intlist([1i64].as_slice(), false, Kind::Double);

        let own = distance.double_value(&[0]);
        let (mean, variance) = (&site.mean + mean.get(0) / &unit, variance.get(0) / unit.square()); // [C], as measured
        let mut others = Vec::new();
        for shift in 1..=OTHERS.min(channels - 1) {
            let (other_mean, other_unit) = (site.mean.roll([shift], [0]), unit.roll([shift], [0]));
            let distance = hellinger(
                &((&mean - other_mean) * &other_unit),
                &(&variance * other_unit.square()),
            );
            others.push(distance.mean(Kind::Double).double_value(&[]));
        }
        let chance = others.iter().sum::<f64>() / others.len().max(1) as f64;
        Ok(Fit {
            site: site.name,
            distance,
            skill: if chance > 0.0 { 1.0 - own / chance } else { 0.0 },
        })
    }

    /// Pearson's correlation of two `[N, Z]`, averaged over `Z`, in every resample: `[B]`.
    pub fn correlation(&self, a: &Tensor, b: &Tensor) -> Tensor {
        let mean = |t: Tensor| self.images.matmul(&t); // [B, Z]
        let centred = |t: &Tensor| {
            let t = t.to_kind(Kind::Double);
            &t - t.mean_dim([0i64].as_slice(), true, None)
        };
        let (a, b) = (centred(a), centred(b));
        let (mean_a, mean_b) = (mean(a.shallow_clone()), mean(b.shallow_clone()));
        let spread = |t: &Tensor, m: &Tensor| (mean(t.square()) - m.square()).clamp_min(1e-30);
        let covariance = mean(&a * &b) - &mean_a * &mean_b;
        let r = covariance / (spread(&a, &mean_a) * spread(&b, &mean_b)).sqrt();
        r.mean_dim([1i64].as_slice(), false, None)
    }
}

/// `[B, n]`: shares of `n` things, in the first row all alike, then of `n` draws with replacement.
fn weights(n: usize, seed: u64, purpose: &str) -> Result<Tensor, TorchError> {
    let mut rng = seed::stream(seed, purpose);
    let share = 1.0 / n as f64;
    let mut shares = vec![share; n];
    shares.resize((RESAMPLES + 1) * n, 0.0);
    for row in shares.chunks_exact_mut(n).skip(1) {
        for _ in 0..n {
            row[rng.random_range(0..n)] += share;
        }
    }
    Ok(Tensor::f_from_slice(&shares)?.f_reshape([-1, n as i64])?)
}

/// Squared Hellinger distance of a normal distribution from the standard one: 0 for equal ones, 1 for disjoint ones, and
/// without a unit, so that no channel can outweigh the others.
fn hellinger(mean: &Tensor, variance: &Tensor) -> Tensor {
    let sum: Tensor = variance + 1.0;
    let overlap = (variance.sqrt() * 2.0 / &sum).sqrt() * (mean.square() / &sum * -0.25).exp();
    let distance: Tensor = 1.0 - overlap;
    distance.clamp_min(0.0)
}

/// What entered one batch norm, all images together, in double precision on the CPU.
#[derive(Debug)]
pub(super) struct Entered {
    name: String,
    /// `[N, C]` each.
    means: Tensor,
    variances: Tensor,
    /// `[C]` each, the stored ones.
    mean: Tensor,
    variance: Tensor,
}

impl Entered {
    /// Batches of the same network, one after the other, joined site by site.
    pub fn joined(batches: &[Vec<Entering>]) -> Vec<Self> {
        let double = |t: &Tensor| t.to_device(Device::Cpu).to_kind(Kind::Double);
        let sites = batches.first().map_or(0, Vec::len);
        let joined = |site: usize| {
            let all = |of: fn(&Entering) -> &Tensor| {
                let parts: Vec<Tensor> = batches.iter().map(|batch| double(of(&batch[site]))).collect();
                Tensor::cat(&parts, 0)
            };
            let first = &batches[0][site];
            Self {
                name: first.site.trim_start_matches(crate::encoder::PREFIX).to_owned(),
                means: all(|entering| &entering.mean),
                variances: all(|entering| &entering.variance),
                mean: double(&first.stored.0),
                variance: double(&first.stored.1),
            }
        };
        (0..sites).map(joined).collect()
    }
}

/// How well one batch norm is fed.
#[derive(Debug)]
pub(super) struct Fit {
    /// Which, e.g. `stages.0.0.bn1`.
    pub site: String,
    /// `[B]`, mean over channels of the squared Hellinger distance from what is stored.
    distance: Tensor,
    /// 1 where every channel has its own statistics, 0 where it is no nearer to them than to those of other channels.
    pub skill: f64,
}

impl Fit {
    /// Of all images and channels.
    pub fn distance(&self) -> f64 {
        self.distance.double_value(&[0])
    }
}

/// The geometric mean of distances: every site has the same say, whether it fits well or not.
pub(super) fn distance<'a>(fits: impl IntoIterator<Item = &'a Fit>) -> f64 {
    let logs: Vec<f64> = fits
        .into_iter()
        .map(|fit| (fit.distance() + LEAST_DISTANCE).ln())
        .collect();
    (logs.iter().sum::<f64>() / logs.len().max(1) as f64).exp()
}

/// By how much one graph is nearer than another, `[B]`: the difference of their distances over the sum, mean over sites. 0 where
/// both are alike, 1 where the other is far off everywhere; how well the nearer one fits, which is noise, hardly matters then.
pub(super) fn contrast(nearer: &[Fit], other: &[Fit]) -> Tensor {
    let sites = nearer.iter().zip(other).map(|(nearer, other)| {
        let sum = &nearer.distance + &other.distance + 2.0 * LEAST_DISTANCE;
        (&other.distance - &nearer.distance) / sum
    });
    Tensor::stack(&sites.collect::<Vec<_>>(), 0).mean_dim([0i64].as_slice(), false, None)
}

/// The median over sites.
pub(super) fn skill(fits: &[Fit]) -> f64 {
    let mut skills: Vec<f64> = fits.iter().map(|fit| fit.skill).collect();
    skills.sort_by(f64::total_cmp);
    skills.get(skills.len() / 2).copied().unwrap_or(0.0)
}

/// One batch norm that is at a distance in every resample.
#[cfg(test)]
pub(super) fn fits_at(distance: f64) -> Vec<Fit> {
    vec![Fit {
        site: "bn".to_owned(),
        distance: Tensor::full([9], distance, (Kind::Double, Device::Cpu)),
        skill: 1.0,
    }]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entered(means: &[f64], variances: &[f64], stored: (&[f64], &[f64])) -> Entered {
        let c = stored.0.len() as i64;
        let rows = |t: &[f64]| Tensor::from_slice(t).reshape([-1, c]);
        Entered {
            name: "bn".to_owned(),
            means: rows(means),
            variances: rows(variances),
            mean: Tensor::from_slice(stored.0),
            variance: Tensor::from_slice(stored.1),
        }
    }

    /// Two images whose positions have means 0 and 2 and variance 1 each: mean 1 and variance 2 together.
    #[test]
    fn what_was_stored_of_the_same_images_is_at_no_distance() {
        let site = entered(&[0.0, 5.0, 2.0, 5.0], &[1.0, 0.0, 1.0, 0.0], (&[1.0, 5.0], &[2.0, 0.0]));
        let fit = Resamples::new(2, 0, "test").unwrap().fit(site).unwrap();
        assert!(fit.distance() < 1e-12, "{}", fit.distance());
        assert!(fit.skill > 0.999, "{}", fit.skill);
    }

    /// Closed form: 1 - sqrt(2 s / (1 + s^2)) exp(-m^2 / (4 (1 + s^2))).
    #[test]
    fn the_distance_is_hellingers() {
        let h = hellinger(&Tensor::from_slice(&[1.0f64]), &Tensor::from_slice(&[4.0f64]));
        let expected = 1.0 - (4.0f64 / 5.0).sqrt() * (-1.0f64 / 20.0).exp();
        assert!((h.double_value(&[0]) - expected).abs() < 1e-12);
    }

    #[test]
    fn statistics_that_are_all_alike_show_no_skill() {
        let site = entered(&[0.1, 0.4, -0.3], &[0.9, 1.2, 0.4], (&[0.0; 3], &[1.0; 3]));
        let fit = Resamples::new(1, 0, "test").unwrap().fit(site).unwrap();
        assert!(fit.skill.abs() < 1e-9, "{}", fit.skill);
    }

    /// Far off at one of two sites, alike at the other.
    #[test]
    fn the_contrast_is_a_mean_over_sites() {
        let resamples = Resamples::new(1, 0, "test").unwrap();
        let fit = |mean: f64| resamples.fit(entered(&[mean], &[1.0], (&[0.0], &[1.0]))).unwrap();
        let contrast = contrast(&[fit(0.0), fit(1.0)], &[fit(9.0), fit(1.0)]);
        assert!((contrast.double_value(&[0]) - 0.5).abs() < 1e-3, "{contrast}");
    }

    #[test]
    fn a_falling_line_correlates_by_minus_one() {
        let t = Tensor::from_slice(&[0.0f64, 1.0, 5.0, -2.0, 3.0, 8.0]).reshape([6, 1]);
        let r = Resamples::new(6, 0, "test")
            .unwrap()
            .correlation(&t, &(&t * -3.0 + 1.0));
        assert_eq!(r.size(), [RESAMPLES as i64 + 1]);
        assert!((r.get(0).double_value(&[]) + 1.0).abs() < 1e-12);
    }
}
