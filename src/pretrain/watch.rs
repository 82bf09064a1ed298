//! Looks at an encoder while it is trained: how well a held-out probe reads it, how well slices come back from their codes,
//! how far drawn slices are from real ones; and sheets of pictures.

use std::path::Path;

use ndarray::{Array2, Array3, Array4, ArrayView2, ArrayView3, ArrayView4, Axis, concatenate, s};
use rand_distr::{Distribution as _, StandardNormal};

use super::{Data, PretrainError};
use crate::{
    encoder::Layer,
    heads::{HeadConfig, LogisticConfig, TrainingSet, Tuning},
    journal::{Events, Sheet},
    recipe::Pretrain,
    seed, stats,
    torch::trainer::Product,
};

/// Pictures of a sheet of drawn slices, and its columns.
const DRAWN: (usize, usize) = (64, 8);

/// Slices of which reconstructions are shown.
const SHOWN: usize = 16;

/// Walks of a sheet, and pictures of each.
const WALKS: (usize, usize) = (6, 9);

/// Batch-norm statistics are taken over so many slices at most, a multiple of the batches that they pass in.
const STANDING: usize = 1024;

/// What batches of slices are rounded down to.
const WHOLE: usize = 64;

/// The slices that a training is watched with, drawn once.
#[derive(Debug)]
pub struct Watch {
    /// `[N, C, S, S]` training slices for batch-norm statistics.
    pub standing: Array4<f32>,
    training: Labelled,
    held_out: Labelled,
    seed: u64,
}

/// Slices with what a probe needs to know.
#[derive(Debug)]
struct Labelled {
    /// `[N, C, S, S]`
    slices: Array4<f32>,
    /// `None` where a slice has no label of the study.
    positive: Vec<Option<bool>>,
    patient: Vec<usize>,
}

impl Labelled {
    fn new(data: &Data, rows: &[usize]) -> Self {
        Self {
            slices: data.stack(rows),
            positive: rows.iter().map(|row| data.cohort.positive[*row]).collect(),
            patient: rows.iter().map(|row| data.cohort.patient[*row]).collect(),
        }
    }

    /// Whether both classes are among them.
    fn has_both(&self) -> bool {
        [true, false].iter().all(|side| self.positive.contains(&Some(*side)))
    }
}

/// One layer of slices, `[N, F]`.
fn features(product: &Product, slices: &Array4<f32>, layer: Layer) -> Result<Array2<f32>, PretrainError> {
    Ok(product.features(slices.view(), &[layer])?.swap_remove(0))
}

/// Numbers of one look, by name.
pub type Look = Vec<(&'static str, f64)>;

impl Watch {
    /// Draws the slices.
    pub fn new(recipe: &Pretrain, data: &Data) -> Self {
        let standing = Data::some(&data.training, STANDING, recipe.seed, "standing");
        let whole = match standing.len() / WHOLE {
            0 => standing.len(),
            batches => batches * WHOLE,
        };
        let most = recipe.watch.slices;
        Self {
            standing: data.stack(&standing[..whole]),
            training: Labelled::new(data, &Data::some(&data.training, most, recipe.seed, "probe training")),
            held_out: Labelled::new(data, &Data::some(&data.held_out, most, recipe.seed, "probe held out")),
            seed: recipe.seed,
        }
    }

    /// All numbers that can be had: of the probe where there are labels of both classes, of reconstructions and drawn slices
    /// where there is a generator.
    ///
    /// - `probe_auc`: AUC by slice of a logistic regression fitted on training patients, on held-out patients; with the ends of
    ///   its 95 % interval from resampled patients.
    /// - `reconstruction_l1`, `reconstruction_ssim`: of held-out slices and G(E(x)), at the generator's resolution, means over
    ///   slices; L1 in units of `[-1, 1]`.
    /// - `fid`, `kid`: Fréchet and kernel distance of as many drawn as real slices, in the features of the encoder itself (the
    ///   layer that the recipe watches). They compare steps of one training; they are no ImageNet FID, and FID is biased upwards
    ///   with fewer slices than features.
    ///
    /// # Errors
    ///
    /// When libtorch fails.
    pub fn look(&self, product: &Product, layer: Layer) -> Result<Look, PretrainError> {
        let probed = self.training.has_both() && self.held_out.has_both();
        let mut look = Look::new();
        if !probed && product.generator().is_none() {
            return Ok(look);
        }
        let training = features(product, &self.training.slices, layer)?;
        if probed {
            let held_out = features(product, &self.held_out.slices, layer)?;
            look.extend(self.probe(&training, &held_out)?);
        }
        if product.generator().is_some() {
            look.extend(self.reconstructions(product)?);
            look.extend(self.distances(product, &training, layer)?);
        }
        Ok(look)
    }

    /// From the features of the training and the held-out slices, `[N, F]` each.
    fn probe(&self, training: &Array2<f32>, held_out: &Array2<f32>) -> Result<Look, PretrainError> {
        let labelled = |set: &Labelled, all: &Array2<f32>| {
            let rows: Vec<usize> = (0..set.positive.len())
                .filter(|row| set.positive[*row].is_some())
                .collect();
            let positive: Vec<bool> = set.positive.iter().filter_map(|side| *side).collect();
            let patient: Vec<usize> = rows.iter().map(|row| set.patient[*row]).collect();
            (all.select(Axis(0), &rows).mapv(f64::from), positive, patient)
        };
        let (x, positive, groups) = labelled(&self.training, training);
        let set = TrainingSet {
            x: x.view(),
            positive: &positive,
            groups: &groups,
        };
        let head = HeadConfig::Logistic(LogisticConfig::default());
        let fitted = head.fit(&set, &Tuning::default(), self.seed)?;
        let (x, positive, patient) = labelled(&self.held_out, held_out);
        let scores = fitted.score(x.view())?;
        let mut look = Look::new();
        if let Some(auc) = stats::auc(&positive, &scores) {
            look.push(("probe_auc", auc));
            let bootstrap = stats::Bootstrap {
                resamples: 500,
                level: 0.95,
                seed: self.seed,
            };
            let clusters = stats::Clusters::new(&patient);
            let ranking = stats::ClusterRanking::new(&positive, &scores, &clusters);
            if let Ok(resampled) = bootstrap.resample_auc(&clusters, &[ranking]) {
                let [low, high] = resampled.interval(0);
                look.extend([("probe_auc_low", low), ("probe_auc_high", high)]);
            }
        }
        Ok(look)
    }

    fn reconstructions(&self, product: &Product) -> Result<Look, PretrainError> {
        let Some([slices, again]) = self.pairs(product, usize::MAX)? else {
            return Ok(Look::new());
        };
        let l1 = (&slices - &again).mapv(f32::abs).mean().unwrap_or(f32::NAN);
        let similar: Vec<f64> = slices
            .outer_iter()
            .zip(again.outer_iter())
            .filter_map(|(x, y)| stats::ssim(x, y, 2.0).ok())
            .collect();
        let mut look = vec![("reconstruction_l1", f64::from(l1))];
        if !similar.is_empty() {
            let mean = similar.iter().sum::<f64>() / similar.len() as f64;
            look.push(("reconstruction_ssim", mean));
        }
        Ok(look)
    }

    /// From the features of the training slices, `[N, F]`.
    fn distances(&self, product: &Product, real: &Array2<f32>, layer: Layer) -> Result<Look, PretrainError> {
        let Some(generator) = product.generator() else {
            return Ok(Look::new());
        };
        let drawn = generator.generate(&self.latent(real.nrows(), generator.z_dim(), "drawn"))?;
        let drawn = features(product, &enlarge(&drawn, self.training.slices.dim().2), layer)?;
        let mut look = Look::new();
        if let Ok(fid) = stats::frechet_distance(real.view(), drawn.view()) {
            look.push(("fid", fid));
        }
        if let Ok(kid) = stats::kernel_distance(real.view(), drawn.view()) {
            look.push(("kid", kid));
        }
        Ok(look)
    }

    /// Held-out slices at the generator's resolution, and what comes back of their codes.
    fn pairs(&self, product: &Product, most: usize) -> Result<Option<[Array3<f32>; 2]>, PretrainError> {
        let shown = match self.held_out.slices.dim().0 {
            0 => &self.training.slices,
            _ => &self.held_out.slices,
        };
        let shown = shown.slice(s![..most.min(shown.dim().0), .., .., ..]);
        let Some(generator) = product.generator().filter(|_| shown.dim().0 > 0) else {
            return Ok(None);
        };
        let codes = product.features(shown, &[Layer::ZMean])?.swap_remove(0);
        let again = generator.generate(&codes)?;
        Ok(Some([shrink(grey(&shown), generator.resolution()), again]))
    }

    /// Standard normal vectors `[N, Z]`, the same at every look.
    fn latent(&self, n: usize, z_dim: usize, purpose: &str) -> Array2<f32> {
        let rng = seed::stream(self.seed, &format!("watch/{purpose}"));
        let mut values = StandardNormal.sample_iter(rng);
        Array2::from_shape_simple_fn((n, z_dim), || values.next().expect("draws do not end"))
    }

    /// Writes sheets of this step, as files and into TensorBoard: drawn slices, slices beside their reconstructions, and walks
    /// between two codes. Nothing for methods without a generator.
    ///
    /// # Errors
    ///
    /// When libtorch fails, or a file can't be written.
    pub fn sheets(
        &self,
        product: &Product,
        folder: &Path,
        step: u64,
        events: &mut Events,
    ) -> Result<(), PretrainError> {
        let Some(generator) = product.generator() else {
            return Ok(());
        };
        let (drawn, columns) = DRAWN;
        let samples = generator.generate(&self.latent(drawn, generator.z_dim(), "samples"))?;
        save(&sheet(columns, samples.outer_iter())?, "samples", folder, step, events)?;

        if let Some([slices, again]) = self.pairs(product, SHOWN)? {
            let pairs = slices.outer_iter().zip(again.outer_iter());
            let sheet = sheet(8, pairs.flat_map(|(x, y)| [x, y]))?;
            save(&sheet, "pairs", folder, step, events)?;
        }

        let (walks, pictures) = WALKS;
        let ends = self
            .training
            .slices
            .slice(s![..(2 * walks).min(self.training.slices.dim().0), .., .., ..]);
        let codes = product.features(ends, &[Layer::ZMean])?.swap_remove(0);
        let mut steps = Vec::new();
        for pair in codes.axis_chunks_iter(Axis(0), 2).filter(|pair| pair.nrows() == 2) {
            for at in 0..pictures {
                let share = at as f32 / (pictures - 1) as f32;
                let between = &pair.row(0) * (1.0 - share) + &pair.row(1) * share;
                steps.push(between.insert_axis(Axis(0)));
            }
        }
        let views: Vec<ArrayView2<f32>> = steps.iter().map(Array2::view).collect();
        if let Ok(codes) = concatenate(Axis(0), &views) {
            let images = generator.generate(&codes)?;
            save(&sheet(pictures, images.outer_iter())?, "walk", folder, step, events)?;
        }
        Ok(())
    }
}

/// A sheet of pictures `[H, W]`.
pub fn sheet<'a>(columns: usize, images: impl Iterator<Item = ArrayView2<'a, f32>>) -> Result<Sheet, PretrainError> {
    let mut sheet = Sheet::new(columns);
    for image in images {
        sheet.push(image)?;
    }
    Ok(sheet)
}

fn save(sheet: &Sheet, name: &str, folder: &Path, step: u64, events: &mut Events) -> Result<(), PretrainError> {
    sheet.save(&folder.join(format!("step-{step:08}-{name}.png")))?;
    Ok(events.sheet(step, name, sheet)?)
}

/// The only plane of slices, `[N, 1, S, S]` to `[N, S, S]`: recipes with a generator have no other.
fn grey<'a>(slices: &'a ArrayView4<'a, f32>) -> ArrayView3<'a, f32> {
    slices.index_axis(Axis(1), 0)
}

/// Means over squares, `[N, S, S]` to `[N, R, R]`, as the discriminator sees slices.
fn shrink(slices: ArrayView3<'_, f32>, resolution: usize) -> Array3<f32> {
    let (n, size, _) = slices.dim();
    let k = size / resolution;
    Array3::from_shape_fn((n, resolution, resolution), |(i, y, x)| {
        let square = slices.slice(s![i, y * k..(y + 1) * k, x * k..(x + 1) * k]);
        square.sum() / (k * k) as f32
    })
}

/// Every pixel as a square, `[N, R, R]` to grey slices `[N, 1, S, S]`: the exact inverse of [`shrink`].
fn enlarge(images: &Array3<f32>, size: usize) -> Array4<f32> {
    let (n, resolution, _) = images.dim();
    let k = size / resolution;
    Array4::from_shape_fn((n, 1, size, size), |(i, _, y, x)| images[[i, y / k, x / k]])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_enlarged_shrinks_back() {
        let images = Array3::from_shape_fn((2, 4, 4), |(i, y, x)| (i * 16 + y * 4 + x) as f32);
        assert_eq!(shrink(grey(&enlarge(&images, 8).view()), 4), images);
    }
}
