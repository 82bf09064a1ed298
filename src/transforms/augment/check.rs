//! Which settings are possible.

use super::{Augment, Blur, Crop, Erase, Noise};
use crate::ct::Hu;

/// Smallest crop: 4 pixels of 64 x 64.
const SMALLEST_CROP: f64 = 0.001;
/// Most oblong rectangles.
const ASPECTS: [f64; 2] = [0.01, 100.0];
/// Largest smoothing in pixels; its kernel is eight times as wide.
const WIDEST_BLUR: f64 = 100.0;
/// Largest change: the 12 bits in which scanners store CT.
const WIDEST_HU: f64 = 4096.0;

/// Why slices can't be changed like this.
#[derive(Debug, thiserror::Error, PartialEq)]
#[non_exhaustive]
pub enum AugmentError {
    /// A number that means nothing.
    #[error("augment.{setting} is {value}, expected {low} to {high}")]
    OutOfRange {
        /// The recipe's key.
        setting: &'static str,
        /// What it says.
        value: f64,
        /// Smallest possible value.
        low: f64,
        /// Largest possible value.
        high: f64,
    },
    /// A range whose ends are the wrong way round.
    #[error("augment.{setting} goes from {from} to {to}, expected the smaller number first")]
    Reversed {
        /// The recipe's key.
        setting: &'static str,
        /// First number.
        from: f64,
        /// Second number.
        to: f64,
    },
    /// Rectangles that are longer than a slice.
    #[error(
        "augment.{setting} asks for at least {area} of the area with aspects from {} to {}, which never fits into a \
         square, lower its area or let its aspect come nearer to 1", aspect[0], aspect[1]
    )]
    NeverFits {
        /// The recipe's key.
        setting: &'static str,
        /// The smallest area.
        area: f64,
        /// The range of aspects.
        aspect: [f64; 2],
    },
}

impl Augment {
    /// Refuses what is impossible: the first such setting, in the order of the fields.
    ///
    /// A recipe's table is checked when it is parsed; settings made in code are not.
    pub fn check(&self) -> Result<(), AugmentError> {
        within("flip_horizontal", self.flip_horizontal, 0.0, 1.0)?;
        within("flip_vertical", self.flip_vertical, 0.0, 1.0)?;
        within("rotate", self.rotate, 0.0, 180.0)?;
        within("translate", self.translate, 0.0, 1.0)?;
        if let Some(Crop { area, aspect }) = &self.crop {
            range("crop.area", *area, SMALLEST_CROP, 1.0)?;
            range("crop.aspect", *aspect, ASPECTS[0], ASPECTS[1])?;
            fits("crop", area[0], *aspect)?;
        }
        within("gain", self.gain, 0.0, 1.0)?;
        shift(self.hu_shift)?;
        self.blur.as_ref().map_or(Ok(()), Blur::check)?;
        self.noise.as_ref().map_or(Ok(()), Noise::check)?;
        if let Some(Erase {
            probability,
            area,
            aspect,
        }) = &self.erase
        {
            within("erase.probability", *probability, 0.0, 1.0)?;
            range("erase.area", *area, 0.0, 1.0)?;
            range("erase.aspect", *aspect, ASPECTS[0], ASPECTS[1])?;
            fits("erase", area[0], *aspect)?;
        }
        Ok(())
    }
}

impl Blur {
    pub(in crate::transforms) fn check(&self) -> Result<(), AugmentError> {
        within("blur.probability", self.probability, 0.0, 1.0)?;
        range("blur.sigma", self.sigma, 0.0, WIDEST_BLUR)
    }
}

impl Noise {
    pub(in crate::transforms) fn check(&self) -> Result<(), AugmentError> {
        within("noise.probability", self.probability, 0.0, 1.0)?;
        range("noise.sigma", self.sigma.map(f64::from), 0.0, WIDEST_HU)
    }
}

/// A largest shift of HU.
pub(in crate::transforms) fn shift(largest: Hu) -> Result<(), AugmentError> {
    within("hu_shift", largest.into(), 0.0, WIDEST_HU)
}

pub(in crate::transforms) fn within(
    setting: &'static str,
    value: f64,
    low: f64,
    high: f64,
) -> Result<(), AugmentError> {
    if (low..=high).contains(&value) {
        Ok(())
    } else {
        Err(AugmentError::OutOfRange {
            setting,
            value,
            low,
            high,
        })
    }
}

fn range(setting: &'static str, [from, to]: [f64; 2], low: f64, high: f64) -> Result<(), AugmentError> {
    within(setting, from, low, high)?;
    within(setting, to, low, high)?;
    if from <= to {
        Ok(())
    } else {
        Err(AugmentError::Reversed { setting, from, to })
    }
}

/// Whether the smallest area fits into a square with some aspect; the nearest to 1 has the shortest long side.
fn fits(setting: &'static str, area: f64, aspect: [f64; 2]) -> Result<(), AugmentError> {
    let nearest = 1.0f64.clamp(aspect[0], aspect[1]);
    if area * nearest.max(nearest.recip()) <= 1.0 {
        Ok(())
    } else {
        Err(AugmentError::NeverFits { setting, area, aspect })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn presets_and_defaults_are_possible() {
        for name in Augment::NAMES {
            assert_eq!(Augment::named(name).unwrap().check(), Ok(()), "{name}");
        }
        let defaults = Augment {
            crop: Some(Crop::default()),
            blur: Some(Blur::default()),
            noise: Some(Noise::default()),
            erase: Some(Erase::default()),
            ..Augment::default()
        };
        assert_eq!(defaults.check(), Ok(()));
    }

    #[test]
    fn what_is_impossible_is_named_with_both_numbers() {
        let off = Augment::default();
        for (augment, sentence) in [
            (
                Augment {
                    flip_vertical: 1.5,
                    ..off.clone()
                },
                "augment.flip_vertical is 1.5, expected 0 to 1",
            ),
            (
                Augment {
                    rotate: -5.0,
                    ..off.clone()
                },
                "augment.rotate is -5, expected 0 to 180",
            ),
            (
                Augment {
                    translate: f64::NAN,
                    ..off.clone()
                },
                "augment.translate is NaN, expected 0 to 1",
            ),
            (
                Augment {
                    noise: Some(Noise {
                        probability: 1.0,
                        sigma: [9.0, 3.0],
                    }),
                    ..off.clone()
                },
                "augment.noise.sigma goes from 9 to 3, expected the smaller number first",
            ),
            (
                Augment {
                    crop: Some(Crop {
                        area: [0.6, 1.0],
                        aspect: [2.0, 3.0],
                    }),
                    ..off.clone()
                },
                "augment.crop asks for at least 0.6 of the area with aspects from 2 to 3, which never fits into a \
                 square, lower its area or let its aspect come nearer to 1",
            ),
        ] {
            assert_eq!(augment.check().unwrap_err().to_string(), sentence);
        }
    }
}
