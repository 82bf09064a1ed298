//! What all targets share: a bound on memory, and what is done with a file.
//!
//! A target fails where the program would panic, abort, run for 20 s, or hold more than [`MOST`] bytes at once. A panic
//! in a decoder of someone else's that the readers catch is an error to the user; it is told once for each place, and no
//! failure.

use std::{
    alloc::{GlobalAlloc, Layout, System},
    backtrace::Backtrace,
    collections::BTreeSet,
    panic,
    path::Path,
    sync::{
        Mutex, Once,
        atomic::{AtomicUsize, Ordering},
    },
};

use hounsfield::{ct::Rescale, readers};

/// What may be held for one file of at most 64 KiB, which deflate can make 66 MiB of: that, and what is made of it.
pub const MOST: usize = 256 << 20;

#[global_allocator]
static BOUNDED: Bounded = Bounded;

static HELD: AtomicUsize = AtomicUsize::new(0);

struct Bounded;

impl Bounded {
    fn take(bytes: usize) {
        let held = HELD.fetch_add(bytes, Ordering::Relaxed).saturating_add(bytes);
        if held > MOST {
            // Room for the message itself.
            HELD.store(0, Ordering::Relaxed);
            let place = Backtrace::force_capture();
            eprintln!("memory: {bytes} bytes are asked for, {held} would be held, at most {MOST} are\n{place}");
            std::process::abort();
        }
    }
}

// SAFETY: all is the system's; bytes are counted beside it.
unsafe impl GlobalAlloc for Bounded {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        Self::take(layout.size());
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        Self::take(layout.size());
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        HELD.fetch_sub(layout.size(), Ordering::Relaxed);
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        Self::take(size);
        HELD.fetch_sub(layout.size(), Ordering::Relaxed);
        unsafe { System.realloc(pointer, layout, size) }
    }
}

/// Panics that are caught do not end the run; libFuzzer's own hook would.
pub fn begin() {
    static ONCE: Once = Once::new();
    static SEEN: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());
    ONCE.call_once(|| {
        panic::set_hook(Box::new(|info| {
            let place = info.location().map(ToString::to_string).unwrap_or_default();
            if SEEN.lock().is_ok_and(|mut seen| seen.insert(place.clone())) {
                eprintln!("panic at {place}");
            }
        }));
    });
}

/// Reads the first, a middle and the last slice of a file with this content.
pub fn slices(bytes: &[u8], name: &str) {
    begin();
    let rescale = Rescale {
        slope: 1.0,
        intercept: -1024.0,
    };
    let path = Path::new(name);
    let Ok(slices) = readers::open_bytes(bytes.to_vec(), Some(rescale), path) else {
        return;
    };
    let n = slices.len();
    assert!(n > 0, "no slice and no error");
    for at in BTreeSet::from([0, n / 2, n - 1]) {
        let _ = slices.read(at);
    }
}
