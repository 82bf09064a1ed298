//! What training needs beside the network: its parameters, the optimiser, their average,
//! and what is kept of a forward pass.
//!
//! [`Parameters`] keeps all tensors of a network in one buffer, and so does all that follows them. Zeroing, norms, a step of
//! [`Adam`] and one of [`Ema`] are then a single pass over memory instead of hundreds of small calls.

mod adam;
mod checkpoint;
mod ema;
mod layout;
mod parameters;
mod same;
mod tape;

pub use adam::{Adam, AdamConfig};
pub use checkpoint::{BestMark, Checkpoint, Checkpoints, Stamp};
pub use ema::Ema;
pub use layout::Memory;
pub use parameters::Parameters;
pub use same::OtherTraining;
pub use tape::Tape;
