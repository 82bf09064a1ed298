//! Weights of other people's formats, made into ours. Torch-free.

pub mod names;
