//! What augmentation does to scans, as a sheet to look at.

use std::path::Path;

use ndarray::{Array2, Array3, ArrayView2, ArrayView3, Axis, s};

use crate::{
    journal::{Frame, JournalError, Sheet},
    recipe::TrainVolume,
    scans::CachedScan,
    seed::stream,
    transforms::{ScanChange, ScanInput},
};

/// Changed scans beside each.
const DRAWS: usize = 5;
/// Axial, coronal and sagittal of the scan as it is; axial and coronal of each draw.
const COLUMNS: usize = 3 + 2 * DRAWS;
/// Around a plane that is smaller than the longest side: the window's lower end.
const BLACK: f32 = -1.0;

/// Draws a line for each scan: in frames the scan as it is (axial, coronal and sagittal middle), then five
/// changes (axial and coronal), which are drawn as in training, but are not those of any step.
///
/// Axial planes are seen from the feet, coronal ones from the front and sagittal ones with the front on the left; the head is on top.
///
/// # Errors
///
/// [`JournalError::EmptySheet`] without scans, [`JournalError::Sizes`] and [`JournalError::NoPixels`] when they are not those of one
/// input, [`JournalError::Write`].
pub fn augmentation(scans: &[CachedScan], recipe: &TrainVolume, path: &Path) -> Result<(), JournalError> {
    let scans: Vec<ArrayView3<'_, i16>> = scans.iter().map(CachedScan::voxels).collect();
    sheet(&scans, recipe)?.save(path)
}

fn sheet(scans: &[ArrayView3<'_, i16>], recipe: &TrainVolume) -> Result<Sheet, JournalError> {
    let mut sheet = Sheet::new(COLUMNS);
    for (number, voxels) in scans.iter().enumerate() {
        let input = ScanInput {
            size: voxels.dim().into(),
            ..recipe.input.clone()
        };
        let changed = |change: ScanChange| change.apply(*voxels, &input).expect("the size is the scan's own");
        let as_it_is = changed(ScanChange::default());
        for axis in 0..3 {
            sheet.push_framed(middle(&as_it_is, axis).view(), Frame::Solid)?;
        }
        for draw in 0..DRAWS {
            let mut rng = stream(recipe.seed, &format!("sheet of augmentation/{number}/{draw}"));
            let drawn = changed(recipe.augment.draw(&mut rng));
            for axis in 0..2 {
                sheet.push(middle(&drawn, axis).view())?;
            }
        }
    }
    Ok(sheet)
}

/// The plane in the middle of an axis, in the middle of a square on which every plane has room.
fn middle(scan: &Array3<f32>, axis: usize) -> Array2<f32> {
    let side = scan.shape().iter().copied().max().unwrap_or(0);
    let plane: ArrayView2<'_, f32> = match scan.is_empty() {
        true => return Array2::zeros((0, 0)),
        false => scan.index_axis(Axis(axis), scan.shape()[axis] / 2),
    };
    let (height, width) = plane.dim();
    let (top, left) = ((side - height) / 2, (side - width) / 2);
    let mut square = Array2::from_elem((side, side), BLACK);
    square
        .slice_mut(s![top..top + height, left..left + width])
        .assign(&plane);
    square
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transforms::ScanAugment;

    fn recipe(augment: ScanAugment) -> TrainVolume {
        let text = "split = { kind = 'holdout', fractions = [0.6, 0.2, 0.2] }\nnetwork = { kind = 'pu-a' }\n[cohort]\n";
        TrainVolume {
            augment,
            ..toml::from_str(text).expect("a recipe")
        }
    }

    #[test]
    fn every_scan_is_a_line_and_none_are_no_sheet() {
        let scan = Array3::from_shape_fn((8, 130, 129), |(d, h, w)| ((d + h + w) % 7 * 200) as i16 - 600);
        let recipe = recipe(ScanAugment::named("pu2020").unwrap());
        for scans in [1, 3] {
            let png = sheet(&vec![scan.view(); scans], &recipe).unwrap().png().unwrap();
            let png = image::load_from_memory(&png).unwrap();
            assert_eq!((png.width(), png.height()), (2 + 13 * 132, 2 + scans as u32 * 132));
        }
        let empty = sheet(&[], &recipe).unwrap().png();
        assert!(matches!(empty, Err(JournalError::EmptySheet)));
    }

    #[test]
    fn without_augmentation_all_draws_are_the_scan() {
        let scan = Array3::from_shape_fn((130, 130, 130), |(d, h, w)| {
            ((d * 3 + h * 5 + w * 7) % 2000) as i16 - 1000
        });
        let sheet = sheet(&[scan.view()], &recipe(ScanAugment::default())).unwrap();
        let png = image::load_from_memory(&sheet.png().unwrap()).unwrap().into_luma8();
        let image = |place: u32| image::imageops::crop_imm(&png, 2 + place * 132 + 5, 2 + 5, 120, 120).to_image();
        assert_eq!(image(3), image(0));
        assert_eq!(image(12), image(1));
        assert_ne!(image(1), image(0));
    }

    #[test]
    fn small_planes_stand_in_the_middle() {
        let scan = Array3::from_elem((2, 4, 6), 0.5);
        let coronal = middle(&scan, 1);
        assert_eq!(coronal.dim(), (6, 6));
        assert_eq!(coronal.slice(s![2..4, ..]).sum(), 6.0);
        assert_eq!(coronal.sum(), 6.0 - 24.0);
    }
}
