//! Slices and scans to network input: what is fixed, named and travels with the weights, and what training changes at random.

mod augment;
mod augment_scan;
mod preprocess;
mod resample;
mod scan;

pub use self::{
    augment::{Augment, AugmentError, Blur, Crop, Erase, Geometry, Noise, Rectangle, gaussian_blur},
    augment_scan::ScanAugment,
    preprocess::{Cropping, Preprocess, PreprocessError, Song2020, Squaring, Standard, Window, Windows},
    resample::resample,
    scan::{AIR, Fit, ScanInput, ScanInputError},
};
