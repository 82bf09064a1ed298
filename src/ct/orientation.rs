//! Which way the axes of a volume go, and how they are put into another order.

use std::{fmt, str::FromStr};

/// The directions of the body that the axes of a volume are closest to.
///
/// Its text names W, H, D, in this order, by where they go to: `L`eft or `R`ight, `P`osterior or `A`nterior, `S`uperior or
/// `I`nferior. This is the code of nibabel's `aff2axcodes` (W is the first axis there).
///
/// ```
/// use hounsfield::ct::Orientation;
/// let code: Orientation = "LPI".parse()?;
/// assert_eq!(code, Orientation::AXIAL);
/// assert_eq!(code.to_string(), "LPI");
/// # Ok::<(), hounsfield::ct::OrientationError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Orientation {
    /// Along D, H, W.
    axes: [Towards; 3],
}

/// A direction along one of the patient's axes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Towards {
    /// 0 left and right, 1 front and back, 2 feet and head.
    axis: usize,
    /// Whether it goes the way of LPS: to the left, the back, the head.
    positive: bool,
}

/// Letters of the positive and the negative way along x, y, z of LPS.
const LETTERS: [[char; 2]; 3] = [['L', 'R'], ['P', 'A'], ['S', 'I']];

/// A text that is no orientation.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("found orientation `{found}`, expected `axial` or one letter each of LR, PA and SI, e.g. `LPS`")]
pub struct OrientationError {
    found: String,
}

impl Orientation {
    /// Slices from the head to the feet, as a radiologist looks at them: W to the patient's left, H to the back.
    pub const AXIAL: Self = Self {
        axes: [
            Towards {
                axis: 2,
                positive: false,
            },
            Towards {
                axis: 1,
                positive: true,
            },
            Towards {
                axis: 0,
                positive: true,
            },
        ],
    };

    /// The closest to three directions (of D, H, W, in LPS) that are at right angles. The axis that is closest to one of
    /// the body's is settled first, as nibabel's `io_orientation` does it.
    pub(super) fn closest_to(directions: [[f64; 3]; 3]) -> Self {
        let strength = |axis: usize| directions[axis].iter().fold(0.0f64, |most, part| most.max(part.abs()));
        // Columns in nibabel's order, W first; the sort keeps the order of equals.
        let mut order = [2, 1, 0];
        order.sort_by(|a, b| strength(*b).total_cmp(&strength(*a)));
        let mut free = [true; 3];
        let mut axes = Self::AXIAL.axes;
        for axis in order {
            let part = |of: usize| directions[axis][of].abs();
            let mut closest = None;
            for candidate in (0..3).filter(|candidate| free[*candidate]) {
                if closest.is_none_or(|best| part(candidate) > part(best)) {
                    closest = Some(candidate);
                }
            }
            let closest = closest.expect("three axes take one of three each");
            free[closest] = false;
            axes[axis] = Towards {
                axis: closest,
                positive: directions[axis][closest] >= 0.0,
            };
        }
        Self { axes }
    }

    /// How the axes are put in order to get from this orientation to another.
    pub fn order_to(self, target: Self) -> AxisOrder {
        let source = target.axes.map(|wanted| {
            let axis = self.axes.iter().position(|have| have.axis == wanted.axis);
            axis.expect("every orientation has each of the three axes")
        });
        let flipped = [0, 1, 2].map(|axis| self.axes[source[axis]].positive != target.axes[axis].positive);
        AxisOrder { axes: source, flipped }
    }
}

impl fmt::Display for Orientation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.axes
            .iter()
            .rev()
            .try_for_each(|towards| write!(f, "{}", LETTERS[towards.axis][usize::from(!towards.positive)]))
    }
}

impl FromStr for Orientation {
    type Err = OrientationError;

    fn from_str(text: &str) -> Result<Self, OrientationError> {
        if text.eq_ignore_ascii_case("axial") {
            return Ok(Self::AXIAL);
        }
        let wrong = || OrientationError { found: text.to_owned() };
        let towards = |letter: char| {
            LETTERS.iter().enumerate().find_map(|(axis, [positive, negative])| {
                [(positive, true), (negative, false)]
                    .into_iter()
                    .find(|(name, _)| name.eq_ignore_ascii_case(&letter))
                    .map(|(_, positive)| Towards { axis, positive })
            })
        };
        let axes: Option<Vec<Towards>> = text.chars().rev().map(towards).collect();
        let axes: [Towards; 3] = axes.and_then(|axes| axes.try_into().ok()).ok_or_else(wrong)?;
        if (0..3).all(|axis| axes.iter().any(|towards| towards.axis == axis)) {
            Ok(Self { axes })
        } else {
            Err(wrong())
        }
    }
}

/// Another order of the axes of a volume, some of them turned round.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AxisOrder {
    /// Which of the old axes becomes D, H, W.
    pub axes: [usize; 3],
    /// Whether the new D, H, W run against the old axis.
    pub flipped: [bool; 3],
}

impl AxisOrder {
    /// Nothing changes.
    pub const SAME: Self = Self {
        axes: [0, 1, 2],
        flipped: [false; 3],
    };

    /// The way back.
    pub fn inverse(&self) -> Self {
        let mut inverse = Self::SAME;
        for (new, &old) in self.axes.iter().enumerate() {
            inverse.axes[old] = new;
            inverse.flipped[old] = self.flipped[new];
        }
        inverse
    }

    /// The size `[D, H, W]` of a volume afterwards.
    pub fn size(&self, size: [usize; 3]) -> [usize; 3] {
        self.axes.map(|axis| size[axis])
    }

    /// Whether an old axis is turned round.
    pub(super) fn flips(&self, old: usize) -> bool {
        (0..3).any(|new| self.axes[new] == old && self.flipped[new])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_is_read_back_and_leads_to_every_other() {
        let mut codes = Vec::new();
        for a in "LRPASI".chars() {
            for b in "LRPASI".chars() {
                for c in "LRPASI".chars() {
                    codes.extend(format!("{a}{b}{c}").parse::<Orientation>());
                }
            }
        }
        assert_eq!(codes.len(), 48);
        for code in &codes {
            assert_eq!(code.to_string().to_lowercase().parse(), Ok(*code));
            for other in &codes {
                let order = code.order_to(*other);
                assert_eq!(order.inverse(), other.order_to(*code));
                assert_eq!(order.inverse().inverse(), order);
            }
        }
        assert_eq!(codes[0].order_to(codes[0]), AxisOrder::SAME);
    }

    #[test]
    fn what_names_no_three_axes_is_an_error() {
        for text in ["", "L", "LP", "LPSI", "LRS", "LPX", "coronal"] {
            let error = text.parse::<Orientation>().unwrap_err();
            assert!(error.to_string().contains("`LPS`"), "{error}");
        }
    }
}
