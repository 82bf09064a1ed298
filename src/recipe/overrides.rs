//! `--set a.b=c`: overrides by path, before the one strict parse.

use std::path::Path;

use toml::{Table, Value};

use super::RecipeError;

/// The recipe's text with the overrides in it.
///
/// A value is read as TOML where it is TOML (`5`, `true`, `["ucsd"]`, `"5"`), else as a string, so that
/// `--set probe.unit=slice` needs no quotes within quotes.
pub(super) fn apply(text: &str, overrides: &[String], path: &Path) -> Result<String, RecipeError> {
    let mut root: Table = toml::from_str(text).map_err(|error| RecipeError::Parse {
        message: error.to_string().trim_end().to_owned(),
        after_set: "",
        path: path.to_owned(),
    })?;
    for given in overrides {
        let refuse = |hint: String| RecipeError::Override {
            given: given.clone(),
            hint,
        };
        let (keys, value) = given.split_once('=').ok_or_else(|| refuse(String::new()))?;
        let keys: Vec<&str> = keys.split('.').map(str::trim).collect();
        let (last, parents) = keys.split_last().expect("splitting gives at least one piece");
        if keys.iter().any(|key| key.is_empty()) {
            return Err(refuse(String::new()));
        }
        let mut table = &mut root;
        for key in parents {
            let next = table
                .entry((*key).to_owned())
                .or_insert_with(|| Value::Table(Table::new()));
            table = next
                .as_table_mut()
                .ok_or_else(|| refuse(format!(" (`{key}` is a value, not a table)")))?;
        }
        table.insert((*last).to_owned(), parse_value(value.trim()));
    }
    Ok(toml::to_string(&root).expect("a parsed table can be written"))
}

fn parse_value(text: &str) -> Value {
    let parsed = toml::from_str::<Table>(&format!("value = {text}")).ok();
    parsed
        .and_then(|mut table| table.remove("value"))
        .unwrap_or_else(|| Value::String(text.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(text: &str, overrides: &[&str]) -> Result<Table, RecipeError> {
        let overrides: Vec<String> = overrides.iter().map(|text| (*text).to_owned()).collect();
        Ok(toml::from_str(&apply(text, &overrides, Path::new("study.toml"))?).unwrap())
    }

    #[test]
    fn values_keep_their_type_and_words_need_no_quotes() {
        let table = set(
            "seed = 0\n[probe]\nunit = \"patient\"",
            &["seed=7", "probe.unit=slice", "split.k=5"],
        )
        .unwrap();
        assert_eq!(table["seed"].as_integer(), Some(7));
        assert_eq!(table["probe"]["unit"].as_str(), Some("slice"));
        assert_eq!(table["split"]["k"].as_integer(), Some(5));
        let table = set("", &["split.external=[\"ucsd\"]", "title=\"5\""]).unwrap();
        assert_eq!(table["split"]["external"][0].as_str(), Some("ucsd"));
        assert_eq!(table["title"].as_str(), Some("5"));
    }

    #[test]
    fn what_is_no_override_is_refused() {
        for given in ["seed", "=1", "a..b=1", "seed.x=1"] {
            let refused = set("seed = 0", &[given]);
            assert!(matches!(refused, Err(RecipeError::Override { .. })), "{given}");
        }
    }
}
