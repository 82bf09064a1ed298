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
    /// What of it is made, and which gradients pass it.
    pub made: Made,
}

/// What a layer makes, beside what it keeps.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Made {
    /// What it gives. A gradient comes and one goes, each as large as what it gives or as what enters.
    #[default]
    Whole,
    /// Nothing: it is a part of the operation that the next layer names.
    Never,
    /// What it gives, and the gradient of that in its place.
    Overwritten,
    /// What it gives, by an operation that makes nothing in between.
    Fused,
}

impl LayerFacts {
    /// A convolution in 3D without a bias, of maps with `inputs` channels. What it gives is kept: the batch norm that follows
    /// needs it.
    pub(super) fn conv3d(name: String, kernel: usize, inputs: usize, output: [usize; 4], segment: usize) -> Self {
        Self {
            name,
            kind: format!("conv {kernel}x{kernel}x{kernel}"),
            output: output.to_vec(),
            parameters: output[0] * inputs * kernel.pow(3),
            kept: output.iter().product(),
            segment,
            made: Made::Whole,
        }
    }

    /// A linear layer with a bias.
    pub(super) fn linear(name: String, inputs: usize, outputs: usize, segment: usize) -> Self {
        Self {
            name,
            kind: "linear".to_owned(),
            output: vec![outputs],
            parameters: (inputs + 1) * outputs,
            kept: outputs,
            segment,
            made: Made::Whole,
        }
    }
}

/// The tensors of a batch norm of `channels`.
pub(super) fn batch_norm(name: &str, channels: usize) -> impl Iterator<Item = (String, Vec<usize>)> {
    let leaves = ["weight", "bias", "running_mean", "running_var"];
    leaves
        .map(|leaf| (format!("{name}.{leaf}"), vec![channels]))
        .into_iter()
}

/// The tensors of a linear layer.
pub(super) fn linear(name: &str, inputs: usize, outputs: usize) -> [(String, Vec<usize>); 2] {
    [
        (format!("{name}.weight"), vec![outputs, inputs]),
        (format!("{name}.bias"), vec![outputs]),
    ]
}
