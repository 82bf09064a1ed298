//! Tests that need no libtorch: one binary, one module a room.

#[path = "../support/command.rs"]
mod command;
mod coverage;
mod calibration;
mod eval;
mod features;
mod heads;
mod images;
mod readers;
mod roc;
mod study;
mod tables;
mod tests_of_counts;
