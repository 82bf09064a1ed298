//! What names say besides numbers: words with a meaning, and the same name in the next block.
//!
//! A word counts where no more layers bear it than there are layers that it could mean. The same name in numbered blocks
//! (`unit_1/preact`, `unit_2/preact`) means the same layer of each, unless that is seen to be wrong anywhere in that numbering:
//! where a first block has a shortcut more, automatic numbers shift.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    order::Component,
    solve::{Domains, Puzzle},
    targets::Target,
};

/// Words that mean one thing, for layers whose role ends so.
const STRONG: &[(&str, &[&str])] = &[
    ("shortcut", &["sc", "shortcut", "skip"]),
    ("gain", &["scale", "gamma", "gain"]),
    ("bias", &["offset", "beta", "shift", "bias"]),
    ("theta", &["theta"]),
    ("phi", &["phi"]),
    ("score_z", &["z"]),
    ("score_xz", &["xz", "joint"]),
];

/// Words that mostly do.
const WEAK: &[(&str, &[&str])] = &[
    ("shortcut", &["proj", "projection", "downsample", "identity", "branch1"]),
    ("bn1", &["preact", "preactivation", "prenorm"]),
    ("final_bn", &["postnorm", "final"]),
    ("theta", &["query"]),
    ("phi", &["key"]),
    ("score_z", &["h", "latent"]),
    ("score_xz", &["j", "pair"]),
];

/// By what follows a numbered scope, the layers that are called so.
type Family<'a> = BTreeMap<Vec<&'a str>, Vec<usize>>;

pub(super) struct Evidence<'a> {
    puzzle: &'a Puzzle<'a>,
    /// Weights in a scope and below.
    kernels: BTreeMap<Vec<&'a str>, usize>,
}

/// What layers are in their units.
pub(super) fn roles_of<'a>(targets: &'a [Target], domain: &[usize]) -> Vec<&'a str> {
    domain.iter().map(|t| targets[*t].role.as_str()).collect()
}

/// What words can say of a role: a norm's `gain`, whichever norm it is.
fn meaning(role: &str) -> &str {
    role.rsplit('.').next().unwrap_or(role)
}

impl<'a> Evidence<'a> {
    pub(super) fn new(puzzle: &'a Puzzle<'a>) -> Self {
        let mut kernels = BTreeMap::new();
        for seat in puzzle.seats.iter().filter(|seat| seat.kernel) {
            for end in 1..=seat.path.len() {
                *kernels.entry(texts(&seat.path[..end])).or_insert(0) += 1;
            }
        }
        Self { puzzle, kernels }
    }

    /// Strikes out what words exclude.
    pub(super) fn words(&self, domains: &mut Domains, strong: bool) {
        let table = if strong { STRONG } else { WEAK };
        let says = |path: &[Component], what: &str| {
            let words = table.iter().find(|(of, _)| *of == what).map(|(_, words)| *words);
            words.is_some_and(|words| self.says(path, words))
        };
        for class in &self.puzzle.classes {
            let meanings: Vec<&str> = self.puzzle.roles(&class.targets).into_iter().map(meaning).collect();
            let distinct: BTreeSet<&str> = meanings.iter().copied().collect();
            if distinct.len() < 2 {
                continue;
            }
            let means = |seat: usize, what: &str| {
                let open = self
                    .puzzle
                    .roles(&domains[seat])
                    .into_iter()
                    .any(|role| meaning(role) == what);
                open && says(&self.puzzle.seats[seat].path, what)
            };
            let mut struck: Vec<(usize, &str)> = Vec::new();
            for what in &distinct {
                let wanted = meanings.iter().filter(|m| *m == what).count();
                // Whatever carries words of two meanings has neither.
                let alone = |seat: usize| !distinct.iter().any(|other| other != what && means(seat, other));
                let bearers = class.seats.iter().copied().filter(|s| means(*s, what) && alone(*s));
                let bearers: Vec<usize> = bearers.collect();
                if bearers.len() <= wanted {
                    struck.extend(bearers.into_iter().map(|seat| (seat, *what)));
                }
            }
            for (seat, what) in struck {
                domains[seat].retain(|t| meaning(&self.puzzle.targets[*t].role) == what);
            }
        }
    }

    /// Whether the layer's name, or that of a scope that it has for itself, has one of these words.
    fn says(&self, path: &[Component], words: &[&str]) -> bool {
        let own = |end: usize| end == path.len() || self.kernels.get(&texts(&path[..end])) == Some(&1);
        let nearest = [path.len(), path.len().saturating_sub(1)];
        let steps = nearest
            .into_iter()
            .filter(|end| *end > 0 && own(*end))
            .map(|end| &path[end - 1]);
        steps.into_iter().any(|step| {
            // A branch is named by its number.
            let branch = |word: &str| word == "branch1" && step.text.to_lowercase().ends_with(word);
            words.iter().any(|word| step.says(word) || branch(word))
        })
    }

    /// Gives equal names in numbered blocks equal roles.
    pub(super) fn siblings(&self, domains: &mut Domains) {
        // Twice, since what one block learns from the next its equals can learn from it.
        for _ in 0..2 {
            let families = self.families(domains).into_values();
            let holding: Vec<_> = families.filter(|groups| self.holds(groups, domains)).collect();
            for seats in holding.iter().flat_map(BTreeMap::values) {
                let common = self.common(seats, domains);
                for seat in seats {
                    domains[*seat].retain(|t| common.contains(self.puzzle.targets[*t].role.as_str()));
                }
            }
        }
    }

    /// Numbered scopes, and in each the seats of one name: by network and masked scope, then by what follows.
    fn families(&self, domains: &Domains) -> BTreeMap<(&'static str, Vec<String>), Family<'a>> {
        let mut families: BTreeMap<_, Family<'a>> = BTreeMap::new();
        for (seat, domain) in domains.iter().enumerate() {
            let Some(network) = self.puzzle.network(domain) else {
                continue;
            };
            let path = &self.puzzle.seats[seat].path;
            for end in 1..path.len() {
                // A convolution's scope, with its batch norm in it, is no block.
                if self.kernels.get(&texts(&path[..end])).is_none_or(|n| *n < 2) {
                    continue;
                }
                let scope: Vec<String> = path[..end].iter().map(Component::masked).collect();
                let rest = texts(&path[end..]);
                families
                    .entry((network, scope))
                    .or_default()
                    .entry(rest)
                    .or_default()
                    .push(seat);
            }
        }
        families
    }

    fn common(&self, seats: &[usize], domains: &Domains) -> BTreeSet<&'a str> {
        let sets = seats.iter().map(|s| roles_of(self.puzzle.targets, &domains[*s]));
        let sets = sets.map(|roles| roles.into_iter().collect::<BTreeSet<_>>());
        sets.reduce(|a, b| &a & &b).unwrap_or_default()
    }

    fn holds(&self, groups: &Family<'a>, domains: &Domains) -> bool {
        groups.values().all(|seats| !self.common(seats, domains).is_empty())
    }
}

fn texts(path: &[Component]) -> Vec<&str> {
    path.iter().map(|c| c.text.as_str()).collect()
}
