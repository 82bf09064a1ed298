//! libtorch in `.torch/`: the PyTorch wheel of PyPI and what it can't be loaded without, pinned to the byte.
//!
//! torch-sys (tch 0.26) is written against this one version and can't fetch it from PyPI itself. The wheel holds
//! libtorch's headers and libraries; nothing runs Python afterwards.

use std::{
    fs,
    path::{Path, PathBuf},
};

use crate::{
    Result,
    machine::{self, Need},
    pip::Pip,
    step,
};

/// The version of libtorch that [`TORCH_SYS`] was generated from.
pub const TORCH: &str = "2.13.0";
/// The version of torch-sys in Cargo.lock; `cargo xtask lint` compares.
pub const TORCH_SYS: &str = "0.26.0";

/// The smallest set that runs on a CPU: libtorch_cpu.so is linked with libcudart and libcupti, and with no other of
/// NVIDIA's libraries. The hashes are those of the wheels for Linux on x86_64.
const CPU: &str = include_str!("../pins/cpu.txt");
/// What libtorch_cuda.so needs on top: the versions that torch's own metadata pins.
const CUDA: &str = include_str!("../pins/cuda.txt");

/// Which libraries of NVIDIA's are fetched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Device {
    /// Enough to start on any machine.
    Cpu,
    /// Enough to compute on a GPU.
    Cuda,
}

impl Device {
    /// The requirements file for pip; kept in `.torch/` as the mark of a finished set-up.
    fn pins(self) -> String {
        if self == Self::Cuda {
            [CPU, CUDA].concat()
        } else {
            CPU.to_owned()
        }
    }

    /// Disk space while wheels and their contents lie side by side, in MB; measured for the CPU.
    fn megabytes(self) -> u64 {
        match self {
            Self::Cpu => 2_000,
            Self::Cuda => 9_000,
        }
    }
}

/// The libtorch that the user set, unless it is only our own value from `.cargo/config.toml`.
pub fn given_libtorch() -> Option<PathBuf> {
    let given = PathBuf::from(std::env::var_os("LIBTORCH").filter(|value| !value.is_empty())?);
    (given != step::root().join(".torch/torch")).then_some(given)
}

/// Makes sure that a libtorch of the right version is there, and all that a build against it needs.
pub fn libtorch(device: Device) -> Result<()> {
    if let Some(given) = given_libtorch() {
        check_given(&given)?;
        machine::compiler()?;
        machine::space(&[Need::build()])?;
        eprintln!("[setup] libtorch {TORCH} of LIBTORCH: {}", given.display());
        return Ok(());
    }
    let home = step::root().join(".torch");
    // A set with CUDA also serves those who ask for none.
    let fits = [device, Device::Cuda].map(Device::pins).contains(&in_place(&home));
    machine::compiler()?;
    if fits {
        machine::space(&[Need::build()])?;
        eprintln!("[setup] libtorch {TORCH} is in place");
        return Ok(());
    }
    machine::platform()?;
    machine::space(&[Need::build(), Need::of("libtorch", &step::root(), device.megabytes())])?;
    fetch(device, &home)
}

/// The pins of what lies in `.torch/`; empty where nothing does.
fn in_place(home: &Path) -> String {
    fs::read_to_string(home.join("pins.txt")).unwrap_or_default()
}

/// Fetches into `.torch.new` and renames: whatever interrupts it, `.torch` is whole or not there.
fn fetch(device: Device, home: &Path) -> Result<()> {
    let new = home.with_extension("new");
    let _lock = machine::lock(&home.with_extension("lock"))?;
    if in_place(home) == device.pins() {
        eprintln!("[setup] libtorch {TORCH} was put in place by another run meanwhile");
        return Ok(());
    }
    let pip = Pip::find()?;
    remove(&new)?;
    let scratch = new.join("scratch");
    fs::create_dir_all(&scratch).map_err(|error| machine::io("create", &scratch, &error))?;
    let pins = new.join("pins.txt");
    fs::write(&pins, device.pins()).map_err(|error| machine::io("write", &pins, &error))?;

    let what = if device == Device::Cuda {
        "with CUDA (about 3 GB)"
    } else {
        "(about 600 MB)"
    };
    eprintln!("[setup] fetching libtorch {TORCH} {what} from the Python package index with {pip}");
    let mut command = pip.command();
    command.args([
        "install",
        "--no-deps",
        "--no-compile",
        "--no-cache-dir",
        "--only-binary=:all:",
    ]);
    // The wheel of a certain Python, whichever Python runs pip.
    command.args([
        "--implementation",
        "cp",
        "--python-version",
        "3.11",
        "--platform",
        "manylinux2014_x86_64",
    ]);
    // pip takes the tag literally: nccl is tagged 2_18, cublas 2_27, torch 2_28.
    for minor in 17..=28 {
        command.arg("--platform").arg(format!("manylinux_2_{minor}_x86_64"));
    }
    command
        .arg("--require-hashes")
        .arg("--requirement")
        .arg(&pins)
        .arg("--target")
        .arg(&new);
    // pip unpacks into the temporary folder and moves: on the same file system a move costs neither time nor space.
    command.env("TMPDIR", &scratch);
    pip.run(&mut command, "libtorch").inspect_err(|_| {
        // The error that counts is pip's; what can't be removed now is removed by the next run.
        let _ = remove(&new);
    })?;
    remove(&scratch)?;

    check_given(&new.join("torch")).map_err(|error| format!("what was fetched is not libtorch {TORCH}: {error}"))?;
    remove(home)?;
    fs::rename(&new, home).map_err(|error| machine::io("rename", &new, &error))?;
    eprintln!("[setup] libtorch {TORCH} is in place");
    Ok(())
}

/// Removes the folder, if it is there.
fn remove(folder: &Path) -> Result<()> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(machine::io("remove", folder, &error)),
        _ => Ok(()),
    }
}

/// torch-sys asks a LIBTORCH neither whether it is one nor, for want of a file that only some have, for its version.
fn check_given(libtorch: &Path) -> Result<()> {
    let end = "unset LIBTORCH to have it fetched";
    if libtorch.is_relative() {
        return Err(format!(
            "LIBTORCH is not an absolute path, {end}: {}",
            libtorch.display()
        ));
    }
    let library = ["libtorch_cpu.so", "libtorch_cpu.dylib", "torch_cpu.lib"];
    let library = library.iter().any(|name| libtorch.join("lib").join(name).is_file());
    if !library || !libtorch.join("include").is_dir() {
        let expected = "a folder with include/ and lib/libtorch_cpu.so is expected";
        return Err(format!(
            "LIBTORCH holds no libtorch, {expected}, {end}: {}",
            libtorch.display()
        ));
    }
    let bypass = std::env::var_os("LIBTORCH_BYPASS_VERSION_CHECK").is_some();
    match version(libtorch) {
        Some(found) if found == TORCH || bypass => Ok(()),
        found => {
            let found = found.unwrap_or_else(|| "of unknown version".to_owned());
            let hope = "LIBTORCH_BYPASS_VERSION_CHECK=1 to try it";
            Err(format!(
                "LIBTORCH is {found}, {TORCH} is needed, {end} or set {hope}: {}",
                libtorch.display()
            ))
        }
    }
}

/// The version of a libtorch as its headers state it: wheels, archives and system packages all have them.
fn version(libtorch: &Path) -> Option<String> {
    let headers = ["torch/headeronly/version.h", "torch/csrc/api/include/torch/version.h"];
    headers.iter().find_map(|header| {
        let text = fs::read_to_string(libtorch.join("include").join(header)).ok()?;
        let number = |name: &str| {
            let define = format!("#define TORCH_VERSION_{name} ");
            text.lines().find_map(|line| line.strip_prefix(&define)).map(str::trim)
        };
        Some(format!(
            "{}.{}.{}",
            number("MAJOR")?,
            number("MINOR")?,
            number("PATCH")?
        ))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_pins_have_a_version_and_a_hash() {
        let pins = Device::Cuda.pins();
        assert!(pins.starts_with(&format!("torch=={TORCH} ")), "{pins}");
        for pin in pins.lines() {
            let (package, sha256) = pin.split_once(" --hash=sha256:").expect("a hash");
            assert!(package.contains("==") && sha256.len() == 64, "{pin}");
        }
    }

    #[test]
    fn a_libtorch_of_another_version_is_refused_with_both_numbers() {
        let folder = std::env::temp_dir().join(format!("xtask-libtorch-{}", std::process::id()));
        let header = folder.join("include/torch/headeronly/version.h");
        fs::create_dir_all(header.parent().expect("has a folder")).expect("a writable temporary folder");
        fs::create_dir_all(folder.join("lib")).expect("a writable temporary folder");
        let text = "#define TORCH_VERSION_MAJOR 2\n#define TORCH_VERSION_MINOR 4\n#define TORCH_VERSION_PATCH 1\n";
        fs::write(&header, text).expect("a writable temporary folder");
        assert!(check_given(&folder).unwrap_err().contains("holds no libtorch"));
        fs::write(folder.join("lib/libtorch_cpu.so"), "").expect("a writable temporary folder");
        let message = check_given(&folder).unwrap_err();
        assert!(message.contains("is 2.4.1, 2.13.0 is needed"), "{message}");
        fs::remove_dir_all(&folder).expect("it was just made");
    }
}
