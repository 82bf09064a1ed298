//! What can go wrong when claims are recomputed, simulated or set beside a user's data.

use super::Paper;
use crate::{eval::EvalError, heads::HeadError, stats::StatsError, tables::TableError};

/// Why claims can't be reproduced.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ClaimsError {
    /// A paper that is not shipped.
    #[error("no claims of this paper, expected {}: {found:?}", Paper::NAMES.join(" or "))]
    UnknownPaper {
        /// The name asked for.
        found: String,
    },
    /// Inputs of a claim that define no test.
    #[error("the claim's inputs define no {test}, look at its `recompute`")]
    NotDefined {
        /// What was to be computed.
        test: &'static str,
    },
    /// Settings of the simulation from which nothing can be drawn.
    #[error("the simulation's {name} is {found}, expected {expected}")]
    Simulation {
        /// The setting.
        name: &'static str,
        /// Its value.
        found: String,
        /// What it may be.
        expected: String,
    },
    /// No score column of a name that the paper's heads go by.
    #[error("no column holds scores of {wanted}, say which: --score {example}=COLUMN (the columns are {columns})")]
    NoScores {
        /// The scores that the paper's claims are of.
        wanted: String,
        /// One of them.
        example: String,
        /// The table's columns.
        columns: String,
    },
    /// Several columns that could be meant.
    #[error("{count} columns could be scores of {name:?} ({columns}), say which: --score {name}=COLUMN")]
    AmbiguousScores {
        /// The paper's name for them.
        name: String,
        /// How many.
        count: usize,
        /// The columns.
        columns: String,
    },
    /// `--score` with a name that no claim uses.
    #[error("this paper has no claims on scores named {found:?}, expected {expected}")]
    UnknownScores {
        /// The name given.
        found: String,
        /// The names that claims use.
        expected: String,
    },
    /// No row that any claim is on.
    #[error(
        "no row of {rows} has a label and is in a set that the claims are on (train, validation, test, external), found \
         the sets {found}"
    )]
    NoRows {
        /// Rows in the table.
        rows: usize,
        /// The sets found.
        found: String,
    },
    /// A positive class that no row is of.
    #[error("no row in a set has the positive label {positive:?} (the labels are {labels}), name it: --positive LABEL")]
    Positive {
        /// The label looked for.
        positive: String,
        /// The labels found.
        labels: String,
    },
    /// The positive class is not known.
    #[error("the table does not say which class is positive, name it: --positive LABEL")]
    NoPositive,
    /// A cell that is no number.
    #[error("{count} cells of column {column:?} are not finite numbers, the first in row {row} (from 1)")]
    NotANumber {
        /// The column.
        column: String,
        /// How many.
        count: usize,
        /// The first, from 1.
        row: usize,
    },
    /// Readers that the paper's claims are not of.
    #[error("the table holds {found} readers, the paper's claims are of {expected}")]
    Readers {
        /// Readers found.
        found: usize,
        /// Readers of the claims.
        expected: usize,
    },
    /// Readings beside a paper without claims on readers.
    #[error("no claim of this paper can be measured on readings; pu2020 has such claims")]
    NoReaders,
    /// Readings that can't be read or measured.
    #[error(transparent)]
    Readings(#[from] crate::eval::reader_study::ReaderStudyError),
    /// A table that can't be read or lacks a column.
    #[error(transparent)]
    Table(#[from] TableError),
    /// A statistic that is not defined.
    #[error(transparent)]
    Stats(#[from] StatsError),
    /// Words of a table that are not understood.
    #[error(transparent)]
    Scores(#[from] crate::eval::ScoreTableError),
    /// Scores that can't be pooled.
    #[error(transparent)]
    Eval(#[from] EvalError),
    /// A head of the simulation.
    #[error(transparent)]
    Head(#[from] HeadError),
}
