//! Tests that need no libtorch: one binary, one module a room.

mod audit;
mod augment;
mod calibration;
mod card;
mod claims;
#[path = "../support/command.rs"]
mod command;
mod coverage;
mod distances;
mod eval;
mod evaluate;
mod explain;
mod features;
mod heads;
mod images;
mod names;
mod readers;
#[path = "../support/renaming.rs"]
mod renaming;
mod roc;
mod study;
mod tables;
mod tests_of_counts;
