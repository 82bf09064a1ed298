//! What all methods train with.

mod tape;

pub use tape::Tape;
