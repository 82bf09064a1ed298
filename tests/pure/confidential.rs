//! What of a DICOM object identifies a patient, against a walk of pydicom's.

use std::path::Path;

use hounsfield::readers::confidential;
use serde_json::Value;

/// Expected: `pydicom.Dataset.walk` with the table of dicom-anonymizer, pydicom 3.0.2; see make_confidential.py.
#[test]
fn what_identifies_a_patient_is_found_in_all_items_by_name_and_never_by_value() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/oracles/dicom");
    let object = dicom_object::open_file(folder.join("confidential.dcm")).unwrap();
    let expected: Value =
        serde_json::from_str(&std::fs::read_to_string(folder.join("confidential.json")).unwrap()).unwrap();
    let found = confidential(&object);
    let (private, listed) = found.split_last().unwrap();
    let rows: Vec<Value> = listed
        .iter()
        .map(|finding| {
            let tag = u32::from(finding.tag.group()) << 16 | u32::from(finding.tag.element());
            serde_json::json!({"tag": tag, "keyword": finding.keyword, "action": finding.action, "n": finding.n})
        })
        .collect();
    assert_eq!(Value::from(rows), expected["attributes"]);
    assert_eq!(
        (private.keyword, private.n as u64),
        ("private attributes", expected["private"].as_u64().unwrap())
    );
    assert!(!format!("{found:?}").contains("Made"));
}
