//! CT images in physical units. Knows no files and no learning.

mod body;
mod components;
mod hounsfield;
mod id;
mod slice;

pub use self::{
    body::{body_box, lung_fraction},
    hounsfield::{Hu, HuWindow, Rescale, RescaleError},
    id::Pseudonymizer,
    slice::{CtSlice, Pixels},
};
