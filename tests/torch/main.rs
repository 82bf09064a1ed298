//! Everything that needs libtorch: networks against their oracle, strict weights, extraction, what training is made of.

mod baselines;
mod bigbigan;
#[path = "../support/command.rs"]
mod command;
mod convert;
mod covnet;
mod dinov2;
mod explain;
mod export;
mod extract;
mod full_size;
mod inference;
mod optim;
mod other_encoders;
mod pretrain;
mod settle;
mod sigreg;
mod study;
mod support;
mod tiny;
mod train_volume;
mod training;
mod volume_maps;
mod weights;
