//! How a variable's values are laid out anew: TensorFlow has the channels that leave a layer last, libtorch first.

use super::names::Transform;
use crate::method::BOTTOM;

/// Values a cache line holds: so many outputs are written side by side.
const BLOCK: usize = 16;

impl Transform {
    /// The values of a variable of TensorFlow's `shape`, row after row, in libtorch's order; `None` where they are not as many as
    /// the shape says, or the shape has other axes than these.
    ///
    /// # Shapes
    ///
    /// - `Conv`: `[kh, kw, in, out]` to `[out, in, kh, kw]`
    /// - `Linear`: `[in, out]` to `[out, in]`
    /// - `GeneratorLinear`: `[in, B * B * C]` to `[C * B * B, in]`; `B` is [`BOTTOM`], the generator's first map
    /// - `GeneratorVector`: `[B * B * C]` or `[1, B * B * C]` to `[C * B * B]`
    /// - `Squeeze`: axes of size 1 go
    pub fn apply(self, values: Vec<f32>, shape: &[usize]) -> Option<Vec<f32>> {
        if values.len() != shape.iter().product::<usize>() {
            return None;
        }
        let maps = BOTTOM * BOTTOM;
        let axes = match (self, shape) {
            (Self::Squeeze, _) => return Some(values),
            (Self::Conv, [rows, columns, inputs, outputs]) => [rows * columns, *inputs, *outputs],
            (Self::Linear, [inputs, outputs]) => [*inputs, 1, *outputs],
            (Self::GeneratorLinear, [inputs, outputs]) if outputs.is_multiple_of(maps) => {
                [*inputs, maps, outputs / maps]
            }
            (Self::GeneratorVector, [outputs] | [1, outputs]) if outputs.is_multiple_of(maps) => {
                [maps, 1, outputs / maps]
            }
            _ => return None,
        };
        Some(reversed(&values, axes))
    }
}

/// `[a, b, c]` to `[c, b, a]`.
fn reversed(values: &[f32], [a, b, c]: [usize; 3]) -> Vec<f32> {
    let mut out = vec![0.0; values.len()];
    for first in (0..c).step_by(BLOCK) {
        let last = c.min(first + BLOCK);
        for j in 0..b {
            for i in 0..a {
                let row = (i * b + j) * c;
                for (k, value) in (first..last).zip(&values[row + first..row + last]) {
                    out[(k * b + j) * a + i] = *value;
                }
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 0, 1, 2, ... as many as the shape has.
    fn counted(shape: &[usize]) -> Vec<f32> {
        (0..shape.iter().product()).map(|i: usize| i as f32).collect()
    }

    #[test]
    fn kernels_and_matrices_are_turned() {
        let shape = [2, 3, 4, 5];
        let turned = Transform::Conv.apply(counted(&shape), &shape).unwrap();
        // [out 4, in 3, kh 1, kw 2] was [1, 2, 3, 4].
        let at = |[o, i, y, x]: [usize; 4]| turned[((o * 4 + i) * 2 + y) * 3 + x];
        assert_eq!(at([4, 3, 1, 2]), (((3 + 2) * 4 + 3) * 5 + 4) as f32);
        let turned = Transform::Linear.apply(counted(&[2, 3]), &[2, 3]).unwrap();
        assert_eq!(turned, [0.0, 3.0, 1.0, 4.0, 2.0, 5.0]);
    }

    /// The generator's first map is `[y, x, c]` in TensorFlow and `[c, y, x]` here; its bias and singular vector go along.
    #[test]
    fn the_first_map_of_the_generator_has_its_channels_first() {
        let (inputs, channels, maps) = (3, 2, BOTTOM * BOTTOM);
        let shape = [inputs, maps * channels];
        let turned = Transform::GeneratorLinear.apply(counted(&shape), &shape).unwrap();
        // Row of channel 1 at place 5, input 2.
        let found = turned[(maps + 5) * inputs + 2];
        assert_eq!(found, (2 * maps * channels + 5 * channels + 1) as f32);
        for shape in [vec![maps * channels], vec![1, maps * channels]] {
            let turned = Transform::GeneratorVector.apply(counted(&shape), &shape).unwrap();
            assert_eq!(turned[maps + 5], (5 * channels + 1) as f32);
        }
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        assert!(Transform::Conv.apply(counted(&[2, 3]), &[2, 3]).is_none());
        assert!(Transform::Linear.apply(vec![0.0; 5], &[2, 3]).is_none());
        assert!(Transform::GeneratorLinear.apply(counted(&[3, 33]), &[3, 33]).is_none());
    }
}
