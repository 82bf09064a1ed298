//! `hounsfield doctor`: what this build and this machine can do.

use std::path::{Path, PathBuf};

use super::Done;

#[derive(Debug, clap::Args)]
pub struct Args {
    /// A folder that artefacts are to go to: is it writable?
    #[arg(long, value_name = "FOLDER", default_value = ".")]
    folder: PathBuf,
    /// A device that must be there: `cpu`, `cuda` or `cuda:N`
    #[arg(long, default_value = "auto")]
    device: String,
}

/// One line of the report.
struct Fact {
    name: String,
    value: String,
    good: bool,
}

fn fact(name: &str, value: impl Into<String>, good: bool) -> Fact {
    Fact {
        name: name.to_owned(),
        value: value.into(),
        good,
    }
}

pub fn run(args: &Args) -> anyhow::Result<Done> {
    let mut facts = vec![
        fact("hounsfield", env!("CARGO_PKG_VERSION"), true),
        fact("commit", option_env!("HOUNSFIELD_COMMIT").unwrap_or("unknown"), true),
        fact("threads", rayon::current_num_threads().to_string(), true),
        writable(&args.folder),
    ];
    facts.extend(network(&args.device));
    for (codec, what) in hounsfield::readers::codecs() {
        facts.push(fact(&codec, what, true));
    }
    for Fact { name, value, good } in &facts {
        say!("{} {name:<22} {value}", if *good { "ok  " } else { "FAIL" });
    }
    let bad = facts.iter().filter(|fact| !fact.good).count();
    anyhow::ensure!(bad == 0, "{bad} of {} checks failed", facts.len());
    Ok(Done::Whole)
}

fn writable(folder: &Path) -> Fact {
    let shown = folder.display();
    match tempfile::tempfile_in(folder) {
        Ok(_) => fact("write access", format!("{shown}"), true),
        Err(error) => fact("write access", format!("{shown}: {error}"), false),
    }
}

#[cfg(feature = "torch")]
fn network(device: &str) -> Vec<Fact> {
    use hounsfield::torch::{device::DeviceChoice, doctor};
    let mut facts: Vec<Fact> = doctor::facts()
        .into_iter()
        .map(|(name, value, good)| fact(name, value, good))
        .collect();
    facts.push(match device.parse::<DeviceChoice>().and_then(DeviceChoice::resolve) {
        Ok(found) => fact("device", format!("{device}: {found:?}"), true),
        Err(error) => fact("device", error.to_string(), false),
    });
    facts
}

#[cfg(not(feature = "torch"))]
fn network(device: &str) -> Vec<Fact> {
    let wanted = device != "auto";
    let value = "none in this build: features are read, not extracted (install with `--features torch`)";
    vec![fact("libtorch", value, !wanted)]
}
