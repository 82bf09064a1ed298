//! Recipes from a slice to what an encoder sees, `[S, S]` in `[-1, 1]`.
//!
//! - `standard`: one window for the whole image. The mapping is monotone and the same in every column.
//! - `song2020`: the per-column min-max of Song et al. 2020 (released script, scikit-learn's `MinMaxScaler`), which gives
//!   one tissue different values in different columns. It is here to repeat that study, and marks every output.
//!
//! The encoder copies the grey plane to its three channels.

use ndarray::{Array2, Axis, s};
use serde::{Deserialize, Deserializer, Serialize, de};
use sha2::{Digest as _, Sha256};

use super::resample;
use crate::ct::{CtSlice, Hu, HuWindow, Pixels};

/// A preprocessing recipe, tagged by `kind`.
///
/// ```
/// use hounsfield::transforms::Preprocess;
/// let recipe: Preprocess = toml::from_str("kind = 'standard'\nwindow = 'mediastinum'")?;
/// assert_eq!(recipe.name(), "standard");
/// assert!(recipe.watermarks().is_empty());
/// # Ok::<(), toml::de::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Preprocess {
    /// Window, square, resize.
    Standard(Standard),
    /// Resize, then scale each column to its own minimum and maximum.
    Song2020(Song2020),
}

/// Settings of `standard`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Standard {
    /// The Hounsfield units that become `[-1, 1]`: `lung`, `mediastinum`, `wide` or `{ center, width }`; default `lung`.
    /// Pictures of 8 bits were windowed by whoever made them and enter as `v / 127.5 - 1`.
    pub window: Window,
    /// The stored values of 16-bit pictures that become `[-1, 1]`, as `{ center, width }`. Without it such pictures are
    /// refused: nothing in them states their unit.
    #[serde(deserialize_with = "checked_window", skip_serializing_if = "Option::is_none")]
    pub grey16_window: Option<HuWindow>,
    /// How an oblong image becomes square; default `pad`.
    pub resize: Squaring,
}

impl Default for Standard {
    fn default() -> Self {
        Self {
            window: Window(HuWindow::LUNG),
            grey16_window: None,
            resize: Squaring::default(),
        }
    }
}

/// `song2020` has no settings: it is what it was.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Song2020 {}

/// How an oblong image becomes square.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Squaring {
    /// The lowest value is added evenly to the short sides: no anatomy is lost or distorted.
    #[default]
    Pad,
    /// The middle square of the long side is kept.
    Crop,
    /// Both sides are scaled for themselves, which distorts.
    Stretch,
}

/// A window by name or by numbers.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Window(pub HuWindow);

impl Window {
    const NAMED: [(&'static str, HuWindow); 3] = [
        ("lung", HuWindow::LUNG),
        ("mediastinum", HuWindow::MEDIASTINUM),
        ("wide", HuWindow::WIDE),
    ];
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
                f.write_str("\"lung\", \"mediastinum\", \"wide\" or { center = HU, width = HU }")
            }

            fn visit_str<E: de::Error>(self, name: &str) -> Result<Window, E> {
                match Window::NAMED.iter().find(|(known, _)| *known == name) {
                    Some((_, window)) => Ok(Window(*window)),
                    None => Err(E::unknown_variant(name, &["lung", "mediastinum", "wide"])),
                }
            }

            fn visit_map<A: de::MapAccess<'de>>(self, map: A) -> Result<Window, A::Error> {
                positive_width(HuWindow::deserialize(de::value::MapAccessDeserializer::new(map))?).map(Window)
            }
        }
        deserializer.deserialize_any(Visitor)
    }
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

fn checked_window<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<HuWindow>, D::Error> {
    Option::<HuWindow>::deserialize(deserializer)?
        .map(positive_width)
        .transpose()
}

/// Why a slice can't be made into network input.
#[derive(Debug, thiserror::Error, PartialEq)]
#[non_exhaustive]
pub enum PreprocessError {
    /// A 16-bit picture and no window for it.
    #[error(
        "16-bit picture with values {lowest} to {highest} has no stated unit, set preprocess.grey16_window = \
         {{ center, width }} in stored values"
    )]
    NoGrey16Window {
        /// The lowest value found.
        lowest: u16,
        /// The highest value found.
        highest: u16,
    },
    /// A value that is no number.
    #[error("slice has {count} values that are not finite, expected Hounsfield units")]
    NotFinite {
        /// How many.
        count: usize,
    },
    /// No pixels in, or none wanted.
    #[error("slice of {height} x {width} pixels can't become {size} x {size}, expected at least one pixel")]
    NoPixels {
        /// Rows.
        height: usize,
        /// Columns.
        width: usize,
        /// The encoder's size.
        size: usize,
    },
}

impl Default for Preprocess {
    fn default() -> Self {
        Self::Standard(Standard::default())
    }
}

impl Preprocess {
    /// Its kind, as the recipe file says it.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Standard(_) => "standard",
            Self::Song2020(_) => "song2020",
        }
    }

    /// The recipe as JSON with every setting: what is kept beside the features. It can be parsed back.
    pub fn canonical(&self) -> String {
        serde_json::to_string(self).expect("plain numbers and names serialise")
    }

    /// SHA-256 of [`canonical`](Self::canonical) and of the version of the arithmetic, in hexadecimal digits.
    pub fn sha256(&self) -> String {
        // Raise it when the same recipe gives other values.
        const ARITHMETIC: &str = "hounsfield preprocess 1: triangle filter\n";
        let hash = Sha256::new()
            .chain_update(ARITHMETIC)
            .chain_update(self.canonical())
            .finalize();
        hash.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// Sentences that every output made with this recipe must carry; mostly none.
    pub fn watermarks(&self) -> Vec<String> {
        match self {
            Self::Standard(_) => vec![],
            Self::Song2020(_) => vec![
                "preprocessing song2020: every image column is scaled to its own minimum and maximum, so that one tissue \
                 has different values in different columns; for reproduction of Song et al. 2020 only"
                    .to_owned(),
            ],
        }
    }

    /// Hounsfield units from -1 to 1 of what it gives, by which a shift in HU is one of network input. Where slices are no
    /// longer in HU (8-bit pictures, `song2020`) it is what their maker's window is taken for: the lung window's, or the
    /// recipe's own.
    pub fn window_width(&self) -> Hu {
        match self {
            Self::Standard(standard) => standard.window.0.width,
            Self::Song2020(_) => HuWindow::LUNG.width,
        }
    }

    /// The slice as an encoder of this size sees it.
    ///
    /// # Shapes
    ///
    /// - `slice`: `[H, W]`
    /// - output: `[size, size]` in `[-1, 1]`; not resampled where `H` and `W` are `size` already
    pub fn apply(&self, slice: &CtSlice, size: usize) -> Result<Array2<f32>, PreprocessError> {
        let (height, width) = slice.pixels.dim();
        if height == 0 || width == 0 || size == 0 {
            return Err(PreprocessError::NoPixels { height, width, size });
        }
        if let Pixels::Hu(hu) = &slice.pixels {
            let count = hu.iter().filter(|value| !value.is_finite()).count();
            if count > 0 {
                return Err(PreprocessError::NotFinite { count });
            }
        }
        match self {
            Self::Standard(standard) => {
                let mut out = resample(
                    standard.resize.square(standard.window(&slice.pixels)?).view(),
                    (size, size),
                );
                // The filter's weights add up to 1 only up to rounding.
                out.mapv_inplace(|value| value.clamp(-1.0, 1.0));
                Ok(out)
            }
            Self::Song2020(_) => {
                let values = match &slice.pixels {
                    Pixels::Hu(pixels) => pixels.clone(),
                    Pixels::Grey8(pixels) => pixels.mapv(f32::from),
                    Pixels::Grey16(pixels) => pixels.mapv(f32::from),
                };
                let mut out = resample(values.view(), (size, size));
                scale_columns(&mut out);
                Ok(out)
            }
        }
    }
}

impl Standard {
    /// `[H, W]` in `[-1, 1]`.
    fn window(&self, pixels: &Pixels) -> Result<Array2<f32>, PreprocessError> {
        let signed = |window: HuWindow| move |value: f32| window.normalize(value) * 2.0 - 1.0;
        match pixels {
            Pixels::Hu(pixels) => Ok(pixels.mapv(signed(self.window.0))),
            Pixels::Grey8(pixels) => Ok(pixels.mapv(|value| f32::from(value) / 127.5 - 1.0)),
            Pixels::Grey16(pixels) => match self.grey16_window {
                Some(window) => {
                    let signed = signed(window);
                    Ok(pixels.mapv(|value| signed(f32::from(value))))
                }
                None => Err(PreprocessError::NoGrey16Window {
                    lowest: pixels.iter().copied().min().unwrap_or(0),
                    highest: pixels.iter().copied().max().unwrap_or(0),
                }),
            },
        }
    }
}

impl Squaring {
    /// `[H, W]` in `[-1, 1]` to a square, except for `stretch`, which leaves that to the resampling.
    fn square(self, image: Array2<f32>) -> Array2<f32> {
        let (height, width) = image.dim();
        let (short, long) = (height.min(width), height.max(width));
        if short == long {
            return image;
        }
        match self {
            Self::Stretch => image,
            Self::Pad => {
                let (top, left) = ((long - height) / 2, (long - width) / 2);
                let mut square = Array2::from_elem((long, long), -1.0);
                square
                    .slice_mut(s![top..top + height, left..left + width])
                    .assign(&image);
                square
            }
            Self::Crop => {
                let (top, left) = ((height - short) / 2, (width - short) / 2);
                image.slice_move(s![top..top + short, left..left + short])
            }
        }
    }
}

/// `sklearn.preprocessing.MinMaxScaler(feature_range=(-1, 1)).fit_transform`: columns are its features; a constant
/// column has range 1 there, and so becomes -1.
fn scale_columns(image: &mut Array2<f32>) {
    for mut column in image.axis_iter_mut(Axis(1)) {
        let low = column.fold(f32::INFINITY, |low, value| low.min(*value));
        let high = column.fold(f32::NEG_INFINITY, |high, value| high.max(*value));
        // scikit-learn takes a range under ten machine epsilons for 0.
        let range = high - low;
        let scale = if range < 10.0 * f32::EPSILON { 2.0 } else { 2.0 / range };
        column.mapv_inplace(|value| ((value - low) * scale - 1.0).clamp(-1.0, 1.0));
    }
}

#[cfg(test)]
mod tests {
    use ndarray::array;

    use super::*;

    fn hu(pixels: Array2<f32>) -> CtSlice {
        CtSlice {
            pixels: Pixels::Hu(pixels),
        }
    }

    #[test]
    fn the_standard_mapping_is_monotone_and_the_same_in_every_column() {
        // One ramp of Hounsfield units in each column, beside bone, air and itself.
        let pixels = Array2::from_shape_fn((64, 64), |(row, column)| match column % 3 {
            0 => row as f32 * 40.0 - 1400.0,
            1 if row == 0 => 3000.0,
            1 => row as f32 * 40.0 - 1400.0,
            _ if row == 0 => -1024.0,
            _ => row as f32 * 40.0 - 1400.0,
        });
        let out = Preprocess::default().apply(&hu(pixels), 64).unwrap();
        for row in 1..64 {
            assert!(out.row(row).iter().all(|v| *v == out[[row, 0]]));
            assert!(row == 1 || out[[row, 0]] >= out[[row - 1, 0]]);
        }
        assert!(out[[40, 0]] > out[[20, 0]]);
    }

    #[test]
    fn a_window_can_be_turned_back_inside_its_ends() {
        let pixels = array![[-1350.0, -1000.0], [-600.0, 150.0]];
        let out = Preprocess::default().apply(&hu(pixels.clone()), 2).unwrap();
        let back = out.mapv(|v| v / 2.0 * HuWindow::LUNG.width + HuWindow::LUNG.center);
        assert!((&back - &pixels).iter().all(|d| d.abs() < 1e-3), "{back}");
    }

    #[test]
    fn eight_bits_of_the_right_size_enter_unchanged() {
        let pixels = Array2::from_shape_fn((16, 16), |(i, j)| (i * 16 + j) as u8);
        let slice = CtSlice {
            pixels: Pixels::Grey8(pixels.clone()),
        };
        let out = Preprocess::default().apply(&slice, 16).unwrap();
        assert_eq!(out, pixels.mapv(|v| f32::from(v) / 127.5 - 1.0));
        assert_eq!((out[[0, 0]], out[[15, 15]]), (-1.0, 1.0));
    }

    #[test]
    fn sixteen_bits_are_refused_without_a_window() {
        let slice = CtSlice {
            pixels: Pixels::Grey16(array![[0, 1024], [2048, 65535]]),
        };
        let error = Preprocess::default().apply(&slice, 2).unwrap_err();
        assert_eq!(
            error,
            PreprocessError::NoGrey16Window {
                lowest: 0,
                highest: 65535
            }
        );
        let recipe: Preprocess =
            toml::from_str("kind = 'standard'\ngrey16_window = { center = 1024, width = 2048 }").unwrap();
        assert_eq!(recipe.apply(&slice, 2).unwrap(), array![[-1.0, 0.0], [1.0, 1.0]]);
    }

    #[test]
    fn oblong_images_are_padded_cropped_or_stretched() {
        let slice = CtSlice {
            pixels: Pixels::Grey8(array![[255, 0, 255, 255]]),
        };
        let apply = |resize| {
            Preprocess::Standard(Standard {
                resize,
                ..Default::default()
            })
            .apply(&slice, 4)
            .unwrap()
        };
        let padded = apply(Squaring::Pad);
        assert_eq!(padded.row(1), array![1.0, -1.0, 1.0, 1.0]);
        assert!(padded.row(0).iter().chain(padded.row(2)).all(|v| *v == -1.0));
        assert!(apply(Squaring::Crop).iter().all(|v| *v == -1.0));
        assert!(
            apply(Squaring::Stretch)
                .rows()
                .into_iter()
                .all(|row| row == array![1.0, -1.0, 1.0, 1.0])
        );
    }

    #[test]
    fn every_recipe_stays_in_range_at_any_size() {
        let wild = Array2::from_shape_fn((37, 53), |(i, j)| ((i * 977 + j * 613) % 5000) as f32 - 2048.0);
        for recipe in [Preprocess::default(), Preprocess::Song2020(Song2020 {})] {
            for size in [1, 16, 37, 128] {
                let out = recipe.apply(&hu(wild.clone()), size).unwrap();
                assert_eq!(out.dim(), (size, size));
                assert!(
                    out.iter().all(|v| (-1.0..=1.0).contains(v)),
                    "{} at {size}",
                    recipe.name()
                );
            }
        }
    }

    #[test]
    fn song2020_gives_one_tissue_two_values_and_says_so() {
        let recipe = Preprocess::Song2020(Song2020 {});
        let out = recipe
            .apply(&hu(array![[-1000.0, -1000.0], [-600.0, -600.0], [1000.0, 60.0]]), 3)
            .unwrap();
        // S7: -600 HU beside bone and beside soft tissue, in the outer columns.
        assert!(out[[1, 0]] != out[[1, 2]]);
        assert!(recipe.watermarks()[0].contains("song2020"));
    }

    #[test]
    fn recipes_survive_their_canonical_text_and_names_equal_numbers() {
        let named: Preprocess = toml::from_str("kind = 'standard'\nwindow = 'lung'").unwrap();
        let numbers: Preprocess =
            toml::from_str("kind = 'standard'\nwindow = { center = -600, width = 1500 }").unwrap();
        assert_eq!(named.sha256(), numbers.sha256());
        for recipe in [named, Preprocess::Song2020(Song2020 {})] {
            assert_eq!(serde_json::from_str::<Preprocess>(&recipe.canonical()).unwrap(), recipe);
            assert_ne!(
                recipe.sha256(),
                toml::from_str::<Preprocess>("kind = 'standard'\nwindow = 'wide'")
                    .unwrap()
                    .sha256()
            );
        }
    }

    #[test]
    fn unknown_keys_windows_and_widths_are_refused() {
        for (text, word) in [
            ("kind = 'standard'\nwindo = 'lung'", "windo"),
            ("kind = 'standard'\nwindow = 'lungs'", "mediastinum"),
            (
                "kind = 'standard'\nwindow = { center = 0, width = -1 }",
                "positive width",
            ),
            (
                "kind = 'standard'\ngrey16_window = { center = 0, width = 0 }",
                "positive width",
            ),
            ("kind = 'song2020'\nwindow = 'lung'", "window"),
            ("kind = 'song2021'", "song2020"),
        ] {
            let error = toml::from_str::<Preprocess>(text).unwrap_err().to_string();
            assert!(error.contains(word), "{text}: {error}");
        }
    }
}
