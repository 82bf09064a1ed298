//! What this machine and this build offer to a network, for `hounsfield doctor`.

use super::ffi;

/// One line of the doctor: a name, what was found, and whether it is as it should be.
pub type Fact = (&'static str, String, bool);

/// Everything there is to say about libtorch, the accelerator and the processor.
pub fn facts() -> Vec<Fact> {
    let mut facts = vec![library(), cuda()];
    facts.push(("libtorch threads", tch::get_num_threads().to_string(), true));
    let onednn = tch::utils::has_mkldnn();
    let fused = if onednn {
        "yes: convolutions are fused"
    } else {
        "no: convolutions run one by one, slower"
    };
    facts.push(("oneDNN", fused.to_owned(), onednn || !cfg!(target_arch = "x86_64")));
    facts.push(("bf16 / AMX", reduced_precision(), true));
    facts
}

fn library() -> Fact {
    let version = ffi::torch_version();
    #[cfg(target_os = "linux")]
    let path = ffi::libtorch_path();
    #[cfg(not(target_os = "linux"))]
    let path: Option<std::path::PathBuf> = None;
    let place = path
        .as_ref()
        .map_or("place unknown".to_owned(), |p| p.display().to_string());
    // A wheel says its version beside the libraries: another one than at build time is another interface.
    let found = path.as_deref().and_then(wheel_version);
    match found {
        Some(found) if found != version => (
            "libtorch",
            format!("built for {version}, but {found} is loaded; build again ({place})"),
            false,
        ),
        _ => ("libtorch", format!("{version} ({place})"), true),
    }
}

/// The version in `torch/version.py`, without the build's suffix, for `torch/lib/libtorch_cpu.so`.
fn wheel_version(library: &std::path::Path) -> Option<String> {
    let text = std::fs::read_to_string(library.parent()?.parent()?.join("version.py")).ok()?;
    let line = text.lines().find(|line| line.starts_with("__version__"))?;
    let quoted = line.split('\'').nth(1)?;
    Some(quoted.split('+').next()?.to_owned())
}

fn cuda() -> Fact {
    let (value, ok) = match ffi::load_cuda() {
        ffi::Cuda::Loaded => {
            let devices = tch::Cuda::device_count();
            let cudnn = if tch::Cuda::cudnn_is_available() {
                "with"
            } else {
                "without"
            };
            (format!("loaded, {devices} devices visible, {cudnn} cuDNN"), devices > 0)
        }
        ffi::Cuda::NoDriver => (
            "not used: no NVIDIA driver (libcuda.so.1 was not found)".to_owned(),
            true,
        ),
        ffi::Cuda::Unusable(why) => (
            format!("driver found, but libtorch's CUDA part does not load: {why}"),
            false,
        ),
        ffi::Cuda::Unsupported => ("not used: only looked for on Linux".to_owned(), true),
    };
    ("CUDA", value, ok)
}

/// Which instructions for 16-bit arithmetic the processor has.
fn reduced_precision() -> String {
    let Ok(text) = std::fs::read_to_string("/proc/cpuinfo") else {
        return "unknown: no /proc/cpuinfo".to_owned();
    };
    let flags = text
        .lines()
        .find(|l| l.starts_with("flags") || l.starts_with("Features"))
        .unwrap_or_default();
    let has = |flag: &str| flags.split_whitespace().any(|f| f == flag);
    let found: Vec<_> = ["avx512_bf16", "amx_tile", "amx_bf16", "bf16"]
        .into_iter()
        .filter(|f| has(f))
        .collect();
    if found.is_empty() {
        "none".to_owned()
    } else {
        found.join(", ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_fact_has_a_name_and_a_value() {
        let facts = facts();
        assert!(
            facts
                .iter()
                .all(|(name, value, _)| !name.is_empty() && !value.is_empty()),
            "{facts:?}"
        );
        assert!(
            facts
                .iter()
                .any(|(name, value, ok)| *name == "libtorch" && value.contains("libtorch_cpu") && *ok)
        );
    }
}
