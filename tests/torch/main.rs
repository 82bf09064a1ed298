//! Everything that needs libtorch: networks against their oracle, strict weights, extraction.

mod extract;
mod full_size;
mod inference;
mod support;
mod tiny;
mod weights;
