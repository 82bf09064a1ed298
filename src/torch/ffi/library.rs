//! Which libtorch the process has loaded.

use std::{
    ffi::{CStr, OsStr},
    os::unix::ffi::OsStrExt as _,
    path::PathBuf,
};

/// The `libtorch_cpu.so` in use, as the loader found it; `None` where it is linked statically.
pub fn libtorch_path() -> Option<PathBuf> {
    // SAFETY: `dlsym` and `dladdr` only look; the mangled name is `at::globalContext()`, which lives in libtorch_cpu.
    unsafe {
        let symbol = libc::dlsym(libc::RTLD_DEFAULT, c"_ZN2at13globalContextEv".as_ptr());
        let mut info: libc::Dl_info = std::mem::zeroed();
        if symbol.is_null() || libc::dladdr(symbol, &mut info) == 0 || info.dli_fname.is_null() {
            return None;
        }
        Some(PathBuf::from(OsStr::from_bytes(
            CStr::from_ptr(info.dli_fname).to_bytes(),
        )))
    }
}
