//! Slices to network input: what is fixed, named and travels with the features, and what training changes at random.

mod augment;
mod preprocess;
mod resample;

pub use self::{
    augment::{Augment, AugmentError, Blur, Crop, Erase, Geometry, Noise, Rectangle, gaussian_blur},
    preprocess::{Cropping, Preprocess, PreprocessError, Song2020, Squaring, Standard, Window, Windows},
    resample::resample,
};
