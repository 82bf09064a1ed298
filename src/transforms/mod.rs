//! Slices to network input: what is fixed, named and travels with the features.

mod preprocess;
mod resample;

pub use self::{
    preprocess::{Preprocess, PreprocessError, Song2020, Squaring, Standard, Window},
    resample::resample,
};
