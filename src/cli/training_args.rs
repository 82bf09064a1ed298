//! What a command asks that trains in a run folder: which recipe, where, and on what.

use std::path::{Path, PathBuf};

#[derive(Debug, clap::Args)]
pub struct TrainingArgs {
    /// The training's file
    pub recipe: PathBuf,
    /// Override a key of the recipe, e.g. `--set seed=1`
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub overrides: Vec<String>,
    /// Where everything goes [default: `runs/NAME` beside the recipe]
    #[arg(long, value_name = "FOLDER")]
    run_dir: Option<PathBuf>,
    /// Where the networks run: `cpu`, `cuda`, `cuda:N`, or `auto` for CUDA where there is any
    #[arg(long, default_value = "auto")]
    pub device: String,
    /// Threads of the network on a processor; with 1 a training is the same to the bit each time [default: all cores]
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..))]
    pub threads: Option<u16>,
    /// Start anew: what an earlier training left in the folder is removed
    #[arg(long)]
    pub restart: bool,
}

impl TrainingArgs {
    /// The recipe's folder, which its paths are relative to.
    pub fn home(&self) -> &Path {
        self.recipe.parent().unwrap_or(Path::new(""))
    }

    /// What the training is called, by the recipe or by its file, and its run folder.
    pub fn place(&self, name: Option<&str>) -> (String, PathBuf) {
        let stem = || {
            self.recipe
                .file_stem()
                .unwrap_or_default()
                .to_string_lossy()
                .into_owned()
        };
        let name = name.map_or_else(stem, str::to_owned);
        let usual = || self.home().join("runs").join(&name);
        let folder = self.run_dir.clone().unwrap_or_else(usual);
        (name, folder)
    }
}
