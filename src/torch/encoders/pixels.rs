//! From slices in `[-1, 1]` to what a network of photographs was trained on.

use tch::{Device, Tensor};

use super::super::TorchError;

/// Values from 0 to 1, less a mean, over a standard deviation, as one multiplication and one addition a plane.
#[derive(Debug)]
pub(super) struct Pixels {
    scale: Tensor,
    shift: Tensor,
}

impl Pixels {
    /// `mean` and `std` of each plane, black 0 and white 1.
    pub fn new(mean: &[f64], std: &[f64], device: Device) -> Result<Self, TorchError> {
        let plane = |values: Vec<f64>| -> Result<Tensor, TorchError> {
            let values: Vec<f32> = values.into_iter().map(|v| v as f32).collect();
            Ok(Tensor::f_from_slice(&values)?
                .f_reshape([1, -1, 1, 1])?
                .f_to_device(device)?)
        };
        Ok(Self {
            scale: plane(std.iter().map(|s| 0.5 / s).collect())?,
            shift: plane(mean.iter().zip(std).map(|(m, s)| (0.5 - m) / s).collect())?,
        })
    }

    /// Values from -1 to 1 as they are.
    pub fn as_they_are(planes: usize, device: Device) -> Result<Self, TorchError> {
        Self::new(&vec![0.5; planes], &vec![0.5; planes], device)
    }

    /// `[N, P, S, S]` to the same shape, always in memory of its own.
    pub fn forward(&self, x: &Tensor) -> Result<Tensor, TorchError> {
        let x = x.f_to_device(self.scale.device())?;
        Ok(self.shift.f_addcmul(&x, &self.scale)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn black_and_white_become_what_the_words_say() {
        let x = Tensor::from_slice(&[-1.0_f32, 1.0])
            .reshape([1, 1, 1, 2])
            .expand([1, 2, 1, 2], false);
        let seen = Pixels::new(&[0.25, 0.5], &[0.5, 0.25], Device::Cpu)
            .unwrap()
            .forward(&x)
            .unwrap();
        let found = Vec::<f32>::try_from(seen.flatten(0, -1)).unwrap();
        assert_eq!(found, [-0.5, 1.5, -2.0, 2.0]);
        let same = Pixels::as_they_are(2, Device::Cpu).unwrap().forward(&x).unwrap();
        assert!(same.equal(&x));
    }
}
