//! The types of numbers that variables have (`tensorflow/core/framework/types.proto`).

use std::fmt;

/// What the values of a variable are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum DType {
    /// 16-bit floats of IEEE 754.
    Float16,
    /// The upper half of 32-bit floats.
    Bfloat16,
    /// 32-bit floats.
    Float32,
    /// 64-bit floats.
    Float64,
    /// Signed bytes.
    Int8,
    /// Signed 16-bit integers.
    Int16,
    /// Signed 32-bit integers.
    Int32,
    /// Signed 64-bit integers.
    Int64,
    /// Bytes.
    Uint8,
    /// Unsigned 16-bit integers.
    Uint16,
    /// Unsigned 32-bit integers.
    Uint32,
    /// Unsigned 64-bit integers.
    Uint64,
    /// Pairs of 32-bit floats.
    Complex64,
    /// Pairs of 64-bit floats.
    Complex128,
    /// True and false, a byte each.
    Bool,
    /// Byte strings of any length.
    String,
}

/// Codes of `DataType`, names as TensorFlow prints them, bytes a value. Strings have their lengths beside them.
const TYPES: &[(i32, DType, &str, Option<usize>)] = &[
    (1, DType::Float32, "float32", Some(4)),
    (2, DType::Float64, "float64", Some(8)),
    (3, DType::Int32, "int32", Some(4)),
    (4, DType::Uint8, "uint8", Some(1)),
    (5, DType::Int16, "int16", Some(2)),
    (6, DType::Int8, "int8", Some(1)),
    (7, DType::String, "string", None),
    (8, DType::Complex64, "complex64", Some(8)),
    (9, DType::Int64, "int64", Some(8)),
    (10, DType::Bool, "bool", Some(1)),
    (14, DType::Bfloat16, "bfloat16", Some(2)),
    (17, DType::Uint16, "uint16", Some(2)),
    (18, DType::Complex128, "complex128", Some(16)),
    (19, DType::Float16, "float16", Some(2)),
    (22, DType::Uint32, "uint32", Some(4)),
    (23, DType::Uint64, "uint64", Some(8)),
];

impl DType {
    pub(super) fn of(code: i32) -> Option<Self> {
        TYPES.iter().find(|row| row.0 == code).map(|row| row.1)
    }

    /// Bytes a value; none for strings.
    pub fn width(self) -> Option<usize> {
        TYPES.iter().find(|row| row.1 == self).and_then(|row| row.3)
    }
}

/// As TensorFlow names it.
impl fmt::Display for DType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = TYPES.iter().find(|row| row.1 == *self).map_or("", |row| row.2);
        f.pad(name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_type_has_one_code_and_one_name() {
        for (code, dtype, name, width) in TYPES {
            assert_eq!(DType::of(*code), Some(*dtype));
            assert_eq!((dtype.to_string(), dtype.width()), ((*name).to_owned(), *width));
        }
        assert_eq!(DType::of(20), None);
    }
}
