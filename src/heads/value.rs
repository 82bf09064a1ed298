//! Values of hyperparameters: numbers, or words that stand for a number that depends on the data.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, de};

use super::HeadError;

/// A hyperparameter as reports show it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Hyperparameter {
    /// A number.
    Number(f64),
    /// A rule, e.g. `scale x 0.1`.
    Text(String),
}

impl fmt::Display for Hyperparameter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(number) => write!(f, "{number}"),
            Self::Text(text) => f.write_str(text),
        }
    }
}

/// Reads a number, or one of the words that `word` knows.
pub(super) fn number_or_word<'de, D: Deserializer<'de>, T>(
    deserializer: D,
    expected: &'static str,
    number: fn(f64) -> T,
    word: fn(&str) -> Option<T>,
) -> Result<T, D::Error> {
    struct Reader<T> {
        expected: &'static str,
        number: fn(f64) -> T,
        word: fn(&str) -> Option<T>,
    }
    impl<T> de::Visitor<'_> for Reader<T> {
        type Value = T;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str(self.expected)
        }

        fn visit_f64<E: de::Error>(self, value: f64) -> Result<T, E> {
            Ok((self.number)(value))
        }

        fn visit_i64<E: de::Error>(self, value: i64) -> Result<T, E> {
            Ok((self.number)(value as f64))
        }

        fn visit_u64<E: de::Error>(self, value: u64) -> Result<T, E> {
            Ok((self.number)(value as f64))
        }

        fn visit_str<E: de::Error>(self, value: &str) -> Result<T, E> {
            (self.word)(value).ok_or_else(|| E::invalid_value(de::Unexpected::Str(value), &self))
        }
    }
    deserializer.deserialize_any(Reader { expected, number, word })
}

/// Refuses a number that is not finite or not above zero.
pub(super) fn check_above_zero(head: &'static str, name: &'static str, value: Option<f64>) -> Result<(), HeadError> {
    match value {
        Some(value) if !(value.is_finite() && value > 0.0) => Err(HeadError::Hyperparameter {
            head,
            name,
            found: value.to_string(),
            expected: "a finite number above 0".to_owned(),
        }),
        _ => Ok(()),
    }
}
