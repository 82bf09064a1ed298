//! A block of a table: entries whose keys begin like the one ahead, a way of compression, a checksum.

use std::borrow::Cow;

use super::{
    table::{TableError, spend},
    wire::Wire,
};

/// A block's first byte and its length without the trailer.
#[derive(Debug, Clone, Copy)]
pub(super) struct Handle {
    pub(super) offset: usize,
    pub(super) size: usize,
}

/// The way of compression, and the checksum.
pub(super) const TRAILER: usize = 5;

impl Handle {
    pub(super) fn read(wire: &mut Wire<'_>, block: &'static str, blocks: &[u8]) -> Result<Self, TableError> {
        let mut number = || wire.varint().map_err(|source| TableError::Handle { block, source });
        let (offset, size) = (number()?, number()?);
        let end = offset.checked_add(size).and_then(|end| end.checked_add(TRAILER as u64));
        if end.is_none_or(|end| end > blocks.len() as u64) {
            return Err(TableError::Outside {
                block,
                offset,
                size,
                end: blocks.len(),
            });
        }
        // Both are below the length of what is in memory.
        Ok(Self {
            offset: offset as usize,
            size: size as usize,
        })
    }

    pub(super) fn end(self) -> usize {
        self.offset + self.size + TRAILER
    }
}

/// A block as it stands in the file, once its checksum holds, and its way of compression.
pub(super) fn contents(blocks: &[u8], handle: Handle) -> Result<(&[u8], u8), TableError> {
    let (body, trailer) = blocks[handle.offset..handle.end()].split_at(handle.size);
    let stored = u32::from_le_bytes([trailer[1], trailer[2], trailer[3], trailer[4]]);
    let computed = crc32c::crc32c_append(crc32c::crc32c(body), &trailer[..1]);
    if masked(computed) != stored {
        return Err(TableError::Checksum { offset: handle.offset });
    }
    Ok((body, trailer[0]))
}

pub(super) fn unpack<'a>(blocks: &'a [u8], handle: Handle, budget: &mut usize) -> Result<Cow<'a, [u8]>, TableError> {
    let offset = handle.offset;
    match contents(blocks, handle)? {
        (body, 0) => Ok(body.into()),
        (body, 1) => {
            let snappy = |source| TableError::Snappy { offset, source };
            let claimed = snap::raw::decompress_len(body).map_err(snappy)?;
            // The densest element of Snappy's format makes 64 bytes from 3.
            if claimed / 64 > body.len() / 3 {
                return Err(TableError::Bomb {
                    offset,
                    packed: body.len(),
                    claimed,
                });
            }
            spend(budget, claimed)?;
            Ok(snap::raw::Decoder::new().decompress_vec(body).map_err(snappy)?.into())
        }
        (_, way) => Err(TableError::Compression { offset, way }),
    }
}

/// Walks a block: entries of `shared, own, length of the value, own bytes of the key, value`, then the places at which
/// a key stands whole, four bytes each, and their number.
pub(super) fn each(
    block: &[u8],
    offset: usize,
    mut take: impl FnMut(&[u8], &[u8]) -> Result<(), TableError>,
) -> Result<(), TableError> {
    let (entries, restarts) = restarts(block).ok_or(TableError::Restarts { offset })?;
    let mut restarts = restarts
        .iter()
        .map(|place| u32::from_le_bytes(*place) as usize)
        .peekable();
    let broken = |source| TableError::Entry { offset, source };
    let (mut wire, mut key, mut first) = (Wire::new(entries), Vec::new(), true);
    while !wire.is_empty() {
        let at = entries.len() - wire.len();
        let whole = restarts.next_if_eq(&at).is_some();
        let shared = wire.varint().map_err(broken)?;
        let own = wire.varint().map_err(broken)?;
        let length = wire.varint().map_err(broken)?;
        let own = wire.take(own).map_err(broken)?;
        let value = wire.take(length).map_err(broken)?;
        if shared > key.len() as u64 {
            return Err(TableError::Shared {
                offset,
                shared,
                length: key.len(),
            });
        }
        if whole && shared > 0 {
            return Err(TableError::Restarts { offset });
        }
        let shared = shared as usize;
        // With the same beginning, what follows decides.
        if !first && own <= &key[shared..] {
            return Err(TableError::Order { offset });
        }
        first = false;
        key.truncate(shared);
        key.extend(own);
        take(&key, value)?;
    }
    // What is left names no entry, unless the block has none: then its one restart is at 0.
    match restarts.next() {
        Some(place) if !(first && place == 0 && restarts.next().is_none()) => Err(TableError::Restarts { offset }),
        _ => Ok(()),
    }
}

/// The entries of a block and the places of its restarts.
fn restarts(block: &[u8]) -> Option<(&[u8], &[[u8; 4]])> {
    let (rest, count) = block.split_last_chunk::<4>()?;
    let bytes = (u32::from_le_bytes(*count) as usize).checked_mul(4)?;
    let (entries, places) = rest.split_at(rest.len().checked_sub(bytes)?);
    let (places, _) = places.as_chunks::<4>();
    (places.first() == Some(&[0; 4])).then_some((entries, places))
}

/// A checksum as it is stored: turned and shifted, so that checksums of data that hold checksums stay good
/// (`masked_crc32c` of LevelDB's `crc32c.h`).
pub(super) fn masked(checksum: u32) -> u32 {
    checksum.rotate_right(15).wrapping_add(0xa282_ead8)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// LevelDB's `crc32c_test.cc`: 32 bytes of zero; the mask is undone by `unmask` there.
    #[test]
    fn checksums_are_those_of_leveldb() {
        assert_eq!(crc32c::crc32c(&[0; 32]), 0x8a91_36aa);
        assert_eq!(
            masked(0x8a91_36aa),
            0x8a91_36aa_u32.rotate_right(15).wrapping_add(0xa282_ead8)
        );
    }
}
