//! The part of a BigBiGAN encoder that its pooled features are made of: stem, trunk and last batch norm.

use tch::Tensor;

use super::{
    super::{
        TorchError,
        layers::{BatchNorm, Conv, Scope, Statistics, max_pool},
        train::Tape,
    },
    Taps, check_slices,
    resnet::ResNetTrunk,
    revnet::RevNetTrunk,
};
use crate::encoder::{Architecture, Family};

#[derive(Debug)]
enum Trunk {
    ResNet(ResNetTrunk),
    RevNet(RevNetTrunk),
}

#[derive(Debug)]
pub(super) struct Body {
    pub architecture: Architecture,
    stem: Conv,
    trunk: Trunk,
    final_bn: BatchNorm,
}

impl Body {
    /// `root` must hold the encoder's tensors.
    pub fn new(root: &Scope, architecture: Architecture) -> Self {
        let trunk = match architecture.family {
            Family::ResNet => Trunk::ResNet(ResNetTrunk::new(root, &architecture)),
            Family::RevNet => Trunk::RevNet(RevNetTrunk::new(root, &architecture)),
        };
        Self {
            stem: Conv::new(&root.at("stem").at("conv"), 2, architecture.padding),
            trunk,
            final_bn: BatchNorm::new(&root.at("final_bn"), architecture.bn_eps),
            architecture,
        }
    }

    /// `[N, 3, S, S]` to `[N, F, S / 32, S / 32]`, what leaves the last batch norm. Stem with its pool, and each unit, are segments.
    pub fn last_map<'a>(
        &'a self,
        x: &Tensor,
        statistics: Statistics,
        tape: &Tape<'a>,
        mut taps: Option<&mut Taps>,
    ) -> Result<Tensor, TorchError> {
        let net = &self.architecture;
        check_slices(x, net.input_size)?;
        let mut tap = |name: &str, x: &Tensor| {
            if let Some(taps) = taps.as_deref_mut() {
                taps.insert(name.to_owned(), x.shallow_clone());
            }
        };
        let grey = x.stride()[1] == 0; // three views of one plane
        let x = match grey {
            true => x.narrow(1, 0, 1),
            false => x.shallow_clone(),
        };
        let x = tape.run(&x, move |x| {
            let x = match grey {
                true => self.stem.forward_grey(x),
                false => self.stem.forward(x),
            }; // [N, C, S / 2, S / 2]
            max_pool(&x, net.padding, net.pool_pad)
        }); // [N, C, S / 4, S / 4]
        tap("stem", &x);
        let x = match &self.trunk {
            Trunk::ResNet(trunk) => trunk.forward(x, statistics, tape, &mut tap)?,
            Trunk::RevNet(trunk) => trunk.forward(x, statistics, tape, &mut tap)?,
        }; // [N, F, S / 32, S / 32]
        self.final_bn.try_forward(&x, statistics)
    }
}
