//! `hounsfield predict-volume`: scores whole scans with a trained classifier, and shows where it looks.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail, ensure};
use hounsfield::{
    card::ClassifierCard,
    cohort::{Classes, CohortPlan, Columns},
    ct::Pseudonymizer,
    method::Precision,
    progress::Progress,
    recipe::CohortSection,
    scans::{CachedScan, Scans},
    study::user_pseudonymizer,
    tables::{FileKind, TextTable, read_table},
    torch::scorer::VolumeScorer,
    volumes::{
        VolumesError,
        maps::{self, Looked, MapsPlan},
        predict::{self, Predicted},
    },
    words::counted,
};

use super::{Done, device::stop_at_ctrl_c, predict::write_scores};

/// What all scans stand under on the page of maps: they are of no set of a study.
const SET: &str = "scans";

#[derive(Debug, clap::Args)]
pub struct Args {
    /// A trained classifier: the folder with `classifier.toml`, or the run folder of its training
    model: PathBuf,
    /// A table of scans, one row a scan or a slice; or the scans themselves: NIfTI, `.npy`, folders with a DICOM series each
    #[arg(required = true, value_name = "TABLE|SCAN")]
    inputs: Vec<PathBuf>,
    /// Where the scores go: `.parquet`, else CSV [default: CSV on stdout]
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Where the network runs: `cpu`, `cuda`, `cuda:N`, or `auto` for CUDA where there is any
    #[arg(long, default_value = "auto")]
    device: String,
    /// Threads of the network on a processor [default: all cores]
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..))]
    threads: Option<u16>,
    /// Compute in bfloat16: faster and smaller where the device has it, scores differ in the third digit
    #[arg(long)]
    bf16: bool,
    #[command(flatten)]
    cohort: CohortArgs,
    #[command(flatten)]
    maps: MapsArgs,
}

/// Which column of the table means what.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "The table")]
struct CohortArgs {
    /// Column of the scan's file or folder, or of its slices [default: path or file]
    #[arg(long, value_name = "COLUMN")]
    path: Option<String>,
    /// Column of the patients [default: patient_id or patient]
    #[arg(long, value_name = "COLUMN")]
    patient: Option<String>,
    /// Column of the scans [default: scan_id or scan]
    #[arg(long, value_name = "COLUMN")]
    scan: Option<String>,
    /// Column of the labels, where they are known [default: label]
    #[arg(long, value_name = "COLUMN")]
    label: Option<String>,
    /// Column of the sites [default: site]
    #[arg(long, value_name = "COLUMN")]
    site: Option<String>,
    /// What the table calls the positive class [default: as the classifier does]
    #[arg(long, value_name = "LABEL")]
    positive: Option<String>,
    /// File with the salt of the pseudonyms, made where it is missing [default: one for all tables of the user]
    #[arg(long, value_name = "FILE", conflicts_with = "keep_ids")]
    salt: Option<PathBuf>,
    /// Write the table's own identifiers instead of pseudonyms
    #[arg(long)]
    keep_ids: bool,
}

/// Pictures of where the network looks.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Maps")]
struct MapsArgs {
    /// Folder for Grad-CAM maps of some scans: a page, pictures, and volumes where they are asked for
    #[arg(long, value_name = "FOLDER")]
    maps: Option<PathBuf>,
    /// Scans that are drawn: the surest calls, right and wrong in turn
    #[arg(long, value_name = "N", default_value_t = 4, requires = "maps", value_parser = clap::value_parser!(u16).range(1..))]
    scans: u16,
    /// Also hide each part of the scans in turn and map what the score loses: thousands of passes a scan
    #[arg(long, requires = "maps")]
    occlusion: bool,
    /// Side of the cube that hides a part of a scan, in voxels [default: an eighth of the longest axis]
    #[arg(long, value_name = "VOXELS", requires = "occlusion", value_parser = clap::value_parser!(u16).range(1..))]
    cube: Option<u16>,
    /// Also write the scans as the network sees them and their maps as NIfTI
    #[arg(long, requires = "maps")]
    nifti: bool,
}

pub fn run(args: &Args) -> anyhow::Result<Done> {
    hounsfield::torch::init(args.threads.map(usize::from));
    let checked = predict::open(&args.model)?;
    let card = &checked.card;
    if let Some(why) = &card.not_converged {
        tracing::warn!("NOT CONVERGED: {why}; scores of `{}` say nothing of scans", card.name);
    }
    args.check_targets()?;
    let classes = predict::classes(card, args.cohort.positive.as_deref());
    let scans = args.read(card, &classes)?;
    let precision = if args.bf16 {
        Precision::BFloat16
    } else {
        Precision::Float32
    };
    let scorer = VolumeScorer::open(&checked, args.device.parse()?, precision)?;
    let stop = stop_at_ctrl_c("the scan");
    let progress = Progress::new("predict", "scans", scans.len() as u64);
    let predicted = predict::predict(&scorer, &scans, &progress, &stop)?;
    progress.finish();
    for (row, why) in &predicted.failures {
        tracing::warn!("row {}: {why}", row + 1);
    }
    if predicted.not_numbers > 0 {
        tracing::warn!(
            "{} with voxels that are no finite numbers, which were taken as air",
            counted(predicted.not_numbers, "scan")
        );
    }
    let columns = predicted.columns(card, &scans.cohort);
    if predicted.done > 0 {
        write_scores(&columns, &predict::metadata(&checked, &classes), args.out.as_deref())?;
    }
    if predicted.done < scans.len() {
        let (done, scans) = (predicted.done, scans.len());
        return Err(VolumesError::InterruptedScores { done, scans }.into());
    }
    if let Some(folder) = &args.maps.maps {
        let files = args.draw(&scorer, card, &classes, &scans, &predicted, folder, &stop)?;
        match files.first() {
            Some(page) => tracing::info!("maps: {}", page.display()),
            None if predicted.scores.iter().all(Option::is_none) => {
                tracing::warn!("no scan has a score: there is no page of maps");
            }
            // Said where they were to be drawn.
            None => {}
        }
    }
    Ok(Done::with(predicted.failures.len()))
}

impl Args {
    /// What can't be written is known before hours of work.
    fn check_targets(&self) -> anyhow::Result<()> {
        if let Some(out) = &self.out {
            ensure!(!out.is_dir(), "--out names a folder, name a file in it: {out:?}");
            let folder = out.parent().filter(|folder| !folder.as_os_str().is_empty());
            let there = folder.is_none_or(Path::is_dir);
            ensure!(there, "the folder of --out does not exist (create it first): {out:?}");
        }
        if let Some(folder) = &self.maps.maps {
            ensure!(
                folder.is_dir() || !folder.exists(),
                "--maps names a file, give a folder: {folder:?}"
            );
            maps::check_folder(folder)?;
        }
        Ok(())
    }

    fn read(&self, card: &ClassifierCard, classes: &Classes) -> anyhow::Result<Scans> {
        let ids = match self.cohort.keep_ids {
            true => Pseudonymizer::keep(),
            false => user_pseudonymizer(self.cohort.salt.as_deref())?,
        };
        let (table, folder, columns) = self.table()?;
        let plan = CohortPlan {
            columns,
            // Scans can be scored whatever their labels are, and without any.
            classes: None,
            ids,
        };
        let mut scans = Scans::read(&table, &folder, &plan).context("read the table of scans")?;
        for warning in &scans.cohort.warnings {
            tracing::warn!("{warning}");
        }
        predict::label(&mut scans.cohort, classes);
        let labelled = scans.cohort.rows.label.iter().flatten().count();
        if labelled > 0 && !scans.cohort.positive.contains(&Some(true)) {
            tracing::warn!(
                "no scan has the label `{}`, which a high score of `{}` stands for: name the table's with --positive",
                classes.positive,
                card.name
            );
        }
        Ok(scans)
    }

    /// The table of scans, the folder that its paths start from, and what its columns mean.
    fn table(&self) -> anyhow::Result<(TextTable, PathBuf, Columns)> {
        let named = &self.cohort;
        let mut section = CohortSection {
            path: named.path.clone(),
            patient: named.patient.clone(),
            scan: named.scan.clone(),
            label: named.label.clone(),
            site: named.site.clone(),
            ..CohortSection::default()
        };
        if let [table] = &self.inputs[..]
            && is_table(table)
        {
            let folder = table.parent().unwrap_or(Path::new("")).to_owned();
            let table = read_table(table)?;
            section.take_usual(&table);
            ensure!(
                section.path.is_some(),
                "the table has no column `path` or `file`: name the one of scans with --path"
            );
            return Ok((table, folder, section.columns(None)));
        }
        if let Some(table) = self.inputs.iter().find(|input| is_table(input)) {
            bail!("a table was given together with other inputs, give one table or scans only: {table:?}");
        }
        let columns = [&named.path, &named.patient, &named.scan, &named.label, &named.site];
        ensure!(
            columns.iter().all(|column| column.is_none()),
            "columns were named, but the inputs are scans: give a table for patients, labels and sites"
        );
        tracing::info!("each scan is taken for another patient's: give a table where patients have several");
        let table = predict::table_of(&self.inputs);
        if let Some([first, second]) = predict::same_twice(&table)? {
            bail!(
                "inputs {first} and {second} are one scan: name each scan once: {:?}",
                self.inputs[second - 1]
            );
        }
        section.take_usual(&table);
        Ok((table, PathBuf::new(), section.columns(None)))
    }

    #[expect(clippy::too_many_arguments, reason = "all that was read and made before")]
    fn draw(
        &self,
        scorer: &VolumeScorer,
        card: &ClassifierCard,
        classes: &Classes,
        scans: &Scans,
        predicted: &Predicted,
        folder: &Path,
        stop: &std::sync::atomic::AtomicBool,
    ) -> Result<Vec<PathBuf>, VolumesError> {
        let banners = card.not_converged.iter().map(|why| format!("NOT CONVERGED: {why}."));
        let looked = Looked {
            name: &card.name,
            positive: &classes.positive,
            cohort: &scans.cohort,
            sets: &vec![Some(SET.to_owned()); scans.len()],
            scores: &predicted.scores,
            threshold: card.threshold,
            banners: banners.collect(),
            report: None,
        };
        let plan = MapsPlan {
            per_set: usize::from(self.maps.scans),
            occlusion: self.maps.occlusion,
            cube: self.maps.cube.map(usize::from),
            volumes: self.maps.nifti,
        };
        let mut again = |row: usize| Ok(CachedScan::of(&scans.sources[row], scorer.input())?);
        maps::draw(scorer, &looked, &plan, &mut again, folder, stop)
    }
}

/// Whether a file is a table of scans and no scan.
fn is_table(path: &Path) -> bool {
    let named = ["csv", "tsv", "txt", "xlsx", "xlsb", "ods", "xls", "parquet"];
    let ending = path.extension().unwrap_or_default().to_string_lossy().to_lowercase();
    path.is_file() && (named.contains(&ending.as_str()) || matches!(FileKind::of(path), Ok(FileKind::Parquet)))
}
