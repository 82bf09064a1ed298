//! CT images in physical units. Knows no files and no learning.

mod body;
mod components;
mod geometry;
mod grid;
mod hounsfield;
mod id;
mod orientation;
mod slice;
mod volume;

pub use self::{
    body::{body_box, lung_fraction},
    geometry::{Geometry, GeometryError},
    grid::ResampleError,
    hounsfield::{Hu, HuWindow, Rescale, RescaleError},
    id::Pseudonymizer,
    orientation::{AxisOrder, Orientation, OrientationError},
    slice::{CtSlice, Pixels},
    volume::CtVolume,
};
