//! One layer of a network, as `describe` shows it and as memory is planned by.

/// What one layer gives and keeps, for one scan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LayerFacts {
    /// What it is, as its tensors are named, e.g. `levels.0.conv.0`.
    pub name: String,
    /// What it does, e.g. `conv 3x3x3`, `batch norm, ReLU, max pool 2`.
    pub kind: String,
    /// Shape of what it gives: `[C, D, H, W]` or `[F]`; for layers on slices `[S, C, H, W]` with S slices.
    pub output: Vec<usize>,
    /// Trained elements.
    pub parameters: usize,
    /// Numbers that are kept until its gradient is computed; 0 where they are those of another layer.
    pub kept: usize,
    /// Segments are what activation checkpointing keeps only the input of; layers of one segment stand side by side.
    pub segment: usize,
}
