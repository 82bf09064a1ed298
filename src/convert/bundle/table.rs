//! The index of a bundle: a LevelDB table of sorted keys (`table_format.md` of LevelDB; TensorFlow's copy is
//! `tensorflow/core/lib/io/table.cc`).
//!
//! Every length and offset in it may lie. A table is refused unless its blocks lie side by side, each block's checksum
//! holds and the keys ascend, and what it unpacks to stays below [`Table::MOST`].

use super::wire::{Wire, WireError};

/// Keys with their values, in ascending order.
#[derive(Debug)]
pub struct Table {
    entries: Vec<(Vec<u8>, Vec<u8>)>,
}

/// What can be wrong with a table.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TableError {
    /// Smaller than the smallest table.
    #[error("it has {found} bytes, a table has at least {}", Table::FOOTER)]
    Short {
        /// Bytes.
        found: usize,
    },
    /// Larger than any index.
    #[error("it has {found} bytes, an index has at most {}", Table::MOST)]
    Long {
        /// Bytes.
        found: usize,
    },
    /// No table at all.
    #[error("it does not end in the mark of a table: it is something else, or was cut off")]
    Magic,
    /// The place of a block can't be read.
    #[error("the place of its {block} block is not readable: {source}")]
    Handle {
        /// Which block.
        block: &'static str,
        /// Why.
        source: WireError,
    },
    /// A block that is not in the file.
    #[error("its {block} block would lie at {offset} and have {size} bytes, the blocks end at {end}")]
    Outside {
        /// Which block.
        block: &'static str,
        /// First byte.
        offset: u64,
        /// Bytes.
        size: u64,
        /// Where the footer begins.
        end: usize,
    },
    /// Two blocks in one place, or data blocks out of order.
    #[error("the block at {offset} begins before the one ahead of it ends, at {end}")]
    Overlap {
        /// First byte of the second.
        offset: usize,
        /// End of the first.
        end: usize,
    },
    /// Bytes have changed since it was written.
    #[error("the checksum of its block at {offset} is wrong: the file is damaged, fetch it again")]
    Checksum {
        /// First byte of the block.
        offset: usize,
    },
    /// Neither plain nor Snappy.
    #[error("its block at {offset} is compressed in way {way}, 0 (none) and 1 (Snappy) are known")]
    Compression {
        /// First byte of the block.
        offset: usize,
        /// The byte that tells.
        way: u8,
    },
    /// Snappy that does not unpack.
    #[error("its block at {offset} does not unpack: {source}")]
    Snappy {
        /// First byte of the block.
        offset: usize,
        /// Why.
        source: snap::Error,
    },
    /// Snappy that claims more than its bytes can unpack to.
    #[error("its block at {offset} claims to unpack from {packed} bytes to {claimed}, which no such block does")]
    Bomb {
        /// First byte of the block.
        offset: usize,
        /// Bytes in the file.
        packed: usize,
        /// Bytes that it claims.
        claimed: usize,
    },
    /// The end of a block, which says where in it keys stand whole.
    #[error("its block at {offset} has no good list of restarts")]
    Restarts {
        /// First byte of the block.
        offset: usize,
    },
    /// An entry that can't be read.
    #[error("an entry of its block at {offset} is not readable: {source}")]
    Entry {
        /// First byte of the block.
        offset: usize,
        /// Why.
        source: WireError,
    },
    /// A key that takes more from the one ahead of it than there is.
    #[error("a key of its block at {offset} takes {shared} bytes from one of {length}")]
    Shared {
        /// First byte of the block.
        offset: usize,
        /// Bytes to take.
        shared: u64,
        /// Bytes of the key ahead.
        length: usize,
    },
    /// Keys out of order.
    #[error("the keys in its block at {offset} do not ascend")]
    Order {
        /// First byte of the block.
        offset: usize,
    },
    /// More than any index holds.
    #[error("it unpacks to more than {} bytes or {} entries, no checkpoint has so many", Table::MOST, Table::ENTRIES)]
    Much,
}

/// A block's first byte and its length without the trailer.
#[derive(Debug, Clone, Copy)]
struct Handle {
    offset: usize,
    size: usize,
}

/// `kTableMagicNumber` of `table/format.h`.
const MAGIC: [u8; 8] = 0xdb47_7524_8b80_fb57_u64.to_le_bytes();
/// The way of compression, and the checksum.
const TRAILER: usize = 5;

impl Table {
    /// Bytes of the footer: two handles, padded to 40, and the magic number.
    const FOOTER: usize = 48;

    /// The most that an index may have, packed and unpacked. That of the largest published BigBiGAN has 0.1 MB.
    pub const MOST: usize = 64 << 20;

    /// The most entries.
    pub const ENTRIES: usize = 1 << 20;

    /// Reads a whole table.
    ///
    /// # Errors
    ///
    /// [`TableError`] for everything that a writer of tables would not have written.
    pub fn parse(bytes: &[u8]) -> Result<Self, TableError> {
        let found = bytes.len();
        if found > Self::MOST {
            return Err(TableError::Long { found });
        }
        let (blocks, footer) = bytes
            .split_last_chunk::<{ Self::FOOTER }>()
            .ok_or(TableError::Short { found })?;
        if footer[40..] != MAGIC {
            return Err(TableError::Magic);
        }
        let mut places = Wire::new(&footer[..40]);
        let meta = Handle::read(&mut places, "meta", blocks)?;
        let index = Handle::read(&mut places, "index", blocks)?;
        // Nothing in it matters here, but a damaged file should not pass for a good one.
        contents(blocks, meta)?;

        let mut budget = Self::MOST;
        let (mut handles, mut lasts) = (Vec::new(), Vec::new());
        each(&unpack(blocks, index, &mut budget)?, index.offset, |key, value| {
            let mut place = Wire::new(value);
            // A mark at or above the last key of its block, and below the first of the next.
            handles.push(Handle::read(&mut place, "data", blocks)?);
            lasts.push(key.to_vec());
            // The handle takes memory too.
            spend(&mut budget, key.len() + size_of::<Handle>())
        })?;
        side_by_side(&handles, meta, index)?;

        let mut entries: Vec<(Vec<u8>, Vec<u8>)> = Vec::new();
        let mut mark: Option<Vec<u8>> = None;
        for (handle, last) in handles.into_iter().zip(lasts) {
            let order = || TableError::Order { offset: handle.offset };
            each(&unpack(blocks, handle, &mut budget)?, handle.offset, |key, value| {
                if mark.as_deref().is_some_and(|mark| key <= mark) || key > last.as_slice() {
                    return Err(order());
                }
                if entries.len() == Self::ENTRIES {
                    return Err(TableError::Much);
                }
                spend(&mut budget, key.len() + value.len())?;
                entries.push((key.to_vec(), value.to_vec()));
                Ok(())
            })?;
            mark = Some(last);
        }
        Ok(Self { entries })
    }

    /// All keys with their values, ascending.
    pub fn entries(&self) -> &[(Vec<u8>, Vec<u8>)] {
        &self.entries
    }

    /// The value of a key.
    pub fn get(&self, key: &[u8]) -> Option<&[u8]> {
        let at = self.entries.binary_search_by(|(other, _)| other.as_slice().cmp(key)).ok()?;
        Some(&self.entries[at].1)
    }
}

impl Handle {
    fn read(wire: &mut Wire<'_>, block: &'static str, blocks: &[u8]) -> Result<Self, TableError> {
        let mut number = || wire.varint().map_err(|source| TableError::Handle { block, source });
        let (offset, size) = (number()?, number()?);
        let end = offset.checked_add(size).and_then(|end| end.checked_add(TRAILER as u64));
        if end.is_none_or(|end| end > blocks.len() as u64) {
            return Err(TableError::Outside { block, offset, size, end: blocks.len() });
        }
        // Both are below the length of what is in memory.
        Ok(Self { offset: offset as usize, size: size as usize })
    }

    fn end(self) -> usize {
        self.offset + self.size + TRAILER
    }
}

/// No two blocks share a byte, and data blocks stand in the order of their keys.
fn side_by_side(data: &[Handle], meta: Handle, index: Handle) -> Result<(), TableError> {
    let follows = |ahead: Handle, handle: Handle| match handle.offset < ahead.end() {
        true => Err(TableError::Overlap { offset: handle.offset, end: ahead.end() }),
        false => Ok(()),
    };
    data.windows(2).try_for_each(|pair| follows(pair[0], pair[1]))?;
    let mut all = [data, &[meta, index]].concat();
    all.sort_by_key(|handle| handle.offset);
    all.windows(2).try_for_each(|pair| follows(pair[0], pair[1]))
}

/// A block as it stands in the file, once its checksum holds, and its way of compression.
fn contents(blocks: &[u8], handle: Handle) -> Result<(&[u8], u8), TableError> {
    let (body, trailer) = blocks[handle.offset..handle.end()].split_at(handle.size);
    let stored = u32::from_le_bytes([trailer[1], trailer[2], trailer[3], trailer[4]]);
    let computed = crc32c::crc32c_append(crc32c::crc32c(body), &trailer[..1]);
    if masked(computed) != stored {
        return Err(TableError::Checksum { offset: handle.offset });
    }
    Ok((body, trailer[0]))
}

fn unpack<'a>(blocks: &'a [u8], handle: Handle, budget: &mut usize) -> Result<std::borrow::Cow<'a, [u8]>, TableError> {
    let offset = handle.offset;
    match contents(blocks, handle)? {
        (body, 0) => Ok(body.into()),
        (body, 1) => {
            let snappy = |source| TableError::Snappy { offset, source };
            let claimed = snap::raw::decompress_len(body).map_err(snappy)?;
            // The densest element of Snappy's format makes 64 bytes from 3.
            if claimed / 64 > body.len() / 3 {
                return Err(TableError::Bomb { offset, packed: body.len(), claimed });
            }
            spend(budget, claimed)?;
            Ok(snap::raw::Decoder::new().decompress_vec(body).map_err(snappy)?.into())
        }
        (_, way) => Err(TableError::Compression { offset, way }),
    }
}

fn spend(budget: &mut usize, bytes: usize) -> Result<(), TableError> {
    *budget = budget.checked_sub(bytes).ok_or(TableError::Much)?;
    Ok(())
}

/// Walks a block: entries of `shared, own, length of the value, own bytes of the key, value`, then the places at which
/// a key stands whole, four bytes each, and their number.
fn each(
    block: &[u8],
    offset: usize,
    mut take: impl FnMut(&[u8], &[u8]) -> Result<(), TableError>,
) -> Result<(), TableError> {
    let (entries, restarts) = restarts(block).ok_or(TableError::Restarts { offset })?;
    let mut restarts = restarts.iter().map(|place| u32::from_le_bytes(*place) as usize).peekable();
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
            return Err(TableError::Shared { offset, shared, length: key.len() });
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

    /// A block of one restart with its trailer.
    fn sealed(entries: &[u8], restarts: &[u32]) -> Vec<u8> {
        let mut block = entries.to_vec();
        block.extend(restarts.iter().flat_map(|place| place.to_le_bytes()));
        block.extend((restarts.len() as u32).to_le_bytes());
        let checksum = crc32c::crc32c_append(crc32c::crc32c(&block), &[0]);
        block.push(0);
        block.extend(masked(checksum).to_le_bytes());
        block
    }

    /// One data block, an empty meta block, the index.
    fn table(entries: &[u8], restarts: &[u32], last: &str) -> Vec<u8> {
        let mut bytes = sealed(entries, restarts);
        let data = bytes.len() - TRAILER;
        bytes.extend(sealed(b"", &[0]));
        let index = bytes.len();
        let mut entry = vec![0, last.len() as u8, 2];
        entry.extend(last.bytes().chain([0, data as u8]));
        bytes.extend(sealed(&entry, &[0]));
        let mut footer = vec![data as u8 + 5, 8, index as u8, (bytes.len() - index - TRAILER) as u8];
        footer.resize(40, 0);
        bytes.extend(footer.into_iter().chain(MAGIC));
        bytes
    }

    #[test]
    fn keys_take_their_beginning_from_the_one_ahead() {
        let bytes = table(b"\0\x02\x01abX\x01\x01\x02cYY\0\x01\0d", &[0, 12], "d");
        let table = Table::parse(&bytes).unwrap();
        let expected: [(&[u8], &[u8]); 3] = [(b"ab", b"X"), (b"ac", b"YY"), (b"d", b"")];
        assert!(table.entries().iter().zip(expected).all(|((key, value), (k, v))| key == k && value == v));
        assert_eq!((table.get(b"ac"), table.get(b"a")), (Some(b"YY".as_slice()), None));
    }

    /// The padding aside, and the highest bit of a footer's number, after which a zero of the padding is read with it.
    #[test]
    fn a_flipped_bit_is_an_error_or_changes_nothing() {
        let good = table(b"\0\x02\x01abX", &[0], "ab");
        let expected = Table::parse(&good).unwrap().entries;
        let mut unseen = 0;
        for bit in 0..8 * good.len() {
            let mut bytes = good.clone();
            bytes[bit / 8] ^= 1 << (bit % 8);
            if let Ok(table) = Table::parse(&bytes) {
                assert_eq!(table.entries, expected, "bit {bit}");
                unseen += 1;
            }
        }
        assert_eq!(unseen, 8 * 36 + 1);
    }

    #[test]
    fn keys_that_do_not_ascend_and_keys_beyond_their_mark_are_errors() {
        let twice = Table::parse(&table(b"\0\x01\0a\0\x01\0a", &[0], "a"));
        assert!(matches!(twice, Err(TableError::Order { .. })), "{twice:?}");
        let beyond = Table::parse(&table(b"\0\x01\0b", &[0], "a"));
        assert!(matches!(beyond, Err(TableError::Order { .. })), "{beyond:?}");
        let shared = Table::parse(&table(b"\x01\x01\0a", &[0], "a"));
        assert!(matches!(shared, Err(TableError::Shared { .. })), "{shared:?}");
    }

    #[test]
    fn restarts_must_name_entries() {
        for restarts in [&[][..], &[1], &[0, 2], &[0, 0], &[0, 4, 3], &[0, u32::MAX]] {
            let wrong = Table::parse(&table(b"\0\x01\0a\0\x01\0b", restarts, "b"));
            assert!(matches!(wrong, Err(TableError::Restarts { .. })), "{restarts:?}: {wrong:?}");
        }
        assert!(Table::parse(&table(b"\0\x01\0a\0\x01\0b", &[0, 4], "b")).is_ok());
    }

    /// LevelDB's `crc32c_test.cc`: 32 bytes of zero; the mask is undone by `unmask` there.
    #[test]
    fn checksums_are_those_of_leveldb() {
        assert_eq!(crc32c::crc32c(&[0; 32]), 0x8a91_36aa);
        assert_eq!(masked(0x8a91_36aa), 0x8a91_36aa_u32.rotate_right(15).wrapping_add(0xa282_ead8));
    }
}
