//! Heat over a scan: three planes through the hottest place and a row of axial slices, as one picture.
//!
//! Planes lie as people look at CT: axial from the feet, the front up and the patient's left on the right; coronal from the
//! front, the head up; sagittal from the patient's left, the head up and the front on the left. Letters at the edges say so.

use std::io::Cursor;

use image::{ImageFormat, Rgb, RgbImage};
use ndarray::{ArrayView3, Axis};

use super::ExplainError;
use crate::{ct::HuWindow, transforms::resample};

/// Pixels of a plane's frame; the longest axis of the scan fills it.
const PLANE: usize = 256;
/// Pixels between frames.
const GAP: usize = 4;
/// Axial slices in a row.
const COLUMNS: usize = 4;
/// Width of the bar of colours.
const BAR: usize = 16;
/// How much of the grey the hottest colour hides.
const OPAQUE: f32 = 0.75;
/// Grey beneath the colours of the bar.
const BENEATH: f32 = 96.0;
/// Length of the lines at the edges that say where the other planes lie.
const TICK: usize = 12;
/// What is denser than this is taken for a part of the body when slices are chosen.
const BODY_HU: i16 = -500;

/// How numbers become colours. Cold places show the scan alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Colours {
    /// From 0 to 1, of what has no sign: the upper part of Matplotlib's `inferno`, whose lightness only rises.
    Heat,
    /// Of what has a sign, up to the largest without it: blue below 0, orange above, which those see too who don't tell red from
    /// green (Okabe and Ito, <https://jfly.uni-koeln.de/color/>).
    Signed,
}

/// A scan and what is drawn over it.
///
/// ```
/// use hounsfield::{ct::HuWindow, explain::{Colours, Overlay}};
/// let scan = ndarray::Array3::from_elem((16, 16, 16), -800);
/// let mut heat = ndarray::Array3::zeros((16, 16, 16));
/// heat[[4, 8, 12]] = 1.0;
/// let overlay = Overlay {
///     scan: scan.view(),
///     heat: heat.view(),
///     window: HuWindow { center: -600.0, width: 1500.0 },
///     colours: Colours::Heat,
///     slices: 8,
/// };
/// assert_eq!(overlay.peak(), [4, 8, 12]);
/// let png = image::load_from_memory(&overlay.png()?)?;
/// assert_eq!(png.width(), 3 * 256 + 3 * 4 + 16);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, Copy)]
pub struct Overlay<'a> {
    /// `[D, H, W]` HU: D from head to feet, H from front to back, W from the patient's right to the left; voxels are cubes.
    pub scan: ArrayView3<'a, i16>,
    /// `[D, H, W]`, voxel by voxel; what is not finite counts as cold.
    pub heat: ArrayView3<'a, f32>,
    /// The window of the grey.
    pub window: HuWindow,
    /// How heat is coloured.
    pub colours: Colours,
    /// Axial slices below the planes, evenly spread over the body.
    pub slices: usize,
}

/// A cut through a scan: the axis it is across, the index there, and what its edges are called, from the left clockwise.
struct Plane {
    across: usize,
    sides: [usize; 2],
    letters: [char; 4],
}

const PLANES: [Plane; 3] = [
    Plane {
        across: 0,
        sides: [1, 2],
        letters: ['R', 'A', 'L', 'P'],
    },
    Plane {
        across: 1,
        sides: [0, 2],
        letters: ['R', 'H', 'L', 'F'],
    },
    Plane {
        across: 2,
        sides: [0, 1],
        letters: ['A', 'H', 'P', 'F'],
    },
];

impl Overlay<'_> {
    /// Where the heat is largest, sign aside: `[D, H, W]`. The middle of the scan where all is cold.
    pub fn peak(&self) -> [usize; 3] {
        let mut peak = <[usize; 3]>::from(self.scan.dim()).map(|length| length / 2);
        let mut most = 0.0;
        for ((d, h, w), value) in self.heat.indexed_iter() {
            if value.is_finite() && value.abs() > most {
                (peak, most) = ([d, h, w], value.abs());
            }
        }
        peak
    }

    /// The largest heat, sign aside: what the strongest colour stands for. 1 for [`Colours::Heat`].
    pub fn most(&self) -> f32 {
        let largest = |most: f32, value: &f32| {
            if value.is_finite() { most.max(value.abs()) } else { most }
        };
        match self.colours {
            Colours::Heat => 1.0,
            Colours::Signed => self.heat.iter().fold(0.0, largest),
        }
    }

    /// Numbers of the axial slices below the planes, from the head.
    pub fn axial(&self) -> Vec<usize> {
        let depth = self.scan.len_of(Axis(0));
        let is_body = |at: &usize| self.scan.index_axis(Axis(0), *at).iter().any(|hu| *hu > BODY_HU);
        let first = (0..depth).find(is_body).unwrap_or(0);
        let end = (0..depth).rfind(is_body).map_or(depth, |last| last + 1);
        let slices = self.slices.min(end - first);
        let middle = |at: usize| first + (2 * at + 1) * (end - first) / (2 * slices);
        (0..slices).map(middle).collect()
    }

    /// The picture as an 8-bit PNG in colour: the planes without heat, the planes with it, axial slices with it; at the right the
    /// colours, cold at the bottom.
    ///
    /// # Errors
    ///
    /// [`ExplainError::Heat`] where scan and heat differ in size or are empty.
    pub fn png(&self) -> Result<Vec<u8>, ExplainError> {
        if self.scan.dim() != self.heat.dim() || self.scan.is_empty() {
            return Err(ExplainError::Heat {
                scan: self.scan.dim().into(),
                heat: self.heat.dim().into(),
            });
        }
        let (peak, most, axial) = (self.peak(), self.most(), self.axial());
        let width = 3 * PLANE + 2 * GAP;
        let small = (width - (COLUMNS - 1) * GAP) / COLUMNS;
        let rows = axial.len().div_ceil(COLUMNS);
        let height = 2 * PLANE + GAP + rows * (small + GAP);
        let mut picture = RgbImage::new((width + GAP + BAR) as u32, height as u32);
        for (column, plane) in PLANES.iter().enumerate() {
            for hot in [false, true] {
                let corner = [usize::from(hot) * (PLANE + GAP), column * (PLANE + GAP)];
                let cut = self.cut(plane, peak[plane.across], PLANE, hot.then_some(most));
                let inner = paste(&mut picture, &cut, corner, PLANE);
                let length = |side: usize| self.scan.len_of(Axis(plane.sides[side]));
                for side in [0, 1] {
                    let pixels = [cut.height() as usize, cut.width() as usize][side];
                    let at = (2 * peak[plane.sides[side]] + 1) * pixels / (2 * length(side));
                    ticks(&mut picture, corner, side, inner[side] + at);
                }
                if !hot {
                    letters(&mut picture, corner, plane.letters);
                }
            }
        }
        for (place, at) in axial.into_iter().enumerate() {
            let cut = self.cut(&PLANES[0], at, small, Some(most));
            let top = 2 * (PLANE + GAP) + place / COLUMNS * (small + GAP);
            paste(&mut picture, &cut, [top, place % COLUMNS * (small + GAP)], small);
        }
        self.bar(&mut picture, width + GAP);
        Ok(encode(&picture))
    }

    /// One cut, its longest possible side being `pixels` long; with heat where the strongest colour is given.
    fn cut(&self, plane: &Plane, at: usize, pixels: usize, most: Option<f32>) -> RgbImage {
        let longest = self.scan.shape().iter().copied().max().unwrap_or(1);
        let [height, width] = plane
            .sides
            .map(|side| (self.scan.len_of(Axis(side)) * pixels / longest).max(1));
        let grey = self.scan.index_axis(Axis(plane.across), at);
        let grey = grey.mapv(|hu| 255.0 * self.window.normalize(f32::from(hu)));
        let grey = resample(grey.view(), (height, width));
        let heat = most.map(|most| {
            let scaled = |value: f32| {
                if value.is_finite() && most > 0.0 {
                    value / most
                } else {
                    0.0
                }
            };
            let heat = self.heat.index_axis(Axis(plane.across), at).mapv(scaled);
            resample(heat.view(), (height, width))
        });
        RgbImage::from_fn(width as u32, height as u32, |x, y| {
            let place = [y as usize, x as usize];
            self.colours
                .over(grey[place], heat.as_ref().map_or(0.0, |heat| heat[place]))
        })
    }

    /// The colours from the coldest at the bottom to the hottest, over one grey.
    fn bar(&self, picture: &mut RgbImage, left: usize) {
        let height = picture.height() as usize;
        for y in 0..height {
            let share = 1.0 - y as f32 / (height - 1).max(1) as f32;
            let heat = match self.colours {
                Colours::Heat => share,
                Colours::Signed => 2.0 * share - 1.0,
            };
            for x in left..left + BAR {
                picture.put_pixel(x as u32, y as u32, self.colours.over(BENEATH, heat));
            }
        }
    }
}

impl Colours {
    /// A grey from 0 to 255 under a heat from -1 to 1.
    fn over(self, grey: f32, heat: f32) -> Rgb<u8> {
        // Every eighth colour of Matplotlib's `inferno`, whose first quarter can't be told from a dark scan.
        const INFERNO: [[f32; 3]; 7] = [
            [85.0, 15.0, 109.0],
            [136.0, 34.0, 106.0],
            [186.0, 54.0, 85.0],
            [227.0, 89.0, 51.0],
            [249.0, 140.0, 10.0],
            [249.0, 201.0, 50.0],
            [252.0, 255.0, 164.0],
        ];
        const ORANGE: [f32; 3] = [230.0, 120.0, 0.0];
        const BLUE: [f32; 3] = [86.0, 180.0, 233.0];
        let strength = heat.abs().min(1.0);
        let colour = match self {
            Self::Heat if heat <= 0.0 => INFERNO[0],
            Self::Heat => {
                let place = strength * (INFERNO.len() - 1) as f32;
                let low = (place as usize).min(INFERNO.len() - 2);
                let part = place - low as f32;
                [0, 1, 2].map(|plane| (1.0 - part) * INFERNO[low][plane] + part * INFERNO[low + 1][plane])
            }
            Self::Signed if heat < 0.0 => BLUE,
            Self::Signed => ORANGE,
        };
        let hidden = match self {
            Self::Heat if heat <= 0.0 => 0.0,
            _ => OPAQUE * strength,
        };
        // `as` takes what lies outside of a byte to its ends.
        Rgb(colour.map(|colour| ((1.0 - hidden) * grey + hidden * colour).round() as u8))
    }
}

/// Puts a cut into the middle of a square frame; gives its corner `[y, x]` in the frame.
fn paste(picture: &mut RgbImage, cut: &RgbImage, [top, left]: [usize; 2], side: usize) -> [usize; 2] {
    let inner = [cut.height(), cut.width()].map(|length| side.saturating_sub(length as usize) / 2);
    for (x, y, pixel) in cut.enumerate_pixels() {
        let (x, y) = (left + inner[1] + x as usize, top + inner[0] + y as usize);
        picture.put_pixel(x as u32, y as u32, *pixel);
    }
    inner
}

/// Lines at two opposite edges of a plane's frame: at a row (side 0) or a column (side 1).
fn ticks(picture: &mut RgbImage, [top, left]: [usize; 2], side: usize, at: usize) {
    for along in (0..TICK).chain(PLANE - TICK..PLANE) {
        let (y, x) = if side == 0 { (at, along) } else { (along, at) };
        picture.put_pixel((left + x) as u32, (top + y) as u32, Rgb([255, 255, 255]));
    }
}

/// What the edges of a plane are called: left, top, right, bottom.
fn letters(picture: &mut RgbImage, [top, left]: [usize; 2], letters: [char; 4]) {
    let (height, width) = (2 * GLYPH_ROWS, 2 * GLYPH_COLUMNS);
    let (y, x) = ((PLANE - height) / 2, (PLANE - width) / 2);
    let places = [
        [y, EDGE],
        [EDGE, x],
        [y, PLANE - width - EDGE],
        [PLANE - height - EDGE, x],
    ];
    for (letter, [y, x]) in letters.into_iter().zip(places) {
        write(picture, letter, [top + y, left + x]);
    }
}

/// Pixels around a letter.
const EDGE: usize = 3;
const GLYPH_ROWS: usize = 7;
const GLYPH_COLUMNS: usize = 5;

/// Rows of a letter from the top, its columns from the highest of five bits.
fn glyph(letter: char) -> [u8; GLYPH_ROWS] {
    match letter {
        'A' => [0b01110, 0b10001, 0b10001, 0b11111, 0b10001, 0b10001, 0b10001],
        'F' => [0b11111, 0b10000, 0b10000, 0b11110, 0b10000, 0b10000, 0b10000],
        'H' => [0b10001, 0b10001, 0b10001, 0b11111, 0b10001, 0b10001, 0b10001],
        'L' => [0b10000, 0b10000, 0b10000, 0b10000, 0b10000, 0b10000, 0b11111],
        'P' => [0b11110, 0b10001, 0b10001, 0b11110, 0b10000, 0b10000, 0b10000],
        'R' => [0b11110, 0b10001, 0b10001, 0b11110, 0b10100, 0b10010, 0b10001],
        _ => [0; GLYPH_ROWS],
    }
}

/// A white letter, twice its size, with a black edge around it.
fn write(picture: &mut RgbImage, letter: char, [top, left]: [usize; 2]) {
    for y in top - EDGE..top + 2 * GLYPH_ROWS + EDGE {
        for x in left - EDGE..left + 2 * GLYPH_COLUMNS + EDGE {
            picture.put_pixel(x as u32, y as u32, Rgb([0; 3]));
        }
    }
    for (row, bits) in glyph(letter).into_iter().enumerate() {
        for column in 0..GLYPH_COLUMNS {
            let white = bits >> (GLYPH_COLUMNS - 1 - column) & 1 == 1;
            for (y, x) in [(0, 0), (0, 1), (1, 0), (1, 1)] {
                let (y, x) = (top + 2 * row + y, left + 2 * column + x);
                picture.put_pixel(x as u32, y as u32, Rgb([if white { 255 } else { 0 }; 3]));
            }
        }
    }
}

fn encode(picture: &RgbImage) -> Vec<u8> {
    let mut png = Cursor::new(Vec::new());
    picture
        .write_to(&mut png, ImageFormat::Png)
        .expect("a picture with pixels is encoded into memory");
    png.into_inner()
}

#[cfg(test)]
mod tests {
    use ndarray::{Array3, ArrayView3};

    use super::*;

    const LUNG: HuWindow = HuWindow {
        center: -600.0,
        width: 1500.0,
    };

    fn overlay<'a>(scan: &'a Array3<i16>, heat: ArrayView3<'a, f32>, colours: Colours) -> Overlay<'a> {
        Overlay {
            scan: scan.view(),
            heat,
            window: LUNG,
            colours,
            slices: 8,
        }
    }

    fn picture(overlay: &Overlay) -> RgbImage {
        image::load_from_memory(&overlay.png().unwrap()).unwrap().into_rgb8()
    }

    /// The middle of the pixels of a colour that is no grey, in a frame.
    fn coloured(picture: &RgbImage, corner: [usize; 2], side: usize) -> Option<[usize; 2]> {
        let (mut sum, mut n) = ([0, 0], 0);
        for y in 0..side {
            for x in 0..side {
                let [r, g, b] = picture.get_pixel((corner[1] + x) as u32, (corner[0] + y) as u32).0;
                if r.abs_diff(b) > 20 || r.abs_diff(g) > 20 {
                    (sum, n) = ([sum[0] + y, sum[1] + x], n + 1);
                }
            }
        }
        (n > 0).then(|| sum.map(|sum| sum / n))
    }

    /// A hot voxel near the head, the front and the patient's right is up and left wherever the plane shows these.
    #[test]
    fn planes_lie_as_people_look_at_ct() {
        let scan = Array3::from_elem((32, 32, 32), -600);
        let mut heat = Array3::zeros((32, 32, 32));
        heat[[4, 6, 8]] = 1.0;
        let picture = picture(&overlay(&scan, heat.view(), Colours::Heat));
        // A voxel is 8 pixels long.
        for (column, [y, x]) in [[6, 8], [4, 8], [4, 6]].into_iter().enumerate() {
            let found = coloured(&picture, [PLANE + GAP, column * (PLANE + GAP)], PLANE).unwrap();
            let expected = [8 * y + 4, 8 * x + 4];
            let near = |at: usize| found[at].abs_diff(expected[at]) <= 2;
            assert!(near(0) && near(1), "plane {column}: {found:?}, expected {expected:?}");
            assert_eq!(coloured(&picture, [0, column * (PLANE + GAP)], PLANE), None);
        }
    }

    #[test]
    fn proportions_are_the_bodys() {
        let scan = Array3::from_elem((10, 20, 40), 1000);
        let heat = Array3::zeros((10, 20, 40));
        let overlay = overlay(&scan, heat.view(), Colours::Heat);
        let sizes = PLANES.map(|plane| {
            let cut = overlay.cut(&plane, 0, PLANE, None);
            (cut.height(), cut.width())
        });
        assert_eq!(sizes, [(128, 256), (64, 256), (64, 128)]);
        let picture = picture(&overlay);
        assert_eq!(picture.get_pixel(100, 30).0, [0; 3], "above the axial plane");
        assert_eq!(picture.get_pixel(100, 128).0, [255; 3], "in it");
    }

    #[test]
    fn signs_have_colours_of_their_own_and_the_strongest_is_the_largest() {
        let scan = Array3::from_elem((8, 8, 8), -600);
        let mut heat = Array3::zeros((8, 8, 8));
        heat[[4, 4, 1]] = -0.5;
        heat[[4, 4, 6]] = 0.25;
        let overlay = overlay(&scan, heat.view(), Colours::Signed);
        assert_eq!((overlay.peak(), overlay.most()), ([4, 4, 1], 0.5));
        let picture = picture(&overlay);
        let pixel = |x: u32| picture.get_pixel(x, (PLANE + GAP + 144) as u32).0;
        let (blue, orange) = (pixel(48), pixel(208));
        assert!(blue[2] > blue[0] && orange[0] > orange[2], "{blue:?} {orange:?}");
        assert!(blue[2] - blue[0] > orange[0] - orange[2] || orange[0] < 230);
        // Half way up the bar there is no colour.
        let middle = picture.get_pixel(picture.width() - 1, picture.height() / 2).0;
        assert!(middle[0].abs_diff(middle[2]) < 3, "{middle:?}");
    }

    #[test]
    fn what_is_cold_or_no_number_shows_the_scan_alone() {
        let scan = Array3::from_shape_fn((9, 9, 9), |(d, h, w)| (d * 100 + h * 10 + w) as i16 - 900);
        for cold in [0.0, f32::NAN, f32::INFINITY] {
            let heat = Array3::from_elem((9, 9, 9), cold);
            for colours in [Colours::Heat, Colours::Signed] {
                let overlay = overlay(&scan, heat.view(), colours);
                assert_eq!(overlay.peak(), [4, 4, 4]);
                assert_eq!(coloured(&picture(&overlay), [PLANE + GAP, 0], PLANE), None);
            }
        }
    }

    #[test]
    fn slices_are_spread_over_the_body_and_not_over_the_air_around_it() {
        let mut scan = Array3::from_elem((40, 4, 4), -1024);
        scan.slice_mut(ndarray::s![10..26, .., ..]).fill(40);
        let heat = Array3::zeros((40, 4, 4));
        let overlay = overlay(&scan, heat.view(), Colours::Heat);
        assert_eq!(overlay.axial(), [11, 13, 15, 17, 19, 21, 23, 25]);
        let few = Overlay { slices: 100, ..overlay };
        assert_eq!(few.axial().len(), 16);
        let none = Overlay { slices: 0, ..overlay };
        assert_eq!(none.axial(), [0; 0]);
        assert!(none.png().is_ok());
    }

    #[test]
    fn heat_of_another_scan_is_refused() {
        let scan = Array3::from_elem((4, 4, 4), 0);
        let heat = Array3::zeros((4, 4, 5));
        let said = overlay(&scan, heat.view(), Colours::Heat)
            .png()
            .unwrap_err()
            .to_string();
        assert!(said.contains("4 x 4 x 5") && said.contains("4 x 4 x 4"), "{said}");
    }
}
