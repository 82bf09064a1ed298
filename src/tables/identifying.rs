//! Which columns of a user's table probably name a person or a file, by their names and by what they hold.

/// Parts of a name that speak of a person, a file or a DICOM identifier.
const PARTS: [&str; 25] = [
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
    "born",
    "geburt",
    "street",
    "zip",
    "postal",
    "insur",
    "nhs",
    "doctor",
    "physician",
    "date",
    "datum",
];

/// Medical words that contain one of [`PARTS`] by accident.
const HARMLESS: [&str; 7] = [
    "patholog",
    "fluid",
    "liquid",
    "newborn",
    "validat",
    "update",
    "candidate",
];

/// Whether a column of this name is withheld from the tables that leave the process unless the user keeps it by name.
///
/// A guess that errs on the side of withholding: it looks at the name only, not at the cells.
///
/// ```
/// use hounsfield::tables::looks_identifying;
/// assert!(looks_identifying("PatientName") && looks_identifying("orig_file") && looks_identifying("ID"));
/// assert!(looks_identifying("case_id") && looks_identifying("Notes"));
/// assert!(!looks_identifying("age") && !looks_identifying("pathology") && !looks_identifying("validated") && !looks_identifying("covid"));
/// ```
pub fn looks_identifying(column: &str) -> bool {
    let mut name = column.trim().to_lowercase();
    for word in HARMLESS {
        name = name.replace(word, "");
    }
    let free_text = ["note", "comment", "remark"].iter().any(|word| name.contains(word));
    // `radiologist_1` and the like hold what readers found; alone it is who they are.
    let whole = ["id", "pid", "radiologist"].contains(&name.as_str());
    whole || name.ends_with("_id") || free_text || PARTS.iter().any(|part| name.contains(part))
}

/// Whether a column's cells hold the identifiers of their rows' patients, whatever the column is called: a slice named
/// `P001_017`, or a folder; upper and lower case are one. Identifiers of one or two characters are in any text and do not count; one of six or more
/// is found by chance nowhere; in between, half of the rows must hold theirs.
///
/// ```
/// use hounsfield::tables::holds_identifiers;
/// let cells = ["P001_017.png", "P002_003.png"].map(|cell| Some(cell.to_owned()));
/// assert!(holds_identifiers(&cells, &["P001", "P002"]));
/// assert!(!holds_identifiers(&cells, &["17", "03"]));
/// ```
pub fn holds_identifiers(cells: &[Option<String>], patients: &[&str]) -> bool {
    let holds = |cell: &str, patient: &str| cell.to_lowercase().contains(&patient.to_lowercase());
    let hits = |least: usize| {
        let rows = cells.iter().zip(patients).filter(|(_, patient)| patient.len() >= least);
        rows.filter(|(cell, patient)| cell.as_deref().is_some_and(|cell| holds(cell, patient)))
            .count()
    };
    hits(6) > 0 || 2 * hits(3) > cells.len()
}

/// Whether a column's cells hold the names of their rows' people as words, upper and lower case being one. A name is taken
/// in parts (`DOE^Jane=...`, PS3.5 6.2.1.1); one of one or two letters is in any text and does not count. One row is enough.
///
/// ```
/// use hounsfield::tables::holds_names;
/// let cells = [Some("seen: Ms Doe, well".to_owned()), None];
/// assert!(holds_names(&cells, &["DOE^JANE", "ROE^RICHARD"]));
/// assert!(!holds_names(&cells, &["WELLER^MS", "DOE^JANE"]));
/// ```
pub fn holds_names(cells: &[Option<String>], people: &[&str]) -> bool {
    let parts = |text: &str| -> Vec<String> {
        let words = text.split(|letter: char| !letter.is_alphanumeric());
        let long = words.filter(|word| word.chars().count() > 2);
        long.map(str::to_lowercase).collect()
    };
    cells.iter().zip(people).any(|(cell, person)| {
        let cell = cell.as_deref().map(parts).unwrap_or_default();
        !cell.is_empty() && parts(person).iter().any(|part| cell.contains(part))
    })
}

/// Whether a cell holds a day: `2020-03-05` and `20200305` (ISO 8601, DICOM), `5.3.2020`, `3/5/2020`, `05-03-20`, whatever
/// stands before and behind.
///
/// ```
/// use hounsfield::tables::holds_day;
/// assert!(["2020-03-05T14:00", "20200305", "on 5.3.2020", "3/5/20"].iter().all(|cell| holds_day(cell)));
/// assert!(["20209305", "12345678", "0.12-34", "1.2.3", "61.5", "120/80"].iter().all(|cell| !holds_day(cell)));
/// ```
pub fn holds_day(cell: &str) -> bool {
    const SEPARATORS: [char; 3] = ['-', '/', '.'];
    let pieces = cell.split(|letter: char| !letter.is_ascii_digit() && !SEPARATORS.contains(&letter));
    pieces.map(|piece| piece.trim_matches(SEPARATORS)).any(|piece| {
        let separated = |separator| {
            let parts: Vec<&str> = piece.split(separator).collect();
            matches!(parts[..], [first, second, third] if is_day([first, second, third]))
        };
        let whole = || piece.len() == 8 && piece.is_ascii() && is_day([&piece[..4], &piece[4..6], &piece[6..]]);
        SEPARATORS.into_iter().any(separated) || whole()
    })
}

/// Whether these are year, month and day, or the year last and the other two in any order.
fn is_day(parts: [&str; 3]) -> bool {
    let [Ok(a), Ok(b), Ok(c)] = parts.map(str::parse::<u32>) else {
        return false;
    };
    let year = |number: u32| (1900..2100).contains(&number);
    let day_and_month = |a: u32, b: u32| a.min(b) >= 1 && a.min(b) <= 12 && a.max(b) <= 31;
    match parts.map(str::len) {
        [4, 1 | 2, 1 | 2] => year(a) && (1..=12).contains(&b) && (1..=31).contains(&c),
        [1 | 2, 1 | 2, 4] => year(c) && day_and_month(a, b),
        [1 | 2, 1 | 2, 2] => day_and_month(a, b),
        _ => false,
    }
}
