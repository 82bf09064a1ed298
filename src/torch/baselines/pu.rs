//! Models A, B and C of Pu et al. 2020 (doi:10.1007/s00330-020-06956-w) in libtorch; their sizes and what is ours in them stand
//! in [`crate::baseline::Pu`].

use tch::Tensor;

use super::{
    Mode, VolumeClassifier,
    run::{check_scans, outputs},
};
use crate::{
    baseline,
    torch::{
        TorchError,
        layers::{BatchNorm, Conv3d, Linear, Scope, Statistics, conv_norm_relu_pool, norm_relu, pool},
        train::Tape,
        weights::WeightMap,
    },
};

/// Convolutions, each with its batch norm.
#[derive(Debug)]
struct Level {
    layers: Vec<(Conv3d, BatchNorm)>,
}

impl Level {
    fn new(scope: &Scope, convolutions: usize) -> Self {
        let layer = |number: usize| {
            let norm = scope.at("norm").at(number);
            (
                Conv3d::new(&scope.at("conv").at(number), 1),
                BatchNorm::new(&norm, baseline::Pu::BN_EPS),
            )
        };
        Self {
            layers: (0..convolutions).map(layer).collect(),
        }
    }

    /// `[N, C, D, H, W]` to what enters the last convolution, and that with its norm.
    fn last_layer(&self, x: &Tensor, statistics: Statistics) -> Result<(Tensor, &(Conv3d, BatchNorm)), TorchError> {
        let (last, before) = self
            .layers
            .split_last()
            .expect("a level was checked to have a convolution");
        let mut x = x.shallow_clone();
        for (conv, norm) in before {
            x = norm_relu(&conv.forward(&x)?, norm, statistics)?;
        }
        Ok((x, last))
    }

    /// `[N, C, D, H, W]` to `[N, F, D / 2, H / 2, W / 2]`.
    fn forward(&self, x: &Tensor, statistics: Statistics) -> Result<Tensor, TorchError> {
        let (x, (conv, norm)) = self.last_layer(x, statistics)?;
        conv_norm_relu_pool(&x, conv, norm, statistics)
    }

    /// As [`Level::forward`] without the pooling.
    fn maps(&self, x: &Tensor) -> Result<Tensor, TorchError> {
        let (x, (conv, norm)) = self.last_layer(x, Statistics::Stored)?;
        norm_relu(&conv.forward(&x)?, norm, Statistics::Stored)
    }
}

/// The network.
#[derive(Debug)]
pub struct Pu {
    levels: Vec<Level>,
    /// With their names, by which dropout draws.
    hidden: Vec<(String, Linear)>,
    out: Linear,
    dropout: f64,
    size: [usize; 3],
}

impl Pu {
    /// The network on tensors that were checked.
    pub(super) fn new(config: &baseline::Pu, size: [usize; 3], tensors: &WeightMap) -> Self {
        let root = Scope::new(tensors, "");
        let level = |number: usize| Level::new(&root.at("levels").at(number), config.convolutions);
        let hidden = |number: usize| {
            let name = format!("fc.{number}");
            let layer = Linear::new(&root.at(&name));
            (name, layer)
        };
        Self {
            levels: (0..config.filters.len()).map(level).collect(),
            hidden: (0..config.fully_connected.len()).map(hidden).collect(),
            out: Linear::new(&root.at("out")),
            dropout: config.dropout,
            size,
        }
    }

    /// From what the last level leaves, `[N, F, d, h, w]`, to `[N, 2]`.
    fn classify(&self, x: &Tensor, mode: Mode) -> Result<Tensor, TorchError> {
        // As PyTorch flattens, whatever the layout in memory.
        let mut x = x.f_flatten(1, -1)?;
        for (name, layer) in &self.hidden {
            x = layer.try_forward(&x)?.f_relu_()?;
            if let Mode::Train(dropout) = mode
                && self.dropout > 0.0
            {
                x = dropout.apply(&x, self.dropout, name)?;
            }
        }
        outputs(&self.out, &x)
    }
}

impl VolumeClassifier for Pu {
    fn forward<'a>(&'a self, x: &Tensor, mode: Mode, tape: &Tape<'a>) -> Result<Tensor, TorchError> {
        check_scans(x, self.size)?;
        let mut x = x.shallow_clone();
        for level in &self.levels {
            x = tape.run_normed(&x, mode.statistics(), move |x, statistics| level.forward(x, statistics))?;
        }
        self.classify(&x, mode)
    }

    /// What leaves the last ReLU, before it is pooled: the finer maps.
    fn maps(&self, x: &Tensor) -> Result<Tensor, TorchError> {
        check_scans(x, self.size)?;
        let (last, before) = self.levels.split_last().expect("a network was checked to have a level");
        let mut x = x.shallow_clone();
        for level in before {
            x = level.forward(&x, Statistics::Stored)?;
        }
        last.maps(&x)
    }

    fn head(&self, maps: &Tensor) -> Tensor {
        let logits = pool(maps).and_then(|x| self.classify(&x, Mode::Score));
        logits.unwrap_or_else(|error| panic!("{error}"))
    }
}
