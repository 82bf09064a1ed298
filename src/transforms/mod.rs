//! Slices and scans to network input: what is fixed, named and travels with the weights, and what training changes at random.

mod augment;
mod augment_scan;
mod preprocess;
mod preset;
mod resample;
mod scan;

pub use self::{
    augment::{Augment, AugmentError, Blur, Crop, Erase, Geometry, Noise, Rectangle, gaussian_blur},
    augment_scan::{ScanAugment, ScanChange, ScanShapeError},
    preprocess::{Cropping, Preprocess, PreprocessError, Song2020, Squaring, Standard, Window, Windows},
    resample::resample,
    scan::{AIR, Fit, ScanInput, ScanInputError},
};

#[cfg(feature = "torch")]
pub(crate) use self::{
    augment::kernel as gaussian_kernel,
    augment_scan::{
        affine::{Affine, Move},
        apply::noise as scan_noise,
    },
};
