//! Where the patient is in a slice, and how much of it is lung: thresholds and connected components, no network.
//!
//! Tissue is what lies above -500 HU, about where the iterated threshold between air and tissue of Hu, Hoffman and
//! Reinhardt 2001 ends (IEEE Trans Med Imaging 20:490, section III-A). The body is the largest piece of it with all that it
//! encloses; the scanner's table, clothes and arms that lie apart are other pieces, and thin things that touch the skin
//! are taken off by an opening.

use std::ops::Range;

use ndarray::{Array2, ArrayView2, Zip, s};

use super::{
    Hu,
    components::{Components, runs},
};

/// Between air (-1000) and soft tissue (0).
const TISSUE: Hu = -500.0;

/// Between lung and tissue, inside of the body. Above [`TISSUE`], so that ground-glass opacities (about -700 to -300) and
/// the rim of the lungs count as lung; fat begins at -200.
const LUNG: Hu = -320.0;

/// Gas in the bowel, in the trachea and around the patient is below; of lungs only what emphysema has left empty, as
/// quantitative CT has it.
const GAS: Hu = -950.0;

/// What is below is air and not the rim of something, where voxels hold both.
const AIR: Hu = -700.0;

/// Largest radius of an opening: a side of 12,700 pixels.
const WIDEST: u8 = 127;

/// Pieces of lung that are smaller than this share of the body are not counted: noise, and gas between folds of fat.
const SPECK: f64 = 0.002;

/// The smallest box around the patient in a slice: rows and columns. `None` where there is nobody.
///
/// # Shapes
///
/// - `hu`: `[H, W]` Hounsfield units of any size; what is no number is nobody's
///
/// ```
/// use hounsfield::ct::body_box;
/// let mut hu = ndarray::Array2::from_elem((64, 64), -1000.0);
/// hu.slice_mut(ndarray::s![10..50, 5..60]).fill(40.0);
/// assert_eq!(body_box(hu.view()), Some([10..50, 5..60]));
/// hu.fill(-1000.0);
/// assert_eq!(body_box(hu.view()), None);
/// ```
pub fn body_box(hu: ArrayView2<'_, Hu>) -> Option<[Range<usize>; 2]> {
    let body = body_mask(hu)?;
    let mut rows: Option<Range<usize>> = None;
    let (mut left, mut right) = (usize::MAX, 0);
    for (row, pixels) in body.rows().into_iter().enumerate() {
        let mut set = pixels.iter().enumerate().filter(|(_, set)| **set).map(|(at, _)| at);
        if let Some(first) = set.next() {
            left = left.min(first);
            right = right.max(set.next_back().unwrap_or(first) + 1);
            rows = Some(rows.map_or(row, |rows| rows.start)..row + 1);
        }
    }
    rows.map(|rows| [rows, left..right])
}

/// The share of the body's pixels that are lung, 0 to 1; 0 where there is nobody.
///
/// Lung is what lies below -320 HU inside of the body and is no mere gas, as in the bowel: a piece whose air is below
/// -950 HU for the most part does not count. Where the field of view is smaller than the chest, lungs that it cuts off
/// count.
///
/// # Shapes
///
/// - `hu`: `[H, W]` Hounsfield units of any size; what is no number is neither body nor lung
///
/// ```
/// use hounsfield::ct::lung_fraction;
/// let mut hu = ndarray::Array2::from_elem((64, 64), -1000.0);
/// hu.slice_mut(ndarray::s![10..50, 10..50]).fill(40.0);
/// hu.slice_mut(ndarray::s![20..40, 20..40]).fill(-850.0);
/// assert_eq!(lung_fraction(hu.view()), 0.25);
/// ```
pub fn lung_fraction(hu: ArrayView2<'_, Hu>) -> f32 {
    let Some(body) = body_mask(hu) else { return 0.0 };
    let count = |mask: &Array2<bool>| mask.iter().filter(|set| **set).count();
    (count(&lung_mask(hu, &body)) as f64 / count(&body) as f64) as f32
}

/// What is lung within the body, `[H, W]`.
fn lung_mask(hu: ArrayView2<'_, Hu>, body: &Array2<bool>) -> Array2<bool> {
    let area = body.iter().filter(|inside| **inside).count();
    let air = Zip::from(body)
        .and(hu)
        .map_collect(|inside, value| *inside && *value < LUNG);
    let pieces = Components::of(air.view());
    let (areas, gas) = (pieces.areas(), are_gas(hu, &pieces));
    pieces.mask(hu.dim(), |piece| {
        areas[piece] as f64 >= SPECK * area as f64 && !gas[piece]
    })
}

/// The patient, filled: `[H, W]`, at least one pixel set.
fn body_mask(hu: ArrayView2<'_, Hu>) -> Option<Array2<bool>> {
    let side = hu.nrows().min(hu.ncols());
    // Spacing is not known here. A matrix spans 30 to 50 cm, so that these are about 2 mm and 4 mm to either side.
    let (contact, appendage) = (side / 200, side / 100);
    let tissue = open(hu.mapv(|value| value > TISSUE), contact);
    let filled = fill(hu, &largest(&tissue)?);
    largest(&open(filled, appendage))
}

/// The largest piece of a mask.
fn largest(mask: &Array2<bool>) -> Option<Array2<bool>> {
    let pieces = Components::of(mask.view());
    let largest = pieces.largest()?;
    Some(pieces.mask(mask.dim(), |piece| piece == largest))
}

/// The body with all that is not outside of it: what does not reach the border of the image. Where no gas reaches the
/// border the field of view lies within the chest, and nothing is outside; the mattress is as dense as lung, and so density
/// alone does not tell.
fn fill(hu: ArrayView2<'_, Hu>, body: &Array2<bool>) -> Array2<bool> {
    let (height, width) = body.dim();
    let rest = Components::of(body.mapv(|inside| !inside).view());
    let border = rest.sums(|run| {
        let at_border = run.row == 0 || run.row + 1 == height || run.columns.start == 0 || run.columns.end == width;
        usize::from(at_border)
    });
    let gas = are_gas(hu, &rest);
    let around = border.iter().zip(&gas).any(|(border, gas)| *border > 0 && *gas);
    rest.mask(body.dim(), |piece| around && border[piece] > 0)
        .mapv(|outside| !outside)
}

/// For each piece whether its air is gas for the most part.
fn are_gas(hu: ArrayView2<'_, Hu>, pieces: &Components) -> Vec<bool> {
    let mut counts = vec![[0u32; 2]; pieces.count()];
    for (piece, run) in pieces.runs() {
        let row = hu.row(run.row);
        let [gas, air] = &mut counts[piece];
        for value in row.slice(s![run.columns.clone()]) {
            *gas += u32::from(*value < GAS);
            *air += u32::from(*value < AIR);
        }
    }
    counts.iter().map(|[gas, air]| *gas > 0 && 2 * gas >= *air).collect()
}

/// What is left of a mask by a square of `2 * radius + 1` pixels that fits into it. What lies beyond the image's border
/// counts as more of the same.
fn open(mask: Array2<bool>, radius: usize) -> Array2<bool> {
    let radius = u8::try_from(radius).unwrap_or(WIDEST).min(WIDEST);
    if radius == 0 {
        return mask;
    }
    let eroded = erode(&mask, radius);
    erode(&eroded.mapv(|set| !set), radius).mapv(|set| !set)
}

/// Where all pixels are set within `radius` rows and columns; at most [`WIDEST`].
fn erode(mask: &Array2<bool>, radius: u8) -> Array2<bool> {
    let (height, width) = mask.dim();
    let (full, radius) = (2 * radius, usize::from(radius));
    let mut out = Array2::from_elem((height, width), false);
    // For each column how many pixels are set up to and including this row; small numbers, of which many fit a register.
    let mut down = vec![full; width];
    let mut deep = vec![false; width];
    for row in 0..height + radius {
        match row < height {
            true => down
                .iter_mut()
                .zip(mask.row(row))
                .for_each(|(run, set)| *run = run.saturating_add(1) * u8::from(*set)),
            false => down.iter_mut().for_each(|run| *run = run.saturating_add(1)),
        }
        let Some(center) = row.checked_sub(radius) else {
            continue;
        };
        deep.iter_mut().zip(&down).for_each(|(deep, run)| *deep = *run > full);
        let mut out = out.row_mut(center);
        for run in runs(&deep) {
            let left = if run.start == 0 { 0 } else { run.start + radius };
            let right = if run.end == width {
                width
            } else {
                run.end.saturating_sub(radius)
            };
            if left < right {
                out.slice_mut(s![left..right]).fill(true);
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An ellipse of tissue with two lungs on a table, in air.
    fn chest(size: usize) -> Array2<Hu> {
        let ellipse = |(i, j): (usize, usize), center: [f64; 2], axes: [f64; 2]| {
            let at = [i, j].map(|at| (at as f64 + 0.5) / size as f64);
            let square = |axis: usize| ((at[axis] - center[axis]) / axes[axis]).powi(2);
            square(0) + square(1) < 1.0
        };
        Array2::from_shape_fn((size, size), |at| {
            let lung = [0.33, 0.67].into_iter().any(|x| ellipse(at, [0.5, x], [0.2, 0.13]));
            let table = at.0 * 100 / size == 85;
            match (lung, ellipse(at, [0.5, 0.5], [0.3, 0.4])) {
                (true, _) => -850.0,
                (_, true) => 40.0,
                _ if table => 100.0,
                _ => -1000.0,
            }
        })
    }

    #[test]
    fn the_table_and_air_are_not_the_body_and_lungs_are_of_it() {
        for size in [64, 128, 200, 512] {
            let [rows, columns] = body_box(chest(size).view()).unwrap();
            let share = |at: usize| at as f64 / size as f64;
            assert!(
                (share(rows.start) - 0.2).abs() < 0.03 && (share(rows.end) - 0.8).abs() < 0.03,
                "{rows:?}"
            );
            assert!((share(columns.start) - 0.1).abs() < 0.03 && (share(columns.end) - 0.9).abs() < 0.03);
            let expected = 2.0 * 0.2 * 0.13 / (0.3 * 0.4);
            let found = lung_fraction(chest(size).view());
            assert!(
                (found - expected as f32).abs() < 0.02,
                "{found} at {size}, expected {expected}"
            );
        }
    }

    #[test]
    fn a_table_that_touches_the_skin_is_taken_off() {
        let mut hu = chest(512);
        // A cover two pixels thick around the back, and a rod.
        hu.slice_mut(s![409..412, 20..490]).fill(200.0);
        hu.slice_mut(s![400..512, 256..258]).fill(200.0);
        let [rows, columns] = body_box(hu.view()).unwrap();
        assert!(rows.end <= 415 && columns.start >= 45, "{rows:?} {columns:?}");
    }

    #[test]
    fn lungs_that_the_field_of_view_cuts_off_still_count() {
        let whole = chest(512);
        let cut = whole.slice(s![180..330, 140..372]);
        let lung = cut.iter().filter(|value| **value == -850.0).count() as f32 / cut.len() as f32;
        let found = lung_fraction(cut);
        assert!((found - lung).abs() < 0.02, "{found}, expected {lung}");
        assert_eq!(body_box(cut), Some([0..150, 0..232]));
    }

    #[test]
    fn gas_in_the_bowel_is_no_lung() {
        let belly = chest(256).mapv(|value| if value == -850.0 { -1000.0 } else { value });
        assert_eq!(lung_fraction(belly.view()), 0.0);
        assert_eq!(body_box(belly.view()), body_box(chest(256).view()));
    }

    #[test]
    fn odd_slices_are_answered_too() {
        for dim in [(0, 0), (0, 5), (1, 1), (1, 700), (700, 1), (3, 3)] {
            for value in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, -3000.0, -850.0, 40.0, 3e38] {
                let hu = Array2::from_elem(dim, value);
                let everything = (value > TISSUE && !hu.is_empty()).then_some([0..dim.0, 0..dim.1]);
                assert_eq!(body_box(hu.view()), everything, "{dim:?} of {value}");
                assert_eq!(lung_fraction(hu.view()), 0.0, "{dim:?} of {value}");
            }
        }
    }

    /// The definition: a pixel stays where a square that fits in covers it.
    #[test]
    fn an_opening_is_what_squares_cover() {
        let mut state = 5u32;
        let noise = Array2::from_shape_fn((23, 31), |_| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            state >> 28 != 0
        });
        for radius in [1isize, 2, 40] {
            let get = |mask: &Array2<bool>, i: isize, j: isize| mask.get((i as usize, j as usize)).copied();
            let all = |mask: &Array2<bool>, i: usize, j: usize, missing: bool| {
                let around = |at: usize| at as isize - radius..=at as isize + radius;
                around(i).all(|i| around(j).all(|j| get(mask, i, j) != Some(missing)))
            };
            let eroded = Array2::from_shape_fn(noise.dim(), |(i, j)| all(&noise, i, j, false));
            let expected = Array2::from_shape_fn(noise.dim(), |(i, j)| !all(&eroded, i, j, true));
            assert_eq!(open(noise.clone(), radius as usize), expected, "radius {radius}");
        }
    }
}
