//! Numbers as volume files store them: one kind, one byte order, one after another.

use ndarray::{Array2, Array3};
use rayon::prelude::*;

use crate::ct::{AxisOrder, Hu};

/// How one number is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    U8,
    I8,
    U16,
    I16,
    U32,
    I32,
    U64,
    I64,
    F32,
    F64,
}

impl Kind {
    /// numpy's name.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::U8 => "uint8",
            Self::I8 => "int8",
            Self::U16 => "uint16",
            Self::I16 => "int16",
            Self::U32 => "uint32",
            Self::I32 => "int32",
            Self::U64 => "uint64",
            Self::I64 => "int64",
            Self::F32 => "float32",
            Self::F64 => "float64",
        }
    }

    /// Bytes a number.
    pub(super) fn bytes(self) -> usize {
        match self {
            Self::U8 | Self::I8 => 1,
            Self::U16 | Self::I16 => 2,
            Self::U32 | Self::I32 | Self::F32 => 4,
            Self::U64 | Self::I64 | Self::F64 => 8,
        }
    }
}

/// The numbers of a file, which are converted when they are asked for: a volume of 16-bit integers takes half the memory
/// of its Hounsfield units.
pub(super) struct Samples {
    /// The file, inflated.
    pub(super) bytes: Vec<u8>,
    /// Where the first number begins; as many as are asked for lie behind it.
    pub(super) begin: usize,
    pub(super) kind: Kind,
    pub(super) big_endian: bool,
}

impl Samples {
    /// The number at this place.
    pub(super) fn get(&self, at: usize) -> f64 {
        let begin = self.begin + at * self.kind.bytes();
        let bytes = &self.bytes[begin..];
        match self.kind {
            Kind::U8 => f64::from(bytes[0]),
            Kind::I8 => f64::from(bytes[0].cast_signed()),
            Kind::U16 => f64::from(u16::from_le_bytes(self.little(bytes))),
            Kind::I16 => f64::from(i16::from_le_bytes(self.little(bytes))),
            Kind::U32 => f64::from(u32::from_le_bytes(self.little(bytes))),
            Kind::I32 => f64::from(i32::from_le_bytes(self.little(bytes))),
            // A Hounsfield unit has 24 bits in the end.
            Kind::U64 => u64::from_le_bytes(self.little(bytes)) as f64,
            Kind::I64 => i64::from_le_bytes(self.little(bytes)) as f64,
            Kind::F32 => f64::from(f32::from_le_bytes(self.little(bytes))),
            Kind::F64 => f64::from_le_bytes(self.little(bytes)),
        }
    }

    /// The first bytes, least one first.
    fn little<const N: usize>(&self, bytes: &[u8]) -> [u8; N] {
        let mut little: [u8; N] = bytes[..N].try_into().expect("a slice of N bytes is N bytes");
        if self.big_endian {
            little.reverse();
        }
        little
    }
}

/// A volume in a file, axes `[D, H, W]`.
pub(super) struct Stored {
    pub(super) samples: Samples,
    pub(super) size: [usize; 3],
    /// From one number to the next along D, H, W.
    pub(super) strides: [usize; 3],
    /// Slope and intercept, where a stored number is no Hounsfield unit.
    pub(super) scaling: Option<(f64, f64)>,
}

impl Stored {
    fn hu(&self, at: usize) -> Hu {
        let stored = self.samples.get(at);
        match self.scaling {
            Some((slope, intercept)) => (stored * slope + intercept) as Hu,
            None => stored as Hu,
        }
    }

    /// All Hounsfield units, `[D, H, W]`.
    pub(super) fn volume(&self) -> Array3<Hu> {
        let mut voxels = Array3::<Hu>::zeros(self.size);
        let [_, height, width] = self.size;
        let [down, right] = [self.strides[1], self.strides[2]];
        let slices = voxels.as_slice_mut().expect("a new array is contiguous");
        slices
            .par_chunks_mut(height * width)
            .enumerate()
            .for_each(|(d, slice)| {
                for (h, row) in slice.chunks_mut(width).enumerate() {
                    let first = d * self.strides[0] + h * down;
                    for (w, hu) in row.iter_mut().enumerate() {
                        *hu = self.hu(first + w * right);
                    }
                }
            });
        voxels
    }

    /// The Hounsfield units of one slice, `[H, W]`, of the volume with its axes in another order.
    pub(super) fn slice(&self, order: &AxisOrder, at: usize) -> Array2<Hu> {
        let (size, place) = self.places(order, at);
        Array2::from_shape_fn(size, |index| self.hu(place(index)))
    }

    /// The stored numbers of one slice, `[H, W]`, as integers of 16 bits at most.
    pub(super) fn small(&self, order: &AxisOrder, at: usize) -> Array2<u16> {
        let (size, place) = self.places(order, at);
        Array2::from_shape_fn(size, |index| self.samples.get(place(index)) as u16)
    }

    /// `(H, W)` of a slice of the reordered volume, and where its numbers stand.
    fn places(&self, order: &AxisOrder, at: usize) -> ((usize, usize), impl Fn((usize, usize)) -> usize) {
        let [_, height, width] = order.size(self.size);
        let along = |axis: usize, index: usize| {
            let (length, stride) = (self.size[order.axes[axis]], self.strides[order.axes[axis]]);
            let index = if order.flipped[axis] { length - 1 - index } else { index };
            index * stride
        };
        ((height, width), move |(h, w)| along(0, at) + along(1, h) + along(2, w))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slice_of_another_order_is_that_of_the_reordered_volume() {
        let stored = Stored {
            samples: Samples {
                bytes: (0..60).collect(),
                begin: 0,
                kind: Kind::U8,
                big_endian: false,
            },
            size: [3, 4, 5],
            strides: [1, 3, 12],
            scaling: Some((2.0, -1000.0)),
        };
        let volume = stored.volume();
        assert_eq!(volume[[1, 2, 3]], 2.0 * 43.0 - 1000.0);
        let order = AxisOrder {
            axes: [2, 0, 1],
            flipped: [true, false, true],
        };
        assert_eq!(stored.slice(&order, 1)[[2, 0]], volume[[2, 3, 3]]);
        assert_eq!(stored.small(&order, 1)[[2, 0]], 47);
    }

    #[test]
    fn numbers_of_both_byte_orders_are_read() {
        for (kind, little, expected) in [
            (Kind::U8, vec![200], 200.0),
            (Kind::I8, vec![0xfe], -2.0),
            (Kind::U16, vec![0x30, 0xf8], 63536.0),
            (Kind::I16, vec![0x30, 0xf8], -2000.0),
            (Kind::U32, (3_000_000_000u32).to_le_bytes().to_vec(), 3e9),
            (Kind::I32, (-1024i32).to_le_bytes().to_vec(), -1024.0),
            (Kind::U64, (1u64 << 40).to_le_bytes().to_vec(), (1u64 << 40) as f64),
            (Kind::I64, (-1024i64).to_le_bytes().to_vec(), -1024.0),
            (Kind::F32, (-0.5f32).to_le_bytes().to_vec(), -0.5),
            (Kind::F64, (0.1f64).to_le_bytes().to_vec(), 0.1),
        ] {
            assert_eq!(kind.bytes(), little.len());
            for big_endian in [false, true] {
                let mut bytes = little.clone();
                if big_endian {
                    bytes.reverse();
                }
                bytes.splice(0..0, [7; 3]);
                let samples = Samples {
                    bytes,
                    begin: 3,
                    kind,
                    big_endian,
                };
                assert_eq!(samples.get(0), expected, "{}", kind.name());
            }
        }
    }
}
