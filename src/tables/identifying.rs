//! Which columns of a user's table probably name a person or a file, by their names and by what they hold.

/// Parts of a name that speak of a person, a file or a DICOM identifier.
const PARTS: [&str; 14] = [
    "patient",
    "subject",
    "name",
    "mrn",
    "birth",
    "dob",
    "accession",
    "uid",
    "file",
    "path",
    "address",
    "phone",
    "mail",
    "ssn",
];

/// Medical words that contain one of [`PARTS`] by accident.
const HARMLESS: [&str; 3] = ["patholog", "fluid", "liquid"];

/// Whether a column of this name is withheld from the tables that leave the process unless the user keeps it by name.
///
/// A guess that errs on the side of withholding: it looks at the name only, not at the cells.
///
/// ```
/// use hounsfield::tables::looks_identifying;
/// assert!(looks_identifying("PatientName") && looks_identifying("orig_file") && looks_identifying("ID"));
/// assert!(looks_identifying("case_id") && looks_identifying("Notes"));
/// assert!(!looks_identifying("age") && !looks_identifying("pathology") && !looks_identifying("covid"));
/// ```
pub fn looks_identifying(column: &str) -> bool {
    let mut name = column.trim().to_lowercase();
    for word in HARMLESS {
        name = name.replace(word, "");
    }
    let free_text = ["note", "comment", "remark"].iter().any(|word| name.contains(word));
    name == "id" || name == "pid" || name.ends_with("_id") || free_text || PARTS.iter().any(|part| name.contains(part))
}

/// Whether a column's cells hold the identifiers of their rows' patients, whatever the column is called: a slice named
/// `P001_017`, or a folder. Identifiers of one or two characters are in any text and do not count; one of six or more
/// is found by chance nowhere; in between, half of the rows must hold theirs.
///
/// ```
/// use hounsfield::tables::holds_identifiers;
/// let cells = ["P001_017.png", "P002_003.png"].map(|cell| Some(cell.to_owned()));
/// assert!(holds_identifiers(&cells, &["P001", "P002"]));
/// assert!(!holds_identifiers(&cells, &["17", "03"]));
/// ```
pub fn holds_identifiers(cells: &[Option<String>], patients: &[&str]) -> bool {
    let hits = |least: usize| {
        let rows = cells.iter().zip(patients).filter(|(_, patient)| patient.len() >= least);
        rows.filter(|(cell, patient)| cell.as_deref().is_some_and(|cell| cell.contains(**patient)))
            .count()
    };
    hits(6) > 0 || 2 * hits(3) > cells.len()
}
