//! Whose a row is: a column, a pattern in a name, or the longest of the known names that it begins with.

use std::path::Path;

use regex::bytes::{Regex, RegexBuilder};

use super::{Material, Metadata, SourceColumns, read::trimmed};
use crate::audit::AuditError;

impl Material {
    pub(super) fn find_patients(
        &mut self,
        columns: &SourceColumns,
        metadata: Option<&Metadata>,
        names: Option<Vec<Option<String>>>,
        paths: Option<&[Option<String>]>,
        patients: Option<Vec<Option<String>>>,
    ) -> Result<Vec<Option<String>>, AuditError> {
        let file_names = || paths.map(|paths| paths.iter().map(|path| path.as_deref().map(file_name)).collect());
        let given = patients.is_some();
        let place = match (&columns.patient, &columns.name) {
            (Some(column), _) | (None, Some(column)) => format!("column {column:?}"),
            (None, None) => "the file names of --path".to_owned(),
        };
        let texts: Option<Vec<Option<String>>> = patients.or(names).or_else(file_names);
        let by_pattern = columns.pattern.as_deref().map(pattern).transpose()?;
        if !given && by_pattern.is_none() && metadata.is_none() {
            return Ok(vec![None; self.len()]);
        }
        let texts = texts.ok_or(AuditError::NoNames)?;
        self.has_patients = true;
        let with_text = texts.iter().flatten().count();
        let found: Vec<Option<String>> = match &by_pattern {
            Some(pattern) => texts.iter().map(|text| captured(pattern, text.as_deref()?)).collect(),
            None => texts,
        };
        if let Some(pattern) = columns.pattern.clone()
            && with_text > 0
            && found.iter().all(Option::is_none)
        {
            let texts = with_text;
            return Err(AuditError::PatternMatchesNothing { pattern, texts, place });
        }
        let Some(metadata) = metadata else { return Ok(found) };
        let keys: std::collections::HashSet<String> = metadata
            .table
            .column(&metadata.key)?
            .iter()
            .filter_map(trimmed)
            .collect();
        let known: Vec<Option<String>> = found
            .iter()
            .map(|text| known_patient(text.as_deref()?, &keys, given || by_pattern.is_some()))
            .collect();
        if with_text > 0 && known.iter().all(Option::is_none) {
            return Err(AuditError::NobodyKnown {
                texts: with_text,
                place,
                patients: keys.len(),
                key: metadata.key.clone(),
            });
        }
        self.unknown_to_metadata = Some((0..self.len()).filter(|&row| known[row].is_none()).collect());
        // A patient that was named outright stays one, whether or not the metadata know it.
        Ok(if given || by_pattern.is_some() { found } else { known })
    }
}

/// The metadata's name of a patient: the text itself, or the longest key that the text begins with as a word.
fn known_patient(text: &str, keys: &std::collections::HashSet<String>, whole: bool) -> Option<String> {
    if keys.contains(text) {
        return Some(text.to_owned());
    }
    if whole {
        return None;
    }
    let ends = text.char_indices().rev().filter(|(_, next)| !next.is_alphanumeric());
    ends.map(|(end, _)| &text[..end])
        .find(|start| keys.contains(*start))
        .map(str::to_owned)
}

/// Letters and digits are those of ASCII: names of files are compared byte by byte.
fn pattern(text: &str) -> Result<Regex, AuditError> {
    let pattern = RegexBuilder::new(text)
        .unicode(false)
        .build()
        .map_err(|error| AuditError::Pattern {
            pattern: text.to_owned(),
            // The last line says what is wrong, those before show where.
            reason: error.to_string().lines().last().unwrap_or_default().trim().to_owned(),
        })?;
    // The whole match is one group.
    match pattern.captures_len() {
        1 => Err(AuditError::PatternGroup {
            pattern: text.to_owned(),
        }),
        _ => Ok(pattern),
    }
}

fn captured(pattern: &Regex, text: &str) -> Option<String> {
    let captures = pattern.captures(text.as_bytes())?;
    let found = captures.get(1)?;
    let text = String::from_utf8_lossy(found.as_bytes()).trim().to_owned();
    (!text.is_empty()).then_some(text)
}

fn file_name(path: &str) -> String {
    let name = Path::new(path).file_name();
    name.map_or_else(|| path.to_owned(), |name| name.to_string_lossy().into_owned())
}

#[cfg(test)]
mod tests {
    use super::{
        super::{Source, testing::table},
        *,
    };

    fn named(pattern: Option<&str>) -> SourceColumns {
        SourceColumns {
            name: Some("name".to_owned()),
            pattern: pattern.map(str::to_owned),
            ..SourceColumns::default()
        }
    }

    const LIST: &str = "name\nCP_12_3.png\nCP_1_4.png\nCP_1_5.png\n9covid_7.png";

    #[test]
    fn a_pattern_finds_the_patient_in_the_name() {
        let columns = named(Some(r"^(CP_\d+)_"));
        let material = Material::read(&[Source::of(table(LIST))], &columns, None).unwrap();
        assert_eq!(material.patient, [Some(1), Some(0), Some(0), None]);
        let error = Material::read(&[Source::of(table(LIST))], &named(Some("(")), None).unwrap_err();
        assert!(error.to_string().contains("unclosed group"), "{error}");
        for (text, expected) in [
            (r"^CP_\d+_", "has no group"),
            ("^(NCP)_", "matches 0 of 4 rows with a text in column \"name\""),
        ] {
            let error = Material::read(&[Source::of(table(LIST))], &named(Some(text)), None).unwrap_err();
            assert!(error.to_string().contains(expected), "{error}");
        }
    }

    #[test]
    fn the_longest_key_at_a_word_is_the_patient() {
        let metadata = Metadata {
            table: table("id site\nCP_1 a\nCP_12 b\nCP_12_3x c"),
            key: "id".to_owned(),
        };
        let material = Material::read(&[Source::of(table(LIST))], &named(None), Some(&metadata)).unwrap();
        assert_eq!(material.patient, [Some(1), Some(0), Some(0), None]);
        assert_eq!(material.unknown_to_metadata, Some(vec![3]));
        assert_eq!(material.meta[0].1[0].as_deref(), Some("b"));
        let others = Metadata {
            table: table("id site\nNCP_1 a\nNCP_2 b"),
            key: "id".to_owned(),
        };
        let error = Material::read(&[Source::of(table(LIST))], &named(None), Some(&others)).unwrap_err();
        let start = "0 of 4 rows with a text in column \"name\" belong to one of the 2 patients in column \"id\"";
        assert!(error.to_string().starts_with(start), "{error}");
    }
}
