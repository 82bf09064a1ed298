//! Models A, B and C of Pu et al. 2020 (doi:10.1007/s00330-020-06956-w, section "Deep learning models").

use super::{BaselineError, CLASSES, LayerFacts, Made, Place, Shapes, error::range, layers};
use serde::{Deserialize, Deserializer, Serialize};

/// Levels of convolution, batch norm, ReLU and max pooling, then fully connected layers with dropout between them, and two
/// outputs under a softmax. Tensors have the names of a PyTorch module: `levels.0.conv.0.weight`, `levels.0.norm.0.weight`,
/// `fc.0.weight`, `out.weight`.
///
/// The paper's figure with the number of filters is not in its text. From the paper are the order of the operations, that the
/// models differ in the numbers of filters, the flattening, and dropout 0.5 between the fully connected layers of A and B. Ours are:
///
/// - filters of each level, as many levels as leave 8 x 8 x 8 positions of its 256 x 256 x 256 voxels, one convolution a level;
/// - kernels of 3 x 3 x 3 with one zero around, max pooling of 2 x 2 x 2 that drops what is left over at an odd end;
/// - no bias before a batch norm, whose offset is one; batch norms as PyTorch has them (epsilon 1e-5, momentum 0.1);
/// - the widths of the fully connected layers, and a ReLU behind each;
/// - PyTorch's own start of the weights.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Pu {
    /// Filters of each level; each level halves all three axes.
    pub filters: Vec<usize>,
    /// Convolutions of each level, 3 x 3 x 3.
    pub convolutions: usize,
    /// Widths of the fully connected layers before the two outputs.
    pub fully_connected: Vec<usize>,
    /// Share of the numbers that is dropped behind each fully connected layer but the outputs while training. The paper has 0.5
    /// in models A and B.
    pub dropout: f64,
}

/// What a recipe says; the rest is the model's.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Stated {
    filters: Option<Vec<usize>>,
    convolutions: Option<usize>,
    fully_connected: Option<Vec<usize>>,
    dropout: Option<f64>,
}

impl Pu {
    /// Model A.
    pub fn a() -> Self {
        Self {
            filters: vec![16, 32, 64, 128, 256],
            convolutions: 1,
            fully_connected: vec![128, 64],
            dropout: 0.5,
        }
    }

    /// Model B.
    pub fn b() -> Self {
        Self {
            filters: vec![8, 16, 32, 64, 128],
            ..Self::a()
        }
    }

    /// Model C.
    pub fn c() -> Self {
        Self {
            filters: vec![16, 16, 32, 32, 64],
            convolutions: 1,
            fully_connected: vec![64],
            dropout: 0.0,
        }
    }

    pub(super) fn model_a<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Stated::deserialize(deserializer).map(|stated| stated.over(Self::a()))
    }

    pub(super) fn model_b<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Stated::deserialize(deserializer).map(|stated| stated.over(Self::b()))
    }

    pub(super) fn model_c<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Stated::deserialize(deserializer).map(|stated| stated.over(Self::c()))
    }
}

impl Stated {
    fn over(self, model: Pu) -> Pu {
        Pu {
            filters: self.filters.unwrap_or(model.filters),
            convolutions: self.convolutions.unwrap_or(model.convolutions),
            fully_connected: self.fully_connected.unwrap_or(model.fully_connected),
            dropout: self.dropout.unwrap_or(model.dropout),
        }
    }
}

/// A level: its number, channels that enter it, its filters, and the size of its maps before they are halved.
struct Level {
    number: usize,
    inputs: usize,
    filters: usize,
    size: [usize; 3],
}

impl Pu {
    /// Added to the variance in every batch norm; PyTorch's default.
    pub const BN_EPS: f64 = 1e-5;

    /// The most levels: scans of 1024 voxels are halved to one.
    const LEVELS: usize = 10;

    /// A scan is one channel.
    const CHANNELS: usize = 1;

    pub(super) fn check(&self, size: [usize; 3]) -> Result<(), BaselineError> {
        let levels = self.filters.len();
        range("filters", levels, 1, Self::LEVELS, "levels")?;
        for filters in &self.filters {
            range("filters", *filters, 1, 4096, "filters a level")?;
        }
        range("convolutions", self.convolutions, 1, 8, "convolutions a level")?;
        range("fully_connected", self.fully_connected.len(), 0, 8, "layers")?;
        for width in &self.fully_connected {
            range("fully_connected", *width, 1, 65_536, "numbers a layer")?;
        }
        self.check_dropout()?;
        match size.iter().all(|length| length >> levels > 0) {
            true => Ok(()),
            false => Err(BaselineError::TooSmall {
                size,
                halvings: levels,
                least: 1 << levels,
            }),
        }
    }

    fn check_dropout(&self) -> Result<(), BaselineError> {
        let expected = match (self.dropout, self.fully_connected.is_empty()) {
            (share, false) if (0.0..1.0).contains(&share) => return Ok(()),
            (0.0, true) => return Ok(()),
            (_, false) => "a share from 0 to below 1",
            (_, true) => "0 where there is no fully connected layer before the outputs",
        };
        Err(BaselineError::OutOfRange {
            field: "dropout",
            found: self.dropout.to_string(),
            expected: expected.to_owned(),
        })
    }

    /// From the first to the last, of scans of this size.
    fn levels(&self, size: [usize; 3]) -> impl Iterator<Item = Level> {
        self.filters.iter().enumerate().map(move |(number, filters)| Level {
            number,
            inputs: match number {
                0 => Self::CHANNELS,
                _ => self.filters[number - 1],
            },
            filters: *filters,
            size: size.map(|length| length >> number),
        })
    }

    /// Numbers that the first fully connected layer takes of a scan of this size: what the last level leaves.
    fn flattened(&self, size: [usize; 3]) -> usize {
        let positions: usize = size.map(|length| length >> self.filters.len()).iter().product();
        positions * self.filters.last().copied().unwrap_or(Self::CHANNELS)
    }

    /// Name, inputs and outputs of each linear layer.
    fn linears(&self, size: [usize; 3]) -> Vec<(String, usize, usize)> {
        let mut inputs = self.flattened(size);
        let mut layers = Vec::new();
        for (number, width) in self.fully_connected.iter().enumerate() {
            layers.push((format!("fc.{number}"), inputs, *width));
            inputs = *width;
        }
        layers.push(("out".to_owned(), inputs, CLASSES));
        layers
    }

    pub(super) fn tensors(&self, size: [usize; 3]) -> Shapes {
        let mut shapes = Shapes::new();
        for level in self.levels(size) {
            for conv in 0..self.convolutions {
                let at = |part| format!("levels.{}.{part}.{conv}", level.number);
                let inputs = if conv == 0 { level.inputs } else { level.filters };
                shapes.push((format!("{}.weight", at("conv")), vec![level.filters, inputs, 3, 3, 3]));
                shapes.extend(layers::batch_norm(&at("norm"), level.filters));
            }
        }
        for (name, inputs, outputs) in self.linears(size) {
            shapes.extend(layers::linear(&name, inputs, outputs));
        }
        shapes
    }

    /// Each level is a segment; the linear layers are one after the last.
    pub(super) fn layers(&self, place: Place, size: [usize; 3]) -> Vec<LayerFacts> {
        let mut facts = Vec::new();
        for level in self.levels(size) {
            let [d, h, w] = level.size;
            let output = [level.filters, d, h, w];
            for conv in 0..self.convolutions {
                let at = |part| format!("levels.{}.{part}.{conv}", level.number);
                let inputs = if conv == 0 { level.inputs } else { level.filters };
                let last = conv + 1 == self.convolutions;
                let mut fact = LayerFacts::conv3d(at("conv"), 3, inputs, output, level.number);
                if last && place == Place::Processor {
                    // `torch::layers::conv_norm_relu_pool`.
                    fact.made = Made::Overwritten;
                    if inputs == Self::CHANNELS {
                        (fact.made, fact.kept) = (Made::Never, 0);
                    }
                }
                facts.push(fact);
                facts.push(normed(at("norm"), output, last, level.number, place));
            }
        }
        let segment = self.filters.len();
        for (name, inputs, outputs) in self.linears(size) {
            let hidden = name != "out";
            let mut fact = LayerFacts::linear(name, inputs, outputs, segment);
            if hidden {
                fact.kind.push_str(", ReLU");
            }
            if hidden && self.dropout > 0.0 {
                fact.kind.push_str(", dropout");
                // What leaves the ReLU, what is dropped, and what is left.
                fact.kept = 3 * outputs;
            }
            facts.push(fact);
        }
        facts
    }
}

/// Batch norm and ReLU, and max pooling at the end of a level. The batch norm's input is the convolution's. What leaves the ReLU is kept;
/// and of the pooling, what leaves it and where it was found in 64 bits. On a processor a level that ends is one operation, which keeps
/// what leaves it and where it was found in a byte (`torch::layers::norm_relu_pool`).
fn normed(name: String, maps: [usize; 4], pooled: bool, segment: usize, place: Place) -> LayerFacts {
    let [channels, d, h, w] = maps;
    let output = match pooled {
        true => [channels, d / 2, h / 2, w / 2],
        false => maps,
    };
    let count = |shape: [usize; 4]| shape.iter().product::<usize>();
    let (kept, made) = match (pooled, place) {
        (false, _) => (count(maps), Made::Whole),
        (true, Place::Processor) => (count(output) + count(output).div_ceil(4), Made::Fused),
        (true, Place::Card) => (count(maps) + 3 * count(output), Made::Whole),
    };
    LayerFacts {
        name,
        kind: match pooled {
            true => "batch norm, ReLU, max pool 2".to_owned(),
            false => "batch norm, ReLU".to_owned(),
        },
        output: output.to_vec(),
        parameters: 2 * channels,
        kept,
        segment,
        made,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn small() -> Pu {
        Pu {
            filters: vec![4, 6],
            convolutions: 2,
            fully_connected: vec![5],
            dropout: 0.5,
        }
    }

    #[test]
    fn each_level_halves_the_scan_and_drops_an_odd_end() {
        let layers = small().layers(Place::Processor, [13, 16, 21]);
        let outputs: Vec<&[usize]> = layers.iter().map(|layer| layer.output.as_slice()).collect();
        let (first, second) = ([4, 13, 16, 21], [6, 6, 8, 10]);
        let expected: [&[usize]; 10] = [
            &first,
            &first,
            &first,
            &[4, 6, 8, 10],
            &second,
            &second,
            &second,
            &[6, 3, 4, 5],
            &[5],
            &[2],
        ];
        assert_eq!(outputs, expected);
        let segments: Vec<usize> = layers.iter().map(|layer| layer.segment).collect();
        assert_eq!(segments, [0, 0, 0, 0, 1, 1, 1, 1, 2, 2]);
    }

    #[test]
    fn trained_elements_are_those_of_the_tensors() {
        for (network, size) in [
            (Pu::a(), [64; 3]),
            (Pu::b(), [96, 64, 70]),
            (Pu::c(), [256; 3]),
            (small(), [4, 5, 6]),
        ] {
            let of_tensors: usize = network
                .tensors(size)
                .iter()
                .filter(|(name, _)| !name.contains("running_"))
                .map(|(_, shape)| shape.iter().product::<usize>())
                .sum();
            let of_layers: usize = network
                .layers(Place::Processor, size)
                .iter()
                .map(|layer| layer.parameters)
                .sum();
            assert_eq!(of_tensors, of_layers, "{network:?}");
        }
    }

    #[test]
    fn sizes_that_make_no_network_are_refused_in_one_sentence() {
        let refused = |edit: fn(&mut Pu), size: [usize; 3]| {
            let mut network = small();
            edit(&mut network);
            network.check(size).unwrap_err().to_string()
        };
        assert_eq!(small().check([4; 3]), Ok(()));
        let error = refused(|_| (), [64, 3, 64]);
        assert!(error.contains("64 x 3 x 64 voxels 2 times"), "{error}");
        assert!(error.contains("at least 4 voxels"), "{error}");
        let error = refused(|n| n.filters.clear(), [64; 3]);
        assert_eq!(error, "`network.filters` is 0 levels, expected 1 to 10 levels");
        assert!(refused(|n| n.filters = vec![8; 80], [64; 3]).contains("80 levels"));
        assert!(refused(|n| n.filters[1] = 0, [64; 3]).contains("0 filters a level"));
        assert!(refused(|n| n.convolutions = 0, [64; 3]).contains("`network.convolutions`"));
        assert!(refused(|n| n.fully_connected[0] = 0, [64; 3]).contains("`network.fully_connected`"));
        assert!(refused(|n| n.dropout = 1.0, [64; 3]).contains("`network.dropout` is 1,"));
        assert!(refused(|n| n.dropout = f64::NAN, [64; 3]).contains("NaN"));
        assert!(refused(|n| n.fully_connected.clear(), [64; 3]).contains("expected 0 where"));
    }

    #[test]
    fn models_differ_where_the_paper_says_they_do() {
        assert!(Pu::a().filters != Pu::b().filters && Pu::b().filters != Pu::c().filters);
        assert_eq!([Pu::a(), Pu::b(), Pu::c()].map(|model| model.dropout), [0.5, 0.5, 0.0]);
        for model in [Pu::a(), Pu::b(), Pu::c()] {
            assert_eq!(model.check([256; 3]), Ok(()));
            assert_eq!(model.check([64; 3]), Ok(()));
        }
    }
}
