//! What the steps of a variable's name say, above all the last.

use std::collections::BTreeMap;

use super::Role;

/// Last words that say what a variable is.
const WORDS: &[(&str, Role)] = &[
    ("w", Role::Weight),
    ("weight", Role::Weight),
    ("weights", Role::Weight),
    ("kernel", Role::Weight),
    ("b", Role::Bias),
    ("bias", Role::Bias),
    ("biases", Role::Bias),
    ("u", Role::U),
    ("u0", Role::U),
    ("u_0", Role::U),
    ("sn_u", Role::U),
    ("u_var", Role::U),
    ("scale", Role::Scale),
    ("gamma", Role::Scale),
    ("offset", Role::Offset),
    ("beta", Role::Offset),
    ("accumulated_mean", Role::Mean),
    ("moving_mean", Role::Mean),
    ("running_mean", Role::Mean),
    ("pop_mean", Role::Mean),
    ("mean", Role::Mean),
    ("accumulated_var", Role::Var),
    ("accumulated_variance", Role::Var),
    ("moving_variance", Role::Var),
    ("moving_var", Role::Var),
    ("running_var", Role::Var),
    ("pop_var", Role::Var),
    ("variance", Role::Var),
    ("var", Role::Var),
    ("accumulation_counter", Role::Counter),
    ("accumulated_counter", Role::Counter),
    ("moving_counter", Role::Counter),
    ("counter", Role::Counter),
    ("count", Role::Counter),
    ("cnt", Role::Counter),
];

/// Last words of what is no part of a network.
const IGNORED: &[(&str, &str)] = &[
    ("global_step", "counts training steps"),
    ("adam", "an optimiser's"),
    ("adam_1", "an optimiser's"),
    ("momentum", "an optimiser's"),
    ("rmsprop", "an optimiser's"),
    ("rmsprop_1", "an optimiser's"),
    ("beta1_power", "an optimiser's"),
    ("beta2_power", "an optimiser's"),
    ("update_accu_stats", "a switch of the batch norms"),
    ("update_accus", "a switch of the batch norms"),
];

/// What a last word says.
pub(super) fn role(word: &str, words: &BTreeMap<String, Role>) -> Option<Role> {
    let lower = word.to_lowercase();
    let own = words.get(word).copied();
    own.or_else(|| WORDS.iter().find(|(w, _)| *w == lower).map(|(_, role)| *role))
}

/// `conv1_w` as `conv1` and `w`.
pub(super) fn split(last: &str, words: &BTreeMap<String, Role>) -> Option<(String, String)> {
    let cuts = last.match_indices('_').map(|(at, _)| (&last[..at], &last[at + 1..]));
    let mut known = cuts.filter(|(scope, leaf)| !scope.is_empty() && role(leaf, words).is_some());
    known.next().map(|(scope, leaf)| (scope.to_owned(), leaf.to_owned()))
}

/// Why a variable is no part of a network, if it is none.
pub(super) fn ignored(last: &str) -> Option<&'static str> {
    let lower = last.to_lowercase();
    if let Some((_, reason)) = IGNORED.iter().find(|(word, _)| *word == lower) {
        return Some(reason);
    }
    // BigGAN's modules carry further singular vectors, which are watched and not used.
    let number = lower.strip_prefix("u_").or_else(|| lower.strip_prefix('u'))?;
    (number.parse::<u32>().is_ok_and(|n| n > 0)).then_some("a further singular vector, which was only watched")
}

/// The steps of a key: slashes, and dots that stand in no number.
pub(super) fn components(name: &str) -> Vec<String> {
    let steps = name.split('/').filter(|step| !step.is_empty());
    steps
        .flat_map(|step| match step.split('.').all(|part| !part.is_empty()) {
            true => step.split('.').map(str::to_owned).collect(),
            false => vec![step.to_owned()],
        })
        .collect()
}

/// The key of which this one is the average: `w/ema_0.9999`, `w_ema`, `ema_0.9999/w`.
pub(super) fn without_average(name: &str) -> Option<String> {
    let steps: Vec<&str> = name.split('/').collect();
    let at = steps.iter().position(|step| is_average(step));
    if let Some(at) = at.filter(|_| steps.len() > 1) {
        let rest: Vec<&str> = steps
            .iter()
            .enumerate()
            .filter(|(i, _)| *i != at)
            .map(|(_, s)| *s)
            .collect();
        return Some(rest.join("/"));
    }
    let last = steps.last()?;
    let cut = last
        .match_indices('_')
        .map(|(cut, _)| cut)
        .find(|cut| *cut > 0 && is_average(&last[cut + 1..]))?;
    Some(name[..name.len() - (last.len() - cut)].to_owned())
}

fn is_average(step: &str) -> bool {
    let lower = step.to_lowercase();
    if ["ema", "exponentialmovingaverage"].contains(&lower.as_str()) {
        return true;
    }
    let decay = lower
        .strip_prefix("ema")
        .map(|rest| rest.strip_prefix('_').unwrap_or(rest));
    decay.is_some_and(|text| text.starts_with(|c: char| c.is_ascii_digit()) && text.parse::<f64>().is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn averages_are_known_by_a_step_or_an_ending() {
        for (name, of) in [
            ("a/w/ema_0.9999", Some("a/w")),
            ("ema_0.99/a/w", Some("a/w")),
            ("a/w/ExponentialMovingAverage", Some("a/w")),
            ("a/w_ema", Some("a/w")),
            ("a/w_ema_0.999", Some("a/w")),
            ("a/emanation/w", None),
            ("a/schema_1/w", None),
            ("a/w", None),
        ] {
            assert_eq!(without_average(name).as_deref(), of, "{name}");
        }
    }
}
