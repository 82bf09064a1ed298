//! A cell of a printed table: a count, a share, a mean, each with the rounding it was printed with.

use std::fmt;

/// A printed number, which stands for all that round to it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Number {
    pub(super) value: f64,
    pub(super) decimals: usize,
}

impl Number {
    /// Half a unit of the last printed digit.
    pub(super) fn half(&self) -> f64 {
        // Decimals are counted in a cell of a table: few.
        0.5 * 10_f64.powi(-(self.decimals.min(300) as i32))
    }

    fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        let plain = text.strip_prefix('-').unwrap_or(text);
        let (whole, decimals) = plain.split_once('.').unwrap_or((plain, ""));
        let digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
        if plain.is_empty() || whole.is_empty() || !digits(whole) || !digits(decimals) {
            return None;
        }
        Some(Self {
            value: text.parse().ok()?,
            decimals: decimals.len(),
        })
    }
}

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.*}", self.decimals, self.value)
    }
}

/// What a cell says.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Cell {
    /// Nothing, or a dash.
    Empty,
    /// `52`
    Count(u64),
    /// `52 (53.6%)`, or `52 (53.6)` in a row that speaks of percentages.
    Share(u64, Number),
    /// `52 (53.6)` where the row does not say what stands in brackets.
    Pair(u64, Number),
    /// `49.4 ± 15.4`, or `49.4 (15.4)` in a row that speaks of means.
    Mean(Number, Option<Number>),
    /// `53.6%`
    Percent(Number),
    /// Anything else.
    Other,
}

impl Cell {
    /// The count in it.
    pub(super) fn count(&self) -> Option<u64> {
        match self {
            Self::Count(count) | Self::Share(count, _) | Self::Pair(count, _) => Some(*count),
            _ => None,
        }
    }
}

/// Reads a cell; the row's label says what brackets hold.
pub(super) fn parse(text: &str, label: &str) -> Cell {
    let text = plain(text);
    if text.is_empty() || ["/", "-", "--", "na", "n/a", "n.a."].contains(&text.to_lowercase().as_str()) {
        return Cell::Empty;
    }
    let label = label.to_lowercase();
    let says = |words: &[&str]| words.iter().any(|word| label.contains(word));
    let of_means = says(&["mean", "sd", "average", "±"]) && !says(&["median", "iqr", "range"]);
    if let Some((mean, deviation)) = text.split_once('±') {
        return match (Number::parse(mean), Number::parse(deviation)) {
            (Some(mean), Some(deviation)) => Cell::Mean(mean, Some(deviation)),
            _ => Cell::Other,
        };
    }
    if let Some((before, inside)) = text.split_once('(') {
        let Some(inside) = inside.trim_end().strip_suffix(')') else {
            return Cell::Other;
        };
        // `52/97 (53.6%)`
        let before = before.split('/').next().unwrap_or(before);
        let percent = inside.trim().strip_suffix('%').map(Number::parse);
        let count = count(before);
        return match (Number::parse(before), count, percent, Number::parse(inside)) {
            (_, Some(count), Some(Some(percent)), _) => Cell::Share(count, percent),
            (Some(mean), _, None, Some(deviation)) if of_means => Cell::Mean(mean, Some(deviation)),
            (_, Some(count), None, Some(percent)) if says(&["%", "percent"]) => Cell::Share(count, percent),
            (_, Some(count), None, Some(inside)) if !says(&["median", "iqr", "range"]) => Cell::Pair(count, inside),
            _ => Cell::Other,
        };
    }
    if let Some(percent) = text.strip_suffix('%') {
        return Number::parse(percent).map_or(Cell::Other, Cell::Percent);
    }
    match (count(&text), Number::parse(&text)) {
        (_, Some(mean)) if of_means => Cell::Mean(mean, None),
        (Some(count), _) if !says(&["median", "%"]) => Cell::Count(count),
        _ => Cell::Other,
    }
}

fn count(text: &str) -> Option<u64> {
    text.trim().parse().ok()
}

/// One kind of minus and point, no thousands separators, no space at the ends.
fn plain(text: &str) -> String {
    let letters: Vec<char> = text
        .trim()
        .chars()
        .map(|letter| match letter {
            '−' | '–' | '—' => '-',
            '·' => '.',
            '\u{a0}' | '\u{2009}' | '\u{202f}' => ' ',
            other => other,
        })
        .collect();
    let digit = |place: usize| letters.get(place).is_some_and(char::is_ascii_digit);
    let groups = |place: usize| {
        letters[place] == ','
            && place > 0
            && digit(place - 1)
            && (1..=3).all(|step| digit(place + step))
            && !digit(place + 4)
    };
    let kept = (0..letters.len()).filter(|&place| !groups(place));
    kept.map(|place| letters[place]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn number(text: &str) -> Number {
        Number::parse(text).unwrap()
    }

    #[test]
    fn brackets_hold_what_the_row_says() {
        assert_eq!(parse("52 (53.6)", "Male (%)"), Cell::Share(52, number("53.6")));
        assert_eq!(parse("52/97 (53.6 %)", "Male"), Cell::Share(52, number("53.6")));
        assert_eq!(parse("52 (54)", "Male"), Cell::Pair(52, number("54")));
        assert_eq!(parse("43 (15.8)", "Age median (SD)"), Cell::Other);
        assert_eq!(
            parse("43 (15.8)", "Age mean (SD)"),
            Cell::Mean(number("43"), Some(number("15.8")))
        );
        assert_eq!(parse("43 (30–55)", "Age, median (range)"), Cell::Other);
        assert_eq!(
            parse("49.4 ± 15.4", "Age"),
            Cell::Mean(number("49.4"), Some(number("15.4")))
        );
    }

    #[test]
    fn counts_dashes_and_thousands_are_read() {
        assert_eq!(parse(" 1,234 ", "Slices"), Cell::Count(1234));
        assert_eq!(parse("/", "Mild"), Cell::Empty);
        assert_eq!(parse("–", "Mild"), Cell::Empty);
        assert_eq!(parse("53.6%", "Male"), Cell::Percent(number("53.6")));
        assert_eq!(parse("5.2", "CRP"), Cell::Other);
    }

    #[test]
    fn a_number_stands_for_what_rounds_to_it() {
        assert!((number("45.7").half() - 0.05).abs() < 1e-12);
        assert_eq!((number("54").half(), number("-1.50").decimals), (0.5, 2));
        assert_eq!(number("45.70").to_string(), "45.70");
        assert_eq!(Number::parse("1e5"), None);
    }
}
