//! Which Hounsfield units become `[-1, 1]`: windows by name or by numbers, one for each plane of the network's input.

use serde::{Deserialize, Deserializer, Serialize, de};

use crate::{ct::HuWindow, encoder::IMAGE_CHANNELS};

/// A window by name or by numbers.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Window(pub HuWindow);

impl Window {
    const NAMED: [(&'static str, HuWindow); 4] = [
        ("lung", HuWindow::LUNG),
        ("mediastinum", HuWindow::MEDIASTINUM),
        ("wide", HuWindow::WIDE),
        ("bone", HuWindow::BONE),
    ];

    /// The window of this name.
    pub fn named(name: &str) -> Option<Self> {
        let found = Self::NAMED.iter().find(|(known, _)| *known == name);
        found.map(|(_, window)| Self(*window))
    }

    /// Its name; its ends in HU where it has none.
    pub fn name(&self) -> String {
        match Self::NAMED.iter().find(|(_, window)| *window == self.0) {
            Some((name, _)) => (*name).to_owned(),
            None => self.ends(),
        }
    }

    /// Its name and its ends, as people read them: `lung (-1350 to 150 HU)`.
    ///
    /// ```
    /// use hounsfield::{ct::HuWindow, transforms::Window};
    /// assert_eq!(Window(HuWindow::LUNG).words(), "lung (-1350 to 150 HU)");
    /// ```
    pub fn words(&self) -> String {
        match self.name() {
            name if name == self.ends() => name,
            name => format!("{name} ({})", self.ends()),
        }
    }

    fn ends(&self) -> String {
        let HuWindow { center, width } = self.0;
        format!("{} to {} HU", center - width / 2.0, center + width / 2.0)
    }
}

impl Serialize for Window {
    /// By its numbers, so that a name and its numbers are one recipe.
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Window {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl<'de> de::Visitor<'de> for Visitor {
            type Value = Window;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("\"lung\", \"mediastinum\", \"wide\", \"bone\" or { center = HU, width = HU }")
            }

            fn visit_str<E: de::Error>(self, name: &str) -> Result<Window, E> {
                Window::named(name).ok_or_else(|| E::unknown_variant(name, &["lung", "mediastinum", "wide", "bone"]))
            }

            fn visit_map<A: de::MapAccess<'de>>(self, map: A) -> Result<Window, A::Error> {
                positive_width(HuWindow::deserialize(de::value::MapAccessDeserializer::new(map))?).map(Window)
            }
        }
        deserializer.deserialize_any(Visitor)
    }
}

/// A window of stored values, which has no name.
pub(super) fn checked_window<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<HuWindow>, D::Error> {
    Option::<HuWindow>::deserialize(deserializer)?
        .map(positive_width)
        .transpose()
}

fn positive_width<E: de::Error>(window: HuWindow) -> Result<HuWindow, E> {
    if window.center.is_finite() && window.width.is_finite() && window.width > 0.0 {
        Ok(window)
    } else {
        let HuWindow { center, width } = window;
        Err(E::custom(format!(
            "window has center {center} and width {width}, expected a positive width"
        )))
    }
}

/// The windows of network input. Encoders have three planes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Windows {
    /// One, which gives a grey slice: the encoder sees it in all its planes.
    One(Window),
    /// One for each of the encoder's planes.
    Three([Window; IMAGE_CHANNELS]),
}

impl Windows {
    /// The windows, in the order of the planes.
    pub fn all(&self) -> &[Window] {
        match self {
            Self::One(window) => std::slice::from_ref(window),
            Self::Three(windows) => windows,
        }
    }

    /// From the recipe's keys `window` and `windows`, of which one may be given; default: the lung window.
    pub(super) fn of(window: Option<Window>, windows: Option<&[Window]>) -> Result<Self, String> {
        match (window, windows) {
            (Some(_), Some(_)) => Err("`window` and `windows` are both given: leave one out".to_owned()),
            (Some(window), None) | (None, Some(&[window])) => Ok(Self::One(window)),
            (None, None) => Ok(Self::One(Window(HuWindow::LUNG))),
            (None, Some(windows)) => windows.try_into().map(Self::Three).map_err(|_| {
                format!(
                    "`windows` has {} windows, expected 1, for a grey slice, or {IMAGE_CHANNELS}, one for each plane of the \
                     encoder; a window may stand in it twice",
                    windows.len()
                )
            }),
        }
    }
}
