//! Which attributes of which files hold identifying content, without the content: a table that can be shown around.

use std::{collections::HashMap, path::Path};

use super::{Index, LeftOut, Table};
use crate::{
    readers::SliceAddress,
    tables::{WriteError, write_csv},
};

/// Writes one row a file and attribute: the file's number in the order of their paths, its rows in the cohort's table or
/// in that of what was left out, then tag, keyword, what the Basic Application Level Confidentiality Profile (PS3.15 annex
/// E) would do with it, and how often it stands in the file. Gives the number of rows.
///
/// # Errors
///
/// [`WriteError`].
pub fn write_confidential(path: &Path, index: &Index, table: &Table) -> Result<usize, WriteError> {
    let left_out = rows_of(&index.left_out);
    let mut n = 0;
    let rows = index
        .confidential
        .iter()
        .enumerate()
        .flat_map(|(file, (address, findings))| {
            let places = [
                table.rows_of(address),
                left_out
                    .get(&(address.file.as_path(), address.member.as_deref()))
                    .copied(),
            ];
            let [cohort, left] = places.map(|range| match range {
                Some((first, last)) if first == last => first.to_string(),
                Some((first, last)) => format!("{first}-{last}"),
                None => String::new(),
            });
            findings.iter().map(move |finding| {
                vec![
                    (file + 1).to_string(),
                    cohort.clone(),
                    left.clone(),
                    finding.tag.to_string(),
                    finding.keyword.to_owned(),
                    finding.action.to_string(),
                    finding.n.to_string(),
                ]
            })
        });
    let header = [
        "file",
        "cohort_rows",
        "left_out_rows",
        "tag",
        "keyword",
        "action",
        "times",
    ];
    write_csv(path, &header.map(str::to_owned), rows.inspect(|_| n += 1))?;
    Ok(n)
}

/// The first and last row, counted from 1, of each file in the table of what was left out.
fn rows_of(left_out: &[LeftOut]) -> HashMap<(&Path, Option<&str>), (usize, usize)> {
    let mut rows = HashMap::<_, (usize, usize)>::new();
    for (at, left) in left_out.iter().enumerate() {
        let SliceAddress { file, member, .. } = &left.address;
        let range = rows
            .entry((file.as_path(), member.as_deref()))
            .or_insert((at + 1, at + 1));
        range.1 = at + 1;
    }
    rows
}
