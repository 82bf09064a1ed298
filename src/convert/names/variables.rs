//! What each variable of a checkpoint is, and which of them make a layer together.
//!
//! The last word of a name says what a variable is; where it is a word of nobody's, the shapes around it do.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    NamesError, Overrides, Role,
    order::Component,
    words::{components, ignored, role, split, without_average},
};

/// One array of the checkpoint, with its average.
#[derive(Debug, Clone)]
pub(super) struct Variable {
    /// The key.
    pub name: String,
    /// As TensorFlow has it.
    pub shape: Vec<usize>,
    /// The key of its exponential average.
    pub ema: Option<String>,
}

/// A layer: variables of one scope.
#[derive(Debug, Clone)]
pub(super) struct Site {
    /// The scope.
    pub path: Vec<Component>,
    /// What it holds; indices of variables.
    pub leaves: BTreeMap<Role, usize>,
    /// Variables of one shape whose roles were dealt by the alphabet, which is no reason.
    pub unsure: Vec<Vec<Role>>,
    /// Variables that nothing explains.
    pub odd: Vec<usize>,
}

/// A checkpoint, read by names and shapes alone.
#[derive(Debug, Clone, Default)]
pub(super) struct Found {
    /// All arrays but averages.
    pub variables: Vec<Variable>,
    /// All layers.
    pub sites: Vec<Site>,
    /// Keys that no network needs, with the reason.
    pub ignored: Vec<(String, &'static str)>,
}

/// Whether there is something in it. Of axes whose product is none, each may be as long as it likes: sizes are not read from them.
fn holds_values(shape: &[usize]) -> bool {
    let product = shape
        .iter()
        .try_fold(1_usize, |product, length| product.checked_mul(*length));
    product.is_some_and(|product| product > 0 && product < MOST_VALUES)
}

/// More than any layer has: 4 TB.
const MOST_VALUES: usize = 1 << 40;

/// Sorts a checkpoint's variables into layers.
pub(super) fn read(found: &BTreeMap<String, Vec<usize>>, overrides: &Overrides) -> Result<Found, NamesError> {
    let (mut out, words) = (Found::default(), &overrides.words);
    let mut averages: BTreeMap<String, String> = BTreeMap::new();
    let mut raw = Vec::new();
    for (name, shape) in found {
        if !holds_values(shape) {
            out.ignored.push((name.clone(), "it holds no values"));
            continue;
        }
        if overrides.ignores(name) {
            out.ignored.push((name.clone(), "the file of --names ignores it"));
            continue;
        }
        match without_average(name) {
            Some(of) => match averages.insert(of.clone(), name.clone()) {
                Some(other) => {
                    let variables = [other, name.clone()];
                    return Err(NamesError::Averages { of, variables });
                }
                None => continue,
            },
            None => raw.push(name.clone()),
        }
    }
    // A checkpoint that holds an average alone.
    let orphans: Vec<String> = averages.keys().filter(|of| !found.contains_key(*of)).cloned().collect();
    let all = raw.into_iter().chain(orphans);
    let mut scopes: BTreeMap<Vec<Component>, Vec<(String, usize)>> = BTreeMap::new();
    for of in all {
        let ema = averages.get(&of).cloned();
        let name = if found.contains_key(&of) {
            of.clone()
        } else {
            ema.clone().unwrap_or(of.clone())
        };
        let shape = found[&name].clone();
        if let Some(twin) = ema.as_ref().filter(|twin| found[*twin] != shape) {
            return Err(NamesError::Twin {
                variable: name,
                shape,
                average: twin.clone(),
                other: found[twin].clone(),
            });
        }
        let mut path = components(&of);
        let last = path.pop().unwrap_or_default();
        if let Some(reason) = ignored(&last) {
            out.ignored.push((name, reason));
            out.ignored.extend(ema.map(|ema| (ema, reason)));
            continue;
        }
        // A layer without a scope of its own: `conv1_w`.
        let (scope, leaf) = match role(&last, words) {
            Some(_) => (None, last),
            None => split(&last, words).map_or((None, last.clone()), |(scope, leaf)| (Some(scope), leaf)),
        };
        path.extend(scope);
        let path = path.iter().map(|text| Component::new(text)).collect();
        scopes.entry(path).or_default().push((leaf, out.variables.len()));
        out.variables.push(Variable { name, shape, ema });
    }
    let parents: BTreeSet<Vec<Component>> = scopes
        .keys()
        .flat_map(|path| (0..path.len()).map(|n| path[..n].to_vec()))
        .collect();
    for (path, leaves) in scopes {
        let holds_others = parents.contains(&path);
        out.sites
            .extend(sites(&path, &leaves, &out.variables, words, holds_others));
    }
    Ok(out)
}

/// The layers of one scope, mostly one.
fn sites(
    path: &[Component],
    leaves: &[(String, usize)],
    variables: &[Variable],
    words: &BTreeMap<String, Role>,
    holds_others: bool,
) -> Vec<Site> {
    let new = |path: Vec<Component>| Site {
        path,
        leaves: BTreeMap::new(),
        unsure: Vec::new(),
        odd: Vec::new(),
    };
    let (mut site, mut unknown) = (new(path.to_vec()), Vec::new());
    for (leaf, variable) in leaves {
        match role(leaf, words) {
            Some(role) => {
                if let Some(other) = site.leaves.insert(role, *variable) {
                    site.odd.push(other);
                }
            }
            None => unknown.push((leaf.as_str(), *variable)),
        }
    }
    let shape = |v: usize| variables[v].shape.as_slice();
    // A scalar in a scope of layers is the gate of self-attention.
    if let (Some(&gate), 1) = (site.leaves.get(&Role::Scale), site.leaves.len())
        && shape(gate).iter().product::<usize>() == 1
    {
        site.leaves = BTreeMap::from([(Role::Gate, gate)]);
    }
    let kernels: Vec<usize> = unknown
        .iter()
        .map(|(_, v)| *v)
        .filter(|v| is_kernel(shape(*v)))
        .collect();
    if kernels.len() > 1 || (!kernels.is_empty() && site.leaves.contains_key(&Role::Weight)) {
        // No scope but a drawer: each is a layer of its own, as far as one can see.
        let singles = unknown.drain(..).map(|(leaf, v)| {
            let mut path = path.to_vec();
            path.push(Component::new(leaf));
            let role = if is_kernel(shape(v)) { Role::Weight } else { Role::Bias };
            let leaves = BTreeMap::from([(role, v)]);
            Site { leaves, ..new(path) }
        });
        let mut all: Vec<Site> = singles.collect();
        if !site.leaves.is_empty() {
            all.push(site);
        }
        return all;
    }
    by_shape(
        &mut site,
        unknown.into_iter().map(|(_, v)| v).collect(),
        variables,
        holds_others,
    );
    vec![site]
}

/// Roles of variables with words of nobody's.
fn by_shape(site: &mut Site, mut unknown: Vec<usize>, variables: &[Variable], holds_others: bool) {
    let shape = |v: usize| variables[v].shape.as_slice();
    if let ([vector], true) = (unknown.as_slice(), site.leaves.is_empty())
        && matches!(shape(*vector), [1, n] | [n] if *n > 1)
    {
        // The generator's learned vector has a scope for itself.
        site.leaves.insert(Role::Weight, *vector);
        return;
    }
    if let Some(at) = unknown.iter().position(|v| is_kernel(shape(*v))) {
        site.leaves.insert(Role::Weight, unknown.remove(at));
    }
    if let Some(outputs) = site.leaves.get(&Role::Weight).and_then(|v| shape(*v).last().copied()) {
        for (role, wanted) in [(Role::U, vec![1, outputs]), (Role::Bias, vec![outputs])] {
            let fits: Vec<usize> = unknown.iter().copied().filter(|v| shape(*v) == wanted).collect();
            if let ([one], false) = (fits.as_slice(), site.leaves.contains_key(&role)) {
                site.leaves.insert(role, *one);
                unknown.retain(|v| v != one);
            }
        }
    } else {
        let scalars: Vec<usize> = unknown
            .iter()
            .copied()
            .filter(|v| shape(*v).iter().product::<usize>() == 1)
            .collect();
        if let ([one], true) = (scalars.as_slice(), unknown.len() == 1) {
            if site.leaves.contains_key(&Role::Mean) {
                site.leaves.insert(Role::Counter, *one);
                unknown.clear();
            } else if holds_others && site.leaves.is_empty() {
                site.leaves.insert(Role::Gate, *one);
                unknown.clear();
            }
        } else {
            // A batch norm: what has an average is trained, the rest are statistics and their count.
            let counters: Vec<usize> = unknown.iter().copied().filter(|v| shape(*v).is_empty()).collect();
            if let [one] = counters.as_slice() {
                site.leaves.insert(Role::Counter, *one);
                unknown.retain(|v| v != one);
            }
            let rank_says = unknown.iter().any(|v| shape(*v).len() > 1) && unknown.iter().any(|v| shape(*v).len() == 1);
            let trained = |v: &usize| variables[*v].ema.is_some() || (rank_says && shape(*v).len() > 1);
            let (affine, stats): (Vec<usize>, Vec<usize>) = unknown.iter().partition(|v| trained(v));
            unknown.clear();
            for (roles, found) in [([Role::Scale, Role::Offset], affine), ([Role::Mean, Role::Var], stats)] {
                let free: Vec<Role> = roles.into_iter().filter(|r| !site.leaves.contains_key(r)).collect();
                if free.len() == found.len() {
                    if free.len() > 1 {
                        site.unsure.push(free.clone());
                    }
                    site.leaves.extend(free.into_iter().zip(found));
                } else {
                    unknown.extend(found);
                }
            }
        }
    }
    site.odd.extend(unknown);
}

/// A convolution's or a linear layer's weight, not a vector with axes of size 1.
fn is_kernel(shape: &[usize]) -> bool {
    match shape {
        [_, _, inputs, _] => shape[..3] != [1, 1, 1] || *inputs > 1,
        [inputs, _] => *inputs > 1,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shapes_say_what_words_do_not() {
        let found = [("a/x", vec![3, 3, 8, 4]), ("a/y", vec![1, 4]), ("a/z", vec![4])];
        let found = found.map(|(name, shape)| (name.to_owned(), shape)).into();
        let read = read(&found, &Overrides::default()).unwrap();
        let roles: Vec<Role> = read.sites[0].leaves.keys().copied().collect();
        assert_eq!((read.sites.len(), roles), (1, vec![Role::Weight, Role::Bias, Role::U]));
    }
}
