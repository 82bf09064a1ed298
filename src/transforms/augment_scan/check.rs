//! Which settings are possible.

use super::{
    super::{
        AugmentError, Blur, Noise,
        augment::{shift, within},
    },
    ScanAugment,
};

/// Largest shift in mm; a chest is out of sight before.
const FARTHEST: f64 = 1000.0;
/// Largest change of size. Interpolation joins two voxels along an axis, and would skip some of a scan that is shrunk further.
const WIDEST_SCALE: f64 = 0.5;

impl ScanAugment {
    /// Refuses what is impossible: the first such setting, in the order of the fields.
    ///
    /// A recipe's table is checked when it is parsed; settings made in code are not.
    ///
    /// # Errors
    ///
    /// [`AugmentError::OutOfRange`], [`AugmentError::Reversed`].
    pub fn check(&self) -> Result<(), AugmentError> {
        for (setting, probability) in ["flip[0]", "flip[1]", "flip[2]"].into_iter().zip(self.flip) {
            within(setting, probability, 0.0, 1.0)?;
        }
        for (setting, degrees) in ["rotate[0]", "rotate[1]", "rotate[2]"].into_iter().zip(self.rotate) {
            within(setting, degrees, 0.0, 180.0)?;
        }
        within("translate", self.translate, 0.0, FARTHEST)?;
        within("scale", self.scale, 0.0, WIDEST_SCALE)?;
        shift(self.hu_shift)?;
        self.blur.as_ref().map_or(Ok(()), Blur::check)?;
        self.noise.as_ref().map_or(Ok(()), Noise::check)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn presets_and_defaults_are_possible() {
        for name in ScanAugment::NAMES {
            assert_eq!(ScanAugment::named(name).unwrap().check(), Ok(()), "{name}");
        }
        let defaults = ScanAugment {
            blur: Some(Blur::default()),
            noise: Some(Noise::default()),
            ..ScanAugment::default()
        };
        assert_eq!(defaults.check(), Ok(()));
    }

    #[test]
    fn what_is_impossible_is_named_with_both_numbers() {
        let off = ScanAugment::default();
        for (augment, sentence) in [
            (
                ScanAugment {
                    flip: [0.0, 1.5, 0.0],
                    ..off.clone()
                },
                "augment.flip[1] is 1.5, expected 0 to 1",
            ),
            (
                ScanAugment {
                    rotate: [0.0, 0.0, -5.0],
                    ..off.clone()
                },
                "augment.rotate[2] is -5, expected 0 to 180",
            ),
            (
                ScanAugment {
                    translate: f64::INFINITY,
                    ..off.clone()
                },
                "augment.translate is inf, expected 0 to 1000",
            ),
            (
                ScanAugment {
                    scale: 0.9,
                    ..off.clone()
                },
                "augment.scale is 0.9, expected 0 to 0.5",
            ),
            (
                ScanAugment {
                    hu_shift: f32::NAN,
                    ..off.clone()
                },
                "augment.hu_shift is NaN, expected 0 to 4096",
            ),
            (
                ScanAugment {
                    blur: Some(Blur {
                        probability: 1.0,
                        sigma: [2.0, 1.0],
                    }),
                    ..off.clone()
                },
                "augment.blur.sigma goes from 2 to 1, expected the smaller number first",
            ),
        ] {
            assert_eq!(augment.check().unwrap_err().to_string(), sentence);
        }
    }
}
