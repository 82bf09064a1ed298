//! All that needs libtorch. Nothing outside this room names a tensor.
//!
//! [`encoders`] holds the networks, [`weights`] reads and writes them, [`extract`] runs slices through them, [`device`]
//! says where, and [`doctor`] what this machine has. [`scorer`] runs a classifier of whole scans. [`train`] holds what an optimiser changes, [`sigreg`] the loss of
//! LeJEPA. [`settle`] finds out which graph converted weights belong to, [`export`] writes encoders for other programs.
//! [`ffi`] reaches what tch lacks.

pub mod baselines;
pub mod classifier;
pub mod device;
pub mod doctor;
pub mod encoders;
mod error;
pub mod export;
pub mod extract;
pub mod ffi;
pub mod generator;
pub mod layers;
pub mod methods;
mod saliency;
pub mod scans;
pub mod scorer;
pub mod settle;
pub mod sigreg;
pub mod train;
pub mod trainer;
pub mod weights;

use std::sync::Once;

pub use error::TorchError;

/// Prepares the process for libtorch: call it once, first, before other threads allocate.
///
/// `threads` are what one operation of libtorch may use; all cores when `None`.
pub fn init(threads: Option<usize>) {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        keep_large_blocks();
        if let Err(error) = ffi::full_float32() {
            tracing::warn!("32-bit floats may be rounded on CUDA: {error}");
        }
    });
    if let Some(threads) = threads {
        tch::set_num_threads(i32::try_from(threads).unwrap_or(i32::MAX).max(1));
    }
}

/// Lets glibc reuse the memory of activations. Blocks above 32 MB are otherwise mapped, zeroed page by page and unmapped
/// at every call; without it plain networks run 1.5 times slower.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
fn keep_large_blocks() {
    // SAFETY: sets three parameters of the allocator.
    unsafe {
        libc::mallopt(libc::M_MMAP_THRESHOLD, 1 << 30);
        libc::mallopt(libc::M_TRIM_THRESHOLD, i32::MAX);
        libc::mallopt(libc::M_TOP_PAD, 64 << 20);
    }
}

#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
fn keep_large_blocks() {}
