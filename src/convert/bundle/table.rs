//! The index of a bundle: a LevelDB table of sorted keys (`table_format.md` of LevelDB; TensorFlow's copy is
//! `tensorflow/core/lib/io/table.cc`).
//!
//! Every length and offset in it may lie. A table is refused unless its blocks lie side by side, each block's checksum
//! holds and the keys ascend, and what it unpacks to stays below [`Table::MOST`].

use super::{
    block::{Handle, contents, each, unpack},
    wire::{Wire, WireError},
};

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
    #[error(
        "it unpacks to more than {} bytes or {} entries, no checkpoint has so many",
        Table::MOST,
        Table::ENTRIES
    )]
    Much,
}

/// `kTableMagicNumber` of `table/format.h`.
const MAGIC: [u8; 8] = 0xdb47_7524_8b80_fb57_u64.to_le_bytes();

impl Table {
    /// Bytes of the footer: two handles, padded to 40, and the magic number.
    const FOOTER: usize = 48;

    /// The most bytes that an index may have, packed and unpacked. Modules have hundreds of variables, of forty bytes each
    /// beside their names.
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
            if handles.len() == Self::ENTRIES {
                return Err(TableError::Much);
            }
            let mut place = Wire::new(value);
            // A mark at or above the last key of its block, and below the first of the next.
            handles.push(Handle::read(&mut place, "data", blocks)?);
            lasts.push(key.to_vec());
            spend(&mut budget, key.len())
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
        let at = self
            .entries
            .binary_search_by(|(other, _)| other.as_slice().cmp(key))
            .ok()?;
        Some(&self.entries[at].1)
    }
}

/// No two blocks share a byte, and data blocks stand in the order of their keys.
fn side_by_side(data: &[Handle], meta: Handle, index: Handle) -> Result<(), TableError> {
    let follows = |ahead: Handle, handle: Handle| match handle.offset < ahead.end() {
        true => Err(TableError::Overlap {
            offset: handle.offset,
            end: ahead.end(),
        }),
        false => Ok(()),
    };
    data.windows(2).try_for_each(|pair| follows(pair[0], pair[1]))?;
    let mut all = [data, &[meta, index]].concat();
    all.sort_by_key(|handle| handle.offset);
    all.windows(2).try_for_each(|pair| follows(pair[0], pair[1]))
}

/// Takes memory from what may be taken.
pub(super) fn spend(budget: &mut usize, bytes: usize) -> Result<(), TableError> {
    *budget = budget.checked_sub(bytes).ok_or(TableError::Much)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{
        super::block::{TRAILER, masked},
        *,
    };

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
        assert!(
            table
                .entries()
                .iter()
                .zip(expected)
                .all(|((key, value), (k, v))| key == k && value == v)
        );
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
            assert!(
                matches!(wrong, Err(TableError::Restarts { .. })),
                "{restarts:?}: {wrong:?}"
            );
        }
        assert!(Table::parse(&table(b"\0\x01\0a\0\x01\0b", &[0, 4], "b")).is_ok());
    }
}
