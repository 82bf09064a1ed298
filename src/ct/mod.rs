//! CT images in physical units. Knows no files and no learning.

mod hounsfield;
mod id;
mod slice;

pub use self::{
    hounsfield::{Hu, HuWindow, Rescale, RescaleError},
    id::Pseudonymizer,
    slice::{CtSlice, Pixels},
};
