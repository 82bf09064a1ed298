//! Which slices of a scan are taken: by place, by how much lung is in them, or by a list; and said in the table.
//!
//! A rule that is the same for all scans can't tell classes apart. A list can: slices with lesions of the ill, any slices
//! of the healthy, is a known way to results that are too good. So the table says for every row what it was chosen by.

use std::{
    collections::{BTreeMap, HashSet},
    ops::RangeInclusive,
    path::PathBuf,
    str::FromStr,
};

use super::{
    Index, IndexError, Joined, LeftOut, Reason,
    files::{COLUMNS, Hits, NamedFiles, bare},
    series::Placed,
};
use crate::{
    tables::{Layout, TextTable, read_table, read_table_as, sha256_file},
    words::{count, counted},
};

/// One rule.
#[derive(Debug, Clone, PartialEq)]
pub enum Selection {
    /// By the place in the scan: 0 at the first slice, 1 at the last. A scan without extent has none.
    Position(RangeInclusive<f64>),
    /// By the share of the body that is lung.
    Lung(RangeInclusive<f64>),
    /// By a file with a name on each line, or a table with a column of paths.
    List(PathBuf),
}

impl FromStr for Selection {
    type Err = IndexError;

    fn from_str(text: &str) -> Result<Self, IndexError> {
        let wrong = || IndexError::Selection { found: text.to_owned() };
        let (kind, value) = text.split_once('=').ok_or_else(wrong)?;
        let range = || {
            let (from, to) = value.split_once("..").ok_or_else(wrong)?;
            let number = |text: &str| text.trim().parse().ok().filter(|share| (0.0..=1.0).contains(share));
            match (number(from), number(to)) {
                (Some(from), Some(to)) if from <= to => Ok(from..=to),
                _ => Err(wrong()),
            }
        };
        match kind {
            "position" => Ok(Self::Position(range()?)),
            "lung" => Ok(Self::Lung(range()?)),
            "list" if !value.is_empty() => Ok(Self::List(PathBuf::from(value))),
            _ => Err(wrong()),
        }
    }
}

/// Rules that must all hold, ready to be asked.
#[derive(Debug)]
pub struct Selections {
    rules: Vec<Rule>,
    /// What the table says of them; `None` where there are none. A list stands as the start of its SHA-256.
    pub words: Option<String>,
}

#[derive(Debug)]
enum Rule {
    Position(RangeInclusive<f64>),
    Lung(RangeInclusive<f64>),
    List { files: NamedFiles, rows: usize },
}

impl Selections {
    /// Reads the lists.
    ///
    /// # Errors
    ///
    /// A list that can't be read, or several columns of which none is one of paths.
    pub fn read(selections: &[Selection]) -> Result<Self, IndexError> {
        let (mut rules, mut words) = (Vec::new(), Vec::new());
        for selection in selections {
            let text = |kind: &str, range: &RangeInclusive<f64>| format!("{kind}={}..{}", range.start(), range.end());
            let (rule, word) = match selection {
                Selection::Position(range) => (Rule::Position(range.clone()), text("position", range)),
                Selection::Lung(range) => (Rule::Lung(range.clone()), text("lung", range)),
                Selection::List(path) => {
                    let (table, column) = list(path)?;
                    let mut files = NamedFiles::default();
                    let names = table.column(&column)?.iter().enumerate();
                    let names = names.filter_map(|(row, name)| Some((row, name.as_deref()?.trim())));
                    names.clone().for_each(|(row, name)| files.add(name, row));
                    let word = format!("list={}", &sha256_file(path)?[..12]);
                    // A name that stands twice is one.
                    let rows = names.map(|(_, name)| name).collect::<HashSet<_>>().len();
                    (Rule::List { files, rows }, word)
                }
            };
            rules.push(rule);
            words.push(word);
        }
        Ok(Self {
            rules,
            words: (!words.is_empty()).then(|| words.join("; ")),
        })
    }

    /// Marks the slices that are taken, and leaves out the others. Gives what the user must be told.
    ///
    /// # Errors
    ///
    /// A line of a list that names several files.
    pub fn apply(&self, index: &mut Index) -> Result<Vec<String>, IndexError> {
        let scans = &mut index.scans;
        let mut warnings = Vec::new();
        for rule in &self.rules {
            let mut hits = Hits::default();
            let mut taken = Vec::new();
            for placed in scans.iter().flat_map(|scan| &scan.slices) {
                let row = rule.row(placed);
                if let Some(row) = row {
                    hits.add(row, &placed.slice.address);
                }
                taken.push(row.is_some());
            }
            if let Rule::List { rows, .. } = rule {
                if let Some((row, files)) = hits.ambiguous() {
                    return Err(IndexError::AmbiguousFile {
                        table: "the list",
                        row: row + 1,
                        files,
                    });
                }
                if *rows > hits.rows() {
                    let share = format!("{} of {}", count(rows - hits.rows()), counted(*rows, "name"));
                    warnings.push(format!("{share} of the list found no slice"));
                }
            }
            let slices = scans.iter_mut().flat_map(|scan| &mut scan.slices);
            for (placed, taken) in slices.zip(taken) {
                placed.taken &= taken;
            }
        }
        let slices = scans.iter().flat_map(|scan| &scan.slices);
        index
            .left_out
            .extend(slices.filter(|placed| !placed.taken).map(|placed| LeftOut {
                address: placed.slice.address.clone(),
                reason: Reason::NotSelected,
            }));
        index.sort_left_out();
        Ok(warnings)
    }
}

impl Selections {
    /// What the user must be told where a list takes other shares of the slices of one label than of another's.
    pub fn warn_of_labels(&self, index: &Index, joined: &Joined) -> Option<String> {
        if !self.rules.iter().any(|rule| matches!(rule, Rule::List { .. })) {
            return None;
        }
        let mut labels = BTreeMap::<&str, (usize, usize)>::new();
        for (scan, of_scan) in index.scans.iter().zip(&joined.labels) {
            for (placed, label) in scan.slices.iter().zip(of_scan) {
                let counts = labels.entry(label.as_deref().unwrap_or("no label")).or_default();
                counts.0 += usize::from(placed.taken);
                counts.1 += 1;
            }
        }
        let share = |(taken, of): &(usize, usize)| *taken as f64 / *of as f64;
        let shares = || labels.values().map(share);
        let (least, most) = (shares().fold(1.0, f64::min), shares().fold(0.0, f64::max));
        let words = labels
            .iter()
            .map(|(label, counts)| format!("{:.0} % of `{label}`", 100.0 * share(counts)));
        (most - least > UNLIKE).then(|| {
            format!(
                "the list takes {}: what it was made by can tell the labels apart without any disease",
                words.collect::<Vec<_>>().join(", ")
            )
        })
    }
}

/// Shares of labels that differ by more than this are said.
const UNLIKE: f64 = 0.1;

impl Rule {
    /// The line of a list that names the slice; 0 for other rules that take it.
    fn row(&self, placed: &Placed) -> Option<usize> {
        match self {
            Self::Position(range) => placed.fraction.filter(|fraction| range.contains(fraction)).map(|_| 0),
            Self::Lung(range) => {
                let image = placed.slice.image.as_ref()?;
                range.contains(&f64::from(image.lung)).then_some(0)
            }
            Self::List { files, .. } => files.row(&placed.slice.address),
        }
    }
}

/// A list and the name of its column. A file of one column may have no header.
fn list(path: &std::path::Path) -> Result<(TextTable, String), IndexError> {
    let table = read_table(path)?;
    let named = COLUMNS
        .iter()
        .find_map(|usual| table.names().find(|name| bare(name) == *usual));
    if let Some(column) = named.map(str::to_owned) {
        return Ok((table, column));
    }
    if table.columns.len() > 1 {
        return Err(IndexError::ListColumn {
            columns: table.names().collect::<Vec<_>>().join(", "),
        });
    }
    let plain = Layout {
        header: false,
        ..Layout::default()
    };
    let table = read_table_as(path, plain)?;
    let column = table.names().next().unwrap_or_default().to_owned();
    Ok((table, column))
}

#[cfg(test)]
mod tests {
    use super::{
        super::{series::scans, slice::Slice, testing},
        *,
    };

    fn five() -> Index {
        let slices: Vec<Slice> = (0..5).map(|at| testing::slice(f64::from(-at))).collect();
        Index {
            scans: scans(slices, &mut Vec::new()),
            ..Index::default()
        }
    }

    /// The numbers of the slices that are taken, and what the table says.
    fn taken(selections: &[&str], index: &mut Index) -> (Vec<usize>, Option<String>) {
        let selections: Vec<Selection> = selections.iter().map(|text| text.parse().unwrap()).collect();
        let selections = Selections::read(&selections).unwrap();
        for placed in &mut index.scans[0].slices {
            placed.taken = true;
        }
        index.left_out.clear();
        selections.apply(index).unwrap();
        let slices = &index.scans[0].slices;
        let kept: Vec<usize> = slices
            .iter()
            .filter(|placed| placed.taken)
            .map(|placed| placed.index)
            .collect();
        assert_eq!(kept.len() + index.left_out.len(), slices.len());
        (kept, selections.words)
    }

    #[test]
    fn slices_are_taken_by_place_and_by_lung_together() {
        let mut index = five();
        for placed in &mut index.scans[0].slices {
            placed.slice.image.as_mut().unwrap().lung = placed.index as f32 / 10.0;
        }
        let (kept, words) = taken(&["position=0.25..0.75", "lung=0.15..1"], &mut index);
        assert_eq!(kept, [2, 3]);
        assert_eq!(words.as_deref(), Some("position=0.25..0.75; lung=0.15..1"));
        assert_eq!(taken(&[], &mut index), (vec![0, 1, 2, 3, 4], None));
    }

    #[test]
    fn a_list_has_a_header_or_none() {
        let mut index = five();
        let name = |at: usize| index.scans[0].slices[at].slice.address.to_string();
        let folder = tempfile::tempdir().unwrap();
        let (plain, table) = (folder.path().join("list.txt"), folder.path().join("list.csv"));
        std::fs::write(&plain, format!("{}\n{}\n", name(1), name(3))).unwrap();
        std::fs::write(&table, format!("why,path\nx,{}\n", name(2))).unwrap();
        let list = |path: &std::path::Path| format!("list={}", path.display());
        let (kept, words) = taken(&[&list(&plain)], &mut index);
        assert_eq!(kept, [1, 3]);
        assert!(words.unwrap().starts_with("list="));
        assert_eq!(taken(&[&list(&table)], &mut index).0, [2]);
    }

    #[test]
    fn what_is_no_selection_is_refused() {
        for text in [
            "position",
            "position=1..0",
            "position=0..2",
            "lung=a..1",
            "list=",
            "slice=3",
            "position=0.5",
        ] {
            assert!(text.parse::<Selection>().is_err(), "{text}");
        }
    }
}
