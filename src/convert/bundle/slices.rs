//! Variables that were stored in parts: the keys of the parts, and how they are joined.
//!
//! The key of a part is TensorFlow's `EncodeTensorNameSlice` (`tensorflow/core/util/saved_tensor_slice_util.cc`) in the
//! ordered code of `tensorflow/core/lib/strings/ordered_code.cc`.

use super::message::Extent;

/// Where a part lies in its variable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Region {
    /// First index along each axis.
    starts: Vec<usize>,
    /// Shape of the part.
    lengths: Vec<usize>,
}

impl Region {
    /// The part of `shape` that `extents` name; none where it is not in it.
    pub(super) fn of(extents: &[Extent], shape: &[usize]) -> Option<Self> {
        if extents.len() != shape.len() {
            return None;
        }
        let along = extents.iter().zip(shape).map(|(extent, size)| {
            let (start, length) = match extent.length {
                None | Some(-1) => (0, *size),
                Some(length) => (usize::try_from(extent.start).ok()?, usize::try_from(length).ok()?),
            };
            (start.checked_add(length)? <= *size).then_some((start, length))
        });
        let (starts, lengths) = along.collect::<Option<_>>()?;
        Some(Self { starts, lengths })
    }

    /// Shape of the part.
    pub(super) fn shape(&self) -> &[usize] {
        &self.lengths
    }

    /// Whether a value would stand in both.
    pub(super) fn overlaps(&self, other: &Self) -> bool {
        let ends = |region: &Self, axis: usize| region.starts[axis] + region.lengths[axis];
        (0..self.starts.len())
            .all(|axis| self.starts[axis].max(other.starts[axis]) < ends(self, axis).min(ends(other, axis)))
    }

    /// Copies the values of the part to their places in the variable, both in rows.
    pub(super) fn place<T: Copy>(&self, part: &[T], shape: &[usize], whole: &mut [T]) {
        let axes = shape.len();
        let run = self.lengths.last().copied().unwrap_or(1);
        if part.is_empty() || run == 0 {
            return;
        }
        for (row, values) in part.chunks_exact(run).enumerate() {
            let (mut row, mut at, mut stride) = (row, self.starts.last().copied().unwrap_or(0), 1);
            for axis in (0..axes.saturating_sub(1)).rev() {
                stride *= shape[axis + 1];
                at += (self.starts[axis] + row % self.lengths[axis]) * stride;
                row /= self.lengths[axis];
            }
            whole[at..at + run].copy_from_slice(values);
        }
    }
}

/// The key under which a part of the variable `name` is stored.
pub(super) fn key(name: &str, extents: &[Extent]) -> Vec<u8> {
    // The number 0, which no name begins with.
    let mut key = vec![0];
    for byte in name.bytes() {
        match byte {
            0 => key.extend([0, 0xff]),
            0xff => key.extend([0xff, 0]),
            other => key.push(other),
        }
    }
    key.extend([0, 1]);
    push_unsigned(&mut key, extents.len() as u64);
    for extent in extents {
        // The whole axis is written as start 0 and length -1.
        let (start, length) = match extent.length {
            None | Some(-1) => (0, -1),
            Some(length) => (extent.start, length),
        };
        push_signed(&mut key, start);
        push_signed(&mut key, length);
    }
    key
}

/// `WriteNumIncreasing`: the number of bytes, then the bytes, the greatest first.
fn push_unsigned(key: &mut Vec<u8>, number: u64) {
    let zeros = number.leading_zeros() as usize / 8;
    let bytes = &number.to_be_bytes()[zeros..];
    key.push(bytes.len() as u8);
    key.extend(bytes);
}

/// `WriteSignedNumIncreasing`: as many bytes as seven bits each need, the greatest first; as many leading bits as there
/// are bytes are turned over.
fn push_signed(key: &mut Vec<u8>, number: i64) {
    let magnitude = if number < 0 { !number } else { number };
    // One bit of each byte counts bytes, one of all bits is the sign.
    let bits = 65 - magnitude.leading_zeros() as usize;
    let length = bits.div_ceil(7).max(1);
    let wide = i128::from(number).to_be_bytes();
    let mut bytes = wide[16 - length..].to_vec();
    for bit in 0..length {
        bytes[bit / 8] ^= 0x80 >> (bit % 8);
    }
    key.extend(bytes);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn extent(start: i64, length: i64) -> Extent {
        Extent {
            start,
            length: Some(length),
        }
    }

    /// The two examples in the comments of `ordered_code.cc`, and the widths that it names: one byte for [-64, 64), two
    /// for [-2^13, 2^13), ten for the ends.
    #[test]
    fn numbers_are_those_of_ordered_code() {
        let signed = |number| {
            let mut key = Vec::new();
            push_signed(&mut key, number);
            key
        };
        assert_eq!(signed(0x42_4242), [0xf0, 0x42, 0x42, 0x42]);
        assert_eq!(signed(-0x800), [0x38, 0x00]);
        assert_eq!(
            (signed(0), signed(-1), signed(63)),
            (vec![0x80], vec![0x7f], vec![0xbf])
        );
        for (number, length) in [
            (64, 2),
            (-64, 1),
            (-65, 2),
            (8191, 2),
            (8192, 3),
            (i64::MAX, 10),
            (i64::MIN, 10),
        ] {
            assert_eq!(signed(number).len(), length, "{number}");
        }
        let mut numbers = [
            i64::MIN,
            -(1 << 55),
            -70_000,
            -65,
            -64,
            -1,
            0,
            1,
            63,
            64,
            300,
            1 << 20,
            1 << 56,
            i64::MAX,
        ];
        numbers.sort_unstable();
        assert!(numbers.map(signed).is_sorted());
    }

    #[test]
    fn parts_are_put_where_they_belong() {
        let shape = [2, 3, 2];
        let whole: Vec<u8> = (0..12).collect();
        let parts = [
            (vec![extent(0, 2), extent(0, 1), extent(0, -1)], vec![0, 1, 6, 7]),
            (vec![extent(0, 1), extent(1, 2), extent(0, 2)], vec![2, 3, 4, 5]),
            (vec![extent(1, 1), extent(1, 2), extent(0, 1)], vec![8, 10]),
            (vec![extent(1, 1), extent(1, 2), extent(1, 1)], vec![9, 11]),
        ];
        let mut joined = vec![0xff; 12];
        let regions: Vec<Region> = parts
            .iter()
            .map(|(extents, _)| Region::of(extents, &shape).unwrap())
            .collect();
        for (region, (_, values)) in regions.iter().zip(&parts) {
            region.place(values, &shape, &mut joined);
        }
        assert_eq!(joined, whole);
        for (i, a) in regions.iter().enumerate() {
            assert!(regions[i + 1..].iter().all(|b| !a.overlaps(b)) && a.overlaps(a));
        }
    }

    #[test]
    fn parts_outside_their_variable_are_none() {
        assert_eq!(Region::of(&[extent(1, 3)], &[3]), None);
        assert_eq!(Region::of(&[extent(-1, 1)], &[3]), None);
        assert_eq!(Region::of(&[extent(0, -2)], &[3]), None);
        assert_eq!(Region::of(&[extent(i64::MAX, i64::MAX)], &[3]), None);
        assert_eq!(Region::of(&[extent(0, 1)], &[3, 1]), None);
    }
}
