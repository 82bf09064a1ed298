//! Which columns of a user's table probably name a person or a file, by their names.

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
/// assert!(!looks_identifying("age") && !looks_identifying("pathology") && !looks_identifying("covid"));
/// ```
pub fn looks_identifying(column: &str) -> bool {
    let mut name = column.trim().to_lowercase();
    for word in HARMLESS {
        name = name.replace(word, "");
    }
    name == "id" || PARTS.iter().any(|part| name.contains(part))
}
