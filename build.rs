//! With the feature `torch`: compiles `src/torch/ffi` against the libtorch that torch-sys found, and lets every binary
//! find that libtorch at run time without LD_LIBRARY_PATH.

use std::{env, path::PathBuf};

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=src/torch/ffi");
    if env::var_os("CARGO_FEATURE_TORCH").is_none() {
        return;
    }
    // torch-sys (`links = "tch"`) tells its direct dependents where libtorch is. It says nothing when it is only to be
    // documented or type-checked (`tch/doc-only`): then there is no libtorch to compile against and nothing to link.
    let Some(lib) = env::var_os("DEP_TCH_LIBTORCH_LIB").map(PathBuf::from) else {
        return;
    };
    let root = lib.parent().expect("libtorch's lib folder has a parent");
    cc::Build::new()
        .cpp(true)
        .std("c++20")
        .warnings(false)
        // The kernels in it are loops that only pay when they are vectorised, in the dev profile too.
        .opt_level(3)
        // at::parallel_for is a template over OpenMP: without the flag it runs on one thread.
        .flag_if_supported("-fopenmp")
        .include(root.join("include"))
        .include(root.join("include/torch/csrc/api/include"))
        .file("src/torch/ffi/torch.cpp")
        .file("src/torch/ffi/trace.cpp")
        .compile("hounsfield_torch");
    println!("cargo::rustc-link-arg=-Wl,-rpath,{}", lib.display());
}
