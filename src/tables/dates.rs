//! Days and times as ISO 8601 text, without a calendar crate.

/// `YYYY-MM-DD` of a day counted from 1970-01-01.
///
/// Howard Hinnant, "chrono-compatible low-level date algorithms", `civil_from_days`.
pub(super) fn date(days: i64) -> String {
    let z = days + 719_468;
    let era = z.div_euclid(146_097);
    let day_of_era = z.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 {
        shifted_month + 3
    } else {
        shifted_month - 9
    };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    format!("{year:04}-{month:02}-{day:02}")
}

/// `HH:MM:SS`, with as many decimals as the nanoseconds need.
pub(super) fn time(nanos_of_day: i64) -> String {
    let (seconds, nanos) = (nanos_of_day / 1_000_000_000, nanos_of_day % 1_000_000_000);
    let clock = format!("{:02}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60);
    let fraction = format!("{nanos:09}");
    let fraction = fraction.trim_end_matches('0');
    if fraction.is_empty() {
        clock
    } else {
        format!("{clock}.{fraction}")
    }
}

/// `YYYY-MM-DDTHH:MM:SS`, with `Z` where it is UTC; only the date at midnight without a zone, since pandas and Excel
/// have no other way to store a plain date.
pub(super) fn timestamp(nanos_since_1970: i128, utc: bool) -> String {
    const DAY: i128 = 86_400_000_000_000;
    // The quotient of any 64-bit count of seconds, and the remainder of a day in nanoseconds, fit 64 bits.
    let (days, rest) = (
        nanos_since_1970.div_euclid(DAY) as i64,
        nanos_since_1970.rem_euclid(DAY) as i64,
    );
    match (rest, utc) {
        (0, false) => date(days),
        _ => format!("{}T{}{}", date(days), time(rest), if utc { "Z" } else { "" }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Expected: Python's `datetime.date.fromordinal(719163 + days)` and `datetime` arithmetic.
    #[test]
    fn days_and_times_are_those_of_the_gregorian_calendar() {
        assert_eq!(date(0), "1970-01-01");
        assert_eq!(date(11_016), "2000-02-29");
        assert_eq!(date(-1), "1969-12-31");
        assert_eq!(date(-25_509), "1900-02-28");
        assert_eq!(date(20_513), "2026-03-01");
        assert_eq!(timestamp(1_500_000_000, true), "1970-01-01T00:00:01.5Z");
        assert_eq!(timestamp(-1, false), "1969-12-31T23:59:59.999999999");
        assert_eq!(timestamp(86_400_000_000_000, false), "1970-01-02");
    }
}
