//! Tables that pandas, pyarrow, openpyxl and NumPy wrote; see tests/oracles/make_tables.py.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use hounsfield::tables::{
    Column, ColumnData, ParquetTable, TableError, looks_identifying, read_sheet, read_table, sha256_file, write_parquet,
};
use serde_json::Value;

pub(crate) fn oracle(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/oracles/tables")
        .join(name)
}

pub(crate) fn expected() -> Value {
    serde_json::from_str(&std::fs::read_to_string(oracle("expected.json")).unwrap()).unwrap()
}

/// Real data, where the environment says where it is.
pub(crate) fn real_data(path: &str) -> Option<PathBuf> {
    match std::env::var_os("HOUNSFIELD_DATA") {
        Some(folder) => Some(Path::new(&folder).join(path)),
        None => {
            eprintln!("skipped: HOUNSFIELD_DATA is not set");
            None
        }
    }
}

/// Expected: the Python values that `pyarrow.parquet.write_table` 22.0, pandas 2.3.3 and openpyxl 3.1.5 were given.
#[test]
fn files_of_other_programs_are_read_as_what_was_written() {
    let expected = expected();
    let files = expected
        .as_object()
        .unwrap()
        .iter()
        .filter(|(name, _)| name.contains('.'));
    let mut n_cells = 0;
    for (file, columns) in files {
        let table = read_table(&oracle(file)).unwrap();
        let columns = columns.as_array().unwrap();
        let names: Vec<&str> = columns.iter().map(|column| column[0].as_str().unwrap()).collect();
        assert_eq!(table.names().collect::<Vec<_>>(), names, "{file}");
        for column in columns {
            let name = column[0].as_str().unwrap();
            let cells = table.column(name).unwrap();
            let wanted = column[1].as_array().unwrap();
            assert_eq!(cells.len(), wanted.len(), "{file}: {name}");
            for (row, (cell, wanted)) in cells.iter().zip(wanted).enumerate() {
                let equal = match (cell, wanted) {
                    (None, Value::Null) => true,
                    (Some(cell), Value::String(wanted)) => cell == wanted,
                    // 32- and 16-bit floats are expected as the 64-bit float that is nearest.
                    (Some(cell), Value::Number(wanted)) => {
                        let (cell, wanted) = (cell.parse::<f64>().unwrap(), wanted.as_f64().unwrap());
                        cell == wanted || cell as f32 == wanted as f32 && (name.starts_with("float") || name == "f")
                    }
                    _ => false,
                };
                assert!(equal, "{file}: {name}: row {row} is {cell:?}, {wanted} was written");
                n_cells += 1;
            }
        }
    }
    assert!(n_cells > 1500, "only {n_cells} cells were compared");
}

#[test]
fn another_sheet_is_read_by_name_and_a_wrong_name_lists_the_sheets() {
    let book = oracle("book.xlsx");
    assert_eq!(
        read_sheet(&book, Some("other")).unwrap().column("a").unwrap()[0].as_deref(),
        Some("1")
    );
    let error = read_sheet(&book, Some("slice")).unwrap_err().to_string();
    assert!(
        error.starts_with(r#"no sheet "slice"; the sheets are slices, other"#),
        "{error}"
    );
}

#[test]
fn nested_columns_and_other_files_are_refused_by_name() {
    let nested = read_table(&oracle("nested.parquet")).unwrap_err();
    assert!(
        matches!(&nested, TableError::Nested { column, .. } if column == "box"),
        "{nested}"
    );
    let npy = read_table(&oracle("f32.npy")).unwrap_err().to_string();
    assert!(npy.contains("NumPy array"), "{npy}");
}

#[test]
fn a_parquet_file_that_is_damaged_anywhere_is_an_error_and_no_panic() {
    use rand::RngExt as _;
    let bytes = std::fs::read(oracle("types_zstd.parquet")).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("damaged.parquet");
    let mut draw = hounsfield::seed::stream(0, "damage");
    let mut refused = 0;
    for _ in 0..200 {
        let mut damaged = bytes.clone();
        let at = draw.random_range(0..damaged.len());
        damaged[at] ^= draw.random_range(1..=255);
        std::fs::write(&path, &damaged).unwrap();
        refused += usize::from(read_table(&path).is_err());
    }
    assert!(refused > 50, "only {refused} of 200 damaged files were refused");
    for end in [0, 4, 11, bytes.len() / 2, bytes.len() - 1] {
        std::fs::write(&path, &bytes[..end]).unwrap();
        assert!(read_table(&path).is_err(), "{end} bytes of {} were read", bytes.len());
    }
}

/// Property: what is written is what is read, and twice the same table is twice the same bytes.
#[test]
fn typed_columns_of_any_length_round_trip() {
    use rand::RngExt as _;
    let folder = tempfile::tempdir().unwrap();
    let mut draw = hounsfield::seed::stream(1, "columns");
    for n in [0, 1, 2, 1000, 70_000] {
        let text: Vec<Option<String>> = (0..n)
            .map(|_| {
                draw.random_bool(0.7)
                    .then(|| format!("wert {}", draw.random_range(0..99)))
            })
            .collect();
        let float32: Vec<f32> = (0..n).map(|_| f32::from_bits(draw.random())).collect();
        let float64: Vec<Option<f64>> = (0..n).map(|_| draw.random_bool(0.5).then(|| draw.random())).collect();
        let int: Vec<i64> = (0..n).map(|_| draw.random()).collect();
        let columns = [
            Column::new("text", ColumnData::Text(text.clone())),
            Column::new("float32", ColumnData::Float32(float32.clone())),
            Column::new("float64", ColumnData::Float64(float64.clone())),
            Column::new("int", ColumnData::Int(int.clone())),
        ];
        let metadata = BTreeMap::from([("who".to_owned(), "ünïcode".to_owned())]);
        let (path, again) = (folder.path().join("a.parquet"), folder.path().join("b.parquet"));
        write_parquet(&path, &columns, &metadata).unwrap();
        write_parquet(&again, &columns, &metadata).unwrap();
        assert_eq!(sha256_file(&path).unwrap(), sha256_file(&again).unwrap());
        let table = ParquetTable::open(&path).unwrap();
        assert_eq!((table.n_rows(), table.metadata()), (n, &metadata));
        assert_eq!(table.texts(0).unwrap(), text);
        let bits = |values: Vec<f32>| values.into_iter().map(f32::to_bits).collect::<Vec<_>>();
        assert_eq!(bits(table.f32s(1).unwrap()), bits(float32));
        assert_eq!(table.f64s(2).unwrap(), float64);
        let ints: Vec<Option<String>> = int.iter().map(|value| Some(value.to_string())).collect();
        assert_eq!(table.texts(3).unwrap(), ints);
    }
}

#[test]
fn real_manifests_are_read_with_their_encodings_and_line_breaks() {
    let Some(folder) = real_data("manifests") else { return };
    // Rows as Python's csv module counts them.
    let tables = [
        ("curated_cap.csv", 2_618),
        ("curated_covid.csv", 7_593),
        ("curated_normal.csv", 6_893),
    ];
    let mut rows = 0;
    for (name, n_rows) in tables {
        let table = read_table(&folder.join(name)).unwrap();
        assert_eq!(table.n_rows, n_rows, "{name}");
        rows += table.n_rows;
    }
    assert_eq!(rows, 17_104);
    let covid = read_table(&folder.join("curated_covid.csv")).unwrap();
    let broken = covid
        .columns
        .iter()
        .flat_map(|(_, cells)| cells)
        .flatten()
        .filter(|cell| cell.contains('\n'));
    assert!(broken.count() > 0, "no line break inside a field was found");
    assert!(
        covid
            .columns
            .iter()
            .flat_map(|(_, cells)| cells)
            .flatten()
            .all(|cell| !cell.contains('\u{fffd}'))
    );
    let withheld: Vec<&str> = covid.names().filter(|name| looks_identifying(name)).collect();
    assert_eq!(
        withheld,
        [
            "File name",
            "Patient ID",
            "Date",
            "Date of Last Calibration",
            "Distance Source to Patient",
            "mask_file",
            "study_file"
        ]
    );
}

#[test]
fn the_real_slice_table_is_read_whole() {
    let Some(path) = real_data("ct-slices/manifest.csv") else {
        return;
    };
    let table = read_table(&path).unwrap();
    assert_eq!((table.n_rows, table.columns.len()), (3_227, 24));
    let covid = table
        .column("cls")
        .unwrap()
        .iter()
        .flatten()
        .filter(|cell| *cell == "covid")
        .count();
    assert_eq!(covid, 1252 + 349);
}
