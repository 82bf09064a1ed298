//! Options of every command that runs the network, and the stop at Ctrl-C.

use std::{
    io::Write as _,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use hounsfield::study::ExtractOptions;

/// How the network is run.
#[derive(Debug, clap::Args)]
pub struct NetworkArgs {
    /// Where the network runs: `cpu`, `cuda`, `cuda:N`, or `auto` for CUDA where there is any
    #[arg(long, default_value = "auto")]
    device: String,
    /// Slices a batch
    #[arg(long, default_value_t = 16, value_parser = clap::value_parser!(u16).range(1..))]
    batch_size: u16,
    /// Threads that decode images [default: all cores]
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..))]
    decode_threads: Option<u16>,
    /// Stop at the first image that can't be read instead of listing it and going on
    #[arg(long)]
    fail_first: bool,
}

impl NetworkArgs {
    /// The library's options. From here on Ctrl-C stops after the batch in hand; a second one ends the process at once.
    pub fn options(&self) -> ExtractOptions {
        ExtractOptions {
            device: self.device.clone(),
            batch_size: usize::from(self.batch_size),
            decode_threads: self.decode_threads.map(usize::from),
            fail_first: self.fail_first,
            stop: stop_at_ctrl_c("the batch"),
        }
    }
}

/// From here on Ctrl-C only sets what is given back, for work to stop after what is in hand; a second one ends the process at
/// once.
pub fn stop_at_ctrl_c(in_hand: &'static str) -> Arc<AtomicBool> {
    let stop = Arc::new(AtomicBool::new(false));
    let seen = Arc::clone(&stop);
    let installed = ctrlc::set_handler(move || {
        if seen.swap(true, Ordering::SeqCst) {
            end_at_once(2);
        }
        eprintln!("stopping after {in_hand} in hand (Ctrl-C again to stop at once)");
    });
    if let Err(error) = installed {
        tracing::debug!("Ctrl-C stops at once: {error}");
    }
    stop
}

/// Ends the process without running what was registered for its end: libtorch's destructors would take away what other threads are
/// computing with, and say so in a page of assertions.
#[cfg(unix)]
fn end_at_once(code: i32) -> ! {
    let _ = std::io::stderr().flush();
    // SAFETY: `_exit` takes any number, touches no memory of ours and does not return.
    unsafe { libc::_exit(code) }
}

#[cfg(not(unix))]
fn end_at_once(code: i32) -> ! {
    std::process::exit(code)
}
