//! Settings that a recipe states by the name of a preset, or by a table of numbers.

use std::{fmt, marker::PhantomData};

use serde::{Deserializer, de};

use super::AugmentError;

/// Settings with presets.
pub(super) trait Preset: Sized {
    /// The presets' names.
    const PRESETS: &'static [&'static str];
    /// What else a recipe can say, for an error: a table such as this.
    const TABLE: &'static str;

    /// The preset of this name.
    fn preset(name: &str) -> Option<Self>;

    /// Reads a table of numbers.
    fn table<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error>;

    /// Refuses what is impossible.
    fn possible(&self) -> Result<(), AugmentError>;
}

/// Reads a name, or a table that is checked.
pub(super) fn name_or_table<'de, T: Preset, D: Deserializer<'de>>(deserializer: D) -> Result<T, D::Error> {
    struct Visitor<T>(PhantomData<T>);

    impl<'de, T: Preset> de::Visitor<'de> for Visitor<T> {
        type Value = T;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            for name in T::PRESETS {
                write!(f, "{}\"{name}\"", if *name == T::PRESETS[0] { "" } else { ", " })?;
            }
            write!(f, " or a table such as {}", T::TABLE)
        }

        fn visit_str<E: de::Error>(self, name: &str) -> Result<T, E> {
            T::preset(name).ok_or_else(|| E::unknown_variant(name, T::PRESETS))
        }

        fn visit_map<A: de::MapAccess<'de>>(self, map: A) -> Result<T, A::Error> {
            let settings = T::table(de::value::MapAccessDeserializer::new(map))?;
            settings.possible().map_err(de::Error::custom)?;
            Ok(settings)
        }
    }
    deserializer.deserialize_any(Visitor(PhantomData))
}
