//! Recipes from a slice to what an encoder sees, `[C, S, S]` in `[-1, 1]`.
//!
//! - `standard`: windows of the whole image. The mapping is monotone and the same in every column.
//! - `song2020`: the per-column min-max of Song et al. 2020 (released script, scikit-learn's `MinMaxScaler`), which gives
//!   one tissue different values in different columns. It is here to repeat that study, and marks every output.
//!
//! C is 1 for a grey slice, which the encoder sees in all its planes, or 3, one window a plane.

mod standard;
mod window;

use std::ops::Range;

use ndarray::{Array2, Array3, ArrayView2, Axis};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

pub use self::{
    standard::{Cropping, Squaring, Standard},
    window::{Window, Windows},
};
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
    /// Crop, window, square, resize.
    Standard(Standard),
    /// Resize, then scale each column to its own minimum and maximum.
    Song2020(Song2020),
}

/// `song2020` has no settings: it is what it was.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Song2020 {}

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
    /// More windows than an encoder has planes.
    #[error("`preprocess.windows` has {given} windows, the encoder takes {taken}: name one window")]
    Planes {
        /// How many windows there are.
        given: usize,
        /// How many planes the encoder takes.
        taken: usize,
    },
    /// What can't be done without Hounsfield units.
    #[error("`{setting}` needs Hounsfield units, found {found}: {instead}, or start from DICOM or NIfTI files")]
    NeedsHu {
        /// The recipe's setting.
        setting: &'static str,
        /// What the slice is.
        found: &'static str,
        /// What to set instead.
        instead: &'static str,
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

    /// How many planes it gives: 1, grey, or 3.
    pub fn planes(&self) -> usize {
        self.windows().len()
    }

    /// Refuses an encoder that takes fewer planes than this gives.
    ///
    /// # Errors
    ///
    /// [`PreprocessError::Planes`].
    pub fn check_planes(&self, taken: usize) -> Result<(), PreprocessError> {
        match self.planes() {
            given if given == 1 || given == taken => Ok(()),
            given => Err(PreprocessError::Planes { given, taken }),
        }
    }

    /// The window of each plane. Where slices are no longer in HU (8-bit pictures, `song2020`) it is what their maker's window
    /// is taken for: the recipe's own, or the lung window. A shift in HU is by its width one of network input.
    pub fn windows(&self) -> &[Window] {
        match self {
            Self::Standard(standard) => standard.windows.all(),
            Self::Song2020(_) => &[Window(HuWindow::LUNG)],
        }
    }

    /// The part of a slice that is kept before it becomes square: rows and columns.
    ///
    /// # Shapes
    ///
    /// - `hu`: `[H, W]`
    pub fn region(&self, hu: ArrayView2<'_, Hu>) -> [Range<usize>; 2] {
        match self {
            Self::Standard(standard) => standard.region(hu),
            Self::Song2020(_) => [0..hu.nrows(), 0..hu.ncols()],
        }
    }

    /// The slice as an encoder of this size sees it.
    ///
    /// # Shapes
    ///
    /// - `slice`: `[H, W]`
    /// - output: `[C, size, size]` in `[-1, 1]`, C being [`planes`](Self::planes); not resampled where `H` and `W` are `size`
    ///   already and nothing is cropped
    ///
    /// # Errors
    ///
    /// No pixels, values that are no number, pictures that have not what a setting needs.
    pub fn apply(&self, slice: &CtSlice, size: usize) -> Result<Array3<f32>, PreprocessError> {
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
            Self::Standard(standard) => standard.apply(&slice.pixels, size),
            Self::Song2020(_) => {
                let values = match &slice.pixels {
                    Pixels::Hu(pixels) => pixels.clone(),
                    Pixels::Grey8(pixels) => pixels.mapv(f32::from),
                    Pixels::Grey16(pixels) => pixels.mapv(f32::from),
                };
                let mut out = resample(values.view(), (size, size));
                scale_columns(&mut out);
                Ok(out.insert_axis(Axis(0)))
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

    /// The one plane of a grey slice.
    fn grey(recipe: &Preprocess, slice: &CtSlice, size: usize) -> Array2<f32> {
        let out = recipe.apply(slice, size).unwrap();
        assert_eq!(out.dim(), (1, size, size));
        out.index_axis_move(Axis(0), 0)
    }

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
        let out = grey(&Preprocess::default(), &hu(pixels), 64);
        for row in 1..64 {
            assert!(out.row(row).iter().all(|v| *v == out[[row, 0]]));
            assert!(row == 1 || out[[row, 0]] >= out[[row - 1, 0]]);
        }
        assert!(out[[40, 0]] > out[[20, 0]]);
    }

    #[test]
    fn a_window_can_be_turned_back_inside_its_ends() {
        let pixels = array![[-1350.0, -1000.0], [-600.0, 150.0]];
        let out = grey(&Preprocess::default(), &hu(pixels.clone()), 2);
        let back = out.mapv(|v| v / 2.0 * HuWindow::LUNG.width + HuWindow::LUNG.center);
        assert!((&back - &pixels).iter().all(|d| d.abs() < 1e-3), "{back}");
    }

    #[test]
    fn eight_bits_of_the_right_size_enter_unchanged() {
        let pixels = Array2::from_shape_fn((16, 16), |(i, j)| (i * 16 + j) as u8);
        let slice = CtSlice {
            pixels: Pixels::Grey8(pixels.clone()),
        };
        let out = grey(&Preprocess::default(), &slice, 16);
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
        assert_eq!(grey(&recipe, &slice, 2), array![[-1.0, 0.0], [1.0, 1.0]]);
    }

    #[test]
    fn oblong_images_are_padded_cropped_or_stretched() {
        let slice = CtSlice {
            pixels: Pixels::Grey8(array![[255, 0, 255, 255]]),
        };
        let apply = |resize| {
            let recipe = Standard {
                resize,
                ..Default::default()
            };
            grey(&Preprocess::Standard(recipe), &slice, 4)
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
                assert_eq!(out.dim(), (1, size, size));
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
        let slice = hu(array![[-1000.0, -1000.0], [-600.0, -600.0], [1000.0, 60.0]]);
        let out = grey(&recipe, &slice, 3);
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
            (
                "kind = 'standard'\nwindows = ['lung', 'wide']",
                "has 2 windows, expected 1",
            ),
            ("kind = 'standard'\nwindows = []", "has 0 windows, expected 1"),
            (
                "kind = 'standard'\nwindow = 'lung'\nwindows = ['lung', 'wide', 'bone']",
                "both given",
            ),
            ("kind = 'standard'\ncrop = 'lungs'", "body"),
            ("kind = 'song2021'", "song2020"),
        ] {
            let error = toml::from_str::<Preprocess>(text).unwrap_err().to_string();
            assert!(error.contains(word), "{text}: {error}");
        }
    }

    /// Features and cards that were made before there were several windows name these hashes.
    #[test]
    fn recipes_of_one_window_keep_their_hashes() {
        for (text, canonical, sha256) in [
            (
                "kind = 'standard'",
                r#"{"kind":"standard","window":{"center":-600.0,"width":1500.0},"resize":"pad"}"#,
                "de105a4fcc8a185f7dec42fecab1e9fc08263fc16c34e790964e05d56022628c",
            ),
            (
                "kind = 'standard'\nwindow = 'mediastinum'\ncrop = 'none'",
                r#"{"kind":"standard","window":{"center":40.0,"width":400.0},"resize":"pad"}"#,
                "67b154959d815cb2a77608256052679431dc7c9aa4360eb7dca757a4020df37f",
            ),
            (
                "kind = 'standard'\nwindows = ['wide']\nresize = 'crop'\ngrey16_window = { center = 1024, width = 2048 }",
                r#"{"kind":"standard","window":{"center":0.0,"width":2000.0},"grey16_window":{"center":1024.0,"width":2048.0},"resize":"crop"}"#,
                "9cb6f76c3aa72e08fbe3b822cc4c85a16dd4173fc42c22bf036e66cebd54f268",
            ),
            (
                "kind = 'song2020'",
                r#"{"kind":"song2020"}"#,
                "b5c260a81b7fe15040e434eb13ad9390073e52695883bd98fe99a4df3f2e2ec9",
            ),
        ] {
            let recipe: Preprocess = toml::from_str(text).unwrap();
            assert_eq!(recipe.canonical(), canonical);
            assert_eq!(recipe.sha256(), sha256, "{text}");
        }
    }

    #[test]
    fn three_windows_are_the_planes_that_each_gives_alone() {
        let slice = hu(Array2::from_shape_fn((40, 60), |(i, j)| {
            ((i * 977 + j * 613) % 3000) as f32 - 1200.0
        }));
        let names = ["lung", "mediastinum", "wide"];
        let recipe: Preprocess =
            toml::from_str("kind = 'standard'\nwindows = ['lung', 'mediastinum', 'wide']").unwrap();
        let out = recipe.apply(&slice, 32).unwrap();
        assert_eq!((recipe.planes(), out.dim()), (3, (3, 32, 32)));
        for (plane, name) in out.outer_iter().zip(names) {
            let alone: Preprocess = toml::from_str(&format!("kind = 'standard'\nwindow = '{name}'")).unwrap();
            assert_eq!(plane, grey(&alone, &slice, 32));
            assert_ne!(alone.sha256(), recipe.sha256());
        }
        assert_eq!(serde_json::from_str::<Preprocess>(&recipe.canonical()).unwrap(), recipe);
        let text = toml::to_string(&recipe).unwrap();
        assert_eq!(toml::from_str::<Preprocess>(&text).unwrap(), recipe);
    }

    #[test]
    fn a_body_is_cropped_with_its_margin_and_nobody_is_not() {
        let mut pixels = Array2::from_elem((100, 200), -1000.0);
        pixels.slice_mut(ndarray::s![30..70, 20..120]).fill(40.0);
        let recipe: Preprocess = toml::from_str("kind = 'standard'\ncrop = 'body'\nresize = 'stretch'").unwrap();
        assert_eq!(recipe.region(pixels.view()), [28..72, 18..122]);
        let cropped = hu(pixels.slice(ndarray::s![28..72, 18..122]).to_owned());
        let whole: Preprocess = toml::from_str("kind = 'standard'\nresize = 'stretch'").unwrap();
        assert_eq!(grey(&recipe, &hu(pixels), 16), grey(&whole, &cropped, 16));
        let air = hu(Array2::from_elem((100, 200), -1000.0));
        assert_eq!(grey(&recipe, &air, 16), grey(&whole, &air, 16));
        assert_ne!(recipe.sha256(), whole.sha256());
        assert!(recipe.canonical().contains(r#""crop":"body""#));
    }

    #[test]
    fn pictures_without_hounsfield_units_have_one_window_and_no_body() {
        let slice = CtSlice {
            pixels: Pixels::Grey8(array![[0, 255], [9, 8]]),
        };
        for (setting, way_out) in [
            ("crop = 'body'", "set it to \"none\""),
            ("windows = ['lung', 'wide', 'bone']", "name one window"),
        ] {
            let recipe: Preprocess = toml::from_str(&format!("kind = 'standard'\n{setting}")).unwrap();
            let error = recipe.apply(&slice, 2).unwrap_err().to_string();
            assert!(error.contains("an 8-bit picture") && error.contains(way_out), "{error}");
        }
    }
}
