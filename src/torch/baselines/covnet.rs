//! COVNet, Li et al. 2020 (doi:10.1148/radiol.2020200905), in libtorch; its settings stand in [`crate::baseline::CovNet`]. After the
//! authors' description and code, <https://github.com/bkong999/COVNet>: `max(avgpool(resnet(slices)))` over a scan, then `fc`.

use tch::Tensor;

use super::{
    Mode, VolumeClassifier, initial,
    run::{check_scans, outputs},
};
use crate::{
    baseline::{self, TRUNK},
    torch::{
        TorchError,
        encoders::{Trunk, pool},
        layers::{Linear, Scope, Statistics},
        train::Tape,
        weights::{self, WeightMap},
    },
};

/// The network.
#[derive(Debug)]
pub struct CovNet {
    trunk: Trunk,
    fc: Linear,
    size: [usize; 3],
    every: i64,
    /// Rows and columns that the trunk takes.
    side: i64,
}

impl CovNet {
    /// The network on tensors that were checked.
    pub(super) fn new(config: &baseline::CovNet, size: [usize; 3], tensors: &WeightMap) -> Result<Self, TorchError> {
        let of_trunk = tensors.iter().filter_map(|(name, tensor)| {
            let name = name.strip_prefix(TRUNK)?;
            Some((name.to_owned(), tensor.shallow_clone()))
        });
        Ok(Self {
            trunk: Trunk::new(&config.trunk, &of_trunk.collect())?,
            fc: Linear::new(&Scope::new(tensors, "fc")),
            size,
            every: config.every as i64,
            side: config.trunk.input_size() as i64,
        })
    }

    /// The slices that are looked at, as the trunk takes them: every so many, as far from one end of the scan as from the other.
    ///
    /// # Shapes
    ///
    /// - `x`: `[N, 1, D, H, W]`
    /// - output: `[N * S, 1, s, s]`, scan by scan
    fn slices(&self, x: &Tensor) -> Result<Tensor, TorchError> {
        check_scans(x, self.size)?;
        let size = x.size();
        let (depth, rows, columns) = (size[2], size[3], size[4]);
        let rest = depth % self.every;
        let looked_at = x
            .f_narrow(2, rest / 2, depth - rest)?
            .f_slice(2, self.every / 2, None, self.every)?; // [N, 1, S, H, W]
        let slices = looked_at.f_reshape([-1, 1, rows, columns])?;
        if (rows, columns) == (self.side, self.side) {
            return Ok(slices);
        }
        Ok(slices.f_upsample_bilinear2d([self.side; 2], false, None, None)?)
    }

    /// Something of slices, a few of them at a time: with stored statistics they are independent of each other.
    fn in_chunks(
        &self,
        slices: &Tensor,
        of: impl Fn(&Tensor) -> Result<Tensor, TorchError>,
    ) -> Result<Tensor, TorchError> {
        let chunks = slices.f_split(baseline::CovNet::TOGETHER as i64, 0)?;
        let found: Vec<Tensor> = chunks.iter().map(of).collect::<Result<_, _>>()?;
        Ok(Tensor::f_cat(&found, 0)?)
    }

    /// From features of slices, `[N, S, F]`, to `[N, 2]`.
    fn classify(&self, features: &Tensor) -> Result<Tensor, TorchError> {
        let (largest, _) = features.f_max_dim(1, false)?; // [N, F]
        outputs(&self.fc, &largest)
    }
}

impl VolumeClassifier for CovNet {
    fn forward<'a>(&'a self, x: &Tensor, mode: Mode, tape: &Tape<'a>) -> Result<Tensor, TorchError> {
        let slices = self.slices(x)?;
        let features = match mode.statistics() {
            Statistics::Stored => {
                self.in_chunks(&slices, |chunk| self.trunk.features(chunk, Statistics::Stored, tape))?
            }
            statistics => self.trunk.features(&slices, statistics, tape)?,
        };
        let features = features.f_view([x.size()[0], -1, features.size()[1]])?; // [N, S, F]
        self.classify(&features)
    }

    /// The maps whose means are the features of a slice, slice by slice.
    fn maps(&self, x: &Tensor) -> Result<Tensor, TorchError> {
        let slices = self.slices(x)?;
        let maps = self.in_chunks(&slices, |chunk| {
            self.trunk.maps(chunk, Statistics::Stored, &Tape::keeping())
        })?; // [N * S, F, h, w]
        let scans = x.size()[0];
        Ok(maps
            .f_unflatten(0, [scans, maps.size()[0] / scans])?
            .f_transpose(1, 2)?)
    }

    fn head(&self, maps: &Tensor) -> Tensor {
        let slices = maps.transpose(1, 2); // [N, S, F, h, w]
        let features = pool(&slices.flatten(0, 1)).map(|features| features.unflatten(0, [maps.size()[0], -1]));
        features
            .and_then(|features| self.classify(&features))
            .unwrap_or_else(|error| panic!("{error}"))
    }
}

/// Tensors that a training starts from: the trunk's of an encoder (names as the encoder has them; what is on top of its pooled
/// features is left out) or drawn from the seed, and a linear layer as PyTorch starts it.
///
/// # Errors
///
/// When the settings make no network, or the encoder's tensors do not fit: every wrong one is named.
pub fn start(config: &baseline::CovNet, seed: u64, encoder: Option<&WeightMap>) -> Result<WeightMap, TorchError> {
    let features = config.features()?;
    let drawn;
    let encoder = match encoder {
        Some(encoder) => encoder,
        None => {
            drawn = weights::random(&config.trunk, seed)?;
            &drawn
        }
    };
    weights::check(&config.trunk, encoder)?;
    let mut tensors = initial::linear("fc", features, seed)?;
    for (name, _) in config.trunk.trunk_tensors()? {
        let tensor = encoder[&name].shallow_clone();
        tensors.insert(format!("{TRUNK}{name}"), tensor);
    }
    Ok(tensors)
}
