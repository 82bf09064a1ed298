//! One axial slice.

use ndarray::Array2;

use super::Hu;

/// One axial slice, `[H, W]`.
#[derive(Debug, Clone, PartialEq)]
pub struct CtSlice {
    /// Its values, with their unit.
    pub pixels: Pixels,
}

/// The values of a slice and what they mean. A file that has lost its Hounsfield units says so in its type.
#[derive(Debug, Clone, PartialEq)]
pub enum Pixels {
    /// `[H, W]` Hounsfield units, rescale applied.
    Hu(Array2<Hu>),
    /// `[H, W]` 8-bit grey, already windowed by whoever made the picture.
    Grey8(Array2<u8>),
    /// `[H, W]` 16-bit grey of unknown unit: no network input without a stated window.
    Grey16(Array2<u16>),
}

impl Pixels {
    /// `(H, W)`.
    pub fn dim(&self) -> (usize, usize) {
        match self {
            Self::Hu(pixels) => pixels.dim(),
            Self::Grey8(pixels) => pixels.dim(),
            Self::Grey16(pixels) => pixels.dim(),
        }
    }
}
