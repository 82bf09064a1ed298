//! Tests that need no libtorch.

mod features;
mod tables;
