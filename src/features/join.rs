//! Which row of a label table belongs to each row of features.

use std::collections::HashMap;

use super::FeatureError;

/// A column of keys, with the name it is asked by.
pub(super) struct Keys<'a> {
    pub(super) name: &'a str,
    pub(super) cells: &'a [Option<String>],
}

/// The label row of each feature row, and the number of label rows that no feature row has.
pub(super) fn join_by_key(features: &Keys<'_>, labels: &Keys<'_>) -> Result<(Vec<usize>, usize), FeatureError> {
    let of = features.cells.len();
    unique(features, "feature")?;
    let places = unique(labels, "label")?;
    let found: Vec<usize> = features
        .cells
        .iter()
        .flatten()
        .filter_map(|key| places.get(key.trim()).copied())
        .collect();
    if found.len() < of {
        return Err(FeatureError::NoLabelRow {
            key: labels.name.to_owned(),
            rows: of - found.len(),
            of,
        });
    }
    let unused = labels.cells.len() - of;
    Ok((found, unused))
}

/// The row of each key.
fn unique<'a>(keys: &Keys<'a>, table: &'static str) -> Result<HashMap<&'a str, usize>, FeatureError> {
    let rows = keys.cells.iter().enumerate();
    let places: HashMap<&str, usize> = rows
        .filter_map(|(row, key)| Some((key.as_deref()?.trim(), row)))
        .collect();
    match keys.cells.len() - places.len() {
        0 => Ok(places),
        rows => Err(FeatureError::Keys {
            table,
            key: keys.name.to_owned(),
            rows,
            of: keys.cells.len(),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(keys: &[&str]) -> Vec<Option<String>> {
        keys.iter()
            .map(|key| (!key.is_empty()).then(|| (*key).to_owned()))
            .collect()
    }

    fn join(features: &[&str], labels: &[&str]) -> Result<(Vec<usize>, usize), FeatureError> {
        let (features, labels) = (keys(features), keys(labels));
        join_by_key(
            &Keys {
                name: "k",
                cells: &features,
            },
            &Keys {
                name: "k",
                cells: &labels,
            },
        )
    }

    #[test]
    fn rows_are_found_in_any_order_and_what_does_not_fit_is_counted() {
        assert_eq!(join(&["b", " a"], &["a", "c", "b"]).unwrap(), (vec![2, 0], 1));
        assert!(matches!(
            join(&["a", "x", "y"], &["a"]),
            Err(FeatureError::NoLabelRow { rows: 2, of: 3, .. })
        ));
        assert!(matches!(
            join(&["a"], &["a", "a", ""]),
            Err(FeatureError::Keys {
                table: "label",
                rows: 2,
                of: 3,
                ..
            })
        ));
        assert!(matches!(
            join(&["a", "a"], &["a"]),
            Err(FeatureError::Keys {
                table: "feature",
                rows: 1,
                ..
            })
        ));
    }
}
