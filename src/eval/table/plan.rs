//! Which column of a table of scores means what.

/// Which column of a table of scores means what; what is not named is found by its usual name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ScorePlan {
    /// The patients.
    pub patient: PatientColumn,
    /// The labels; `label` by default.
    pub label: Option<String>,
    /// The label of the positive class. Required.
    pub positive: Option<String>,
    /// The labels of the negative class; all others where none is named.
    pub negative: Vec<String>,
    /// The scores; all columns of numbers that have no other use where none is named.
    pub scores: Vec<String>,
    /// The scans; `scan_id` or `scan` by default, where there is one.
    pub scan: Option<String>,
    /// The sets; `set` by default, where there is one.
    pub set: Option<String>,
    /// The columns that subgroups are made of.
    pub by: Vec<String>,
}

/// What tells patients apart.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum PatientColumn {
    /// The column `patient_id` or `patient`.
    #[default]
    Usual,
    /// This column.
    Named(String),
    /// Each row is another patient, says the user.
    PerRow,
}
