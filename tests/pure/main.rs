//! Tests that need no libtorch: one binary, one module a room.

mod eval;
mod features;
mod heads;
mod images;
mod study;
mod tables;
