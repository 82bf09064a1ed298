//! Where each named tensor of a network lies in one flat buffer.

use std::collections::BTreeMap;

use tch::{Device, Kind, Tensor};

use crate::torch::{
    TorchError,
    weights::{Mismatch, WeightMap},
};

/// Tensors begin at multiples of so many floats: 64 bytes, a cache line and the widest vector of a CPU.
const ALIGNMENT: i64 = 16;
/// The buffer is filled up with zeros to a multiple of so many floats, so that it can be seen as rows.
pub(super) const ROW: i64 = 1024;

/// How the elements of a weight lie in memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Memory {
    /// The last axis innermost.
    Plain,
    /// Weights `[O, C, kh, kw]` have `C` innermost, as libtorch's convolutions want them; all others are plain.
    ChannelsLast,
    /// The same, and weights `[O, C, kd, kh, kw]` have `C` innermost too.
    ChannelsLast3d,
}

/// The places of named tensors in a buffer of floats, in the order of their names.
#[derive(Debug, Clone)]
pub(super) struct Layout {
    slots: BTreeMap<String, Slot>,
    length: i64,
}

#[derive(Debug, Clone)]
struct Slot {
    start: i64,
    size: Vec<i64>,
    strides: Vec<i64>,
}

impl Layout {
    pub fn new(tensors: &WeightMap, memory: Memory) -> Self {
        let mut slots = BTreeMap::new();
        let mut start = 0_i64;
        for (name, t) in tensors {
            let size = t.size();
            let strides = strides(&size, memory);
            let end = start + size.iter().product::<i64>();
            slots.insert(name.clone(), Slot { start, size, strides });
            start = rounded_up(end, ALIGNMENT);
        }
        Self {
            slots,
            length: rounded_up(start, ROW),
        }
    }

    /// A buffer for all of them, filled with zeros.
    pub fn zeros(&self, device: Device) -> Result<Tensor, TorchError> {
        Ok(Tensor::f_zeros([self.length], (Kind::Float, device))?)
    }

    /// The named tensors of a buffer: they share its memory and are leaves of no graph.
    pub fn views(&self, buffer: &Tensor) -> Result<WeightMap, TorchError> {
        let view = |(name, slot): (&String, &Slot)| {
            let view = buffer.f_as_strided(&slot.size, &slot.strides, slot.start)?.f_detach()?;
            Ok((name.clone(), view))
        };
        self.slots.iter().map(view).collect()
    }

    /// Elements of all tensors together, without what lies between them.
    pub fn count(&self) -> usize {
        let elements = |slot: &Slot| slot.size.iter().product::<i64>() as usize;
        self.slots.values().map(elements).sum()
    }
}

fn rounded_up(n: i64, step: i64) -> i64 {
    (n + step - 1) / step * step
}

fn strides(size: &[i64], memory: Memory) -> Vec<i64> {
    let inner_to_outer: Vec<usize> = match (memory, size.len()) {
        (Memory::ChannelsLast | Memory::ChannelsLast3d, 4) => vec![1, 3, 2, 0],
        (Memory::ChannelsLast3d, 5) => vec![1, 4, 3, 2, 0],
        (_, axes) => (0..axes).rev().collect(),
    };
    let mut strides = vec![0; size.len()];
    let mut step = 1;
    for axis in inner_to_outer {
        strides[axis] = step;
        step *= size[axis].max(1);
    }
    strides
}

/// Copies tensors into views of a buffer. They must be exactly those that are expected; `what` they are stands in the
/// error.
pub(super) fn copy(what: &'static str, tensors: &WeightMap, views: &WeightMap) -> Result<(), TorchError> {
    let shapes = views.iter().map(|(name, view)| {
        let shape = view.size().into_iter().map(|n| n as usize).collect();
        (name.clone(), shape)
    });
    let mismatch = Mismatch::between(tensors, &shapes.collect());
    if !mismatch.is_empty() {
        return Err(TorchError::State {
            what,
            mismatch: mismatch.into(),
        });
    }
    let _no_grad = tch::no_grad_guard();
    for (name, view) in views {
        view.shallow_clone().f_copy_(&tensors[name])?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_channels_of_convolutions_are_innermost_when_asked_for() {
        assert_eq!(strides(&[5, 3, 2, 7], Memory::Plain), [42, 14, 7, 1]);
        assert_eq!(strides(&[5, 3, 2, 7], Memory::ChannelsLast), [42, 1, 21, 3]);
        assert_eq!(strides(&[5, 3, 2, 7], Memory::ChannelsLast3d), [42, 1, 21, 3]);
        assert_eq!(strides(&[5, 3, 2, 7, 4], Memory::ChannelsLast3d), [168, 1, 84, 12, 3]);
        assert_eq!(strides(&[5, 3, 2, 7, 4], Memory::ChannelsLast), [168, 56, 28, 4, 1]);
        assert_eq!(strides(&[5, 3, 2], Memory::ChannelsLast), [6, 2, 1]);
        assert_eq!(strides(&[], Memory::ChannelsLast), [0_i64; 0]);
    }
}
