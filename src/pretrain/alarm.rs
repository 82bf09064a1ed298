//! What must stop a training, or be said loudly.

use std::collections::BTreeMap;

/// Steps over which a loss is compared with itself.
const WINDOW: usize = 200;

/// A spread (of codes, of drawn pixels) below this share of what it was at most is a collapse.
const COLLAPSED: f64 = 0.02;

/// Margins of a discriminator beyond which it has nothing left to learn: the hinge is flat from 2 on.
const SATURATED: f64 = 2.0;

/// Watches the numbers of every step.
#[derive(Debug, Default)]
pub struct Alarms {
    highest: BTreeMap<&'static str, f64>,
    saturated: usize,
    flat: Vec<f64>,
    said: BTreeMap<&'static str, bool>,
}

impl Alarms {
    /// Sentences that are to be said after this step; each is said once.
    pub fn hear(&mut self, numbers: &[(&'static str, f64)]) -> Vec<String> {
        let mut alarms = Vec::new();
        for &(name, value) in numbers.iter().filter(|(name, _)| name.ends_with("_spread")) {
            let highest = self.highest.entry(name).or_insert(value);
            *highest = highest.max(value);
            if value < COLLAPSED * *highest && self.once(name) {
                let what = if name == "image_spread" {
                    "drawn slices"
                } else {
                    "codes"
                };
                alarms.push(format!(
                    "COLLAPSE: {what} of a batch are nearly one ({name} is {value:.2e}, it was {:.2e})",
                    self.highest[name]
                ));
            }
        }
        let of = |wanted: &str| {
            numbers
                .iter()
                .find(|(name, _)| *name == wanted)
                .map(|(_, value)| *value)
        };
        if let Some(margin) = of("margin_xz") {
            self.saturated = if margin > SATURATED { self.saturated + 1 } else { 0 };
            if self.saturated == WINDOW && self.once("margin_xz") {
                alarms.push(format!(
                    "the discriminator tells all pairs apart (margin_xz above {SATURATED} for {WINDOW} steps): encoder and \
                     generator learn little from it"
                ));
            }
        }
        // Song et al. 2020 minimised three losses over all variables: inside of the hinges they sum to a constant.
        if let (Some(d), Some(e), Some(g)) = (of("loss_disc"), of("loss_enc"), of("loss_gen")) {
            self.flat.push(d + e + g);
            if self.flat.len() == WINDOW {
                let (low, high) = range(&self.flat);
                if high - low < 1e-4 * high.abs().max(1.0) && self.once("flat") {
                    alarms.push(format!(
                        "the three losses sum to {high:.4} in all of {WINDOW} steps: they cancel, and nothing is learned"
                    ));
                }
                self.flat.clear();
            }
        }
        alarms
    }

    fn once(&mut self, what: &'static str) -> bool {
        self.said.insert(what, true).is_none()
    }
}

fn range(values: &[f64]) -> (f64, f64) {
    let fold = |f: fn(f64, f64) -> f64, from| values.iter().copied().fold(from, f);
    (fold(f64::min, f64::INFINITY), fold(f64::max, f64::NEG_INFINITY))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_collapse_is_said_once() {
        let mut alarms = Alarms::default();
        assert!(alarms.hear(&[("code_spread", 1.0)]).is_empty());
        let said = alarms.hear(&[("code_spread", 0.01)]);
        assert!(said.len() == 1 && said[0].starts_with("COLLAPSE: codes"), "{said:?}");
        assert!(alarms.hear(&[("code_spread", 0.01)]).is_empty());
    }

    #[test]
    fn losses_that_cancel_are_noticed() {
        let mut alarms = Alarms::default();
        let said: Vec<String> = (0..WINDOW)
            .flat_map(|i| {
                let x = i as f64 * 0.001;
                alarms.hear(&[("loss_disc", 2.0 - x), ("loss_enc", x / 2.0), ("loss_gen", x / 2.0)])
            })
            .collect();
        assert_eq!(said.len(), 1, "{said:?}");
    }
}
