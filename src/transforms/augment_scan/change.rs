//! What was drawn for one scan.

use rand::{Rng, RngExt as _};

use super::{
    super::augment::{chance, either_way},
    ScanAugment,
};
use crate::ct::Hu;

/// One change of one scan. The default changes nothing.
///
/// The scan is flipped, scaled, turned about D, then about H, then about W, and shifted, all about the centre of the array.
/// What comes in from outside is air. Rotations are right-handed in `(D, H, W)`: about D, positive degrees carry +H towards +W,
/// about H +W towards +D, and about W +D towards +H (`numpy.rot90` with those two axes, in that order, turns by +90 degrees). Since D
/// runs from head to feet, H from front to back and W from the patient's right to left, they are right-handed in space, too.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ScanChange {
    /// Along D, H and W.
    pub flip: [bool; 3],
    /// Degrees about D, H and W.
    pub rotate: [f64; 3],
    /// Shift in mm along D, H and W, towards higher indices. A scan that was shrunk in order to fit is moved by so many mm of the
    /// recipe's spacing, not of its own.
    pub translate: [f64; 3],
    /// Relative change of size: 0.1 makes everything 10 % larger.
    pub scale: f64,
    /// Added to all values, HU.
    pub hu_shift: Hu,
    /// Standard deviation of Gaussian smoothing, in voxels.
    pub blur: Option<f64>,
    /// Standard deviation of Gaussian noise in HU, and the seed that it is made from.
    pub noise: Option<(Hu, u64)>,
}

impl ScanAugment {
    /// One change, drawn from these ranges.
    pub fn draw(&self, rng: &mut impl Rng) -> ScanChange {
        ScanChange {
            flip: self.flip.map(|probability| chance(probability, rng)),
            rotate: self.rotate.map(|largest| either_way(largest, rng)),
            translate: [0; 3].map(|_| either_way(self.translate, rng)),
            scale: either_way(self.scale, rng),
            hu_shift: either_way(self.hu_shift.into(), rng) as Hu,
            blur: self.blur.as_ref().and_then(|blur| blur.draw(rng)),
            noise: self
                .noise
                .as_ref()
                .and_then(|noise| Some((noise.draw(rng)?, rng.random()))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        seed::stream,
        transforms::{Blur, Noise},
    };

    #[test]
    fn draws_stay_in_their_ranges_and_reach_for_the_ends() {
        let augment = ScanAugment::named("pu2020").unwrap();
        let mut rng = stream(0, "ranges");
        let drawn: Vec<ScanChange> = (0..500).map(|_| augment.draw(&mut rng)).collect();
        for axis in 0..3 {
            let largest = drawn
                .iter()
                .fold(0.0f64, |most, change| most.max(change.rotate[axis].abs()));
            let allowed = augment.rotate[axis];
            assert!((0.95 * allowed..=allowed).contains(&largest), "{largest} of {allowed}");
            let flips = drawn.iter().filter(|change| change.flip[axis]).count();
            assert!((flips as f64 / 500.0 - augment.flip[axis]).abs() < 0.1, "{flips}");
        }
        let shifts: Vec<Hu> = drawn.iter().map(|change| change.hu_shift).collect();
        assert!(shifts.iter().all(|shift| shift.abs() <= 25.0));
        assert!(shifts.iter().any(|shift| *shift > 23.0) && shifts.iter().any(|shift| *shift < -23.0));
        let seeds: std::collections::BTreeSet<u64> = drawn.iter().filter_map(|change| Some(change.noise?.1)).collect();
        assert!((200..300).contains(&seeds.len()), "{} of 500 are noisy", seeds.len());
    }

    #[test]
    fn what_is_off_draws_nothing() {
        let (mut used, mut fresh) = (stream(0, "off"), stream(0, "off"));
        let never = ScanAugment {
            blur: Some(Blur {
                probability: 0.0,
                ..Blur::default()
            }),
            noise: Some(Noise {
                probability: 0.0,
                ..Noise::default()
            }),
            ..ScanAugment::default()
        };
        assert_eq!(never.draw(&mut used), ScanChange::default());
        assert_eq!(used.random::<u64>(), fresh.random::<u64>());
    }
}
