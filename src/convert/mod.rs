//! Weights of other people's formats, read without their programs.

pub mod bundle;
pub mod module;
