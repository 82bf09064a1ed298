//! From layers to tensors: what the user says, what the tables say, and the rest by its looks.

use std::collections::BTreeMap;

use super::{
    Entry, NamesError, Overrides, Role, Transform, Undecided, Why, known,
    overrides::begins,
    solve::{Failure, Pin, Seat, assign},
    targets::{Signature, Target, Tensor},
    variables::{Found, Site},
};
use crate::encoder::PREFIX;

/// An entry for each tensor, sorted by its name.
pub(super) fn find(
    mut targets: Vec<Target>,
    mut found: Found,
    overrides: &Overrides,
) -> Result<Vec<Entry>, NamesError> {
    let speaks_of_nothing = |prefix: &&String| !targets.iter().any(|target| begins(&target.base, prefix));
    if let Some(name) = overrides.scopes.keys().find(speaks_of_nothing) {
        return Err(NamesError::UnknownTarget { name: name.clone() });
    }
    let (mut entries, said) = explicit(&mut targets, &mut found, overrides)?;
    targets.retain(|target| !target.tensors.is_empty());
    let seats: Vec<Seat> = found.sites.iter().map(|site| seat(site, &found)).collect();
    let mut pins: Vec<Pin> = Vec::new();
    for (base, site) in said {
        let target = targets.iter().position(|t| t.base == base);
        pins.extend(target.map(|target| (target, site, Why::Override)));
    }
    pins.extend(tables(&targets, &seats, &pins, overrides));
    let fits = |target: usize, seat: usize| overrides.fits(&targets[target].base, &seats[seat].path);
    let places = assign(&targets, &seats, &pins, &fits).map_err(|failure| error(&failure, &targets, &found))?;
    let mut unsure = Vec::new();
    for (target, (at, why)) in targets.iter().zip(&places) {
        let site = &found.sites[*at];
        unsure.extend(undealt(target, site, &found));
        for tensor in &target.tensors {
            entries.push(entry(tensor, site, &found, why.clone()));
        }
    }
    if !unsure.is_empty() {
        return Err(NamesError::Ambiguous { sets: unsure });
    }
    left_over(&targets, &places, &found, overrides)?;
    entries.sort_by(|a, b| a.target.cmp(&b.target));
    Ok(entries)
}

fn seat(site: &Site, found: &Found) -> Seat {
    let mut signature: Signature = Vec::new();
    for (role, variable) in site.leaves.iter().filter(|(role, _)| **role != Role::Counter) {
        let shape = &found.variables[*variable].shape;
        // The generator's learned vector is stored as a matrix of one row.
        let vector = *role != Role::Weight || (site.leaves.len() == 1 && shape.len() == 2 && shape[0] == 1);
        signature.push((*role, if vector { squeezed(shape) } else { shape.clone() }));
    }
    // What holds a thing that nothing explains looks like nothing.
    signature.extend(site.odd.iter().map(|_| (Role::Counter, Vec::new())));
    let averaged = site.leaves.values().any(|v| found.variables[*v].ema.is_some());
    Seat {
        path: site.path.clone(),
        signature,
        kernel: site.leaves.contains_key(&Role::Weight),
        averaged,
    }
}

fn squeezed(shape: &[usize]) -> Vec<usize> {
    let kept: Vec<usize> = shape.iter().copied().filter(|n| *n != 1).collect();
    if kept.is_empty() { vec![1] } else { kept }
}

fn entry(tensor: &Tensor, site: &Site, found: &Found, why: Why) -> Entry {
    let variable = &found.variables[site.leaves[&tensor.role]];
    let counter = site
        .leaves
        .get(&Role::Counter)
        .filter(|_| matches!(tensor.role, Role::Mean | Role::Var));
    Entry {
        target: tensor.name.clone(),
        target_shape: tensor.shape.clone(),
        source: variable.name.clone(),
        source_shape: variable.shape.clone(),
        ema: variable.ema.clone(),
        counter: counter.map(|v| found.variables[*v].name.clone()),
        transform: tensor.transform,
        why,
    }
}

/// Takes the tensors out that the user names: whole layers as `(base, site)`, and lone tensors as entries.
fn explicit(
    targets: &mut [Target],
    found: &mut Found,
    overrides: &Overrides,
) -> Result<(Vec<Entry>, BTreeMap<String, usize>), NamesError> {
    let (mut entries, mut said) = (Vec::new(), BTreeMap::<String, usize>::new());
    for (name, key) in &overrides.names {
        let unknown = || NamesError::UnknownTarget { name: name.clone() };
        let (base, _) = name.rsplit_once('.').ok_or_else(unknown)?;
        let target = targets.iter_mut().find(|t| t.base == base).ok_or_else(unknown)?;
        let at = target
            .tensors
            .iter()
            .position(|t| t.name == *name)
            .ok_or_else(unknown)?;
        let absent = || NamesError::UnknownVariable { name: key.clone() };
        let variable = found.variables.iter().position(|v| v.name == *key).ok_or_else(absent)?;
        let tensor = target.tensors[at].clone();
        let wanted = tensor.source_shape();
        let shape = &found.variables[variable].shape;
        if *shape != wanted && squeezed(shape) != wanted {
            return Err(NamesError::Shape {
                variable: key.clone(),
                found: shape.clone(),
                target: name.clone(),
                expected: wanted,
            });
        }
        let holds = |site: &Site| site.leaves.values().chain(&site.odd).any(|v| *v == variable);
        let site = found.sites.iter().position(holds).ok_or_else(absent)?;
        deal(&mut found.sites[site], variable, tensor.role);
        let whole = seat(&found.sites[site], found).signature == target.signature();
        let same = found.sites[site].leaves.get(&tensor.role) == Some(&variable);
        if whole && same && said.get(base).is_none_or(|other| *other == site) {
            if said.iter().any(|(other, at)| *at == site && other != base) {
                return Err(NamesError::Twice { name: key.clone() });
            }
            said.insert(base.to_owned(), site);
            continue;
        }
        // A layer that is put together from pieces.
        let one = Site {
            leaves: found.sites[site]
                .leaves
                .clone()
                .into_iter()
                .filter(|(role, _)| *role == Role::Counter)
                .collect(),
            ..found.sites[site].clone()
        };
        let mut one = one;
        one.leaves.insert(tensor.role, variable);
        entries.push(entry(&tensor, &one, found, Why::Override));
        target.tensors.remove(at);
        let from = &mut found.sites[site];
        from.leaves.retain(|_, v| *v != variable);
        from.odd.retain(|v| *v != variable);
    }
    Ok((entries, said))
}

/// Gives a variable its role in a layer whose variables could not be told apart.
fn deal(site: &mut Site, variable: usize, role: Role) {
    let Some(group) = site.unsure.iter().position(|roles| roles.contains(&role)) else {
        return;
    };
    let roles = site.unsure[group].clone();
    let Some(now) = roles.iter().copied().find(|r| site.leaves.get(r) == Some(&variable)) else {
        return;
    };
    if let Some(other) = site.leaves.insert(role, variable).filter(|_| now != role) {
        site.leaves.insert(now, other);
    }
    // There are two of each kind, so that the other is known as well.
    site.unsure.swap_remove(group);
}

/// Whole networks whose every name is in the tables.
fn tables(targets: &[Target], seats: &[Seat], said: &[Pin], overrides: &Overrides) -> Vec<Pin> {
    let by_path: BTreeMap<String, usize> = seats.iter().enumerate().map(|(at, seat)| (joined(seat), at)).collect();
    let mut networks: BTreeMap<&str, Option<Vec<Pin>>> = BTreeMap::new();
    for (at, target) in targets.iter().enumerate() {
        let network = target.piece.network();
        let pins = networks.entry(network).or_insert_with(|| Some(Vec::new()));
        let named = overrides
            .names
            .keys()
            .chain(overrides.scopes.keys())
            .any(|name| begins(name, network));
        let (scopes, why) = known::scopes(&target.base, target.piece);
        let place = scopes.iter().find_map(|scope| by_path.get(scope)).copied();
        let place = place.filter(|seat| !named && seats[*seat].signature == target.signature());
        match (place, pins.as_mut()) {
            (Some(seat), Some(pins)) => pins.push((at, seat, why)),
            _ => *pins = None,
        }
    }
    let pins = networks.into_values().flatten().flatten();
    pins.filter(|pin| said.iter().all(|other| other.1 != pin.1)).collect()
}

fn joined(seat: &Seat) -> String {
    seat.path.iter().map(|c| c.text.as_str()).collect::<Vec<_>>().join("/")
}

/// Variables of a settled layer that only the alphabet told apart.
fn undealt(target: &Target, site: &Site, found: &Found) -> Vec<Undecided> {
    let sets = site.unsure.iter().map(|roles| Undecided {
        targets: target
            .tensors
            .iter()
            .filter(|t| roles.contains(&t.role))
            .map(|t| t.name.clone())
            .collect(),
        candidates: roles
            .iter()
            .map(|role| found.variables[site.leaves[role]].name.clone())
            .collect(),
    });
    sets.collect()
}

/// Layers that no network took are a sign that a network is larger than it was thought to be: batch norms where none were
/// expected change all that follows. Where a network was left out on purpose, its layers are, and only those in the encoder's
/// scope are such a sign.
fn left_over(
    targets: &[Target],
    places: &[(usize, Why)],
    found: &Found,
    overrides: &Overrides,
) -> Result<(), NamesError> {
    const LAYER: [Role; 6] = [
        Role::Weight,
        Role::Scale,
        Role::Offset,
        Role::Mean,
        Role::Var,
        Role::Gate,
    ];
    let scope = |at: usize| found.sites[at].path.iter().map(|part| part.text.as_str());
    let own: Vec<Vec<&str>> = targets
        .iter()
        .zip(places)
        .filter(|(target, _)| target.tensors[0].name.starts_with(PREFIX))
        .map(|(_, (at, _))| scope(*at).collect())
        .collect();
    let shared = own
        .iter()
        .skip(1)
        .fold(own.first().map_or(0, Vec::len), |shared, path| {
            own[0].iter().zip(path).take(shared).take_while(|(a, b)| a == b).count()
        });
    let home = own.first().map_or(&[][..], |path| &path[..shared]);
    let beside = |at: &usize| scope(*at).take(home.len()).eq(home.iter().copied());
    let free = |at: &usize| places.iter().all(|(seat, _)| seat != at);
    let sites = (0..found.sites.len())
        .filter(free)
        .filter(|at| overrides.without.is_empty() || (!home.is_empty() && beside(at)))
        .map(|at| &found.sites[at]);
    let layers = sites.filter(|site| LAYER.iter().any(|role| site.leaves.contains_key(role)));
    let variables: Vec<_> = layers
        .flat_map(|site| site.leaves.values())
        .map(|v| (found.variables[*v].name.clone(), found.variables[*v].shape.clone()))
        .collect();
    if variables.is_empty() {
        Ok(())
    } else {
        Err(NamesError::LeftOver { variables })
    }
}

fn error(failure: &Failure, targets: &[Target], found: &Found) -> NamesError {
    // The tensor that stands for its layer, and its variable.
    let names = |list: &[usize]| {
        list.iter()
            .map(|t| targets[*t].tensors[0].name.clone())
            .collect::<Vec<_>>()
    };
    let set = |list: &[usize], sites: &[usize]| {
        let role = targets[list[0]].tensors[0].role;
        let key = |site: &usize| {
            let leaf = found.sites[*site]
                .leaves
                .get(&role)
                .or(found.sites[*site].leaves.values().next());
            leaf.map(|v| found.variables[*v].name.clone())
        };
        Undecided {
            targets: names(list),
            candidates: sites.iter().filter_map(key).collect(),
        }
    };
    match failure {
        Failure::Undecided(sets) => NamesError::Ambiguous {
            sets: sets.iter().map(|(list, sites)| set(list, sites)).collect(),
        },
        Failure::Against(list, sites) => NamesError::Contradiction { set: set(list, sites) },
        Failure::Missing(list) => {
            let tensors = list.iter().flat_map(|t| &targets[*t].tensors);
            let missing: Vec<_> = tensors.map(|t| (t.name.clone(), t.shape.clone())).collect();
            let looks: Vec<Signature> = targets.iter().map(Target::signature).collect();
            let lacking: Vec<Signature> = list.iter().map(|t| targets[*t].signature()).collect();
            let idle = |site: &&Site| {
                let look = seat(site, found).signature;
                !looks.contains(&look) || lacking.contains(&look)
            };
            let free = found
                .sites
                .iter()
                .filter(idle)
                .flat_map(|site| site.leaves.values().chain(&site.odd));
            let unused = free
                .map(|v| (found.variables[*v].name.clone(), found.variables[*v].shape.clone()))
                .collect();
            NamesError::Incomplete { missing, unused }
        }
    }
}

impl Transform {
    /// The word in a table.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Conv => "conv",
            Self::Linear => "linear",
            Self::GeneratorLinear => "generator-linear",
            Self::GeneratorVector => "generator-vector",
            Self::Squeeze => "squeeze",
        }
    }
}
