//! Everything that needs libtorch: networks against their oracle, strict weights, extraction.

#[path = "../support/command.rs"]
mod command;
mod extract;
mod full_size;
mod inference;
mod study;
mod support;
mod tiny;
mod weights;
