//! The plan as people read it.

use std::fmt;

use super::{Plan, Why};

impl Plan {
    /// One line for each tensor, with its variable and the reason, then the variables that are not used.
    pub fn explain(&self) -> String {
        let mut rows = vec![
            [
                "tensor",
                "shape",
                "variable",
                "shape",
                "transform",
                "average",
                "divided by",
                "reason",
            ]
            .map(str::to_owned),
        ];
        for e in &self.entries {
            // The average and the count lie beside the variable: what differs is enough.
            let beside = |key: &Option<String>| match key {
                Some(key) => key.strip_prefix(&e.source).map_or_else(
                    || key.rsplit('/').next().unwrap_or(key).to_owned(),
                    |rest| rest.trim_start_matches('/').to_owned(),
                ),
                None => "-".to_owned(),
            };
            rows.push([
                e.target.clone(),
                format!("{:?}", e.target_shape),
                e.source.clone(),
                format!("{:?}", e.source_shape),
                e.transform.name().to_owned(),
                beside(&e.ema),
                beside(&e.counter),
                e.why.to_string(),
            ]);
        }
        let mut text = aligned(&rows);
        text += &format!("\n{} variables are not used:\n", self.unused.len());
        for name in &self.unused {
            let reason = self
                .reasons
                .get(name)
                .copied()
                .unwrap_or("no network that was looked for has such a layer");
            text += &format!("  {name}: {reason}\n");
        }
        text
    }
}

impl Plan {
    /// How many tensors were told apart by what, in one line.
    pub fn summary(&self) -> String {
        let mut counts: Vec<(String, usize)> = Vec::new();
        for entry in &self.entries {
            let why = match entry.why {
                Why::Order { .. } => "the numbers in the names".to_owned(),
                ref why => why.to_string(),
            };
            match counts.iter_mut().find(|(known, _)| *known == why) {
                Some((_, count)) => *count += 1,
                None => counts.push((why, 1)),
            }
        }
        let counts: Vec<String> = counts.iter().map(|(why, count)| format!("{count} by {why}")).collect();
        format!("{} tensors: {}", self.entries.len(), counts.join(", "))
    }
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Known => f.write_str("the published module's name"),
            Self::Assumed => f.write_str("a name of the table that nobody confirmed"),
            Self::Shape => f.write_str("the only layer of its shape"),
            Self::Scope => f.write_str("the only one of its shape near its network"),
            Self::Order { rank, of } => write!(f, "number {rank} of {of} equals, by the numbers in the names"),
            Self::Word => f.write_str("a word in its name"),
            Self::Sibling => f.write_str("the same name in another block"),
            Self::Override => f.write_str("the file of --names"),
        }
    }
}

fn aligned(rows: &[[String; 8]]) -> String {
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..8).map(width).collect();
    let lines = rows.iter().map(|row| {
        let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}"));
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned() + "\n"
    });
    lines.collect()
}
