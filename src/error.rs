//! The crate's error: one variant for each module that can fail.

/// A `Result` whose error is the crate's [`enum@Error`].
pub type Result<T> = std::result::Result<T, Error>;

/// Anything that can go wrong in this crate.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {}
