//! Which fragments of compressed pixels make up which frame (PS3.5 A.4).

use std::ops::Range;

/// How a stream of JPEG, JPEG-LS and JPEG 2000 starts.
const STARTS: [&[u8]; 2] = [&[0xFF, 0xD8, 0xFF], &[0xFF, 0x4F, 0xFF, 0x51]];

/// The fragments of each of `n` frames.
///
/// `offsets` are those of the Basic or Extended Offset Table: of the frames' first items, from the first fragment's item on.
pub(super) fn frames(
    bytes: &[u8],
    fragments: &[Range<usize>],
    offsets: Option<&[u64]>,
    n: usize,
) -> Result<Vec<Vec<Range<usize>>>, &'static str> {
    if fragments.is_empty() || n > fragments.len() {
        return Err("it has fewer fragments than frames");
    }
    // Whatever a table says, there is one way to do these two.
    if n == 1 {
        return Ok(vec![fragments.to_vec()]);
    }
    // Writers that can't seek leave zeros.
    let offsets = offsets.filter(|offsets| offsets.iter().any(|offset| *offset != 0));
    let firsts = match offsets {
        // Where there is one fragment a frame, a wrong table misleads nobody.
        Some(offsets) => match by_offsets(fragments, offsets, n) {
            Err(_) if n == fragments.len() => (0..n).collect(),
            firsts => firsts?,
        },
        None if n == fragments.len() => (0..n).collect(),
        None => {
            let starts = |at: &usize| {
                STARTS
                    .iter()
                    .any(|start| bytes[fragments[*at].clone()].starts_with(start))
            };
            (0..fragments.len()).filter(starts).collect::<Vec<_>>()
        }
    };
    if firsts.len() != n || firsts[0] != 0 {
        return Err("nothing says which of its fragments belong to which frame");
    }
    let ends = firsts[1..].iter().copied().chain([fragments.len()]);
    Ok(firsts
        .iter()
        .zip(ends)
        .map(|(first, end)| fragments[*first..end].to_vec())
        .collect())
}

/// The fragments that the offsets point to, in rising order.
fn by_offsets(fragments: &[Range<usize>], offsets: &[u64], n: usize) -> Result<Vec<usize>, &'static str> {
    if offsets.len() != n {
        return Err("its offset table has another number of frames than NumberOfFrames");
    }
    let place = |fragment: &Range<usize>| (fragment.start - fragments[0].start) as u64;
    let firsts = offsets
        .iter()
        .map(|offset| fragments.binary_search_by_key(offset, place));
    let firsts: Vec<usize> = firsts
        .collect::<Result<_, _>>()
        .map_err(|_| "its offset table points between its fragments")?;
    match firsts.is_sorted_by(|a, b| a < b) {
        true => Ok(firsts),
        false => Err("its offset table is out of order"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Fragments of 10 bytes behind their items of 8, each starting as a stream where `starts` says so.
    fn made(starts: &[bool]) -> (Vec<u8>, Vec<Range<usize>>) {
        let mut bytes = Vec::new();
        let mut fragments = Vec::new();
        for start in starts {
            bytes.extend([0; 8]);
            fragments.push(bytes.len()..bytes.len() + 10);
            bytes.extend(if *start { [0xFF, 0xD8, 0xFF] } else { [1, 2, 3] });
            bytes.extend([7; 7]);
        }
        (bytes, fragments)
    }

    fn counts(starts: &[bool], offsets: Option<&[u64]>, n: usize) -> Result<Vec<usize>, &'static str> {
        let (bytes, fragments) = made(starts);
        Ok(frames(&bytes, &fragments, offsets, n)?.iter().map(Vec::len).collect())
    }

    #[test]
    fn fragments_are_given_to_frames_by_table_by_number_or_by_marker() {
        let four = [true, false, true, false];
        assert_eq!(counts(&four, None, 1), Ok(vec![4]));
        assert_eq!(counts(&four, None, 4), Ok(vec![1; 4]));
        assert_eq!(counts(&four, None, 2), Ok(vec![2, 2]));
        assert_eq!(counts(&four, Some(&[0, 54]), 2), Ok(vec![3, 1]));
        assert_eq!(counts(&four, Some(&[0, 0]), 2), Ok(vec![2, 2]));
    }

    #[test]
    fn tables_that_contradict_the_fragments_are_refused() {
        let four = [true; 4];
        for (offsets, n) in [
            (&[0, 17][..], 2),
            (&[0, 18, 36], 2),
            (&[18, 0], 2),
            (&[18, 36], 2),
            (&[0, 900], 2),
        ] {
            assert!(counts(&four, Some(offsets), n).is_err(), "{offsets:?}");
        }
        assert!(counts(&four, None, 3).is_err());
        assert!(counts(&four, None, 5).is_err());
        assert!(counts(&[], None, 1).is_err());
    }
}
