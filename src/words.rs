//! Counts as people read them.

/// `1,234`.
///
/// ```
/// assert_eq!(hounsfield::words::count(1_234_567), "1,234,567");
/// ```
pub fn count(n: usize) -> String {
    let digits = n.to_string();
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// `1 patient` or `1,234 patients`.
pub fn counted(n: usize, what: &str) -> String {
    format!("{} {what}{}", count(n), if n == 1 { "" } else { "s" })
}

/// `812 bytes`, `92.4 kB` or `1.2 GB`; a kB is a thousand bytes.
///
/// ```
/// assert_eq!(hounsfield::words::bytes(368_412_339), "368.4 MB");
/// ```
pub fn bytes(n: u64) -> String {
    scaled(n, 1000.0, ["kB", "MB", "GB", "TB"])
}

/// `8.0 GiB`, `2.1 MiB` or `512 bytes`; a KiB is 1,024 bytes, as memory is counted.
///
/// ```
/// assert_eq!(hounsfield::words::binary(8 << 30), "8.0 GiB");
/// ```
pub fn binary(n: u64) -> String {
    scaled(n, 1024.0, ["KiB", "MiB", "GiB", "TiB"])
}

/// Bytes in the largest unit that they fill, each unit `base` times the one before.
fn scaled(n: u64, base: f64, units: [&str; 4]) -> String {
    let mut size = n as f64;
    let mut unit = "bytes";
    // Below what would be rounded up to a whole larger unit.
    for larger in units {
        if size < base - 0.05 {
            break;
        }
        (size, unit) = (size / base, larger);
    }
    match unit {
        "bytes" => format!("{n} bytes"),
        unit => format!("{size:.1} {unit}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_grouped_by_thousands() {
        assert_eq!([0, 999, 1000, 1_234_567].map(count), ["0", "999", "1,000", "1,234,567"]);
        assert_eq!(
            [0, 999, 1000, 999_949].map(bytes),
            ["0 bytes", "999 bytes", "1.0 kB", "999.9 kB"]
        );
        assert_eq!([999_950, 1_200_000_000].map(bytes), ["1.0 MB", "1.2 GB"]);
        assert_eq!([1, 1000].map(|n| counted(n, "row")), ["1 row", "1,000 rows"]);
    }
}
