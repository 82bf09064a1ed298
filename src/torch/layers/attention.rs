//! Self-attention over the positions of a map, Zhang et al. 2019, <https://arxiv.org/abs/1805.08318>, as in BigGAN: keys
//! and values are max-pooled, logits are not scaled.

use tch::{Kind, Tensor};

use super::{Conv, Scope, as_given};
use crate::encoder::Padding;

/// `x + gamma * o(attention(x))`.
#[derive(Debug)]
pub struct SelfAttention {
    theta: Conv,
    phi: Conv,
    g: Conv,
    o: Conv,
    gamma: Tensor,
}

impl SelfAttention {
    /// Reads `theta`, `phi` `[C / 8, C, 1, 1]`, `g` `[C / 2, C, 1, 1]`, `o` `[C, C / 2, 1, 1]` and `gamma` `[1]` at `scope`.
    pub fn new(scope: &Scope) -> Self {
        let conv = |name: &str| Conv::new(&scope.at(name), 1, Padding::Fixed);
        Self {
            theta: conv("theta"),
            phi: conv("phi"),
            g: conv("g"),
            o: conv("o"),
            gamma: scope.tensor("gamma"),
        }
    }

    /// # Shapes
    ///
    /// - `x` and output: `[N, C, H, W]`, even `H` and `W`
    pub fn forward(&self, x: &Tensor) -> Tensor {
        // One row a position: where the channels are innermost in memory, that copies nothing.
        let rows = |t: Tensor| t.permute([0, 2, 3, 1]).flatten(1, 2);
        let pooled = |t: Tensor| t.max_pool2d([2, 2], [2, 2], [0, 0], [1, 1], false);
        let query = rows(self.theta.forward(x)); // [N, H W, C / 8]
        let key = rows(pooled(self.phi.forward(x))); // [N, H W / 4, C / 8]
        let value = rows(pooled(self.g.forward(x))); // [N, H W / 4, C / 2]
        let weights = {
            // Logits grow with the channels, as nothing scales them: in half precision the softmax would be of their rounding.
            let _precision = as_given(x.device());
            let logits = query
                .to_kind(Kind::Float)
                .bmm(&key.to_kind(Kind::Float).transpose(1, 2));
            logits.softmax(-1, Kind::Float) // [N, H W, H W / 4]
        };
        let attended = weights.to_kind(value.kind()).bmm(&value); // [N, H W, C / 2]
        let size = x.size();
        let attended = attended.view([size[0], size[2], size[3], -1]).permute([0, 3, 1, 2]);
        x + &self.gamma * self.o.forward(&attended)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        method::Precision,
        torch::{
            device::{DeviceChoice, autocast},
            weights::WeightMap,
        },
    };

    /// A 1x1 convolution `[rows, columns, 1, 1]` that is zero but for entries `(row, column, value)`.
    fn weight(rows: i64, columns: i64, entries: &[(i64, i64, f64)]) -> Tensor {
        let weight = Tensor::zeros([rows, columns, 1, 1], tch::kind::FLOAT_CPU);
        for (row, column, value) in entries {
            let _ = weight.get(*row).get(*column).fill_(*value);
        }
        weight
    }

    /// Two keys with logits 289 and 288, which bfloat16 can't tell apart; all that enters the product is exact in it.
    #[test]
    fn logits_keep_their_last_digit_under_autocast() {
        let device = DeviceChoice::Auto.resolve().unwrap();
        let weights = [
            ("theta", weight(2, 16, &[(0, 2, 17.0), (1, 2, 1.0)])),
            ("phi", weight(2, 16, &[(0, 0, 1.0), (1, 1, 1.0)])),
            ("g", weight(8, 16, &[(0, 3, 1.0)])),
            ("o", weight(16, 8, &[(4, 0, 1.0)])),
        ];
        let mut tensors: WeightMap = weights
            .into_iter()
            .map(|(name, weight)| (format!("a.{name}.weight"), weight.to_device(device)))
            .collect();
        tensors.insert("a.gamma".to_owned(), Tensor::ones([1], (Kind::Float, device)));
        let attention = SelfAttention::new(&Scope::new(&tensors, "a"));

        let x = Tensor::zeros([1, 16, 2, 4], (Kind::Float, device));
        // Channels 0 and 1 are the keys, 2 is the query, 3 marks the first key's half.
        let (first, second) = (x.narrow(3, 0, 2), x.narrow(3, 2, 2));
        for (half, channel, value) in [
            (&first, 0, 17.0),
            (&second, 0, 16.0),
            (&second, 1, 16.0),
            (&first, 3, 1.0),
        ] {
            let _ = half.select(1, channel).fill_(value);
        }
        let _ = x.select(1, 2).fill_(1.0);

        let _precision = autocast(Precision::BFloat16, device).unwrap();
        let share = attention.forward(&x).double_value(&[0, 4, 0, 0]);
        let expected = 1.0 / (1.0 + (-1.0_f64).exp());
        assert!((share - expected).abs() < 5e-3, "{share}, expected {expected}");
    }
}
