//! A folder of photographs as the published encoders take them: centre square, bicubic, `[-1, 1]`, three planes.

use std::{fs, io, panic, path::Path};

use image::{ImageReader, Limits, RgbImage, imageops};
use tch::{Kind, Tensor};

use super::super::TorchError;

/// No side may be longer: a bomb starts beyond.
const MAX_SIDE: u32 = 16_384;

/// Pictures of a folder.
#[derive(Debug)]
pub(super) struct Photographs {
    /// `[N, 3, S, S]` in `[-1, 1]`.
    pub pixels: Tensor,
    /// Files that are no pictures.
    pub failed: usize,
}

/// Reads up to `most` pictures, in the order of their names.
pub(super) fn read(folder: &Path, size: usize, most: usize) -> Result<Photographs, TorchError> {
    let unlisted = |source| TorchError::Folder {
        source,
        path: folder.to_owned(),
    };
    let entries = fs::read_dir(folder).map_err(unlisted)?;
    let mut files = entries
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<io::Result<Vec<_>>>()
        .map_err(unlisted)?;
    files.retain(|path| path.is_file());
    files.sort();
    let (mut pixels, mut failed) = (Vec::new(), 0);
    for path in &files {
        if pixels.len() == most {
            break;
        }
        match decode(path) {
            Ok(picture) => pixels.push(planes(&picture, size)?),
            Err(reason) => {
                failed += 1;
                tracing::warn!("no photograph ({reason}): {}", path.display());
            }
        }
    }
    if pixels.is_empty() {
        return Err(TorchError::NoPhotograph {
            tried: files.len(),
            path: folder.to_owned(),
        });
    }
    Ok(Photographs {
        pixels: Tensor::f_stack(&pixels, 0)?,
        failed,
    })
}

fn decode(path: &Path) -> Result<RgbImage, String> {
    // A panic in a decoder must not end the whole.
    let decoded = panic::catch_unwind(|| {
        let mut limits = Limits::default();
        (limits.max_image_width, limits.max_image_height) = (Some(MAX_SIDE), Some(MAX_SIDE));
        let mut reader = ImageReader::open(path)?.with_guessed_format()?;
        reader.limits(limits);
        reader.decode()
    });
    match decoded {
        Ok(Ok(picture)) if picture.width() > 0 && picture.height() > 0 => Ok(picture.to_rgb8()),
        Ok(Ok(_)) => Err("it has no pixels".to_owned()),
        Ok(Err(error)) => Err(error.to_string()),
        Err(_) => Err("the decoder failed".to_owned()),
    }
}

/// `[3, S, S]`, as the module's own notebook prepares pictures.
fn planes(picture: &RgbImage, size: usize) -> Result<Tensor, TorchError> {
    let (width, height) = picture.dimensions();
    let side = width.min(height);
    let square = imageops::crop_imm(picture, (width - side) / 2, (height - side) / 2, side, side).to_image();
    let s = size as u32; // at most 4096
    let scaled = imageops::resize(&square, s, s, imageops::FilterType::CatmullRom);
    let rows = Tensor::f_from_data_size(scaled.as_raw(), &[size as i64, size as i64, 3], Kind::Uint8)?;
    Ok(rows.permute([2, 0, 1]).to_kind(Kind::Float) / 127.5 - 1.0)
}

#[cfg(test)]
mod tests {
    use image::Rgb;

    use super::*;

    #[test]
    fn the_centre_is_kept_and_white_is_one() {
        let folder = tempfile::tempdir().unwrap();
        let picture = RgbImage::from_fn(96, 32, |x, _| match x {
            32..64 => Rgb([255, 0, 255]),
            _ => Rgb([0, 255, 0]),
        });
        picture.save(folder.path().join("b.png")).unwrap();
        fs::write(folder.path().join("a.txt"), "no picture").unwrap();
        let photographs = read(folder.path(), 64, 10).unwrap();
        assert_eq!(photographs.failed, 1);
        assert_eq!(photographs.pixels.size(), [1, 3, 64, 64]);
        let planes = photographs.pixels.mean_dim([0i64, 2, 3].as_slice(), false, None);
        for (plane, expected) in [1.0, -1.0, 1.0].into_iter().enumerate() {
            let found = planes.double_value(&[plane as i64]);
            assert!((found - expected).abs() < 1e-6, "plane {plane} is {found}");
        }
    }

    #[test]
    fn a_folder_without_pictures_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("a.txt"), "no picture").unwrap();
        let error = read(folder.path(), 64, 10).unwrap_err();
        assert!(matches!(error, TorchError::NoPhotograph { tried: 1, .. }), "{error}");
        assert!(matches!(
            read(&folder.path().join("none"), 64, 10),
            Err(TorchError::Folder { .. })
        ));
    }
}
