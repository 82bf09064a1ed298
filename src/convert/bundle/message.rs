//! The messages of an index: `BundleHeaderProto`, `BundleEntryProto` and what they hold
//! (`tensorflow/core/protobuf/tensor_bundle.proto`). Fields that are not known are passed over, as protobuf has it.

use super::wire::{Value, Wire, WireError};

/// `BundleHeaderProto`, the value of the empty key.
#[derive(Debug, Default)]
pub(super) struct Header {
    pub(super) shards: i32,
    /// 0 is little, 1 is big.
    pub(super) endianness: i32,
    /// `VersionDef`: the version of the format that wrote it, the least one that may read it, those that must not.
    pub(super) producer: i32,
    pub(super) min_consumer: i32,
    pub(super) bad_consumers: Vec<i32>,
}

/// `BundleEntryProto`, the value of a variable's name.
#[derive(Debug, Default)]
pub(super) struct Entry {
    pub(super) dtype: i32,
    pub(super) shape: Shape,
    pub(super) shard: i32,
    pub(super) offset: i64,
    pub(super) size: i64,
    /// Masked.
    pub(super) checksum: u32,
    /// `TensorSliceProto`s of a variable that is stored in parts.
    pub(super) slices: Vec<Vec<Extent>>,
}

/// `TensorShapeProto`.
#[derive(Debug, Default)]
pub(super) struct Shape {
    pub(super) dims: Vec<i64>,
    pub(super) unknown_rank: bool,
}

/// `TensorSliceProto.Extent`: where a part lies along one axis.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Extent {
    pub(super) start: i64,
    /// None, or -1, is the whole axis.
    pub(super) length: Option<i64>,
}

impl Header {
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, WireError> {
        let mut header = Self::default();
        each(bytes, |field, value| {
            match field {
                1 => header.shards = value.int32(field)?,
                2 => header.endianness = value.int32(field)?,
                3 => header.version(value.bytes(field)?)?,
                _ => {}
            }
            Ok(())
        })?;
        Ok(header)
    }

    fn version(&mut self, bytes: &[u8]) -> Result<(), WireError> {
        each(bytes, |field, value| {
            match (field, value) {
                (1, _) => self.producer = value.int32(field)?,
                (2, _) => self.min_consumer = value.int32(field)?,
                (3, Value::Bytes(packed)) => {
                    let mut packed = Wire::new(packed);
                    while !packed.is_empty() {
                        self.bad_consumers.push(Value::Varint(packed.varint()?).int32(field)?);
                    }
                }
                (3, _) => self.bad_consumers.push(value.int32(field)?),
                _ => {}
            }
            Ok(())
        })
    }
}

impl Entry {
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, WireError> {
        let mut entry = Self::default();
        each(bytes, |field, value| {
            match field {
                1 => entry.dtype = value.int32(field)?,
                2 => entry.shape.merge(value.bytes(field)?)?,
                3 => entry.shard = value.int32(field)?,
                4 => entry.offset = value.int64(field)?,
                5 => entry.size = value.int64(field)?,
                6 => entry.checksum = value.fixed32(field)?,
                7 => entry.slices.push(slice(value.bytes(field)?)?),
                _ => {}
            }
            Ok(())
        })?;
        Ok(entry)
    }
}

impl Shape {
    /// A message that stands twice is one whose fields are all there.
    fn merge(&mut self, bytes: &[u8]) -> Result<(), WireError> {
        each(bytes, |field, value| {
            match field {
                2 => self.dims.push(size(value.bytes(field)?)?),
                3 => self.unknown_rank = value.int64(field)? != 0,
                _ => {}
            }
            Ok(())
        })
    }
}

/// `TensorShapeProto.Dim`, whose name is of no use.
fn size(bytes: &[u8]) -> Result<i64, WireError> {
    let mut size = 0;
    each(bytes, |field, value| {
        if field == 1 {
            size = value.int64(field)?;
        }
        Ok(())
    })?;
    Ok(size)
}

fn slice(bytes: &[u8]) -> Result<Vec<Extent>, WireError> {
    let mut extents = Vec::new();
    each(bytes, |field, value| {
        if field == 1 {
            extents.push(extent(value.bytes(field)?)?);
        }
        Ok(())
    })?;
    Ok(extents)
}

fn extent(bytes: &[u8]) -> Result<Extent, WireError> {
    let mut extent = Extent::default();
    each(bytes, |field, value| {
        match field {
            1 => extent.start = value.int64(field)?,
            2 => extent.length = Some(value.int64(field)?),
            _ => {}
        }
        Ok(())
    })?;
    Ok(extent)
}

fn each<'a>(bytes: &'a [u8], mut take: impl FnMut(u32, Value<'a>) -> Result<(), WireError>) -> Result<(), WireError> {
    let mut wire = Wire::new(bytes);
    while let Some((field, value)) = wire.field()? {
        take(field, value)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `BundleHeaderProto(num_shards=1, version=VersionDef(producer=1))`, as every checkpoint of TensorFlow begins.
    #[test]
    fn the_header_of_a_checkpoint_of_one_shard_reads() {
        let header = Header::parse(b"\x08\x01\x1a\x02\x08\x01").unwrap();
        assert_eq!(
            (header.shards, header.endianness, header.producer, header.min_consumer),
            (1, 0, 1, 0)
        );
    }

    #[test]
    fn unknown_fields_are_passed_over_and_known_ones_of_another_type_are_not() {
        let entry = Entry::parse(b"\x08\x01\x98\x06\x07\xa2\x06\x02ab\x28\x04").unwrap();
        assert_eq!((entry.dtype, entry.size), (1, 4));
        assert_eq!(Entry::parse(b"\x30\x01").unwrap_err(), WireError::Type { field: 6 });
        assert_eq!(Entry::parse(b"\x12\x02\x12\x7f").unwrap_err(), WireError::Truncated);
    }

    #[test]
    fn bad_consumers_are_read_packed_and_one_by_one() {
        let packed = Header::parse(b"\x1a\x04\x1a\x02\x01\x02").unwrap();
        let single = Header::parse(b"\x1a\x04\x18\x01\x18\x02").unwrap();
        assert_eq!(packed.bad_consumers, [1, 2]);
        assert_eq!(single.bad_consumers, [1, 2]);
    }
}
