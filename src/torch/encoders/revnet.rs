//! The trunk of `bigbigan-revnet50x4`: reversible units, <https://arxiv.org/abs/1707.04585>, in the layout of
//! <https://arxiv.org/abs/1901.09005>. Only the forward direction: reversing saves memory in training alone.

use tch::Tensor;

use super::super::{
    TorchError,
    layers::{Scope, Statistics},
    train::Tape,
};
use super::bottleneck::Bottleneck;
use crate::encoder::Architecture;

#[derive(Debug)]
pub(super) struct RevNetTrunk {
    stages: Vec<Vec<Bottleneck>>,
}

impl RevNetTrunk {
    pub fn new(root: &Scope, net: &Architecture) -> Self {
        let unit = |stage: usize, unit: usize| Bottleneck::new(&root.at("stages").at(stage).at(unit).at("f"), 1, net);
        let stage = |(stage, depth): (usize, &usize)| (0..*depth).map(|i| unit(stage, i)).collect();
        Self {
            stages: net.depths.iter().enumerate().map(stage).collect(),
        }
    }

    /// `[N, C, H, W]` to `[N, 8 C, H / 8, W / 8]`.
    pub fn forward<'a>(
        &'a self,
        mut x: Tensor,
        statistics: Statistics,
        tape: &Tape<'a>,
        tap: &mut dyn FnMut(&str, &Tensor),
    ) -> Result<Tensor, TorchError> {
        for (number, stage) in self.stages.iter().enumerate() {
            if number > 0 {
                x = x.avg_pool2d([2, 2], [2, 2], [0, 0], false, true, None);
                let side = x.size()[1] / 2;
                // The old channels end up in the middle of twice as many.
                x = x.constant_pad_nd([0, 0, 0, 0, side, side]);
            }
            for unit in stage {
                x = tape.run_normed(&x, statistics, move |x, statistics| {
                    let half = x.size()[1] / 2;
                    let (x1, x2) = (x.narrow(1, 0, half), x.narrow(1, half, half));
                    let y1 = x1 + unit.branch(&unit.preactivate(&x2, statistics), statistics);
                    Ok(Tensor::f_cat(&[x2, y1], 1)?)
                })?;
            }
            tap(&format!("stage{number}"), &x);
        }
        Ok(x)
    }
}
