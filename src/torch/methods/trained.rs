//! A network's tensors in training: those that an optimiser moves, those that it does not, and the optimiser.

use tch::{Device, Tensor};

use super::{
    super::{
        TorchError,
        encoders::{Encoder, three_planes},
        layers::Statistics,
        train::{self, Memory, Parameters},
        weights::WeightMap,
    },
    Setting,
};
use crate::method;

/// One network with its own optimiser. Groups are separate by construction: a step of one can't move another.
#[derive(Debug)]
pub(in crate::torch) struct Trained {
    parameters: Parameters,
    /// Running statistics and singular vectors: they follow, and no gradient reaches them.
    buffers: WeightMap,
    /// Both, sharing their memory.
    tensors: WeightMap,
    optimizer: train::Adam,
    adam: method::Adam,
    clip: f64,
    /// What the optimiser took at its last step.
    lr: f64,
}

/// Whether a tensor is none that an optimiser moves.
fn is_buffer(name: &str) -> bool {
    name.ends_with(".u") || name.ends_with(".running_mean") || name.ends_with(".running_var")
}

impl Trained {
    pub fn new(tensors: &WeightMap, adam: method::Adam, clip: f64, device: Device) -> Result<Self, TorchError> {
        let (mut trained, mut buffers) = (WeightMap::new(), WeightMap::new());
        for (name, tensor) in tensors {
            match is_buffer(name) {
                true => buffers.insert(name.clone(), tensor.f_detach()?.f_to_device(device)?.copy()),
                false => trained.insert(name.clone(), tensor.shallow_clone()),
            };
        }
        let parameters = Parameters::new(&trained, device, Memory::ChannelsLast3d)?;
        let config = train::AdamConfig {
            beta1: adam.beta1,
            beta2: adam.beta2,
            epsilon: adam.epsilon,
            weight_decay: adam.weight_decay,
        };
        Ok(Self {
            optimizer: train::Adam::new(&parameters, config)?,
            tensors: with(parameters.views(), &buffers),
            parameters,
            buffers,
            adam,
            clip,
            lr: 0.0,
        })
    }

    /// All tensors of the network: one that is built on them follows every step.
    pub fn tensors(&self) -> &WeightMap {
        &self.tensors
    }

    pub fn parameters(&self) -> &Parameters {
        &self.parameters
    }

    pub fn buffers(&self) -> &WeightMap {
        &self.buffers
    }

    /// Whether a graph that is recorded from now on reaches the parameters.
    pub fn listen(&self, gradients: bool) {
        for view in self.parameters.views().values() {
            let _ = view.set_requires_grad(gradients);
        }
    }

    pub fn zero_grad(&mut self) -> Result<(), TorchError> {
        self.parameters.zero_grad()
    }

    /// A step of the optimiser at a share of its learning rate; gives the norm of the gradient before clipping.
    pub fn step(&mut self, share: f64) -> Result<f64, TorchError> {
        self.step_at(self.adam.lr * share)
    }

    /// A step of the optimiser at this learning rate; gives the norm of the gradient before clipping.
    pub fn step_at(&mut self, lr: f64) -> Result<f64, TorchError> {
        let norm = match self.clip {
            0.0 => self.parameters.grad_norm()?,
            most => self.parameters.clip(most)?,
        };
        self.lr = lr;
        self.optimizer.step(&mut self.parameters, self.lr)?;
        Ok(norm)
    }

    /// The learning rate that the optimiser took at its last step.
    pub fn lr(&self) -> f64 {
        self.lr
    }

    /// Tensors and the optimiser's means, the latter under `adam.`.
    pub fn state(&self) -> Result<WeightMap, TorchError> {
        let means = self.optimizer.state()?.into_iter();
        let means = means.map(|(name, mean)| (format!("adam.{name}"), mean)).collect();
        Ok(with(&self.tensors, &means))
    }

    /// Goes on from [`Trained::state`], whose tensors were checked.
    pub fn restore(&mut self, state: &WeightMap, steps: u64) -> Result<(), TorchError> {
        let _no_gradients = tch::no_grad_guard();
        for (name, tensor) in &self.tensors {
            tensor.shallow_clone().f_copy_(&state[name])?;
        }
        let means = self.optimizer.state()?.into_keys();
        let means = means.map(|name| {
            let mean = state[&format!("adam.{name}")].shallow_clone();
            (name, mean)
        });
        self.optimizer.load_state(&means.collect(), steps)
    }
}

/// Both maps in one.
pub(super) fn with(a: &WeightMap, b: &WeightMap) -> WeightMap {
    let pairs = a.iter().chain(b);
    pairs
        .map(|(name, tensor)| (name.clone(), tensor.shallow_clone()))
        .collect()
}

/// Checks that a checkpoint's tensors are exactly those that are there.
pub(in crate::torch) fn check_state(found: &WeightMap, expected: &WeightMap) -> Result<(), TorchError> {
    let shape = |tensor: &Tensor| tensor.size().into_iter().map(|n| n as usize).collect();
    let expected: Vec<_> = expected
        .iter()
        .map(|(name, tensor)| (name.clone(), shape(tensor)))
        .collect();
    super::super::weights::check_against("checkpoint", &expected, found)
}

/// Averaged weights with copies of the buffers, for use apart from the training.
pub(in crate::torch) fn for_use(average: &WeightMap, buffers: &WeightMap) -> Result<WeightMap, TorchError> {
    let _no_gradients = tch::no_grad_guard();
    let mut tensors = WeightMap::new();
    for (name, tensor) in average.iter().chain(buffers) {
        tensors.insert(name.clone(), tensor.f_detach()?.copy());
    }
    Ok(tensors)
}

/// Takes the batch-norm statistics of an encoder's tensors anew over slices, `[N, 1, S, S]` each; leaves them as they are
/// where there are none.
pub(super) fn stand(setting: &Setting, tensors: &WeightMap, slices: &[Tensor]) -> Result<(), TorchError> {
    let encoder = Encoder::new(&setting.encoder, tensors)?;
    let _no_gradients = tch::no_grad_guard();
    for (seen, batch) in slices.iter().enumerate() {
        let batch = batch.f_to_device(setting.device)?;
        encoder.forward(&three_planes(&batch)?, Statistics::Standing { seen })?;
    }
    Ok(())
}

/// Plain contiguous copies on the CPU.
pub(in crate::torch) fn on_cpu(tensors: &WeightMap) -> Result<WeightMap, TorchError> {
    let copied = |(name, tensor): (&String, &Tensor)| {
        let tensor = tensor.f_detach()?.f_to_device(Device::Cpu)?.f_contiguous()?;
        Ok((name.clone(), tensor))
    };
    tensors.iter().map(copied).collect()
}
