//! CUDA at run time: one binary for machines with and without it.
//!
//! The linker drops `libtorch_cuda`, since nothing of ours names a symbol of it, and a binary that is forced to need it
//! refuses to start where NVIDIA's libraries are missing. So it is loaded by hand when there is a driver.

use std::sync::OnceLock;

/// How far the way to CUDA goes on this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cuda {
    /// libtorch's CUDA part is loaded. Whether there is a device is for `tch::Cuda` to say.
    Loaded,
    /// There is no `libcuda.so.1`, the part of CUDA that comes with NVIDIA's driver.
    NoDriver,
    /// There is a driver, but libtorch's CUDA part could not be loaded; the loader's words.
    Unusable(String),
    /// Only Linux is known to this program.
    Unsupported,
}

/// Loads `libtorch_cuda.so` beside the `libtorch_cpu.so` in use when there is a CUDA driver. Must run before libtorch is
/// asked for any CUDA property; later calls give the first one's answer.
pub fn load_cuda() -> &'static Cuda {
    static STATE: OnceLock<Cuda> = OnceLock::new();
    STATE.get_or_init(load)
}

#[cfg(not(target_os = "linux"))]
fn load() -> Cuda {
    Cuda::Unsupported
}

#[cfg(target_os = "linux")]
fn load() -> Cuda {
    use std::ffi::CString;
    use std::os::unix::ffi::OsStrExt as _;

    if open(c"libcuda.so.1", libc::RTLD_LOCAL).is_err() {
        return Cuda::NoDriver;
    }
    let beside = super::libtorch_path().map(|cpu| cpu.with_file_name("libtorch_cuda.so"));
    let name = beside
        .and_then(|path| CString::new(path.as_os_str().as_bytes()).ok())
        .unwrap_or_else(|| c"libtorch_cuda.so".to_owned());
    match open(&name, libc::RTLD_GLOBAL) {
        Ok(()) => Cuda::Loaded,
        Err(why) => Cuda::Unusable(why),
    }
}

/// Opens a library and keeps it open.
#[cfg(target_os = "linux")]
fn open(name: &std::ffi::CStr, scope: std::ffi::c_int) -> Result<(), String> {
    // SAFETY: a library's initialisers run, as they would at start-up; `dlerror` is read on the thread that failed.
    unsafe {
        if !libc::dlopen(name.as_ptr(), libc::RTLD_NOW | scope).is_null() {
            return Ok(());
        }
        let why = libc::dlerror();
        if why.is_null() {
            return Err("the loader gave no reason".to_owned());
        }
        Err(std::ffi::CStr::from_ptr(why).to_string_lossy().into_owned())
    }
}

/// Bytes of memory that are free on a CUDA device, as the driver counts them; `None` without CUDA, or where it gives no answer. The current
/// device stays what it was.
#[cfg(not(target_os = "linux"))]
pub fn cuda_free_memory(_device: usize) -> Option<u64> {
    None
}

/// Bytes of memory that are free on a CUDA device, as the driver counts them; `None` without CUDA, or where it gives no answer. The current
/// device stays what it was.
#[cfg(target_os = "linux")]
pub fn cuda_free_memory(device: usize) -> Option<u64> {
    use std::ffi::c_int;

    type Get = unsafe extern "C" fn(*mut c_int) -> c_int;
    type Set = unsafe extern "C" fn(c_int) -> c_int;
    type Info = unsafe extern "C" fn(*mut usize, *mut usize) -> c_int;

    if *load_cuda() != Cuda::Loaded {
        return None;
    }
    let wanted = c_int::try_from(device).ok()?;
    // CUDA's runtime library came with libtorch's CUDA part, whose symbols are global: nothing of ours is linked against it.
    let (get, set, info) = (
        symbol(c"cudaGetDevice")?,
        symbol(c"cudaSetDevice")?,
        symbol(c"cudaMemGetInfo")?,
    );
    let (mut before, mut free, mut total) = (0, 0, 0);
    // SAFETY: the types are those of CUDA's documentation of these three functions,
    // <https://docs.nvidia.com/cuda/cuda-runtime-api/>; each writes to the variables that it is given, and 0 is success.
    unsafe {
        let get = std::mem::transmute::<*mut std::ffi::c_void, Get>(get);
        let set = std::mem::transmute::<*mut std::ffi::c_void, Set>(set);
        let info = std::mem::transmute::<*mut std::ffi::c_void, Info>(info);
        if get(&raw mut before) != 0 || set(wanted) != 0 {
            return None;
        }
        let answered = info(&raw mut free, &raw mut total) == 0;
        let back = set(before) == 0;
        (answered && back).then_some(free as u64)
    }
}

/// A function that some library of the process has.
#[cfg(target_os = "linux")]
fn symbol(name: &std::ffi::CStr) -> Option<*mut std::ffi::c_void> {
    // SAFETY: looks a name up.
    let found = unsafe { libc::dlsym(libc::RTLD_DEFAULT, name.as_ptr()) };
    (!found.is_null()).then_some(found)
}
