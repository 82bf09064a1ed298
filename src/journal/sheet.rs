//! Many grey images on one sheet, as a PNG.

use std::{
    io::{Cursor, Write as _},
    path::Path,
};

use image::{GrayImage, ImageFormat, Luma};
use ndarray::{Array2, ArrayView2};

use super::JournalError;
use crate::tables::atomic_write;

/// Pixels between images and around them.
const GAP: usize = 2;
/// Of the gaps and of places without an image.
const WHITE: Luma<u8> = Luma([255]);
/// An image's longer side is at least so many pixels on the sheet; 64 x 64 can hardly be made out.
const LONGER_SIDE: usize = 128;
/// Width of a frame, and length of the pieces of a broken one.
const FRAME: usize = 4;
const PIECE: usize = 10;

/// Images of one size, row after row, white between them. Small ones are enlarged by a whole number, pixel by pixel, so
/// that nothing is smoothed.
///
/// ```
/// use hounsfield::journal::Sheet;
/// let mut sheet = Sheet::new(2);
/// for grey in [-1.0, 0.0, 1.0] {
///     sheet.push(ndarray::Array2::from_elem((64, 64), grey).view())?;
/// }
/// let png = image::load_from_memory(&sheet.png()?)?;
/// assert_eq!((png.width(), png.height()), (2 + 2 * (128 + 2), 2 + 2 * (128 + 2)));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
pub struct Sheet {
    columns: usize,
    images: Vec<(Array2<u8>, Frame)>,
}

/// What is drawn over the edge of an image, to tell images of one kind from those of another.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Frame {
    /// Nothing.
    #[default]
    None,
    /// A white line.
    Solid,
    /// A line of white and black pieces.
    Broken,
}

impl Sheet {
    /// A sheet with so many images a row (0 is taken as 1).
    pub fn new(columns: usize) -> Self {
        Self {
            columns: columns.max(1),
            images: Vec::new(),
        }
    }

    /// Puts an image into the next place. Values beyond the range are shown as its ends, NaN as black.
    ///
    /// # Shapes
    ///
    /// - `image`: `[H, W]` in `[-1, 1]`, black to white, of the first image's size
    ///
    /// # Errors
    ///
    /// [`JournalError::Sizes`], [`JournalError::NoPixels`].
    pub fn push(&mut self, image: ArrayView2<'_, f32>) -> Result<(), JournalError> {
        self.push_framed(image, Frame::None)
    }

    /// [`push`](Self::push) with a frame, which hides the edge of the image.
    ///
    /// # Errors
    ///
    /// As [`push`](Self::push).
    pub fn push_framed(&mut self, image: ArrayView2<'_, f32>, frame: Frame) -> Result<(), JournalError> {
        let found = image.dim();
        if image.is_empty() {
            return Err(JournalError::NoPixels { found });
        }
        let expected = self.images.first().map_or(found, |(first, _)| first.dim());
        if found != expected {
            return Err(JournalError::Sizes { found, expected });
        }
        // `as` takes what lies outside of a byte to its ends, and NaN to 0.
        let grey = image.mapv(|value| (127.5 * (value + 1.0)).round() as u8);
        self.images.push((grey, frame));
        Ok(())
    }

    /// The sheet as an 8-bit grey PNG.
    ///
    /// # Errors
    ///
    /// [`JournalError::EmptySheet`].
    pub fn png(&self) -> Result<Vec<u8>, JournalError> {
        Ok(encode(&self.picture()?))
    }

    /// Writes [`png`](Self::png) to a file.
    ///
    /// # Errors
    ///
    /// [`JournalError::EmptySheet`], [`JournalError::Write`].
    pub fn save(&self, path: &Path) -> Result<(), JournalError> {
        let png = self.png()?;
        Ok(atomic_write(path, |file| file.write_all(&png))?)
    }

    pub(super) fn picture(&self) -> Result<GrayImage, JournalError> {
        let (height, width) = self.images.first().ok_or(JournalError::EmptySheet)?.0.dim();
        let scale = LONGER_SIDE.div_ceil(height.max(width));
        let columns = self.columns.min(self.images.len());
        let rows = self.images.len().div_ceil(columns);
        let (pitch_y, pitch_x) = (scale * height + GAP, scale * width + GAP);
        let size = |count: usize, pitch: usize| (GAP + count * pitch) as u32;
        let mut picture = GrayImage::from_pixel(size(columns, pitch_x), size(rows, pitch_y), WHITE);
        for (place, (image, frame)) in self.images.iter().enumerate() {
            let (top, left) = (GAP + place / columns * pitch_y, GAP + place % columns * pitch_x);
            let (drawn_height, drawn_width) = (scale * height, scale * width);
            for y in 0..drawn_height {
                for x in 0..drawn_width {
                    let to_edge = x.min(y).min(drawn_width - 1 - x).min(drawn_height - 1 - y);
                    let grey = match frame {
                        Frame::Solid if to_edge < FRAME => 255,
                        Frame::Broken if to_edge < FRAME => 255 * ((x + y) / PIECE % 2) as u8,
                        _ => image[[y / scale, x / scale]],
                    };
                    picture.put_pixel((left + x) as u32, (top + y) as u32, Luma([grey]));
                }
            }
        }
        Ok(picture)
    }
}

pub(super) fn encode(picture: &GrayImage) -> Vec<u8> {
    let mut png = Cursor::new(Vec::new());
    picture
        .write_to(&mut png, ImageFormat::Png)
        .expect("a picture with pixels is encoded into memory");
    png.into_inner()
}

#[cfg(test)]
mod tests {
    use ndarray::array;

    use super::*;

    #[test]
    fn the_png_has_the_images_in_order_enlarged_and_white_between_them() {
        let mut sheet = Sheet::new(2);
        for shift in [0.0, 0.5, -0.25] {
            sheet
                .push(array![[-1.0, 0.0, 0.5]].mapv(|grey| grey + shift).view())
                .unwrap();
        }
        let png = image::load_from_memory(&sheet.png().unwrap()).unwrap();
        let (scale, gap) = (43, 2); // 3 pixels become 129, the first multiple that reaches 128.
        assert_eq!(png.color(), image::ColorType::L8);
        let png = png.into_luma8();
        assert_eq!(png.dimensions(), (gap + 2 * (3 * scale + gap), gap + 2 * (scale + gap)));
        let grey = |row: u32, column: u32, pixel: u32| {
            let (x, y) = (
                gap + column * (3 * scale + gap) + pixel * scale,
                gap + row * (scale + gap),
            );
            let corners = [(x, y), (x + scale - 1, y + scale - 1)].map(|(x, y)| png.get_pixel(x, y).0[0]);
            assert_eq!(corners[0], corners[1], "a pixel is one square");
            corners[0]
        };
        assert_eq!([grey(0, 0, 0), grey(0, 0, 1), grey(0, 0, 2)], [0, 128, 191]);
        assert_eq!([grey(0, 1, 0), grey(0, 1, 2), grey(1, 0, 0)], [64, 255, 0]);
        assert_eq!(grey(1, 1, 0), 255, "the last place is empty");
        assert_eq!(png.get_pixel(gap + 3 * scale, gap).0[0], 255, "the gap is white");
    }

    #[test]
    fn large_images_stay_as_they_are_and_few_take_no_room_for_more() {
        let mut sheet = Sheet::new(8);
        sheet.push(Array2::from_elem((130, 100), f32::NAN).view()).unwrap();
        let picture = sheet.picture().unwrap();
        assert_eq!(picture.dimensions(), (104, 134));
        assert_eq!(picture.get_pixel(50, 50).0[0], 0);
    }

    #[test]
    fn frames_lie_over_the_edges_of_their_images_only() {
        let mut sheet = Sheet::new(3);
        for frame in [Frame::None, Frame::Solid, Frame::Broken] {
            sheet.push_framed(Array2::zeros((128, 128)).view(), frame).unwrap();
        }
        let picture = sheet.picture().unwrap();
        let edge = |place: usize| -> Vec<u8> {
            let left = (GAP + place * (128 + GAP)) as u32;
            (0..128)
                .map(|x| picture.get_pixel(left + x, (GAP + FRAME) as u32 - 1).0[0])
                .collect()
        };
        assert_eq!(edge(0), [128; 128]);
        assert_eq!(edge(1), [255; 128]);
        assert!(edge(2).contains(&0) && edge(2).contains(&255) && !edge(2).contains(&128));
        for place in 0..3 {
            let inside = picture.get_pixel((GAP + place * (128 + GAP) + FRAME) as u32, (GAP + FRAME) as u32);
            assert_eq!(inside.0[0], 128);
        }
    }

    #[test]
    fn what_is_no_sheet_is_refused() {
        let mut sheet = Sheet::new(0);
        assert!(matches!(sheet.png(), Err(JournalError::EmptySheet)));
        let none = sheet.push(Array2::zeros((0, 4)).view());
        assert!(matches!(none, Err(JournalError::NoPixels { found: (0, 4) })));
        sheet.push(Array2::zeros((4, 4)).view()).unwrap();
        let other = sheet.push(Array2::zeros((4, 5)).view()).unwrap_err();
        assert!(
            other
                .to_string()
                .starts_with("an image of 4 x 5 pixels on a sheet of 4 x 4"),
            "{other}"
        );
    }

    #[test]
    fn what_was_saved_is_the_png() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("samples.png");
        let mut sheet = Sheet::new(1);
        sheet.push(array![[0.5]].view()).unwrap();
        sheet.save(&path).unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), sheet.png().unwrap());
    }
}
