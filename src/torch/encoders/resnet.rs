//! The trunk of `bigbigan-resnet50`: ResNet-v2-50 from the first stage to before the last batch norm.

use tch::Tensor;

use super::super::{
    TorchError,
    layers::{Conv, Scope, Statistics},
    train::Tape,
};
use super::bottleneck::Bottleneck;
use crate::encoder::{Architecture, ShortcutFrom};

#[derive(Debug)]
struct Unit {
    bottleneck: Bottleneck,
    shortcut: Option<Conv>,
}

#[derive(Debug)]
pub(super) struct ResNetTrunk {
    stages: Vec<Vec<Unit>>,
    shortcut_from: ShortcutFrom,
}

/// Stride of a unit: the first of every stage but the first halves the image, in its 3x3.
pub(super) fn stride(stage: usize, unit: usize) -> i64 {
    if unit == 0 && stage > 0 { 2 } else { 1 }
}

impl ResNetTrunk {
    pub fn new(root: &Scope, net: &Architecture) -> Self {
        let unit = |stage: usize, unit: usize| {
            let scope = root.at("stages").at(stage).at(unit);
            let shortcut = scope.at("shortcut");
            let stride = stride(stage, unit);
            Unit {
                bottleneck: Bottleneck::new(&scope, stride, net),
                shortcut: shortcut
                    .has("weight")
                    .then(|| Conv::new(&shortcut, stride, net.padding)),
            }
        };
        let stage = |(stage, depth): (usize, &usize)| (0..*depth).map(|i| unit(stage, i)).collect();
        Self {
            stages: net.depths.iter().enumerate().map(stage).collect(),
            shortcut_from: net.shortcut_from,
        }
    }

    /// `[N, C, H, W]` to `[N, 32 width, H / 8, W / 8]`.
    pub fn forward<'a>(
        &'a self,
        mut x: Tensor,
        statistics: Statistics,
        tape: &Tape<'a>,
        tap: &mut dyn FnMut(&str, &Tensor),
    ) -> Result<Tensor, TorchError> {
        for (number, stage) in self.stages.iter().enumerate() {
            for unit in stage {
                x = tape.run_normed(&x, statistics, move |x, statistics| {
                    let a = unit.bottleneck.preactivate(x, statistics);
                    let mut h = unit.bottleneck.branch(&a, statistics);
                    match (&unit.shortcut, self.shortcut_from) {
                        (Some(shortcut), ShortcutFrom::Preact) => h += shortcut.forward(&a),
                        (Some(shortcut), ShortcutFrom::Raw) => h += shortcut.forward(x),
                        (None, _) => h += x,
                    }
                    Ok(h)
                })?;
            }
            tap(&format!("stage{number}"), &x);
        }
        Ok(x)
    }
}
