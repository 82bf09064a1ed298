//! Everything that needs libtorch: networks against their oracle, strict weights, extraction, what training is made of.

#[path = "../support/command.rs"]
mod command;
mod bigbigan;
mod explain;
mod extract;
mod full_size;
mod inference;
mod optim;
mod sigreg;
mod study;
mod support;
mod tiny;
mod weights;
