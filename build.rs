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
    let kernels = kernels();
    let mut build = cc::Build::new();
    if kernels.len() > 1 {
        build.define("HF_LEVELS", None);
    }
    build
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
        .file("src/torch/ffi/norm_pool.cpp")
        .file("src/torch/ffi/stem.cpp")
        .compile("hounsfield_torch");
    // After what calls them: libraries are linked in this order.
    for (level, flag) in kernels {
        let mut build = cc::Build::new();
        if let Some(flag) = flag {
            build.flag(flag);
        }
        build
            .cpp(true)
            .std("c++20")
            .warnings(false)
            .opt_level(3)
            // Vectors are passed to nobody: all that takes them becomes part of its caller.
            .flag_if_supported("-Wno-psabi")
            .define("HF_KERNELS", format!("hf_kernels_{level}").as_str())
            .file("src/torch/ffi/kernels.cpp")
            .compile(&format!("hounsfield_kernels_{level}"));
    }
    println!("cargo::rustc-link-arg=-Wl,-rpath,{}", lib.display());
}

/// The builds of the kernels, and the compiler's flag of each. The program picks at run time.
fn kernels() -> Vec<(&'static str, Option<&'static str>)> {
    let mut levels = vec![("base", None)];
    if env::var("CARGO_CFG_TARGET_ARCH").is_ok_and(|arch| arch == "x86_64") {
        levels.push(("v3", Some("-march=x86-64-v3")));
        levels.push(("v4", Some("-march=x86-64-v4")));
    }
    levels
}
