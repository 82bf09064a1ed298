//! Numbers and fields as protobuf and LevelDB lay them out (<https://protobuf.dev/programming-guides/encoding>).

/// What can be wrong with bytes that should be a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum WireError {
    /// The bytes end too early.
    #[error("it ends in the middle of a value")]
    Truncated,
    /// A number of more than ten bytes, or of more than 64 bits.
    #[error("a number in it has more than 64 bits")]
    Varint,
    /// A tag that no field has.
    #[error("it has a field of wire type {wire} and number {field}, which protobuf does not know")]
    Tag {
        /// The lower three bits of the tag.
        wire: u64,
        /// The bits above.
        field: u64,
    },
    /// A field that is known, but of another type.
    #[error("field {field} has another type than TensorFlow gives it")]
    Type {
        /// Number of the field.
        field: u32,
    },
    /// A number that is too great or too small for its field.
    #[error("field {field} holds {value}, which is out of its range")]
    Range {
        /// Number of the field.
        field: u32,
        /// What it holds.
        value: i64,
    },
}

/// Bytes that are read from the front.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wire<'a>(&'a [u8]);

/// The value of a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Value<'a> {
    /// An integer, a boolean or an enum's value.
    Varint(u64),
    /// Four bytes.
    Fixed32(u32),
    /// Eight bytes, which no field that matters here has.
    Fixed64,
    /// A message, a string or packed numbers.
    Bytes(&'a [u8]),
}

impl<'a> Wire<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    pub(super) fn is_empty(self) -> bool {
        self.0.is_empty()
    }

    /// Bytes that are left.
    pub(super) fn len(self) -> usize {
        self.0.len()
    }

    /// Seven bits a byte, the lowest first; the eighth bit says that more follow.
    pub(super) fn varint(&mut self) -> Result<u64, WireError> {
        let mut value = 0;
        for (place, byte) in self.0.iter().enumerate() {
            let bits = u64::from(byte & 0x7f);
            // The tenth byte has room for one bit.
            if place == 9 && bits > 1 || place > 9 {
                return Err(WireError::Varint);
            }
            value |= bits << (7 * place);
            if *byte < 0x80 {
                self.0 = &self.0[place + 1..];
                return Ok(value);
            }
        }
        Err(if self.0.len() < 10 {
            WireError::Truncated
        } else {
            WireError::Varint
        })
    }

    /// The next `count` bytes.
    pub(super) fn take(&mut self, count: u64) -> Result<&'a [u8], WireError> {
        let count = usize::try_from(count).map_err(|_| WireError::Truncated)?;
        let (head, rest) = self.0.split_at_checked(count).ok_or(WireError::Truncated)?;
        self.0 = rest;
        Ok(head)
    }

    /// The number of the next field and its value; none at the end of the message.
    pub(super) fn field(&mut self) -> Result<Option<(u32, Value<'a>)>, WireError> {
        if self.is_empty() {
            return Ok(None);
        }
        let tag = self.varint()?;
        let (wire, field) = (tag & 7, tag >> 3);
        let number = u32::try_from(field).ok().filter(|number| (1..1 << 29).contains(number));
        let number = number.ok_or(WireError::Tag { wire, field })?;
        let value = match wire {
            0 => Value::Varint(self.varint()?),
            1 => self.take(8).map(|_| Value::Fixed64)?,
            2 => {
                let length = self.varint()?;
                Value::Bytes(self.take(length)?)
            }
            5 => Value::Fixed32(u32::from_le_bytes(self.array()?)),
            // 3 and 4 are the groups of old, which TensorFlow's messages never had.
            _ => return Err(WireError::Tag { wire, field }),
        };
        Ok(Some((number, value)))
    }

    pub(super) fn array<const N: usize>(&mut self) -> Result<[u8; N], WireError> {
        let (head, rest) = self.0.split_first_chunk().ok_or(WireError::Truncated)?;
        self.0 = rest;
        Ok(*head)
    }
}

impl<'a> Value<'a> {
    /// An `int64`: 64 bits, read as a two's complement.
    pub(super) fn int64(self, field: u32) -> Result<i64, WireError> {
        match self {
            Self::Varint(value) => Ok(value.cast_signed()),
            _ => Err(WireError::Type { field }),
        }
    }

    /// An `int32` or an enum's value.
    pub(super) fn int32(self, field: u32) -> Result<i32, WireError> {
        let value = self.int64(field)?;
        i32::try_from(value).map_err(|_| WireError::Range { field, value })
    }

    pub(super) fn fixed32(self, field: u32) -> Result<u32, WireError> {
        match self {
            Self::Fixed32(value) => Ok(value),
            _ => Err(WireError::Type { field }),
        }
    }

    pub(super) fn bytes(self, field: u32) -> Result<&'a [u8], WireError> {
        match self {
            Self::Bytes(value) => Ok(value),
            _ => Err(WireError::Type { field }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The examples of the encoding guide: `Test1 {a: 150}`, `Test2 {b: "testing"}`, -2 as an int64.
    #[test]
    fn fields_are_those_of_the_encoding_guide() {
        assert_eq!(Wire::new(b"\x08\x96\x01").field(), Ok(Some((1, Value::Varint(150)))));
        assert_eq!(
            Wire::new(b"\x12\x07testing").field(),
            Ok(Some((2, Value::Bytes(b"testing"))))
        );
        let minus_two = Wire::new(b"\xfe\xff\xff\xff\xff\xff\xff\xff\xff\x01").varint().unwrap();
        assert_eq!(Value::Varint(minus_two).int32(1), Ok(-2));
    }

    #[test]
    fn numbers_of_more_than_64_bits_and_bytes_that_are_not_there_are_errors() {
        assert_eq!(Wire::new(&[0xff; 10]).varint(), Err(WireError::Varint));
        assert_eq!(Wire::new(&[0x80; 12]).varint(), Err(WireError::Varint));
        assert_eq!(Wire::new(&[0x80; 3]).varint(), Err(WireError::Truncated));
        assert_eq!(Wire::new(b"\x12\x7fx").field(), Err(WireError::Truncated));
        assert_eq!(
            Wire::new(b"\x12\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01").field(),
            Err(WireError::Truncated)
        );
        assert_eq!(Wire::new(b"\x00").field(), Err(WireError::Tag { wire: 0, field: 0 }));
        assert_eq!(Wire::new(b"\x0b").field(), Err(WireError::Tag { wire: 3, field: 1 }));
        let past = Value::Varint(1 << 31).int32(4);
        assert_eq!(
            past,
            Err(WireError::Range {
                field: 4,
                value: 1 << 31
            })
        );
    }
}
