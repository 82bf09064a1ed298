//! What is known of the rows beside the columns with a meaning.

use std::collections::HashMap;

use super::{Metadata, Source, SourceColumns, read::trimmed};
use crate::{
    audit::AuditError,
    tables::{holds_identifiers, looks_identifying},
};

/// Names of columns that count the rows of a file.
const INDEX: [&str; 4] = ["index", "unnamed: 0", "__index_level_0__", "row"];

type Named = Vec<(String, Vec<Option<String>>)>;

/// What is known of the rows beside the columns with a meaning: the columns asked for, else all that do not look like
/// identifiers, and those of the metadata. Then the names of those that do.
pub(super) fn meta_columns(
    sources: &[Source],
    columns: &SourceColumns,
    metadata: Option<&Metadata>,
    patients: &[Option<String>],
) -> Result<(Named, Vec<String>), AuditError> {
    let mut all = Named::new();
    for name in sources.iter().flat_map(|source| source.table.names()) {
        if all.iter().all(|(known, _)| known != name) {
            let mut cells = Vec::new();
            for source in sources {
                match source.table.column(name) {
                    Ok(column) => cells.extend(column.iter().map(trimmed)),
                    Err(_) => cells.extend(vec![None; source.table.n_rows]),
                }
            }
            all.push((name.to_owned(), cells));
        }
    }
    if let Some(metadata) = metadata {
        let mut row_of = HashMap::new();
        for (row, key) in metadata.table.column(&metadata.key)?.iter().enumerate() {
            if let Some(key) = trimmed(key) {
                row_of.entry(key).or_insert(row);
            }
        }
        for (name, cells) in metadata.table.columns.iter().filter(|(name, _)| *name != metadata.key) {
            let of = |patient: &Option<String>| trimmed(&cells[*row_of.get(patient.as_ref()?)?]);
            let name = match all.iter().any(|(known, _)| known == name) {
                true => format!("metadata {name}"),
                false => name.clone(),
            };
            all.push((name, patients.iter().map(of).collect()));
        }
    }
    if !columns.meta.is_empty() {
        let names = || all.iter().map(|(name, _)| name.as_str());
        if let Some(missing) = columns.meta.iter().find(|name| !names().any(|known| known == *name)) {
            return Err(crate::tables::TableError::no_column(missing, names()).into());
        }
        all.retain(|(name, _)| columns.meta.contains(name));
        return Ok((all, Vec::new()));
    }
    let mapped = [
        &columns.patient,
        &columns.name,
        &columns.label,
        &columns.path,
        &columns.set,
        &columns.site,
        &columns.position,
    ];
    let known: Vec<&str> = patients
        .iter()
        .map(|patient| patient.as_deref().unwrap_or_default())
        .collect();
    all.retain(|(name, _)| !mapped.iter().any(|column| column.as_ref() == Some(name)));
    let (identifying, others): (Named, Named) = all.into_iter().partition(|(name, cells)| {
        looks_identifying(name) || INDEX.contains(&name.to_lowercase().as_str()) || holds_identifiers(cells, &known)
    });
    Ok((others, identifying.into_iter().map(|(name, _)| name).collect()))
}

#[cfg(test)]
mod tests {
    use super::super::testing;

    #[test]
    fn identifiers_and_row_numbers_are_no_metadata() {
        let material = testing::material("who index age text\nPAT001 0 40 PAT001x\nPAT002 1 50 PAT002x");
        let names: Vec<&str> = material.meta.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["age"]);
        assert_eq!(material.identifying, ["index", "text"]);
    }
}
