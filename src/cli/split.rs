//! `hounsfield split`: draws and checks the split.

use super::{Done, StudyArgs};
use hounsfield::{report::LEAKAGE, study::SPLIT_FILE};

#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    study: StudyArgs,
}

pub fn run(args: &Args) -> anyhow::Result<Done> {
    let mut run = args.study.open()?;
    let cohort = run.cohort()?;
    let split = run.split(&cohort)?;
    run.write_lock()?;
    let mut counts = std::collections::BTreeMap::new();
    for (row, set) in split.sets().iter().enumerate() {
        let name = set.as_ref().map_or("(left out)".to_owned(), ToString::to_string);
        let (patients, slices) = counts.entry(name).or_insert((std::collections::BTreeSet::new(), 0));
        patients.insert(cohort.patient[row]);
        *slices += 1;
    }
    if split.is_leaky() {
        say!("{LEAKAGE}");
    }
    say!("{:<24} {:>8} {:>8}", "set", "patients", "slices");
    for (name, (patients, slices)) in counts {
        say!("{name:<24} {:>8} {slices:>8}", patients.len());
    }
    if !split.repeats().is_empty() {
        say!(
            "the folds of {} repeats stand in the columns repeat_1, ...",
            split.repeats().len()
        );
    }
    say!("split: {}", run.folder.join(SPLIT_FILE).display());
    Ok(Done::Whole)
}
