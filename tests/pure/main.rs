//! Tests that need no libtorch: one binary, one module a room.

mod claims;
#[path = "../support/command.rs"]
mod command;
mod eval;
mod features;
mod heads;
mod images;
mod study;
mod tables;
mod tests_of_counts;
