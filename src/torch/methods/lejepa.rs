//! LeJEPA, Balestriero and LeCun 2025, <https://arxiv.org/abs/2511.08544>: views of one image have one embedding, and
//! embeddings are standard normal. No teacher, no stopped gradient, no moving average.

use std::collections::BTreeMap;

use tch::{Kind, Tensor};

use super::{
    super::{
        TorchError,
        device::autocast,
        encoders::{Encoder, three_planes},
        layers::Statistics,
        sigreg::{self, SigReg},
        train::Tape,
        weights::{self, WeightMap},
    },
    Method, Numbers, Setting, read,
    trained::{Trained, check_state, for_use, on_cpu, stand, with},
};
use crate::method;

/// The encoder in training. Its batch norms use the statistics of the batch.
#[derive(Debug)]
pub struct LeJepa {
    config: method::LeJepa,
    setting: Setting,
    z_dim: usize,
    encoder: Encoder,
    e: Trained,
    sigreg: SigReg,
}

impl LeJepa {
    /// A fresh encoder, or one that starts from `start`.
    ///
    /// # Errors
    ///
    /// When settings make no network or the tensors do not fit.
    pub fn new(config: &method::LeJepa, setting: Setting, start: Option<&WeightMap>) -> Result<Self, TorchError> {
        let z_dim = setting.encoder.architecture()?.z_dim;
        let tensors = match start {
            Some(start) => with(start, &WeightMap::new()),
            None => weights::random(&setting.encoder, setting.seed)?,
        };
        weights::check(&setting.encoder, &tensors)?;
        let e = Trained::new(&tensors, config.adam, config.clip, setting.device)?;
        Ok(Self {
            encoder: Encoder::new(&setting.encoder, e.tensors())?,
            sigreg: SigReg::new(config.knots, config.reach)?,
            config: config.clone(),
            z_dim,
            e,
            setting,
        })
    }
}

impl Method for LeJepa {
    fn step(&mut self, step: u64, batches: &[Tensor]) -> Result<Numbers, TorchError> {
        let (device, views) = (self.setting.device, self.config.views as i64);
        self.e.zero_grad()?;
        let mut rng = crate::seed::stream(self.setting.seed, &format!("directions/{step}"));
        let directions = sigreg::directions(&mut rng, self.z_dim, self.config.directions, device)?;
        let mut passes = Vec::new();
        for batch in batches {
            let x = three_planes(&batch.f_to_device(device)?)?;
            let tape = match self.setting.recompute {
                true => Tape::recomputing(self.setting.precision, device),
                false => Tape::keeping(),
            };
            let embeddings = {
                let _precision = autocast(self.setting.precision, device)?;
                self.encoder.forward_on(&x, Statistics::Batch, &tape)?.z_mean
            };
            let embeddings = embeddings
                .f_to_kind(Kind::Float)?
                .f_view([views, -1, self.z_dim as i64])?; // [V, N, Z]
            let loss = self.sigreg.loss(&embeddings, &directions, self.config.lambda)?;
            tape.backward(&(&loss.total / batches.len() as f64))?;
            let spread = embeddings
                .detach()
                .std_dim([1i64].as_slice(), false, false)
                .mean(Kind::Float);
            passes.push((loss, spread));
        }
        let norm = self.e.step(self.config.schedule.share(step, self.setting.steps))?;
        let mean = |f: fn(&(sigreg::LeJepaLoss, Tensor)) -> &Tensor| {
            let values: Vec<Tensor> = passes.iter().map(|pass| f(pass).detach()).collect();
            Tensor::stack(&values, 0).mean(Kind::Float)
        };
        let mut numbers = read(&[
            ("loss", mean(|(loss, _)| &loss.total)),
            ("loss_invariance", mean(|(loss, _)| &loss.invariance)),
            ("loss_sigreg", mean(|(loss, _)| &loss.sigreg)),
            ("code_spread", mean(|(_, spread)| spread)),
        ])?;
        numbers.extend([("grad_enc", norm), ("lr_enc", self.e.lr())]);
        Ok(numbers)
    }

    fn state(&self) -> Result<WeightMap, TorchError> {
        self.e.state()
    }

    fn restore(&mut self, state: &WeightMap, steps: u64) -> Result<(), TorchError> {
        check_state(state, &self.state()?)?;
        self.e.restore(state, steps)
    }

    fn encoder(&self, slices: &[Tensor]) -> Result<WeightMap, TorchError> {
        let tensors = for_use(self.e.parameters().views(), self.e.buffers())?;
        stand(&self.setting, &tensors, slices)?;
        on_cpu(&tensors)
    }

    fn sizes(&self) -> BTreeMap<&'static str, usize> {
        BTreeMap::from([("encoder", self.e.parameters().count())])
    }

    fn not_finite(&self) -> Result<Vec<String>, TorchError> {
        self.e.parameters().not_finite()
    }
}
