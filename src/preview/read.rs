//! One slice, read and shown twice: as it is stored, and as the encoder sees it.

use std::path::Path;

use ndarray::{Array2, Array3, ArrayViewMut2, Axis, s};

use super::{Scale, ValueCounts};
use crate::{
    ct::{CtSlice, HuWindow, Pixels, lung_fraction},
    readers::read_slice,
    transforms::{Cropping, Preprocess, PreprocessError, Standard, Window, Windows},
};

/// One slice of the page.
#[derive(Debug, Clone, PartialEq)]
pub struct Shown {
    /// Its row in the cohort, from 0.
    pub row: usize,
    /// What its values are.
    pub scale: Scale,
    /// Rows and columns as stored.
    pub dim: (usize, usize),
    /// Its lowest and highest value.
    pub range: [f32; 2],
    /// The share of the body that is lung; `None` where values are no Hounsfield units.
    pub lung: Option<f32>,
    /// Why it can't be prepared; its planes are black then.
    pub refused: Option<String>,
}

/// A slice with its pictures, which are put on a sheet and dropped.
pub(super) struct Pictures {
    pub shown: Shown,
    pub counts: ValueCounts,
    /// `[S, S]` in `[-1, 1]`; what is cropped away is outside of a white line.
    pub before: Array2<f32>,
    /// `[C, S, S]` in `[-1, 1]`.
    pub after: Array3<f32>,
}

impl Pictures {
    /// Reads a slice. The reason why it can't be read comes without its path.
    pub fn read(row: usize, path: &Path, preprocess: &Preprocess, size: usize) -> Result<Self, String> {
        let slice = read_slice(path).map_err(|error| error.without_path())?;
        let scale = Scale::of(&slice.pixels);
        let range = match &slice.pixels {
            Pixels::Hu(hu) => ends(hu.iter().copied().filter(|value| value.is_finite())),
            Pixels::Grey8(grey) => ends(grey.iter().copied().map(f32::from)),
            Pixels::Grey16(grey) => ends(grey.iter().copied().map(f32::from)),
        };
        let before = before(&slice, range, preprocess, size).map_err(|error| error.to_string())?;
        let (after, refused) = match preprocess.apply(&slice, size) {
            Ok(planes) => (planes, None),
            Err(error) => {
                let black = Array3::from_elem((preprocess.planes(), size, size), -1.0);
                (black, Some(error.to_string()))
            }
        };
        let lung = match &slice.pixels {
            Pixels::Hu(hu) => Some(lung_fraction(hu.view())),
            _ => None,
        };
        let mut counts = ValueCounts::new(scale);
        counts.add(&slice.pixels);
        let shown = Shown {
            row,
            scale,
            dim: slice.pixels.dim(),
            range,
            lung,
            refused,
        };
        Ok(Self {
            shown,
            counts,
            before,
            after,
        })
    }
}

/// The whole slice: HU in the wide window, 8-bit pictures as they are, 16-bit pictures from their lowest to their highest value.
fn before(
    slice: &CtSlice,
    [low, high]: [f32; 2],
    preprocess: &Preprocess,
    size: usize,
) -> Result<Array2<f32>, PreprocessError> {
    let whole = Standard {
        windows: Windows::One(Window(HuWindow::WIDE)),
        grey16_window: Some(HuWindow {
            center: (low + high) / 2.0,
            width: (high - low).max(1.0),
        }),
        crop: Cropping::None,
        ..Standard::default()
    };
    let mut image = Preprocess::Standard(whole)
        .apply(slice, size)?
        .index_axis_move(Axis(0), 0);
    if let Pixels::Hu(hu) = &slice.pixels {
        let (height, width) = hu.dim();
        let [rows, columns] = preprocess.region(hu.view());
        if [&rows, &columns] != [&(0..height), &(0..width)] {
            // The slice stands in the middle of a square.
            let side = height.max(width);
            let place = |at: usize, length: usize| (at + (side - length) / 2) * size / side;
            let rows = [place(rows.start, height), place(rows.end, height)];
            let columns = [place(columns.start, width), place(columns.end, width)];
            outline(image.view_mut(), rows, columns);
        }
    }
    Ok(image)
}

/// A white line around rows and columns, their ends not included.
fn outline(mut image: ArrayViewMut2<'_, f32>, [top, bottom]: [usize; 2], [left, right]: [usize; 2]) {
    let (height, width) = image.dim();
    let (bottom, right) = (
        bottom.clamp(top + 1, height.max(top + 1)),
        right.clamp(left + 1, width.max(left + 1)),
    );
    if bottom > height || right > width {
        return;
    }
    for row in [top, bottom - 1] {
        image.slice_mut(s![row, left..right]).fill(1.0);
    }
    for column in [left, right - 1] {
        image.slice_mut(s![top..bottom, column]).fill(1.0);
    }
}

fn ends(values: impl Iterator<Item = f32>) -> [f32; 2] {
    let found = values.fold([f32::INFINITY, f32::NEG_INFINITY], |[low, high], value| {
        [low.min(value), high.max(value)]
    });
    if found[0] <= found[1] { found } else { [0.0, 0.0] }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_cropped_away_is_outside_of_a_line() {
        let mut hu = Array2::from_elem((100, 200), -1000.0);
        hu.slice_mut(s![30..70, 20..120]).fill(40.0);
        let slice = CtSlice { pixels: Pixels::Hu(hu) };
        let recipe: Preprocess = toml::from_str("kind = 'standard'\ncrop = 'body'").unwrap();
        let image = before(&slice, [-1000.0, 40.0], &recipe, 100).unwrap();
        // Rows 28 to 72 of 100 stand in the middle of 200, columns 18 to 122 of 200; half of the size.
        let white: Vec<(usize, usize)> = image
            .indexed_iter()
            .filter(|(_, value)| **value == 1.0)
            .map(|(at, _)| at)
            .collect();
        assert_eq!(white.first(), Some(&(39, 9)));
        assert_eq!(white.last(), Some(&(60, 60)));
        let whole = before(&slice, [-1000.0, 40.0], &Preprocess::default(), 100).unwrap();
        assert!(whole.iter().all(|value| *value < 1.0));
    }

    #[test]
    fn outlines_of_any_place_stay_in_the_image() {
        for (top, bottom, left, right) in [(0, 0, 0, 0), (3, 3, 3, 3), (0, 4, 0, 4), (4, 4, 4, 4), (2, 1, 0, 9)] {
            let mut image = Array2::zeros((4, 4));
            outline(image.view_mut(), [top, bottom], [left, right]);
        }
    }
}
