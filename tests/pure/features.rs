//! Feature tables: stored, cut into parts, resumed, exported and imported.

use std::path::Path;

use hounsfield::{
    ct::Pseudonymizer,
    features::{
        FeatureColumns, FeatureError, FeatureTable, ImportOptions, PartLayout, PartWriter, Provenance, Rows,
        SONG_LAYERS, existing_rows, export_csv, export_npy, export_safetensors, feature_names, import, merge_parts,
        read_features, write_features,
    },
    seed::stream,
    tables::{Column, ColumnData, write_parquet},
};
use ndarray::{Array2, s};
use rand::{RngExt as _, seq::SliceRandom as _};

use crate::tables::{expected, oracle, real_data};

/// A table of made rows; floats of any bits but NaN, so that tables compare.
fn made(n: usize, width: usize, seed: u64) -> FeatureTable {
    let mut draw = stream(seed, "made");
    let mut float = || loop {
        let value = f32::from_bits(draw.random());
        if !value.is_nan() {
            return value;
        }
    };
    let values = Array2::from_shape_simple_fn((n, width), &mut float);
    let some = |row: usize, text: &str| (!row.is_multiple_of(3)).then(|| format!("{text} {}", row % 7));
    let rows = Rows {
        slice_id: (0..n).map(|row| format!("slc-{row:05}")).collect(),
        scan_id: (0..n).map(|row| format!("scn-{}", row / 4)).collect(),
        patient_id: (0..n).map(|row| format!("pat-{}", row / 8)).collect(),
        label: (0..n).map(|row| some(row, "Lungenentzündung")).collect(),
        site: (0..n).map(|row| some(row + 1, "漢字")).collect(),
        split: vec![None; n],
        extra: vec![(
            "age, \"years\"".to_owned(),
            (0..n).map(|row| some(row + 2, "line\nbreak")).collect(),
        )],
    };
    let provenance = Provenance {
        layer: "z_mean".to_owned(),
        untrained: true,
        ..Provenance::default()
    };
    FeatureTable {
        values,
        names: feature_names(width),
        rows,
        provenance,
    }
}

fn layout(table: &FeatureTable, rows_per_part: usize) -> PartLayout {
    PartLayout {
        names: table.names.clone(),
        extra: table.rows.extra.iter().map(|(name, _)| name.clone()).collect(),
        provenance: table.provenance.clone(),
        inputs: "cohort-hash".to_owned(),
        rows_per_part,
    }
}

/// Appends rows `start..end` in batches.
fn append(writer: &mut PartWriter, table: &FeatureTable, start: usize, end: usize, batch: usize) {
    for from in (start..end).step_by(batch) {
        let to = (from + batch).min(end);
        let rows = table.rows.select(&(from..to).collect::<Vec<_>>());
        writer.append(table.values.slice(s![from..to, ..]), rows).unwrap();
    }
}

#[test]
fn a_stored_table_comes_back_bit_for_bit_whatever_its_length() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("f.parquet");
    for n in [0, 1, 100, 9000] {
        let table = made(n, 7, n as u64);
        write_features(&path, &table).unwrap();
        assert_eq!(read_features(&path).unwrap(), table, "{n} rows");
    }
}

#[test]
fn nan_and_infinities_are_stored_and_counted() {
    let folder = tempfile::tempdir().unwrap();
    let mut table = made(3, 2, 0);
    table.values = ndarray::arr2(&[[1.0, 2.0], [3.0, f32::NEG_INFINITY], [f32::NAN, 4.0]]);
    write_features(&folder.path().join("f.parquet"), &table).unwrap();
    let back = read_features(&folder.path().join("f.parquet")).unwrap();
    assert_eq!(back.non_finite(), Some((2, 1, 1)));
    assert!(back.values[(2, 0)].is_nan());
}

/// Property: however rows are batched and parted, the merged table is the one that was written at once.
#[test]
fn parts_merged_are_the_table_written_at_once_and_the_folder_is_that_table() {
    let table = made(103, 5, 3);
    for (rows_per_part, batch) in [(1, 1), (10, 7), (50, 64), (4096, 16), (103, 103)] {
        let folder = tempfile::tempdir().unwrap();
        let parts = folder.path().join("parts");
        let (mut writer, resumed) = PartWriter::open(&parts, layout(&table, rows_per_part)).unwrap();
        assert!(resumed.rows.is_empty() && resumed.removed.is_empty());
        append(&mut writer, &table, 0, 103, batch);
        writer.finish().unwrap();
        assert_eq!(
            read_features(&parts).unwrap(),
            table,
            "{rows_per_part} rows a part, batches of {batch}"
        );
        let (merged, whole) = (
            folder.path().join("merged.parquet"),
            folder.path().join("whole.parquet"),
        );
        assert_eq!(merge_parts(&parts, &merged, None, &[]).unwrap(), 103);
        write_features(&whole, &table).unwrap();
        assert_eq!(std::fs::read(&merged).unwrap(), std::fs::read(&whole).unwrap());
    }
}

#[test]
fn a_run_that_was_killed_resumes_and_ends_with_the_same_file() {
    let table = made(60, 4, 5);
    let folder = tempfile::tempdir().unwrap();
    let parts = folder.path().join("parts");
    let (mut writer, _) = PartWriter::open(&parts, layout(&table, 8)).unwrap();
    append(&mut writer, &table, 0, 30, 5);
    drop(writer); // killed: six rows were not in a part yet
    std::fs::write(parts.join(".hounsfield-xyz.tmp"), "half a part").unwrap();
    assert_eq!(existing_rows(&parts).unwrap().len(), 24);
    let torn = parts.join("part-00001.parquet");
    let bytes = std::fs::read(&torn).unwrap();
    std::fs::write(&torn, &bytes[..bytes.len() / 2]).unwrap();

    let (mut writer, resumed) = PartWriter::open(&parts, layout(&table, 8)).unwrap();
    assert_eq!(resumed.rows.len(), 16);
    assert_eq!(resumed.removed.len(), 1);
    assert!(
        resumed.removed[0].reason.contains("torn"),
        "{}",
        resumed.removed[0].reason
    );
    assert!(!parts.join(".hounsfield-xyz.tmp").exists());
    let missing: Vec<usize> = (0..60)
        .filter(|row| !resumed.rows.contains(&table.rows.slice_id[*row]))
        .collect();
    let again = writer.append(table.values.slice(s![0..1, ..]), table.rows.select(&[0]));
    assert!(matches!(
        again,
        Err(FeatureError::DuplicateRows { repeated: 1, rows: 1 })
    ));
    writer
        .append(
            table.values.select(ndarray::Axis(0), &missing).view(),
            table.rows.select(&missing),
        )
        .unwrap();
    writer.finish().unwrap();

    let (merged, whole) = (
        folder.path().join("merged.parquet"),
        folder.path().join("whole.parquet"),
    );
    merge_parts(&parts, &merged, Some(&table.rows), &[]).unwrap();
    write_features(&whole, &table).unwrap();
    assert_eq!(std::fs::read(&merged).unwrap(), std::fs::read(&whole).unwrap());
}

#[test]
fn merging_keeps_any_order_that_is_asked_for_and_counts_what_does_not_fit() {
    let table = made(50, 3, 7);
    let folder = tempfile::tempdir().unwrap();
    let (parts, out) = (folder.path().join("parts"), folder.path().join("out.parquet"));
    let (mut writer, _) = PartWriter::open(&parts, layout(&table, 9)).unwrap();
    append(&mut writer, &table, 0, 50, 10);
    writer.finish().unwrap();
    let mut order: Vec<usize> = (0..50).collect();
    order.shuffle(&mut stream(0, "order"));
    let mut rows = table.rows.select(&order);
    rows.split.fill(Some("train".to_owned()));
    merge_parts(&parts, &out, Some(&rows), &[]).unwrap();
    let merged = read_features(&out).unwrap();
    assert_eq!(
        merged.rows, rows,
        "the columns beside the features are those that were given"
    );
    assert_eq!(merged.values, table.values.select(ndarray::Axis(0), &order));
    let mut other = rows.select(&(0..41).collect::<Vec<_>>());
    other.slice_id[40] = "slc-none".to_owned();
    let error = merge_parts(&parts, &out, Some(&other), &[]).unwrap_err();
    assert!(
        matches!(
            error,
            FeatureError::Order {
                found: 50,
                expected: 41,
                missing: 1,
                surplus: 10
            }
        ),
        "{error}"
    );
}

#[test]
fn parts_of_another_encoder_or_other_inputs_are_not_taken_over() {
    let table = made(10, 3, 9);
    let folder = tempfile::tempdir().unwrap();
    let (mut writer, _) = PartWriter::open(folder.path(), layout(&table, 5)).unwrap();
    append(&mut writer, &table, 0, 10, 5);
    writer.finish().unwrap();
    let mut other = layout(&table, 5);
    other.provenance.weights = "random(1)".to_owned();
    other.provenance.layer = "avepool_feat".to_owned();
    std::fs::copy(folder.path().join("part-00000.parquet"), folder.path().join("keep")).unwrap();
    let (_, resumed) = PartWriter::open(folder.path(), other.clone()).unwrap();
    assert_eq!(resumed.removed.len(), 2);
    assert_eq!(resumed.removed[0].reason, "made differently: layer, weights");
    std::fs::rename(folder.path().join("keep"), folder.path().join("part-00000.parquet")).unwrap();
    let inputs = PartLayout {
        inputs: "another cohort".to_owned(),
        ..layout(&table, 5)
    };
    let (_, resumed) = PartWriter::open(folder.path(), inputs).unwrap();
    assert_eq!(resumed.removed[0].reason, "made from other inputs");
    std::fs::write(folder.path().join("notes.parquet"), "").unwrap();
    assert!(matches!(
        PartWriter::open(folder.path(), other),
        Err(FeatureError::StrangeFile { .. })
    ));
}

#[test]
fn a_folder_of_parts_that_were_made_differently_names_the_fields() {
    let (a, mut b) = (made(2, 3, 0), made(4, 3, 0));
    b.provenance.preprocess = "another".to_owned();
    let folder = tempfile::tempdir().unwrap();
    write_features(&folder.path().join("a.parquet"), &a).unwrap();
    write_features(&folder.path().join("b.parquet"), &b).unwrap();
    let error = read_features(folder.path()).unwrap_err().to_string();
    assert!(error.starts_with("parts were made differently (preprocess)"), "{error}");
    b.provenance = a.provenance.clone();
    write_features(&folder.path().join("b.parquet"), &b).unwrap();
    let error = read_features(folder.path()).unwrap_err().to_string();
    assert!(error.starts_with("2 of 6 rows repeat"), "{error}");
}

#[test]
fn foreign_parquet_is_read_where_it_has_the_columns() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("foreign.parquet");
    let text = |cells: [&str; 2]| ColumnData::Text(cells.iter().map(|cell| Some((*cell).to_owned())).collect());
    let mut columns: Vec<Column> = ["slice_id", "scan_id", "patient_id", "label", "site", "split"]
        .into_iter()
        .map(|name| Column::new(name, text(["a", "b"])))
        .collect();
    columns.push(Column::new("age", ColumnData::Float64(vec![Some(61.5), None])));
    columns.push(Column::new("f0", ColumnData::Float64(vec![Some(0.1), None])));
    write_parquet(&path, &columns, &Default::default()).unwrap();
    let table = read_features(&path).unwrap();
    assert_eq!(
        (table.names.as_slice(), table.values[(0, 0)]),
        (["f0".to_owned()].as_slice(), 0.1)
    );
    assert_eq!(table.non_finite(), Some((1, 1, 0)));
    assert_eq!(
        table.rows.extra,
        [("age".to_owned(), vec![Some("61.5".to_owned()), None])]
    );
    assert_eq!(table.provenance.encoder, "unknown");
    columns[7] = Column::new("f0", text(["a", "b"]));
    write_parquet(&path, &columns, &Default::default()).unwrap();
    assert!(matches!(
        read_features(&path),
        Err(FeatureError::NotFloat { found: "text", .. })
    ));
    columns.remove(2);
    write_parquet(&path, &columns, &Default::default()).unwrap();
    let error = read_features(&path).unwrap_err().to_string();
    assert!(
        error.contains(r#"no column "patient_id""#) && error.contains("features import"),
        "{error}"
    );
}

#[test]
fn exports_come_back_bit_for_bit() {
    let folder = tempfile::tempdir().unwrap();
    let table = made(20, 6, 11);
    let bits = |values: &Array2<f32>| values.mapv(f32::to_bits);

    let csv = folder.path().join("t.csv");
    let files = export_csv(&csv, &table).unwrap();
    assert!(files[1].ends_with("t.provenance.json"));
    let named = |name: &str| Some(name.to_owned());
    let options = ImportOptions {
        id: named("slice_id"),
        scan: named("scan_id"),
        patient: named("patient_id"),
        label: named("label"),
        site: named("site"),
        features: FeatureColumns::Prefix("f".to_owned()),

        ..ImportOptions::default()
    };
    let back = import(&csv, &options, &Pseudonymizer::keep()).unwrap().table;
    assert_eq!(bits(&back.values), bits(&table.values));
    assert_eq!((back.rows, back.names), (table.rows.clone(), table.names.clone()));

    let npy = folder.path().join("t.npy");
    let files = export_npy(&npy, &table).unwrap();
    assert!(files[1].ends_with("t.rows.csv"));
    let values: Array2<f32> = ndarray_npy::read_npy(&npy).unwrap();
    assert_eq!(bits(&values), bits(&table.values));
    let options = ImportOptions {
        labels: Some(files[1].clone()),
        features: FeatureColumns::NumericRest,
        ..options
    };
    let back = import(&npy, &options, &Pseudonymizer::keep()).unwrap().table;
    assert_eq!(
        (bits(&back.values), back.rows),
        (bits(&table.values), table.rows.clone())
    );

    let path = folder.path().join("t.safetensors");
    export_safetensors(&path, &table).unwrap();
    let bytes = std::fs::read(&path).unwrap();
    let tensors = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    let tensor = tensors.tensor("features").unwrap();
    assert_eq!(
        (tensor.dtype(), tensor.shape()),
        (safetensors::Dtype::F32, [20, 6].as_slice())
    );
    let data: Vec<u32> = tensor
        .data()
        .chunks_exact(4)
        .map(|b| u32::from_le_bytes([b[0], b[1], b[2], b[3]]))
        .collect();
    assert_eq!(data, bits(&table.values).into_raw_vec_and_offset().0);
    let (_, metadata) = safetensors::SafeTensors::read_metadata(&bytes).unwrap();
    let provenance = metadata.metadata().as_ref().unwrap()["provenance"].clone();
    assert_eq!(
        serde_json::from_str::<Provenance>(&provenance).unwrap(),
        table.provenance
    );
}

#[test]
fn numpy_files_of_every_usual_type_are_imported() {
    let folder = tempfile::tempdir().unwrap();
    let labels = folder.path().join("labels.csv");
    std::fs::write(&labels, "who,covid\np1,1\np1,0\np2,1\np3,0\np3,1\n").unwrap();
    let options = ImportOptions {
        labels: Some(labels),
        patient: Some("who".to_owned()),
        label: Some("covid".to_owned()),
        ..ImportOptions::default()
    };
    let ids = Pseudonymizer::new(b"sixteen bytes or more");
    let wanted: Vec<Vec<f64>> = serde_json::from_value(expected()["npy"].clone()).unwrap();
    for name in ["f32.npy", "f64_fortran.npy", "big_endian.npy"] {
        let imported = import(&oracle(name), &options, &ids).unwrap();
        for (row, wanted) in imported.table.values.rows().into_iter().zip(&wanted) {
            assert!(
                row.iter()
                    .zip(wanted)
                    .all(|(value, wanted)| f64::from(*value) == *wanted),
                "{name}"
            );
        }
        assert!(imported.table.provenance.pseudonyms);
        assert!(
            imported
                .table
                .rows
                .patient_id
                .iter()
                .all(|patient| patient.starts_with("pat-"))
        );
        assert_eq!(imported.table.rows.scan_id, imported.table.rows.patient_id);
    }
    let short = import(&oracle("i16.npy"), &options, &ids).unwrap_err();
    assert_eq!(
        short.to_string(),
        "3 rows of features and 5 of labels cannot be joined by their order (name a key column)"
    );
    let half = import(&oracle("f16.npy"), &options, &ids).unwrap_err().to_string();
    assert!(half.contains("<f2") && half.contains("float32"), "{half}");
}

#[test]
fn an_import_says_what_it_withheld_and_what_was_wrong() {
    let folder = tempfile::tempdir().unwrap();
    let (features, labels) = (folder.path().join("f.csv"), folder.path().join("l.csv"));
    std::fs::write(&features, "key,area,mean,fold\nb,1,0.5,0\na,2,,1\n").unwrap();
    std::fs::write(
        &labels,
        "Key,PatientName,age,fold,split,label,scan\na,Ann,50,0,train,x,1\nb,Bo,60,1,test,y,1\n",
    )
    .unwrap();
    let options = ImportOptions {
        labels: Some(labels.clone()),
        on: Some("key".to_owned()),
        labels_on: Some("Key".to_owned()),
        patient: Some("PatientName".to_owned()),
        scan: Some("scan".to_owned()),
        label: Some("label".to_owned()),
        ..ImportOptions::default()
    };
    let ids = Pseudonymizer::new(b"sixteen bytes or more");
    let imported = import(&features, &options, &ids).unwrap();
    let table = &imported.table;
    assert_eq!(table.names, ["area", "mean"]);
    assert_eq!(table.non_finite(), Some((1, 1, 1)));
    assert_eq!(table.rows.label, [Some("y".to_owned()), Some("x".to_owned())]);
    assert_eq!(table.rows.split, [Some("test".to_owned()), Some("train".to_owned())]);
    let extra: Vec<&str> = table.rows.extra.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(extra, ["age", "fold"]);
    assert_eq!(
        table.rows.extra[1].1[0].as_deref(),
        Some("1"),
        "the label table's fold, not the matrix'"
    );
    assert_ne!(
        table.rows.scan_id[0], table.rows.scan_id[1],
        "scan 1 of two patients is two scans"
    );
    assert_eq!(table.rows.patient_id[0], ids.patient("Bo"));
    assert_eq!(imported.notes.len(), 2, "{:?}", imported.notes);
    assert!(table.provenance.source.starts_with("f.csv (sha256 ") && table.provenance.source.contains("; l.csv"));

    std::fs::write(&labels, "key,patient,PatientName,age\na,p1,Ann,50\nb,p2,Bo,60\n").unwrap();
    let mut options = ImportOptions {
        labels_on: None,
        scan: None,
        label: None,
        ..options
    };
    options.patient = Some("patient".to_owned());
    assert_eq!(import(&features, &options, &ids).unwrap().withheld, ["PatientName"]);
    options.keep = vec!["PatientName".to_owned()];
    let kept = import(&features, &options, &ids).unwrap();
    assert_eq!(
        (kept.withheld.len(), kept.table.rows.extra[0].0.as_str()),
        (0, "PatientName")
    );

    let nobody = ImportOptions {
        patient: None,
        ..options.clone()
    };
    assert!(matches!(
        import(&features, &nobody, &ids),
        Err(FeatureError::NoPatientColumn)
    ));
    options.features = FeatureColumns::List(vec!["mean".to_owned(), "aera".to_owned()]);
    let typo = import(&features, &options, &ids).unwrap_err().to_string();
    assert!(typo.starts_with(r#"no column "aera" (nearest: "area")"#), "{typo}");
    std::fs::write(&features, "key,area,mean,fold\nb,1,0.5,0\na,2,\"0,5\",1\n").unwrap();
    options.features = FeatureColumns::Prefix("mean".to_owned());
    let comma = import(&features, &options, &ids).unwrap_err().to_string();
    assert!(
        comma.starts_with(r#"row 2 of feature column "mean" is no number (a decimal comma?"#),
        "{comma}"
    );
    std::fs::write(&labels, "key,patient\na,p1\nb,\n").unwrap();
    options.keep.clear();
    options.features = FeatureColumns::Prefix("area".to_owned());
    let error = import(&features, &options, &ids).unwrap_err();
    assert!(
        matches!(error, FeatureError::NoPatient { rows: 1, of: 2, .. }),
        "{error}"
    );
}

#[test]
fn parquet_excel_and_csv_of_one_matrix_import_alike() {
    let folder = tempfile::tempdir().unwrap();
    let parquet = folder.path().join("m.parquet");
    let text = |cells: [&str; 3]| ColumnData::Text(cells.iter().map(|cell| Some((*cell).to_owned())).collect());
    let columns = [
        Column::new("id", text(["s1", "s2", "s3"])),
        Column::new("text", text(["p", "p", "q"])),
        Column::new("x", ColumnData::Float64(vec![Some(0.1), Some(-1e-9), Some(3.0)])),
    ];
    write_parquet(&parquet, &columns, &Default::default()).unwrap();
    let csv = folder.path().join("m.csv");
    std::fs::write(&csv, "id;text;x\ns1;p;0.1\ns2;p;-1e-9\ns3;q;3.0\n").unwrap();
    let labels = folder.path().join("labels.csv");
    std::fs::write(&labels, "id,who\ns3,q\ns1,p\ns2,p\n").unwrap();
    let options = ImportOptions {
        labels: Some(labels),
        on: Some("id".to_owned()),
        patient: Some("who".to_owned()),
        features: FeatureColumns::List(vec!["x".to_owned()]),
        ..ImportOptions::default()
    };
    let ids = Pseudonymizer::new(b"sixteen bytes or more");
    let values = |path: &Path| import(path, &options, &ids).unwrap().table;
    let (a, b, c) = (values(&parquet), values(&csv), values(&oracle("book.xlsx")));
    assert_eq!(a.values, ndarray::arr2(&[[0.1], [-1e-9], [3.0]]));
    assert_eq!((&a.values, &a.rows), (&b.values, &b.rows));
    assert_eq!(
        (&a.values, &a.rows.slice_id, &a.rows.patient_id),
        (&c.values, &c.rows.slice_id, &c.rows.patient_id)
    );
}

/// Expected: the vectors that NumPy 2.3.5 printed, read back by NumPy; the files are written as the authors' notebook
/// writes them.
#[test]
fn the_six_files_of_song_2020_are_imported() {
    let folder = tempfile::tempdir().unwrap();
    let labels = folder.path().join("labels.csv");
    let rows = "P004_1,P004,0\nP001_2,P001,1\nP001 (1),P001,1\nP002_1,P002,0\nP003_1,P003,1\nP005_1,P005,1\n";
    std::fs::write(&labels, format!("slice,patient,COVID\n{rows}")).unwrap();
    let mut options = ImportOptions {
        labels: Some(labels),
        on: Some("name".to_owned()),
        labels_on: Some("slice".to_owned()),
        patient: Some("patient".to_owned()),
        label: Some("COVID".to_owned()),

        ..ImportOptions::default()
    };
    let ids = Pseudonymizer::keep();
    let missing = import(&oracle("song"), &options, &ids).unwrap_err().to_string();
    assert!(
        missing.contains("choose one of avepool_feat, bn_crelu_feat"),
        "{missing}"
    );
    let song = expected()["song"].clone();
    for layer in SONG_LAYERS {
        options.layer = Some(layer.to_owned());
        let imported = import(&oracle("song"), &options, &ids).unwrap();
        let wanted: Vec<(String, String, Vec<f32>)> = serde_json::from_value(song[layer].clone()).unwrap();
        assert_eq!(
            imported.table.rows.slice_id,
            wanted.iter().map(|row| row.0.clone()).collect::<Vec<_>>()
        );
        for (values, (name, _, wanted)) in imported.table.values.rows().into_iter().zip(&wanted) {
            assert_eq!(values.to_vec(), *wanted, "{layer}: {name}");
        }
        assert_eq!(imported.table.provenance.layer, layer);
        assert_eq!(imported.table.rows.extra[0].0, "song2020_set");
        assert_eq!(imported.table.rows.split, vec![None; 5], "their split is by slice");
        assert_eq!(imported.table.rows.label[4].as_deref(), Some("0"));
    }
    options.layer = None;
    let one = import(&oracle("song/featureTrain_z_mean.csv"), &options, &ids).unwrap();
    assert_eq!(
        (one.table.rows.len(), one.table.provenance.layer.as_str()),
        (3, "z_mean")
    );
}

#[test]
fn the_real_matrix_is_the_same_from_csv_and_numpy() {
    let Some(folder) = real_data("features/cs760-sarscov2") else {
        return;
    };
    let options = ImportOptions {
        labels: Some(folder.join("labels.csv")),
        id: Some("id".to_owned()),
        patient: Some("group_id".to_owned()),
        label: Some("label".to_owned()),

        ..ImportOptions::default()
    };
    let ids = Pseudonymizer::keep();
    let csv = import(&folder.join("features_33.csv"), &options, &ids).unwrap();
    let npy = import(&folder.join("features_33.npy"), &options, &ids).unwrap();
    assert_eq!(csv.table.values.dim(), (2480, 33));
    // The published CSV holds ten digits of the NumPy file's 64-bit floats: NumPy too reads 65 of the 81,840 values
    // as the neighbouring 32-bit float.
    let ulps = csv
        .table
        .values
        .iter()
        .zip(&npy.table.values)
        .map(|(a, b)| a.to_bits().abs_diff(b.to_bits()));
    assert_eq!(ulps.clone().max(), Some(1));
    assert_eq!(ulps.sum::<u32>(), 65);
    assert_eq!(csv.table.rows, npy.table.rows);
    assert_eq!(csv.withheld, ["orig_name", "patient_id"]);
    let patients: std::collections::BTreeSet<_> = csv.table.rows.patient_id.iter().collect();
    assert!(patients.len() > 50, "{} groups", patients.len());
    let wide = import(&folder.join("features_107.npy"), &options, &ids).unwrap();
    assert_eq!(wide.table.values.dim(), (2480, 107));
}
