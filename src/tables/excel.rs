//! Workbooks (xlsx, xlsb, ods, xls) as text tables, by calamine.

use std::path::Path;

use calamine::{Data, Reader as _};

use super::{TableError, TextTable, check_names, dates};

/// Reads one sheet; the first where no name is given. The first row that has a cell is the header.
///
/// Whole numbers have no `.0`, dates are ISO 8601, `TRUE` and `FALSE` are `true` and `false`, errors (`#N/A`) are empty.
/// Rows at the end that hold nothing, and columns without a name and without cells, are left out.
///
/// # Errors
///
/// [`TableError::Workbook`], [`TableError::NoSheet`], and the errors of names.
pub fn read_sheet(path: &Path, sheet: Option<&str>) -> Result<TextTable, TableError> {
    let workbook = |source| TableError::Workbook {
        source: Box::new(source),
        path: path.to_owned(),
    };
    let mut book = calamine::open_workbook_auto(path).map_err(workbook)?;
    let sheets = book.sheet_names();
    let wanted = sheet
        .map(str::to_owned)
        .or_else(|| sheets.first().cloned())
        .unwrap_or_default();
    if !sheets.contains(&wanted) {
        return Err(TableError::NoSheet {
            sheet: wanted,
            sheets,
            path: path.to_owned(),
        });
    }
    let range = book.worksheet_range(&wanted).map_err(workbook)?;
    let mut rows = range.rows();
    let Some(header) = rows.next() else {
        return Err(TableError::Empty { path: path.to_owned() });
    };
    let mut columns: Vec<(String, Vec<Option<String>>)> = header
        .iter()
        .map(|cell| (text(cell).unwrap_or_default().trim().to_owned(), Vec::new()))
        .collect();
    for row in rows {
        for ((_, cells), cell) in columns.iter_mut().zip(row) {
            cells.push(text(cell));
        }
    }
    // A format that was painted over more cells than the table leaves columns and rows of nothing.
    columns.retain(|(name, cells)| !name.is_empty() || cells.iter().any(Option::is_some));
    let last = columns
        .iter()
        .filter_map(|(_, cells)| cells.iter().rposition(Option::is_some))
        .max();
    let n_rows = last.map_or(0, |row| row + 1);
    columns.iter_mut().for_each(|(_, cells)| cells.truncate(n_rows));
    check_names(columns.iter().map(|(name, _)| name.as_str()), path)?;
    TextTable::new(columns)
}

fn text(cell: &Data) -> Option<String> {
    match cell {
        Data::Empty | Data::Error(_) => None,
        Data::String(text) | Data::DateTimeIso(text) | Data::DurationIso(text) => Some(text.clone()),
        Data::Int(value) => Some(value.to_string()),
        Data::Float(value) => Some(super::parquet_cells::float_text(*value)),
        Data::Bool(value) => Some(value.to_string()),
        Data::DateTime(value) if value.is_datetime() => {
            let (year, month, day, hour, minute, second, milli) = value.to_ymd_hms_milli();
            let nanos = ((i64::from(hour) * 60 + i64::from(minute)) * 60 + i64::from(second)) * 1_000_000_000
                + i64::from(milli) * 1_000_000;
            let date = format!("{year:04}-{month:02}-{day:02}");
            Some(if nanos == 0 {
                date
            } else {
                format!("{date}T{}", dates::time(nanos))
            })
        }
        Data::DateTime(value) => Some(super::parquet_cells::float_text(value.as_f64())),
    }
    .filter(|text| !text.is_empty())
}
