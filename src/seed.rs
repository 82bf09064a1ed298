//! Named streams of random numbers.
//!
//! A study has one `seed`; every use draws from a stream of its own name, so that a new draw in one place moves no
//! other.

use rand::SeedableRng as _;
use rand_chacha::ChaCha8Rng;
use sha2::{Digest as _, Sha256};

/// The generator of one purpose, e.g. `stream(0, "split")`.
///
/// The key is SHA-256 of the seed and the name, so that neighbouring seeds and names share nothing.
///
/// ```
/// use hounsfield::seed::stream;
/// use rand::RngExt as _;
/// let a: u64 = stream(0, "split").random();
/// assert_eq!(a, stream(0, "split").random::<u64>());
/// assert_ne!(a, stream(0, "bootstrap").random::<u64>());
/// ```
pub fn stream(seed: u64, purpose: &str) -> ChaCha8Rng {
    let key = Sha256::new()
        .chain_update(seed.to_le_bytes())
        .chain_update(purpose.as_bytes())
        .finalize();
    ChaCha8Rng::from_seed(key.into())
}
