//! Readings as programs for multi-reader multi-case analysis take them, which treat readers as a sample too.
//!
//! iMRMC (Gallas et al., Commun Stat A 2009, doi:10.1080/03610920802610084; github.com/DIDSR/iMRMC) reads text: free lines,
//! the lines `NR:`, `N0:`, `N1:` and `NM:` with the numbers of readers, negatives, positives and modalities, `BEGIN DATA:`,
//! then `reader,case,modality,score` a line, where `-1,case,0,truth` with a truth of 0 or 1 says what each case is. This is
//! the format of its own simulator and of RJafroc's reader of it, which wants whole numbers for cases. MRMCaov takes a data
//! frame with `reader`, `treatment`, `case`, `truth` (1 and 0) and `rating`, as in its data set `Franken`.
//!
//! Cases and patients are numbered from 1 in the order of their raw identifiers, which are not written. Both programs take
//! cases as independent.

use std::{io::Write as _, path::Path};

use super::ReaderStudy;
use crate::tables::{WriteError, atomic_write, write_csv};

/// Name of the modality where the table has no arms.
const ONE_ARM: &str = "reading";

/// Writes iMRMC's format. Readers and modalities are numbered from 1; a line before the data names each.
///
/// # Errors
///
/// A file that can't be written.
pub fn write_imrmc(path: &Path, study: &ReaderStudy) -> Result<(), WriteError> {
    // A colon would make a name look like one of the format's own lines.
    let plain = |name: &str| name.replace(|letter: char| letter.is_control() || letter == ':', " ");
    let positives = study.cases.iter().filter(|case| case.positive).count();
    atomic_write(path, |file| {
        writeln!(
            file,
            "Reader study exported by hounsfield, positive class {}",
            plain(&study.positive)
        )?;
        for (index, reader) in study.readers.iter().enumerate() {
            writeln!(file, "reader {} is {}", index + 1, plain(reader))?;
        }
        for arm in 0..study.arms.len() {
            writeln!(file, "modality {} is {}", arm + 1, plain(name(study, arm)))?;
        }
        writeln!(file, "\nNR: {}", study.readers.len())?;
        writeln!(file, "N0: {}", study.cases.len() - positives)?;
        writeln!(file, "N1: {positives}")?;
        writeln!(file, "NM: {}\n", study.arms.len())?;
        writeln!(file, "BEGIN DATA:")?;
        for (index, case) in study.cases.iter().enumerate() {
            writeln!(file, "-1,{},0,{}", index + 1, u8::from(case.positive))?;
        }
        for (reader, arm, case, rating) in readings(study) {
            writeln!(file, "{},{},{},{rating}", reader + 1, case + 1, arm + 1)?;
        }
        Ok(())
    })
}

/// Writes a long CSV for MRMCaov, with the patient in a column more.
///
/// # Errors
///
/// A file that can't be written.
pub fn write_long_csv(path: &Path, study: &ReaderStudy) -> Result<(), WriteError> {
    let header = ["reader", "treatment", "case", "truth", "rating", "patient"].map(str::to_owned);
    let rows = readings(study).map(|(reader, arm, case, rating)| {
        let of = &study.cases[case];
        vec![
            study.readers[reader].clone(),
            name(study, arm).to_owned(),
            (case + 1).to_string(),
            u8::from(of.positive).to_string(),
            rating.to_string(),
            (of.patient + 1).to_string(),
        ]
    });
    write_csv(path, &header, rows)
}

fn name(study: &ReaderStudy, arm: usize) -> &str {
    match study.arms[arm].as_str() {
        "" => ONE_ARM,
        name => name,
    }
}

/// Reader, arm, case and rating of every reading.
fn readings(study: &ReaderStudy) -> impl Iterator<Item = (usize, usize, usize, f64)> {
    let seats = (0..study.readers.len()).flat_map(|reader| (0..study.arms.len()).map(move |arm| (reader, arm)));
    seats.flat_map(move |(reader, arm)| {
        (0..study.cases.len()).filter_map(move |case| {
            study
                .rating(reader, arm, case)
                .map(|rating| (reader, arm, case, rating))
        })
    })
}
