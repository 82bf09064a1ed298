//! What training needs beside the network: its parameters, the optimiser, their average.
//!
//! [`Parameters`] keeps all tensors of a network in one buffer, and so does all that follows them. Zeroing, norms, a step of
//! [`Adam`] and one of [`Ema`] are then a single pass over memory instead of hundreds of small calls.

mod adam;
mod ema;
mod layout;
mod parameters;

pub use adam::{Adam, AdamConfig};
pub use ema::Ema;
pub use layout::Memory;
pub use parameters::Parameters;
