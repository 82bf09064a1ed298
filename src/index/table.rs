//! The tables that an index becomes: the cohort, what was left out, what is odd.

use std::{
    collections::{BTreeMap, HashMap},
    path::{Path, PathBuf},
};

use super::{Check, IndexError, Joined, LeftOut, Scan, Slice, kind, series::Placed, usual_step};
use crate::{
    ct::Pseudonymizer,
    readers::SliceAddress,
    tables::{Column, ColumnData, WriteError, hex, write_csv, write_parquet},
};

/// Where a slice's site comes from.
#[derive(Debug, Clone, PartialEq, Default)]
pub enum Site {
    /// The Institution Name, as a pseudonym unless identifiers are kept.
    #[default]
    Institution,
    /// The Manufacturer.
    Manufacturer,
    /// The name of the folder that was asked for and holds it.
    Folder,
    /// One name for all.
    Named(String),
}

/// The cohort's table: one row a slice that was taken, scans in order, slices from head to foot.
#[derive(Debug, Clone, PartialEq)]
pub struct Table {
    /// The columns; those that no row has a value for are there too, so that tables of two indices have the same columns.
    pub columns: Vec<Column>,
    /// How many rows there are.
    pub n_rows: usize,
    /// The first and last row, counted from 1, of each file or member that gave any.
    rows_of: HashMap<(PathBuf, Option<String>), (usize, usize)>,
}

/// What a table is made with.
#[derive(Debug)]
pub struct TablePlan<'a> {
    /// How identifiers are hidden.
    pub ids: &'a Pseudonymizer,
    /// Where the site comes from.
    pub site: &'a Site,
    /// The folders that were asked for.
    pub roots: &'a [PathBuf],
    /// The folder that the table will lie in: paths below it are relative to it, others are absolute.
    pub folder: &'a Path,
    /// What slices were chosen by.
    pub selection: Option<&'a str>,
    /// The labels that were joined.
    pub labels: Option<&'a Joined>,
}

/// The pseudonyms of a scan's patient, study and itself.
struct Names {
    patient: String,
    study: String,
    scan: String,
}

impl Names {
    fn of(scan: &Scan, ids: &Pseudonymizer) -> Self {
        let series = &scan.series;
        let part = match scan.part {
            (0, _) => String::new(),
            (part, _) => format!("#{}", part + 1),
        };
        let (patient, study) = (series.patient().0, series.study());
        Self {
            patient: ids.patient(patient),
            study: ids.study(study),
            scan: match ids.keeps() {
                true => format!("{}{part}", series.series),
                // A number of a series may be that of another patient's too.
                false => ids.scan(&[patient, study, &series.series, &part].join("\u{1f}")),
            },
        }
    }
}

impl Scan {
    /// Its name in tables.
    pub fn pseudonym(&self, ids: &Pseudonymizer) -> String {
        Names::of(self, ids).scan
    }
}

/// A slice that is a row.
struct Row<'a> {
    scan: usize,
    of: &'a Scan,
    placed: &'a Placed,
}

impl<'a> Row<'a> {
    /// The rows of a scan.
    fn all(scan: usize, of: &'a Scan) -> impl Iterator<Item = Self> {
        let taken = of.slices.iter().filter(|placed| placed.taken);
        taken.map(move |placed| Self { scan, of, placed })
    }

    fn slice(&self) -> &Slice {
        &self.placed.slice
    }
}

impl Table {
    /// The table of these scans.
    ///
    /// Lengths are in mm, kV in kV, values in HU. `position_mm` counts towards the head, `position_fraction` from 0 at the
    /// first slice to 1 at the last; `orientation` is where columns and rows count up to, `LP` for left and posterior;
    /// `sha256` is that of the pixels ([`Image::sha256`](super::Image::sha256)), `rescale_assumed` what the user said where
    /// the file did not.
    pub fn of(scans: &[Scan], plan: &TablePlan) -> Self {
        let names: Vec<Names> = scans.iter().map(|scan| Names::of(scan, plan.ids)).collect();
        let sites: Vec<Option<String>> = scans.iter().map(|scan| site(scan, plan)).collect();
        let steps: Vec<Option<f64>> = scans.iter().map(usual_step).collect();
        let rows: Vec<Row> = scans
            .iter()
            .enumerate()
            .flat_map(|(scan, of)| Row::all(scan, of))
            .collect();
        let folder = plan.folder.canonicalize().unwrap_or_else(|_| plan.folder.to_owned());

        let text = |name: &str, cell: &dyn Fn(&Row) -> Option<String>| {
            Column::new(name, ColumnData::Text(rows.iter().map(cell).collect()))
        };
        let number = |name: &str, cell: &dyn Fn(&Row) -> Option<f64>| {
            Column::new(name, ColumnData::Float64(rows.iter().map(cell).collect()))
        };
        let whole = |name: &str, cell: &dyn Fn(&Row) -> usize| {
            Column::new(name, ColumnData::Int(rows.iter().map(|row| cell(row) as i64).collect()))
        };
        let said = |row: &Row, value: &Option<String>| value.as_deref().and_then(|value| plain(value, row.slice()));
        let image = |row: &Row| row.slice().image.clone();
        let mut columns = vec![
            text("path", &|row| Some(relative(&row.slice().address, &folder))),
            text("patient_id", &|row| Some(names[row.scan].patient.clone())),
            text("study_id", &|row| Some(names[row.scan].study.clone())),
            text("scan_id", &|row| Some(names[row.scan].scan.clone())),
            text("site", &|row| sites[row.scan].clone()),
            text("manufacturer", &|row| said(row, &row.slice().series.manufacturer)),
            text("model", &|row| said(row, &row.slice().series.model)),
            text("kernel", &|row| said(row, &row.slice().series.kernel)),
            number("kvp", &|row| row.slice().kvp),
            number("thickness_mm", &|row| row.slice().thickness),
            number("spacing_row_mm", &|row| {
                row.slice().pixel_spacing.map(|spacing| spacing[0])
            }),
            number("spacing_column_mm", &|row| {
                row.slice().pixel_spacing.map(|spacing| spacing[1])
            }),
            number("spacing_slice_mm", &|row| steps[row.scan].map(micrometers)),
            whole("slice_index", &|row| row.placed.index),
            whole("slices_in_scan", &|row| row.of.slices.len()),
            number("position_mm", &|row| Some(micrometers(row.placed.height))),
            number("position_fraction", &|row| row.placed.fraction.map(millionths)),
            text("orientation", &|row| row.slice().place.as_ref().map(kind::letters)),
            whole("rows", &|row| row.slice().rows),
            whole("columns", &|row| row.slice().columns),
            number("hu_min", &|row| image(row)?.range.map(|(low, _)| f64::from(low))),
            number("hu_max", &|row| image(row)?.range.map(|(_, high)| f64::from(high))),
            number("hu_mean", &|row| {
                image(row)?.mean.map(|mean| (mean * 1e4).round() / 1e4)
            }),
            number("lung_fraction", &|row| Some(millionths(f64::from(image(row)?.lung)))),
            number("padded_fraction", &|row| {
                Some(millionths(f64::from(image(row)?.padded)))
            }),
            text("sha256", &|row| Some(hex(&image(row)?.sha256))),
            text("transfer_syntax", &|row| {
                Some(row.slice().series.transfer_syntax.clone()).filter(|syntax| !syntax.is_empty())
            }),
            text("rescale_assumed", &|row| {
                row.slice().address.rescale.map(|rescale| rescale.to_string())
            }),
            text("selection", &|_| plan.selection.map(str::to_owned)),
        ];
        if let Some(joined) = plan.labels {
            let cell = |cells: &[Vec<Option<String>>], row: &Row| cells[row.scan][row.placed.index].clone();
            columns.push(text("label", &|row| cell(&joined.labels, row)));
            for (name, cells) in &joined.carried {
                let taken = columns.iter().any(|column| column.name == *name);
                let name = if taken { format!("table_{name}") } else { name.clone() };
                if columns.iter().all(|column| column.name != name) {
                    columns.push(text(&name, &|row| cell(cells, row)));
                }
            }
        }
        let mut rows_of = HashMap::<_, (usize, usize)>::new();
        for (at, row) in rows.iter().enumerate() {
            let address = &row.slice().address;
            let range = rows_of
                .entry((address.file.clone(), address.member.clone()))
                .or_insert((at + 1, at + 1));
            range.1 = at + 1;
        }
        Self {
            columns,
            n_rows: rows.len(),
            rows_of,
        }
    }

    /// The first and last row, counted from 1, of a file.
    pub(super) fn rows_of(&self, address: &SliceAddress) -> Option<(usize, usize)> {
        let key = (address.file.clone(), address.member.clone());
        self.rows_of.get(&key).copied()
    }

    /// Writes it as CSV or Parquet, by the name's ending.
    ///
    /// # Errors
    ///
    /// Another ending, and what keeps a file from being written.
    pub fn write(&self, path: &Path) -> Result<(), IndexError> {
        let ending = path.extension().map(|ending| ending.to_ascii_lowercase());
        match ending.as_ref().and_then(|ending| ending.to_str()) {
            Some("parquet") => Ok(write_parquet(path, &self.columns, &BTreeMap::new())?),
            Some("csv") => {
                let header: Vec<String> = self.columns.iter().map(|column| column.name.clone()).collect();
                let row = |at| self.columns.iter().map(|column| cell(&column.data, at)).collect();
                Ok(write_csv(path, &header, (0..self.n_rows).map(row))?)
            }
            _ => Err(IndexError::Format { path: path.to_owned() }),
        }
    }

    /// Whether a file of this name can be written as a table.
    ///
    /// # Errors
    ///
    /// Another ending than `.csv` and `.parquet`.
    pub fn check_name(path: &Path) -> Result<(), IndexError> {
        let known = |ending: &&std::ffi::OsStr| {
            ["csv", "parquet"]
                .iter()
                .any(|known| ending.eq_ignore_ascii_case(known))
        };
        match path.extension().filter(|ending| known(ending)) {
            Some(_) => Ok(()),
            None => Err(IndexError::Format { path: path.to_owned() }),
        }
    }
}

fn cell(data: &ColumnData, at: usize) -> String {
    match data {
        ColumnData::Text(cells) => cells[at].clone().unwrap_or_default(),
        ColumnData::Float64(cells) => cells[at].map(|number| number.to_string()).unwrap_or_default(),
        ColumnData::Float32(cells) => cells[at].to_string(),
        ColumnData::Int(cells) => cells[at].to_string(),
    }
}

/// Lengths that were computed, without the noise of their last digits.
fn micrometers(mm: f64) -> f64 {
    // A sum with 0 makes 0 of -0.
    (mm * 1e3).round() / 1e3 + 0.0
}

fn millionths(share: f64) -> f64 {
    (share * 1e6).round() / 1e6
}

/// An address as the table has it.
fn relative(address: &SliceAddress, folder: &Path) -> String {
    let file = address.file.strip_prefix(folder).unwrap_or(&address.file).to_owned();
    let relative = SliceAddress {
        file,
        ..address.clone()
    };
    relative.to_string()
}

fn site(scan: &Scan, plan: &TablePlan) -> Option<String> {
    let slice = &scan.slices.first()?.slice;
    match plan.site {
        Site::Institution => scan.series.institution.as_deref().map(|name| plan.ids.site(name)),
        Site::Manufacturer => scan.series.manufacturer.as_deref().and_then(|name| plain(name, slice)),
        Site::Folder => {
            let root = plan.roots.get(slice.root)?;
            let root = root.canonicalize().unwrap_or_else(|_| root.clone());
            root.file_name().map(|name| name.to_string_lossy().into_owned())
        }
        Site::Named(name) => Some(name.clone()),
    }
}

/// Longer ones are no name of a kernel or scanner (PS3.5 6.2: LO and SH have 64 characters at most).
const LONGEST: usize = 64;

/// A value of free text as it may stand in a table: in one line, and none that repeats who the patient is.
fn plain(value: &str, slice: &Slice) -> Option<String> {
    let text: String = value
        .chars()
        .map(|letter| if letter.is_control() { ' ' } else { letter })
        .take(LONGEST)
        .collect();
    let person = slice.series.person.as_deref().unwrap_or_default();
    let parts = person
        .split(['^', '=', ' ', '\u{1f}'])
        .chain(slice.series.patient_id.as_deref());
    let lower = text.to_lowercase();
    // Shorter ones stand in any text.
    let named = parts
        .filter(|part| part.chars().count() > 3)
        .any(|part| lower.contains(&part.to_lowercase()));
    Some(text.trim().to_owned()).filter(|text| !named && !text.is_empty())
}

/// Writes what was left out, with the reasons.
///
/// # Errors
///
/// [`WriteError`].
pub fn write_left_out(path: &Path, left_out: &[LeftOut], folder: &Path) -> Result<(), WriteError> {
    let folder = folder.canonicalize().unwrap_or_else(|_| folder.to_owned());
    let row = |left: &LeftOut| {
        vec![
            relative(&left.address, &folder),
            left.reason.kind().to_owned(),
            left.reason.to_string(),
        ]
    };
    write_csv(
        path,
        &["path", "reason", "detail"].map(str::to_owned),
        left_out.iter().map(row),
    )
}

/// Writes what is odd about scans, each with the number of its slices.
///
/// # Errors
///
/// [`WriteError`].
pub fn write_checks(path: &Path, found: &[(&Scan, Check)], ids: &Pseudonymizer) -> Result<(), WriteError> {
    let row = |(scan, check): &(&Scan, Check)| {
        let n = scan.slices.len().to_string();
        vec![scan.pseudonym(ids), n, check.kind().to_owned(), check.to_string()]
    };
    let header = ["scan_id", "slices_in_scan", "check", "detail"];
    write_csv(path, &header.map(str::to_owned), found.iter().map(row))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::{
        super::{series::scans, slice::SeriesFacts, testing},
        *,
    };
    use crate::tables::{looks_identifying, read_table};

    fn secret() -> SeriesFacts {
        SeriesFacts {
            patient_id: Some("PAT-SECRET".to_owned()),
            person: Some("Secretname^Jane\u{1f}19330303".to_owned()),
            study: Some("1.2.99.3".to_owned()),
            series: "1.2.99.4".to_owned(),
            manufacturer: Some("SIEMENS\n".to_owned()),
            model: Some("of PAT-SECRET".to_owned()),
            institution: Some("St. Secret".to_owned()),
            ..SeriesFacts::default()
        }
    }

    fn made() -> Vec<Scan> {
        let slice = |z| Slice {
            series: Arc::new(secret()),
            ..testing::slice(z)
        };
        scans([0.0, 2.5, 5.0].map(slice).to_vec(), &mut Vec::new())
    }

    fn table(ids: &Pseudonymizer) -> Table {
        let plan = TablePlan {
            ids,
            site: &Site::Institution,
            roots: &[],
            folder: Path::new("/data"),
            selection: None,
            labels: None,
        };
        Table::of(&made(), &plan)
    }

    #[test]
    fn nobody_is_named() {
        let ids = Pseudonymizer::new(b"0123456789abcdef");
        let shown = format!("{:?}", table(&ids).columns);
        for secret in ["SECRET", "Secret", "19330303", "1.2.99"] {
            assert!(!shown.contains(secret), "{secret}");
        }
        assert!(shown.contains("SIEMENS\"") && shown.contains("pat-") && shown.contains("sit-"));
        let kept = format!("{:?}", table(&Pseudonymizer::keep()).columns);
        assert!(kept.contains("PAT-SECRET") && kept.contains("1.2.99.4"));
    }

    #[test]
    fn a_table_is_read_back_in_both_formats() {
        let folder = tempfile::tempdir().unwrap();
        let table = table(&Pseudonymizer::new(b"0123456789abcdef"));
        let (csv, parquet) = (folder.path().join("a.csv"), folder.path().join("a.parquet"));
        table.write(&csv).unwrap();
        table.write(&parquet).unwrap();
        let (csv, parquet) = (read_table(&csv).unwrap(), read_table(&parquet).unwrap());
        assert_eq!(csv.names().collect::<Vec<_>>(), parquet.names().collect::<Vec<_>>());
        for table in [&csv, &parquet] {
            let column =
                |name: &str| -> Vec<String> { table.column(name).unwrap().iter().flatten().cloned().collect() };
            assert_eq!(column("slice_index"), ["0", "1", "2"]);
            let heights: Vec<f64> = column("position_mm").iter().map(|mm| mm.parse().unwrap()).collect();
            assert_eq!(heights, [5.0, 2.5, 0.0]);
            assert_eq!(column("orientation"), ["LP"; 3]);
            assert!(column("path").iter().all(|path| !path.starts_with('/')));
        }
        assert!(matches!(
            table.write(&folder.path().join("a.xlsx")),
            Err(IndexError::Format { .. })
        ));
        assert!(Table::check_name(Path::new("a.CSV")).is_ok());
    }

    /// What a study would withhold: the pseudonyms that it takes by name, and the path.
    #[test]
    fn columns_have_names_that_a_study_carries_along() {
        let columns = table(&Pseudonymizer::new(b"0123456789abcdef")).columns;
        let withheld: Vec<&str> = columns
            .iter()
            .map(|column| column.name.as_str())
            .filter(|name| looks_identifying(name))
            .collect();
        assert_eq!(withheld, ["path", "patient_id", "study_id", "scan_id"]);
    }
}
