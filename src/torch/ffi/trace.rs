//! A network as TorchScript, <https://docs.pytorch.org/docs/stable/jit.html>: recorded while it runs once.

use std::{
    ffi::{CStr, CString, c_char, c_int, c_void},
    panic::{AssertUnwindSafe, catch_unwind},
    path::Path,
};

use tch::{TchError, Tensor};
use torch_sys::C_tensor;

use super::{TorchError, done};

type Network = extern "C" fn(*mut c_void, *mut C_tensor, *mut *mut C_tensor) -> c_int;

unsafe extern "C" {
    fn hf_trace(
        count: usize,
        names: *const *const c_char,
        tensors: *const *const C_tensor,
        are_buffers: *const u8,
        x: *const C_tensor,
        network: Network,
        context: *mut c_void,
        outputs: usize,
        output_names: *const *const c_char,
        extra_name: *const c_char,
        extra: *const c_char,
        path: *const c_char,
    ) -> c_int;
}

/// What a module that is recorded holds beside its operators.
#[derive(Debug)]
pub struct Recording<'a> {
    /// Its parameters and buffers by dotted name. The network must use these very tensors, not copies of them: others are
    /// taken for constants.
    pub tensors: &'a [(&'a str, &'a Tensor)],
    /// Which of them are buffers.
    pub is_buffer: fn(&str) -> bool,
    /// The keys of what `forward` gives, in the order of the network's outputs.
    pub outputs: &'a [&'a str],
    /// Name and text of a file beside the code, `extra/NAME` in the archive.
    pub extra: (&'a str, &'a str),
}

/// The closure that runs the network, and what went wrong in it.
struct Context<'a> {
    network: &'a mut dyn FnMut(&Tensor) -> Result<Vec<Tensor>, TorchError>,
    outputs: usize,
    error: Option<TorchError>,
}

/// Runs `network` on `x` and writes what it did to `path`, as a module whose `forward(x)` gives a dictionary of tensors.
/// Operators are recorded, sizes that Rust code reads are not: the network must read no size that is to vary.
///
/// # Errors
///
/// What the network says, or libtorch, e.g. that the file can't be written.
pub fn trace(
    recording: &Recording,
    x: &Tensor,
    network: &mut dyn FnMut(&Tensor) -> Result<Vec<Tensor>, TorchError>,
    path: &Path,
) -> Result<(), TorchError> {
    let names = strings(recording.tensors.iter().map(|(name, _)| *name))?;
    let tensors: Vec<_> = recording.tensors.iter().map(|(_, tensor)| tensor.as_ptr()).collect();
    let buffers: Vec<u8> = recording
        .tensors
        .iter()
        .map(|(name, _)| u8::from((recording.is_buffer)(name)))
        .collect();
    let outputs = strings(recording.outputs.iter().copied())?;
    let [extra_name, extra] = [string(recording.extra.0)?, string(recording.extra.1)?];
    let path = CString::new(path.as_os_str().as_encoded_bytes()).map_err(TchError::from)?;
    let mut context = Context {
        network,
        outputs: outputs.len(),
        error: None,
    };
    // SAFETY: all pointers are to arrays of the lengths that are told, and live until the call is over; the context is only
    // used while it lasts.
    let status = unsafe {
        hf_trace(
            tensors.len(),
            pointers(&names).as_ptr(),
            tensors.as_ptr(),
            buffers.as_ptr(),
            x.as_ptr(),
            run,
            (&raw mut context).cast(),
            outputs.len(),
            pointers(&outputs).as_ptr(),
            extra_name.as_ptr(),
            extra.as_ptr(),
            path.as_ptr(),
        )
    };
    match context.error {
        Some(error) => Err(error),
        None => done(status),
    }
}

/// Called by `hf_trace`, once. `x` is the callee's, and so are the outputs the caller's.
extern "C" fn run(context: *mut c_void, x: *mut C_tensor, outputs: *mut *mut C_tensor) -> c_int {
    // SAFETY: the pointer is to the context of `trace`, which nobody else uses now; `x` is a tensor that was made for us.
    let (context, x) = unsafe { (&mut *context.cast::<Context>(), Tensor::from_ptr(x)) };
    // A panic must not unwind into C++.
    match catch_unwind(AssertUnwindSafe(|| (context.network)(&x))) {
        Ok(Ok(found)) if found.len() == context.outputs => {
            for (place, tensor) in found.into_iter().enumerate() {
                let mut tensor = std::mem::ManuallyDrop::new(tensor);
                // SAFETY: there is a place for each output, and the caller frees it.
                unsafe { *outputs.add(place) = tensor.as_mut_ptr() };
            }
            return 0;
        }
        Ok(Ok(found)) => {
            let what = format!("{} tensors left a network of {} outputs", found.len(), context.outputs);
            context.error = Some(TorchError::Libtorch { what });
        }
        Ok(Err(error)) => context.error = Some(error),
        // What libtorch refused was printed by the panic; the caller says that the network did not run.
        Err(_) => {}
    }
    -1
}

fn string(text: &str) -> Result<CString, TorchError> {
    Ok(CString::new(text).map_err(TchError::from)?)
}

fn strings<'a>(texts: impl Iterator<Item = &'a str>) -> Result<Vec<CString>, TorchError> {
    texts.map(string).collect()
}

fn pointers(strings: &[CString]) -> Vec<*const c_char> {
    strings.iter().map(|text| CStr::as_ptr(text)).collect()
}
