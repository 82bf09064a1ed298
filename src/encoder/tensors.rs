//! The list of a network's tensors, as it is written down.

/// Names and shapes; every name begins with the same prefix.
pub(super) struct Tensors {
    prefix: &'static str,
    list: Vec<(String, Vec<usize>)>,
}

impl Tensors {
    pub fn new(prefix: &'static str) -> Self {
        Self {
            prefix,
            list: Vec::new(),
        }
    }

    pub fn add(&mut self, name: &str, shape: &[usize]) {
        self.list.push((format!("{}{name}", self.prefix), shape.to_vec()));
    }

    pub fn batch_norm(&mut self, at: &str, channels: usize) {
        for leaf in ["weight", "bias", "running_mean", "running_var"] {
            self.add(&format!("{at}.{leaf}"), &[channels]);
        }
    }

    pub fn layer_norm(&mut self, at: &str, features: usize) {
        self.add(&format!("{at}.weight"), &[features]);
        self.add(&format!("{at}.bias"), &[features]);
    }

    pub fn linear(&mut self, at: &str, inputs: usize, outputs: usize) {
        self.add(&format!("{at}.weight"), &[outputs, inputs]);
        self.add(&format!("{at}.bias"), &[outputs]);
    }

    pub fn sorted(mut self) -> Vec<(String, Vec<usize>)> {
        self.list.sort();
        self.list
    }
}
