//! Activation checkpointing, Chen et al. 2016, <https://arxiv.org/abs/1604.06174>: a segment of a network keeps only what
//! enters it, and is run again when its gradient is wanted. Memory falls to about a segment, time grows by a forward pass.

use std::cell::{Cell, RefCell};

use tch::{Device, Tensor};

use super::super::{TorchError, device::autocast, layers::Statistics};
use crate::method::Precision;

type Run<'a> = Box<dyn Fn(&Tensor) -> Result<Tensor, TorchError> + 'a>;

struct Segment<'a> {
    input: Tensor,
    output: Tensor,
    run: Run<'a>,
}

/// The segments that one forward pass went through.
///
/// ```no_run
/// # use hounsfield::{method::Precision, torch::train::Tape};
/// # let (x, w) = (tch::Tensor::ones([2], tch::kind::FLOAT_CPU), tch::Tensor::ones([2], tch::kind::FLOAT_CPU));
/// let tape = Tape::recomputing(Precision::Float32, tch::Device::Cpu);
/// let y = tape.run(&x, |x| x * &w);
/// tape.backward(&y.sum(tch::Kind::Float))?;
/// # Ok::<(), hounsfield::torch::TorchError>(())
/// ```
pub struct Tape<'a> {
    /// `None` keeps all activations.
    segments: Option<RefCell<Vec<Segment<'a>>>>,
    precision: (Precision, Device),
}

impl<'a> Tape<'a> {
    /// Keeps all activations.
    pub fn keeping() -> Self {
        Self {
            segments: None,
            precision: (Precision::Float32, Device::Cpu),
        }
    }

    /// Keeps only what enters segments, and runs them again in the precision that the forward pass has.
    pub fn recomputing(precision: Precision, device: Device) -> Self {
        Self {
            segments: Some(RefCell::default()),
            precision: (precision, device),
        }
    }

    /// One segment, a function of `x` and of weights. It must give the same when it is run again, and weights that it shares
    /// with other segments must enter it as leaves: what it computes of them is freed with its own graph.
    pub fn run(&self, x: &Tensor, run: impl Fn(&Tensor) -> Tensor + 'a) -> Tensor {
        let run = move |x: &Tensor| Ok(run(x));
        self.try_run(x, run).expect("a segment that cannot fail has run")
    }

    /// As [`Tape::run`], of a segment that may fail.
    ///
    /// # Errors
    ///
    /// Those of the segment.
    pub fn try_run(
        &self,
        x: &Tensor,
        run: impl Fn(&Tensor) -> Result<Tensor, TorchError> + 'a,
    ) -> Result<Tensor, TorchError> {
        let Some(segments) = &self.segments else { return run(x) };
        let output = tch::no_grad(|| run(x))?.set_requires_grad(true);
        segments.borrow_mut().push(Segment {
            input: x.shallow_clone(),
            output: output.shallow_clone(),
            run: Box::new(run),
        });
        Ok(output)
    }

    /// One segment with batch norms. Where it is run again they normalise as before and leave the stored statistics alone, which have
    /// taken the batch in.
    ///
    /// # Errors
    ///
    /// Those of the segment.
    pub fn run_normed(
        &self,
        x: &Tensor,
        statistics: Statistics,
        run: impl Fn(&Tensor, Statistics) -> Result<Tensor, TorchError> + 'a,
    ) -> Result<Tensor, TorchError> {
        let has_run = Cell::new(false);
        self.try_run(x, move |x| {
            let again = has_run.replace(true);
            match statistics {
                Statistics::Running { .. } if again => run(x, Statistics::Batch),
                statistics => run(x, statistics),
            }
        })
    }

    /// The gradient of a loss, through all segments from the last to the first.
    ///
    /// # Errors
    ///
    /// When libtorch fails.
    pub fn backward(self, loss: &Tensor) -> Result<(), TorchError> {
        loss.f_backward()?;
        let (precision, device) = self.precision;
        for Segment { input, output, run } in self.segments.into_iter().flat_map(RefCell::into_inner).rev() {
            let gradient = output.grad();
            if !gradient.defined() {
                continue;
            }
            // Nobody wants the gradient of a batch itself.
            let wanted = input.requires_grad();
            let again = input.detach().set_requires_grad(wanted);
            let y = {
                let _precision = autocast(precision, device)?;
                run(&again)?
            };
            if !y.requires_grad() {
                continue;
            }
            chain(&y, &gradient)?;
            if wanted {
                chain(&input, &again.grad())?;
            }
        }
        Ok(())
    }
}

/// Hands the gradient of some later loss on to what `y` was made of.
fn chain(y: &Tensor, gradient: &Tensor) -> Result<(), TorchError> {
    Ok((y * gradient).sum(tch::Kind::Float).f_backward()?)
}

#[cfg(test)]
mod tests {
    use tch::{Device, Kind};

    use super::*;

    /// A chain of two segments behind an ordinary layer, with a weight that both share.
    fn gradients(tape: Tape) -> [Tensor; 3] {
        tch::manual_seed(1);
        let leaf = |shape: &[i64]| Tensor::randn(shape, (Kind::Float, Device::Cpu)).set_requires_grad(true);
        let (x, w, v) = (leaf(&[3, 4]), leaf(&[4, 4]), leaf(&[4, 4]));
        let handles = [w.shallow_clone(), v.shallow_clone()];
        let [a, b] = &handles;
        let h = x.matmul(a).tanh();
        let (a2, b2, b3) = (a.shallow_clone(), b.shallow_clone(), b.shallow_clone());
        let h = tape.run(&h, move |h| h.matmul(&b2).tanh());
        let h = tape.run(&h, move |h| h.matmul(&a2).matmul(&b3).relu());
        tape.backward(&h.square().sum(Kind::Float)).unwrap();
        [x.grad(), w.grad(), v.grad()]
    }

    #[test]
    fn gradients_do_not_depend_on_what_is_kept() {
        let (kept, recomputed) = (
            gradients(Tape::keeping()),
            gradients(Tape::recomputing(Precision::Float32, Device::Cpu)),
        );
        for (kept, recomputed) in kept.iter().zip(&recomputed) {
            let difference = (kept - recomputed).abs().max().double_value(&[]);
            assert!(difference < 1e-5, "differs by {difference}");
        }
    }
}
