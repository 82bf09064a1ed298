//! Sizes of the generator and the discriminator, and the names and shapes of their tensors.
//!
//! Both are those of BigGAN (Brock et al. 2018, <https://arxiv.org/abs/1809.11096>) without classes; the defaults are the
//! published BigBiGAN module's. Names of tensors: `generator.` and `disc.`, then as in the encoder. `u` is the stored left
//! singular vector of a layer that is divided by its spectral norm.

use serde::{Deserialize, Serialize};

use super::MethodError;
use crate::encoder::IMAGE_CHANNELS;

/// Rows and columns of the generator's first map.
pub const BOTTOM: usize = 4;

/// Names and shapes.
type Shapes = Vec<(String, Vec<usize>)>;

/// Sizes of a generator.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Generator {
    /// Base number of channels. Default: 96.
    pub width: usize,
    /// Channels of the first map and behind each block, as multiples of `width`; each block doubles the image's sides, from
    /// 4 on. Default: 16, 16, 8, 4, 2, 1, which makes 128 x 128.
    pub multipliers: Vec<usize>,
    /// Self-attention stands behind this block, counted from 0. Default: 3.
    pub attention_after: usize,
    /// Width of the learned vector that stands in for BigGAN's class. Default: 128.
    pub shared_dim: usize,
    /// Planes that it draws: 3, as in the published module, or 1, which is then repeated. Default: 3.
    pub planes: usize,
}

/// Sizes of a discriminator.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Discriminator {
    /// Base number of channels. Default: 96.
    pub width: usize,
    /// Channels behind each block, as multiples of `width`; each block but the last halves the image's sides. Default: 1, 2,
    /// 4, 8, 16, 16.
    pub multipliers: Vec<usize>,
    /// Self-attention stands behind this block, counted from 0. Default: 0.
    pub attention_after: usize,
    /// Width of the MLPs on the latent vector and on both together. Default: 2048.
    pub mlp_dim: usize,
    /// Two-layer residual blocks of each MLP. Default: 4.
    pub mlp_blocks: usize,
}

impl Default for Generator {
    fn default() -> Self {
        Self {
            width: 96,
            multipliers: vec![16, 16, 8, 4, 2, 1],
            attention_after: 3,
            shared_dim: 128,
            planes: IMAGE_CHANNELS,
        }
    }
}

impl Default for Discriminator {
    fn default() -> Self {
        Self {
            width: 96,
            multipliers: vec![1, 2, 4, 8, 16, 16],
            attention_after: 0,
            mlp_dim: 2048,
            mlp_blocks: 4,
        }
    }
}

impl Generator {
    /// Residual blocks.
    pub fn blocks(&self) -> usize {
        self.multipliers.len().saturating_sub(1)
    }

    /// Rows and columns of its images.
    pub fn resolution(&self) -> usize {
        BOTTOM << self.blocks()
    }

    /// Channels of the first map and behind each block.
    pub fn channels(&self) -> Vec<usize> {
        self.multipliers.iter().map(|m| m * self.width).collect()
    }

    /// Width of the part of the latent vector that each level reads.
    pub fn chunk(&self, z_dim: usize) -> usize {
        z_dim / self.multipliers.len().max(1)
    }

    /// Whether these sizes make a generator for latent vectors of this width.
    ///
    /// # Errors
    ///
    /// A sentence with both numbers.
    pub fn check(&self, z_dim: usize) -> Result<(), MethodError> {
        let out = |field, found: usize, expected| {
            let found = found as f64;
            Err(MethodError::OutOfRange { field, found, expected })
        };
        if !(2..=9).contains(&self.multipliers.len()) {
            return out("generator.multipliers", self.multipliers.len(), "2 to 9 entries");
        }
        let sizes = self.multipliers.iter().map(|m| ("generator.multipliers", *m));
        for (field, found) in sizes.chain([
            ("generator.width", self.width),
            ("generator.shared_dim", self.shared_dim),
        ]) {
            if found == 0 {
                return out(field, 0, "at least 1");
            }
        }
        if self.planes != 1 && self.planes != IMAGE_CHANNELS {
            return out("generator.planes", self.planes, "1 or 3");
        }
        if !z_dim.is_multiple_of(self.multipliers.len()) || z_dim == 0 {
            return Err(MethodError::Chunks {
                z_dim,
                parts: self.multipliers.len(),
            });
        }
        check_attention(
            "method.generator.attention_after",
            self.attention_after,
            &self.channels()[1..],
        )
    }

    /// Name and shape of every tensor, sorted by name.
    pub fn tensors(&self, z_dim: usize) -> Shapes {
        let mut list = List::new("generator");
        let (channels, chunk) = (self.channels(), self.chunk(z_dim));
        let condition = chunk + self.shared_dim;
        list.add("shared.weight", &[self.shared_dim]);
        list.spectral("linear", &[channels[0] * BOTTOM * BOTTOM, chunk], true);
        for (i, pair) in channels.windows(2).enumerate() {
            let (inputs, outputs) = (pair[0], pair[1]);
            for (bn, width) in [("bn1", inputs), ("bn2", outputs)] {
                list.spectral(&format!("blocks.{i}.{bn}.gain"), &[width, condition], false);
                list.spectral(&format!("blocks.{i}.{bn}.bias"), &[width, condition], false);
                list.statistics(&format!("blocks.{i}.{bn}"), width);
            }
            list.spectral(&format!("blocks.{i}.conv1"), &[outputs, inputs, 3, 3], true);
            list.spectral(&format!("blocks.{i}.conv2"), &[outputs, outputs, 3, 3], true);
            list.spectral(&format!("blocks.{i}.shortcut"), &[outputs, inputs, 1, 1], true);
        }
        list.attention("attention", channels[self.attention_after + 1]);
        let last = channels[channels.len() - 1];
        list.add("out_bn.weight", &[last]);
        list.add("out_bn.bias", &[last]);
        list.statistics("out_bn", last);
        list.spectral("out_conv", &[self.planes, last, 3, 3], true);
        list.sorted()
    }
}

impl Discriminator {
    /// Channels of the image and behind each block.
    pub fn channels(&self) -> Vec<usize> {
        let behind = self.multipliers.iter().map(|m| m * self.width);
        [IMAGE_CHANNELS].into_iter().chain(behind).collect()
    }

    /// Width of what the image becomes.
    pub fn image_width(&self) -> usize {
        self.multipliers.last().map_or(0, |m| m * self.width)
    }

    /// Whether these sizes make a discriminator of images of this size.
    ///
    /// # Errors
    ///
    /// A sentence with both numbers.
    pub fn check(&self, resolution: usize) -> Result<(), MethodError> {
        let sizes = self.multipliers.iter().map(|m| ("discriminator.multipliers", *m));
        for (field, found) in sizes.chain([
            ("discriminator.multipliers", self.multipliers.len()),
            ("discriminator.width", self.width),
            ("discriminator.mlp_dim", self.mlp_dim),
            ("discriminator.mlp_blocks", self.mlp_blocks),
        ]) {
            if found == 0 {
                return Err(MethodError::OutOfRange {
                    field,
                    found: 0.0,
                    expected: "at least 1",
                });
            }
        }
        let (halvings, most) = (self.multipliers.len() - 1, resolution.trailing_zeros() as usize);
        if halvings > most {
            return Err(MethodError::Halvings {
                resolution,
                halvings,
                most,
            });
        }
        check_attention(
            "method.discriminator.attention_after",
            self.attention_after,
            &self.channels()[1..],
        )
    }

    /// Name and shape of every tensor, sorted by name.
    pub fn tensors(&self, z_dim: usize) -> Shapes {
        let mut list = List::new("disc");
        let channels = self.channels();
        let last = self.multipliers.len() - 1;
        for (i, pair) in channels.windows(2).enumerate() {
            let (inputs, outputs) = (pair[0], pair[1]);
            list.spectral(&format!("f.blocks.{i}.conv1"), &[outputs, inputs, 3, 3], true);
            list.spectral(&format!("f.blocks.{i}.conv2"), &[outputs, outputs, 3, 3], true);
            if i < last || inputs != outputs {
                list.spectral(&format!("f.blocks.{i}.shortcut"), &[outputs, inputs, 1, 1], true);
            }
        }
        list.attention("f.attention", channels[self.attention_after + 1]);
        let (image, mlp) = (self.image_width(), self.mlp_dim);
        for (tower, inputs) in [("h", z_dim), ("j", image + mlp)] {
            for block in 0..self.mlp_blocks {
                let inputs = if block == 0 { inputs } else { mlp };
                list.spectral(&format!("{tower}.blocks.{block}.fc1"), &[mlp, inputs], true);
                list.spectral(&format!("{tower}.blocks.{block}.fc2"), &[mlp, mlp], true);
                if inputs != mlp {
                    list.spectral(&format!("{tower}.blocks.{block}.shortcut"), &[mlp, inputs], true);
                }
            }
        }
        for (score, inputs) in [("score_x", image), ("score_z", mlp), ("score_xz", mlp)] {
            list.spectral(score, &[1, inputs], true);
        }
        list.sorted()
    }
}

/// Self-attention squeezes to an eighth of the channels.
fn check_attention(field: &'static str, found: usize, channels: &[usize]) -> Result<(), MethodError> {
    let why = match channels.get(found) {
        None => format!("there are {} blocks, counted from 0", channels.len()),
        Some(channels) if *channels < 8 => {
            format!(
                "the block has {channels} channels, and attention squeezes them to an eighth: at least 8 are needed"
            )
        }
        Some(_) => return Ok(()),
    };
    Err(MethodError::Attention { field, found, why })
}

struct List {
    prefix: &'static str,
    shapes: Shapes,
}

impl List {
    fn new(prefix: &'static str) -> Self {
        let shapes = Vec::new();
        Self { prefix, shapes }
    }

    fn add(&mut self, name: &str, shape: &[usize]) {
        self.shapes.push((format!("{}.{name}", self.prefix), shape.to_vec()));
    }

    fn statistics(&mut self, at: &str, channels: usize) {
        self.add(&format!("{at}.running_mean"), &[channels]);
        self.add(&format!("{at}.running_var"), &[channels]);
    }

    /// A layer that is divided by its spectral norm.
    fn spectral(&mut self, at: &str, shape: &[usize], bias: bool) {
        self.add(&format!("{at}.weight"), shape);
        self.add(&format!("{at}.u"), &shape[..1]);
        if bias {
            self.add(&format!("{at}.bias"), &shape[..1]);
        }
    }

    fn attention(&mut self, at: &str, channels: usize) {
        for (name, inputs, outputs) in [
            ("theta", channels, channels / 8),
            ("phi", channels, channels / 8),
            ("g", channels, channels / 2),
            ("o", channels / 2, channels),
        ] {
            self.spectral(&format!("{at}.{name}"), &[outputs, inputs, 1, 1], false);
        }
        self.add(&format!("{at}.gamma"), &[1]);
    }

    fn sorted(mut self) -> Shapes {
        self.shapes.sort();
        self.shapes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parameters(tensors: &Shapes, part: &str) -> usize {
        let trained = |name: &str| !name.contains("running_") && !name.ends_with(".u") && name.starts_with(part);
        let shapes = tensors.iter().filter(|(name, _)| trained(name));
        shapes.map(|(_, shape)| shape.iter().product::<usize>()).sum()
    }

    /// With a 1000-class embedding both counts are those published for BigGAN-128, 70,433,988 and 87,982,370; the others are
    /// `oracle.py params`.
    #[test]
    fn parameters_are_as_many_as_published() {
        let generator = Generator::default().tensors(120);
        assert_eq!(parameters(&generator, ""), 70_306_116);
        assert_eq!(parameters(&generator, "") + 999 * 128, 70_433_988);
        let disc = Discriminator::default().tensors(120);
        assert_eq!(parameters(&disc, "disc.f."), 86_444_833);
        assert_eq!(
            parameters(&disc, "disc.f.") + parameters(&disc, "disc.score_x.") + 1_536_000,
            87_982_370
        );
        assert_eq!(parameters(&disc, "disc.h."), 29_870_080);
        assert_eq!(parameters(&disc, "disc.j."), 44_058_624);
        assert_eq!(parameters(&disc, ""), 160_379_172);
    }

    #[test]
    fn sizes_that_make_no_network_are_refused() {
        let generator = Generator::default();
        assert_eq!(generator.resolution(), 128);
        assert_eq!(generator.check(120), Ok(()));
        assert_eq!(generator.check(121), Err(MethodError::Chunks { z_dim: 121, parts: 6 }));
        let narrow = Generator {
            width: 1,
            ..Generator::default()
        };
        assert!(matches!(
            narrow.check(120),
            Err(MethodError::Attention { found: 3, .. })
        ));
        let disc = Discriminator::default();
        assert_eq!(disc.check(128), Ok(()));
        assert!(matches!(disc.check(16), Err(MethodError::Halvings { most: 4, .. })));
    }
}
