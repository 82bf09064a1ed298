//! The notebook, executed as a reader would: on the artefacts of a fresh demo, in an environment of its own.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use crate::{Result, machine, pip::Pip, step};

/// The oldest Python that notebooks/requirements.txt is for.
const OLDEST: (u32, u32) = (3, 10);

/// Runs the demo into `<target>/notebook/demo`, then the notebook into `<target>/notebook`; the source is not touched.
pub fn run() -> Result<()> {
    let packages = environment()?;
    let out = step::target().join("notebook");
    let (study, jupyter) = (out.join("demo"), out.join("jupyter"));
    if study.is_dir() {
        // A study skips what is done, and would not notice that the code has changed.
        fs::remove_dir_all(&study).map_err(|error| machine::io("remove", &study, &error))?;
    }
    fs::create_dir_all(&jupyter).map_err(|error| machine::io("create", &jupyter, &error))?;
    let mut demo = step::cargo(&["run", "--locked", "--features", "torch", "--", "demo", "--out"]);
    step::run("demo", demo.arg(&study))?;

    let mut python = Command::new("python3");
    python
        .current_dir(step::root().join("notebooks"))
        .args(["-m", "nbconvert", "--to", "notebook", "--execute"]);
    python.arg("--output-dir").arg(&out).arg("read_a_study.ipynb");
    // Our packages and our kernel, whatever else is installed or configured; the kernel sets its own MPLBACKEND.
    python
        .env("PYTHONPATH", &packages)
        .env("PYTHONNOUSERSITE", "1")
        .env("JUPYTER_NO_CONFIG", "1");
    python
        .env("JUPYTER_PATH", packages.join("share/jupyter"))
        .env("JUPYTER_PLATFORM_DIRS", "1");
    python
        .env("JUPYTER_DATA_DIR", &jupyter)
        .env("JUPYTER_RUNTIME_DIR", &jupyter)
        .env("IPYTHONDIR", &jupyter);
    python
        .env("MPLCONFIGDIR", &jupyter)
        .env_remove("MPLBACKEND")
        .env("HOUNSFIELD_RUN", &study);
    step::run("notebook", &mut python)?;
    eprintln!("[notebook] executed: {}", out.join("read_a_study.ipynb").display());
    Ok(())
}

/// The folder that holds notebooks/requirements.txt, installed if it isn't yet.
///
/// `pip --target` rather than a virtual environment: Debian's python3 has no venv without a further package.
fn environment() -> Result<PathBuf> {
    let requirements = step::root().join("notebooks/requirements.txt");
    let pins = fs::read_to_string(&requirements).map_err(|error| machine::io("read", &requirements, &error))?;
    let (python, tag) = interpreter()?;
    let mark = format!("{tag}\n{pins}");
    let home = step::root().join(".notebook-env");
    if fs::read_to_string(home.join("pins.txt")).is_ok_and(|found| found == mark) {
        eprintln!("[setup] the notebook's packages are in place");
        return Ok(home);
    }
    let pip = Pip::find()?;
    machine::space(&[machine::Need::of("the notebook's packages", &step::root(), 1_000)])?;
    let new = home.with_extension("new");
    for old in [&new, &home] {
        if old.is_dir() {
            fs::remove_dir_all(old).map_err(|error| machine::io("remove", old, &error))?;
        }
    }
    eprintln!("[setup] fetching the notebook's packages from the Python package index with {pip}");
    let mut command = pip.command();
    if pip == Pip::Uv {
        // The packages must fit the python3 that runs the notebook, not the one that uv brought.
        command.arg("--python").arg(&python);
    }
    command
        .args(["install", "--only-binary=:all:", "--requirement"])
        .arg(&requirements);
    pip.run(command.arg("--target").arg(&new), "the notebook's packages")?;
    fs::write(new.join("pins.txt"), mark).map_err(|error| machine::io("write", &new, &error))?;
    fs::rename(&new, &home).map_err(|error| machine::io("rename", &new, &error))?;
    Ok(home)
}

/// The path of python3 and a word for its version, e.g. `3.12`.
fn interpreter() -> Result<(PathBuf, String)> {
    let code = "import sys; print(sys.executable); print(*sys.version_info[:2], sep='.')";
    let output = Command::new("python3")
        .args(["-c", code])
        .output()
        .ok()
        .filter(|output| output.status.success());
    let skip = "or leave the notebook out (cargo xtask test --quick)";
    let Some(output) = output else {
        return Err(format!(
            "no python3 on the PATH, which runs the notebook: install it, {skip}"
        ));
    };
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let (path, version) = text.trim().split_once('\n').ok_or("python3 did not tell its version")?;
    let number = version
        .split_once('.')
        .and_then(|(a, b)| Some((a.parse().ok()?, b.parse().ok()?)));
    if number.is_none_or(|number: (u32, u32)| number < OLDEST) {
        let (major, minor) = OLDEST;
        return Err(format!(
            "python3 is {version}, the notebook needs {major}.{minor} or newer: upgrade it, {skip}"
        ));
    }
    Ok((Path::new(path).to_owned(), version.to_owned()))
}
