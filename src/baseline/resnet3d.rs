//! A residual network of 3D convolutions with 18 layers, Hara et al. 2018, <https://arxiv.org/abs/1711.09577>.

use super::{
    BaselineError, CLASSES, LayerFacts, Made, Shapes,
    error::range,
    layers::{batch_norm, linear},
};
use serde::{Deserialize, Serialize};

/// A 7 x 7 x 7 convolution with stride 2 and max pooling, four stages of two basic blocks, the mean over the scan, one linear layer.
/// The first block of every stage but the first halves the maps, and a 1 x 1 x 1 convolution the other side of its sum (shortcut of
/// type B). Tensors are named as those of torchvision's 2D network: `conv1`, `bn1`, `layer1.0.conv1`, `layer2.0.downsample.0`, `fc`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ResNet3d {
    /// Filters of the first stage; each further stage has twice as many. Default: 64.
    pub width: usize,
}

impl Default for ResNet3d {
    fn default() -> Self {
        Self { width: 64 }
    }
}

/// One basic block.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Block {
    pub stage: usize,
    pub number: usize,
    pub inputs: usize,
    pub outputs: usize,
    pub stride: usize,
}

impl Block {
    /// Where its tensors stand; stages count from 1 there.
    pub fn name(self) -> String {
        format!("layer{}.{}", self.stage + 1, self.number)
    }

    /// Whether what enters it has another shape than what leaves it.
    pub fn reshapes(self) -> bool {
        self.stride != 1 || self.inputs != self.outputs
    }
}

/// An axis after a stride of 2 with padding.
fn halved(size: [usize; 3]) -> [usize; 3] {
    size.map(|length| length.div_ceil(2))
}

impl ResNet3d {
    /// Added to the variance in every batch norm; PyTorch's default.
    pub const BN_EPS: f64 = 1e-5;

    const STAGES: usize = 4;
    const BLOCKS: usize = 2;

    pub(super) fn check(&self, size: [usize; 3]) -> Result<(), BaselineError> {
        range("width", self.width, 1, 1024, "filters")?;
        if size.contains(&0) {
            return Err(BaselineError::TooSmall {
                size,
                halvings: Self::STAGES + 1,
                least: 1,
            });
        }
        // By the stem, its pooling, and all stages but the first.
        let last = (0..=Self::STAGES).fold(size, |size, _| halved(size));
        match last {
            [1, 1, 1] => Err(BaselineError::OnePosition {
                size,
                least: (1 << (Self::STAGES + 1)) + 1,
            }),
            _ => Ok(()),
        }
    }

    /// From the first to the last.
    pub(crate) fn blocks(&self) -> impl Iterator<Item = Block> + use<> {
        let width = self.width;
        let numbers = (0..Self::STAGES).flat_map(|stage| (0..Self::BLOCKS).map(move |number| (stage, number)));
        numbers.map(move |(stage, number)| {
            let (outputs, first) = (width << stage, number == 0);
            let halves = first && stage > 0;
            Block {
                stage,
                number,
                inputs: if halves { outputs / 2 } else { outputs },
                outputs,
                stride: if halves { 2 } else { 1 },
            }
        })
    }

    fn features(&self) -> usize {
        self.width << (Self::STAGES - 1)
    }

    pub(super) fn tensors(&self) -> Shapes {
        let mut shapes = vec![("conv1.weight".to_owned(), vec![self.width, 1, 7, 7, 7])];
        shapes.extend(batch_norm("bn1", self.width));
        for block in self.blocks() {
            let at = block.name();
            let Block { inputs, outputs, .. } = block;
            shapes.push((format!("{at}.conv1.weight"), vec![outputs, inputs, 3, 3, 3]));
            shapes.extend(batch_norm(&format!("{at}.bn1"), outputs));
            shapes.push((format!("{at}.conv2.weight"), vec![outputs, outputs, 3, 3, 3]));
            shapes.extend(batch_norm(&format!("{at}.bn2"), outputs));
            if block.reshapes() {
                shapes.push((format!("{at}.downsample.0.weight"), vec![outputs, inputs, 1, 1, 1]));
                shapes.extend(batch_norm(&format!("{at}.downsample.1"), outputs));
            }
        }
        shapes.extend(linear("fc", self.features(), CLASSES));
        shapes
    }

    /// The stem and each block are segments; the linear layer is one after the last.
    pub(super) fn layers(&self, size: [usize; 3]) -> Vec<LayerFacts> {
        let maps = |channels: usize, [d, h, w]: [usize; 3]| [channels, d, h, w];
        let mut size = halved(size);
        let stem = maps(self.width, size);
        let mut facts = vec![LayerFacts::conv3d("conv1".to_owned(), 7, 1, stem, 0)];
        size = halved(size);
        let pooled = maps(self.width, size);
        // What leaves the ReLU, what leaves the pooling and, as 64-bit integers, where it was found.
        let kept = count(stem) + 3 * count(pooled);
        facts.push(norm("bn1".to_owned(), "batch norm, ReLU, max pool 3", pooled, kept, 0));
        let mut segment = 0;
        for block in self.blocks() {
            segment += 1;
            let at = block.name();
            if block.stride == 2 {
                size = halved(size);
            }
            let output = maps(block.outputs, size);
            let conv = |name: &str, kernel, inputs| {
                LayerFacts::conv3d(format!("{at}.{name}"), kernel, inputs, output, segment)
            };
            let norm = |name: &str, kind, kept| norm(format!("{at}.{name}"), kind, output, kept, segment);
            facts.push(conv("conv1", 3, block.inputs));
            facts.push(norm("bn1", "batch norm, ReLU", count(output)));
            facts.push(conv("conv2", 3, block.outputs));
            if block.reshapes() {
                facts.push(norm("bn2", "batch norm", 0));
                facts.push(conv("downsample.0", 1, block.inputs));
                facts.push(norm("downsample.1", "batch norm, sum, ReLU", count(output)));
            } else {
                facts.push(norm("bn2", "batch norm, sum, ReLU", count(output)));
            }
        }
        facts.push(LayerFacts::linear(
            "fc".to_owned(),
            self.features(),
            CLASSES,
            segment + 1,
        ));
        facts
    }
}

fn count(shape: [usize; 4]) -> usize {
    shape.iter().product()
}

/// A batch norm and what follows it; its own input is kept by the convolution before it.
fn norm(name: String, kind: &str, output: [usize; 4], kept: usize, segment: usize) -> LayerFacts {
    LayerFacts {
        name,
        kind: kind.to_owned(),
        output: output.to_vec(),
        parameters: 2 * output[0],
        kept,
        segment,
        made: Made::Whole,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parameters(network: &ResNet3d) -> usize {
        let trained = |(name, _): &&(String, Vec<usize>)| !name.contains("running_");
        let tensors = network.tensors();
        let count = |(_, shape): &(String, Vec<usize>)| shape.iter().product::<usize>();
        tensors.iter().filter(trained).map(count).sum()
    }

    /// Expected: `monai.networks.nets.resnet18(spatial_dims=3, n_input_channels=1, num_classes=2, shortcut_type="B",
    /// bias_downsample=False)`, counted from its definition in make_baselines.py.
    #[test]
    fn it_has_as_many_parameters_as_the_network_that_people_use() {
        let network = ResNet3d::default();
        assert_eq!(parameters(&network), 33_161_026);
        let of_layers: usize = network.layers([64; 3]).iter().map(|layer| layer.parameters).sum();
        assert_eq!(of_layers, 33_161_026);
    }

    #[test]
    fn maps_are_halved_five_times_and_rounded_up() {
        let layers = ResNet3d { width: 2 }.layers([36, 33, 64]);
        assert_eq!(layers[0].output, [2, 18, 17, 32]);
        assert_eq!(layers[1].output, [2, 9, 9, 16]);
        assert_eq!(layers[layers.len() - 2].output, [16, 2, 2, 2]);
        assert_eq!(layers.last().unwrap().segment, 9);
    }

    #[test]
    fn scans_of_which_one_position_is_left_are_refused() {
        let network = ResNet3d::default();
        assert_eq!(network.check([33, 1, 1]), Ok(()));
        let error = network.check([32; 3]).unwrap_err().to_string();
        assert!(
            error.contains("32 x 32 x 32 voxels") && error.contains("at least 33"),
            "{error}"
        );
        assert!(network.check([0, 64, 64]).is_err());
        assert!(ResNet3d { width: 0 }.check([64; 3]).is_err());
    }
}
