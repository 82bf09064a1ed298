//! What networks of photographs expect of their pixels: values from 0 to 1, less a mean, over a standard deviation.

use super::EncoderError;

/// ImageNet's mean of red, green and blue, and their standard deviations; those of torchvision's and timm's weights.
pub(super) const IMAGENET: ([f64; 3], [f64; 3]) = ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]);

/// Whether there is a mean and a standard deviation above 0 for each of `planes`.
pub(super) fn check(mean: &[f64], std: &[f64], planes: usize) -> Result<(), EncoderError> {
    if mean.len() != planes || !mean.iter().all(|v| v.is_finite()) {
        return Err(EncoderError::Pixels {
            field: "mean",
            found: mean.to_vec(),
            planes,
            range: "",
        });
    }
    if std.len() != planes || !std.iter().all(|v| v.is_finite() && *v > 0.0) {
        return Err(EncoderError::Pixels {
            field: "std",
            found: std.to_vec(),
            planes,
            range: " above 0",
        });
    }
    Ok(())
}

/// Whether images of `found` rows can be halved or cut into patches as the network does it.
pub(super) fn check_size(found: usize, multiple: usize) -> Result<(), EncoderError> {
    if found.is_multiple_of(multiple) && (multiple..=4096).contains(&found) {
        Ok(())
    } else {
        Err(EncoderError::InputSize { found, multiple })
    }
}
