//! Why readings can't be read or measured.

use crate::{stats::StatsError, tables::TableError};

/// Why readings can't be read or measured. Messages name rows by number (from 1, the header not counted).
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReaderStudyError {
    /// The table can't be read, or a column isn't there.
    #[error(transparent)]
    Table(#[from] TableError),
    /// The settings of the intervals.
    #[error(transparent)]
    Stats(#[from] StatsError),
    /// A table without readings.
    #[error("no row is a reading: {rows} rows, {left_out} without a rating or of a label that takes no part")]
    Empty {
        /// Rows in the table.
        rows: usize,
        /// Rows that take no part.
        left_out: usize,
    },
    /// Nothing was read.
    #[error("the table has a header and no rows")]
    NoRows,
    /// One label for both classes.
    #[error("the label {label:?} is named both positive and negative: a case can't be of both classes")]
    BothClasses {
        /// The label.
        label: String,
    },
    /// A cell that must not be empty.
    #[error("row {row} has no {what}; fill it in or leave the row out: column {column:?}")]
    EmptyCell {
        /// The row.
        row: usize,
        /// What is missing.
        what: &'static str,
        /// The column.
        column: String,
    },
    /// A label that no row has.
    #[error("no row has the label {label:?}; the labels of column {column:?} are {labels}")]
    NoSuchLabel {
        /// What was asked for.
        label: String,
        /// The column.
        column: String,
        /// What there is.
        labels: String,
    },
    /// One case with two truths.
    #[error("rows {first} and {row} are of one case and have different {what}s; a case has one {what}")]
    TwoOfACase {
        /// Label, patient or score.
        what: &'static str,
        /// The first row of the case.
        first: usize,
        /// The row that contradicts it.
        row: usize,
    },
    /// A case that one reader read twice in one arm.
    #[error(
        "rows {first} and {row} are both readings of one case by one reader in one arm ({found} such rows in all); keep \
         one of them, or tell sessions apart by an arm column"
    )]
    Duplicate {
        /// The first of the two.
        first: usize,
        /// The second.
        row: usize,
        /// All rows that repeat an earlier one.
        found: usize,
    },
    /// A rating or a score that is no number.
    #[error("row {row} of column {column:?} is no finite number")]
    NotANumber {
        /// The row.
        row: usize,
        /// The column.
        column: String,
    },
    /// Ratings that nobody said how to call.
    #[error(
        "the ratings are {ratings}, and nothing says which of them call a case {positive:?}: name the rating \
         (`--called`), or for numbers the lowest that does (`--cutoff`)"
    )]
    NoCutoff {
        /// The positive label.
        positive: String,
        /// What there is.
        ratings: String,
    },
    /// A rating that nobody gave.
    #[error("no reading is rated {called:?}, the ratings are {ratings} (for numbers use `--cutoff`)")]
    NoSuchRating {
        /// What was asked for.
        called: String,
        /// What there is.
        ratings: String,
    },
    /// More than two ratings, one of which is the positive one.
    #[error("{found} different ratings are not binary ({ratings}): give them as numbers with `--cutoff`")]
    NotBinary {
        /// How many there are.
        found: usize,
        /// What there is.
        ratings: String,
    },
    /// A cutoff that is none.
    #[error("a cutoff is a finite number, found {found}")]
    Cutoff {
        /// What was asked for.
        found: f64,
    },
    /// Arms of which none is the reference.
    #[error("{found} arms, and nothing says which of them the others are compared with (`--reference`): {arms}")]
    NoReference {
        /// How many there are.
        found: usize,
        /// What there is.
        arms: String,
    },
    /// An arm that isn't there.
    #[error("no reading is of the arm {arm:?}; the arms are {arms}")]
    NoSuchArm {
        /// What was asked for.
        arm: String,
        /// What there is.
        arms: String,
    },
    /// A low-risk subset without scores.
    #[error(
        "a low-risk subset needs a model's score of each case (`--score COLUMN`), found scores of {found} of {cases}"
    )]
    NoScores {
        /// Cases with a score.
        found: usize,
        /// All cases.
        cases: usize,
    },
    /// A sensitivity that sets no threshold.
    #[error("a threshold's sensitivity lies above 0 and at most at 1, found {found} (98 % is 0.98)")]
    Target {
        /// What was asked for.
        found: f64,
    },
    /// A threshold chosen by sensitivity without positives.
    #[error("no threshold has a sensitivity where no scored case is positive ({cases} cases)")]
    NoPositive {
        /// Scored cases.
        cases: usize,
    },
}
