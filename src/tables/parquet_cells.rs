//! The values of Parquet's types as text.
//!
//! <https://github.com/apache/parquet-format/blob/master/LogicalTypes.md>

use parquet::{
    basic::{ConvertedType, LogicalType, TimeUnit},
    data_type::Int96,
    schema::types::ColumnDescriptor,
};

use super::dates;

/// How an integer column counts time, if it does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Time {
    None,
    Days,
    /// Nanoseconds of one unit.
    OfDay(i64),
    /// Nanoseconds of one unit, and whether it is UTC.
    Stamp(i64, bool),
}

impl Time {
    pub(super) fn text(self, value: i64) -> String {
        match self {
            Self::None => value.to_string(),
            Self::Days => dates::date(value),
            Self::OfDay(unit) => dates::time(value.wrapping_mul(unit)),
            Self::Stamp(unit, utc) => dates::timestamp(i128::from(value) * i128::from(unit), utc),
        }
    }
}

pub(super) fn time_unit(column: &ColumnDescriptor) -> Time {
    let nanos = |unit: &TimeUnit| match unit {
        TimeUnit::MILLIS => 1_000_000,
        TimeUnit::MICROS => 1_000,
        TimeUnit::NANOS => 1,
    };
    match (column.logical_type_ref(), column.converted_type()) {
        (Some(LogicalType::Date), _) | (None, ConvertedType::DATE) => Time::Days,
        (Some(LogicalType::Time(time)), _) => Time::OfDay(nanos(&time.unit)),
        (Some(LogicalType::Timestamp(time)), _) => Time::Stamp(nanos(&time.unit), time.is_adjusted_to_u_t_c),
        (None, ConvertedType::TIME_MILLIS) => Time::OfDay(1_000_000),
        (None, ConvertedType::TIME_MICROS) => Time::OfDay(1_000),
        (None, ConvertedType::TIMESTAMP_MILLIS) => Time::Stamp(1_000_000, true),
        (None, ConvertedType::TIMESTAMP_MICROS) => Time::Stamp(1_000, true),
        _ => Time::None,
    }
}

pub(super) fn is_unsigned(column: &ColumnDescriptor) -> bool {
    use ConvertedType as C;
    matches!(column.logical_type_ref(), Some(LogicalType::Integer(int)) if !int.is_signed)
        || matches!(
            column.converted_type(),
            C::UINT_8 | C::UINT_16 | C::UINT_32 | C::UINT_64
        )
}

/// The shortest text that parses back equal, whole numbers without `.0`.
pub(super) fn float_text(value: f64) -> String {
    match value.abs() {
        size if size == 0.0 || (1e-5..1e16).contains(&size) || !size.is_finite() => value.to_string(),
        _ => format!("{value:e}"),
    }
}

/// The same for 32 bits.
pub(crate) fn float32_text(value: f32) -> String {
    match value.abs() {
        size if size == 0.0 || (1e-5..1e16).contains(&size) || !size.is_finite() => value.to_string(),
        _ => format!("{value:e}"),
    }
}

/// IEEE 754 binary16, little-endian; NaN where there aren't two bytes.
pub(super) fn float16(bytes: &[u8]) -> f32 {
    let &[low, high] = bytes else { return f32::NAN };
    let bits = u16::from_le_bytes([low, high]);
    let sign = if bits >> 15 == 1 { -1.0 } else { 1.0 };
    let (exponent, fraction) = (i32::from(bits >> 10 & 0x1f), f32::from(bits & 0x3ff));
    match exponent {
        0 => sign * fraction * 2f32.powi(-24),
        31 if fraction == 0.0 => sign * f32::INFINITY,
        31 => f32::NAN,
        _ => sign * (1.0 + fraction / 1024.0) * 2f32.powi(exponent - 15),
    }
}

/// Two's complement, at most 16 bytes.
pub(super) fn big_endian(bytes: &[u8]) -> i128 {
    let negative = bytes.first().is_some_and(|byte| byte >> 7 == 1);
    bytes.iter().fold(if negative { -1 } else { 0 }, |value, byte| {
        value << 8 | i128::from(*byte)
    })
}

pub(super) fn decimal_text(unscaled: i128, scale: i32) -> String {
    let scale = scale.max(0) as usize;
    let digits = format!("{:0>width$}", unscaled.unsigned_abs(), width = scale + 1);
    let (whole, fraction) = digits.split_at(digits.len() - scale);
    let sign = if unscaled < 0 { "-" } else { "" };
    if scale == 0 {
        format!("{sign}{whole}")
    } else {
        format!("{sign}{whole}.{fraction}")
    }
}

/// Impala's and old Spark's timestamps: nanoseconds of a Julian day.
pub(super) fn int96_text(value: &Int96) -> String {
    const JULIAN_DAY_OF_1970: i128 = 2_440_588;
    let &[low, high, day] = value.data() else {
        unreachable!("an Int96 has three words")
    };
    // Signed: pyarrow counts back from the next day before 1970.
    let nanos = i128::from((u64::from(high) << 32 | u64::from(low)) as i64);
    dates::timestamp(
        (i128::from(day) - JULIAN_DAY_OF_1970) * 86_400_000_000_000 + nanos,
        false,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimals_halves_and_big_endian_integers_are_exact() {
        assert_eq!(decimal_text(-5, 2), "-0.05");
        assert_eq!(decimal_text(12_345, 2), "123.45");
        assert_eq!(big_endian(&[0xff, 0xfe]), -2);
        assert_eq!(big_endian(&[0x01, 0x00]), 256);
        assert_eq!(float16(&[0x00, 0x3c]), 1.0);
        assert_eq!(float16(&[0xff, 0x7b]), 65504.0);
        assert_eq!(float16(&[0x01, 0x80]), -(2f32.powi(-24)));
    }
}
