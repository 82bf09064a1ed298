//! Self-attention over the positions of a map, Zhang et al. 2019, <https://arxiv.org/abs/1805.08318>, as in BigGAN: keys
//! and values are max-pooled, logits are not scaled.

use tch::{Kind, Tensor};

use super::{Conv, Scope};
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
        let pooled = |t: Tensor| t.max_pool2d([2, 2], [2, 2], [0, 0], [1, 1], false).flatten(2, 3);
        let query = self.theta.forward(x).flatten(2, 3); // [N, C / 8, H W]
        let key = pooled(self.phi.forward(x)); // [N, C / 8, H W / 4]
        let value = pooled(self.g.forward(x)); // [N, C / 2, H W / 4]
        // Logits grow with the channels, as nothing scales them: in half precision the softmax would be of their rounding.
        let logits = query
            .to_kind(Kind::Float)
            .transpose(1, 2)
            .bmm(&key.to_kind(Kind::Float));
        let weights = logits.softmax(-1, Kind::Float); // [N, H W, H W / 4]
        let attended = value.bmm(&weights.to_kind(value.kind()).transpose(1, 2)); // [N, C / 2, H W]
        let size = x.size();
        let attended = attended.view([size[0], -1, size[2], size[3]]);
        x + &self.gamma * self.o.forward(&attended)
    }
}
