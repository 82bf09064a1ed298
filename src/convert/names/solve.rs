//! Which layer of the checkpoint is which layer of the network.
//!
//! Layers of one shape are candidates for each other. What tells them apart is taken in the order of its weight: where they
//! lie, how they are numbered, what their names say, what the same name means in the next block. Each only strikes candidates
//! out; nothing is chosen. A layer is settled when one candidate is left, and where several are left nothing is settled.

use std::collections::BTreeMap;

use super::{
    Why,
    evidence::{Evidence, roles_of},
    matching, nearness,
    order::{Component, made_before},
    targets::{Piece, Shortcuts, Signature, Target},
};

/// A layer of the checkpoint.
#[derive(Debug)]
pub(super) struct Seat {
    /// Its scope.
    pub path: Vec<Component>,
    /// What it looks like.
    pub signature: Signature,
    /// Whether it has a weight.
    pub kernel: bool,
    /// Whether it has averages.
    pub averaged: bool,
}

/// Why there is no assignment; indices of targets and seats.
#[derive(Debug)]
pub(super) enum Failure {
    /// Nothing of their shapes.
    Missing(Vec<usize>),
    /// Several readings.
    Undecided(Vec<(Vec<usize>, Vec<usize>)>),
    /// None that agrees with the numbers.
    Against(Vec<usize>, Vec<usize>),
}

/// What is known from elsewhere: a target, its seat and why.
pub(super) type Pin = (usize, usize, Why);

/// Layers of one shape.
#[derive(Debug, Clone)]
pub(super) struct Class {
    pub targets: Vec<usize>,
    pub seats: Vec<usize>,
}

/// For each seat the targets that it may be; empty for those that take no part.
pub(super) type Domains = Vec<Vec<usize>>;

pub(super) struct Puzzle<'a> {
    pub targets: &'a [Target],
    pub seats: &'a [Seat],
    pub classes: Vec<Class>,
    /// Seats of which the first was made before the second.
    order: Vec<(usize, usize)>,
}

/// Gives every target its seat, or says why not.
pub(super) fn assign(
    targets: &[Target],
    seats: &[Seat],
    pins: &[Pin],
    fits: &dyn Fn(usize, usize) -> bool,
) -> Result<Vec<(usize, Why)>, Failure> {
    let mut domains: Domains = vec![Vec::new(); seats.len()];
    let mut why: Vec<Option<Why>> = vec![None; seats.len()];
    for (target, seat, reason) in pins {
        domains[*seat] = vec![*target];
        why[*seat] = Some(reason.clone());
    }
    let mut classes = classes(targets, seats, pins, fits)?;
    for class in &classes {
        for seat in &class.seats {
            domains[*seat] = class.targets.iter().copied().filter(|t| fits(*t, *seat)).collect();
        }
    }
    nearness::narrow(targets, seats, &mut classes, &mut domains, pins);
    let crowded: Vec<(Vec<usize>, Vec<usize>)> = classes
        .iter()
        .filter(|c| c.seats.len() > c.targets.len())
        .map(|c| (c.targets.clone(), c.seats.clone()))
        .collect();
    if !crowded.is_empty() {
        return Err(Failure::Undecided(crowded));
    }
    let puzzle = Puzzle {
        targets,
        seats,
        order: ordered(targets, seats, &domains),
        classes,
    };
    for class in &puzzle.classes {
        if let ([seat], [_]) = (&class.seats[..], &class.targets[..]) {
            why[*seat] = Some(Why::Shape);
        }
    }
    puzzle.settle(&domains, &mut why, |_| Why::Scope);
    let evidence = Evidence::new(&puzzle);
    for (strong, reason) in [(true, Some(Why::Word)), (false, None), (false, Some(Why::Word))] {
        // Words that mean one thing, then the same name in the next block, then words that may mean another.
        let before = domains.clone();
        match reason {
            Some(_) => evidence.words(&mut domains, strong),
            None => evidence.siblings(&mut domains),
        }
        if reason.is_some() {
            puzzle.settle(&domains, &mut why, |_| Why::Word);
        }
        match puzzle.narrow(domains.clone()) {
            Ok(narrowed) => domains = narrowed,
            Err(class) if strong => {
                let class = &puzzle.classes[class];
                return Err(Failure::Against(class.targets.clone(), class.seats.clone()));
            }
            // What may mean another thing does.
            Err(_) => domains = before,
        }
        let by_order = reason.is_some();
        puzzle.settle(&domains, &mut why, |seat| match by_order {
            true => puzzle.rank(seat, &domains),
            false => Why::Sibling,
        });
    }
    puzzle.result(&domains, &why)
}

/// Targets and seats of equal looks, without those that are pinned.
fn classes(
    targets: &[Target],
    seats: &[Seat],
    pins: &[Pin],
    fits: &dyn Fn(usize, usize) -> bool,
) -> Result<Vec<Class>, Failure> {
    let mut by_look: BTreeMap<Signature, Class> = BTreeMap::new();
    for (t, target) in targets
        .iter()
        .enumerate()
        .filter(|(t, _)| pins.iter().all(|pin| pin.0 != *t))
    {
        let new = || Class {
            targets: Vec::new(),
            seats: Vec::new(),
        };
        by_look.entry(target.signature()).or_insert_with(new).targets.push(t);
    }
    for (s, seat) in seats
        .iter()
        .enumerate()
        .filter(|(s, _)| pins.iter().all(|pin| pin.1 != *s))
    {
        if let Some(class) = by_look.get_mut(&seat.signature)
            && class.targets.iter().any(|t| fits(*t, s))
        {
            class.seats.push(s);
        }
    }
    let mut classes: Vec<Class> = by_look.into_values().collect();
    let missing = classes.iter().filter(|c| c.seats.len() < c.targets.len());
    let missing: Vec<usize> = missing.flat_map(|c| c.targets.iter().copied()).collect();
    if !missing.is_empty() {
        return Err(Failure::Missing(missing));
    }
    for class in &mut classes {
        class.targets.sort_by_key(|t| targets[*t].place());
    }
    Ok(classes)
}

/// All pairs of seats whose names say which was made first, and that can be of one network.
fn ordered(targets: &[Target], seats: &[Seat], domains: &Domains) -> Vec<(usize, usize)> {
    let networks = |seat: usize| domains[seat].iter().map(|t| targets[*t].piece.network());
    let taking_part: Vec<usize> = (0..seats.len()).filter(|s| !domains[*s].is_empty()).collect();
    let mut pairs = Vec::new();
    for (at, one) in taking_part.iter().enumerate() {
        for two in &taking_part[at + 1..] {
            if !networks(*one).any(|network| networks(*two).any(|other| other == network)) {
                continue;
            }
            match made_before(&seats[*one].path, &seats[*two].path) {
                Some(std::cmp::Ordering::Less) => pairs.push((*one, *two)),
                Some(std::cmp::Ordering::Greater) => pairs.push((*two, *one)),
                _ => {}
            }
        }
    }
    pairs
}

impl Puzzle<'_> {
    /// Strikes out all that runs against the numbers. The class that is left without a solution is the error.
    fn narrow(&self, domains: Domains) -> Result<Domains, usize> {
        let mut domains = self.propagate(domains, None)?;
        for piece in [Piece::Trunk, Piece::Generator, Piece::F] {
            if self.open(piece, &domains) {
                let first = self.propagate(domains.clone(), Some((piece, Shortcuts::First)));
                let last = self.propagate(domains.clone(), Some((piece, Shortcuts::Last)));
                domains = match (first, last) {
                    (Ok(one), Ok(two)) => join(one, two),
                    (Ok(one), Err(_)) | (Err(_), Ok(one)) => one,
                    (Err(class), Err(_)) => return Err(class),
                };
            }
        }
        // In an MLP the shortcut looks like the first layer, so that numbers alone can't tell whether it was made first or
        // second: there, it is made as the same network's convolutions show it.
        for (piece, model) in [(Piece::Head, Piece::Trunk), (Piece::H, Piece::F), (Piece::J, Piece::F)] {
            if self.open(piece, &domains)
                && let Some(shown) = self.shown(model, &domains)
                && let Ok(narrowed) = self.propagate(domains.clone(), Some((piece, shown)))
            {
                domains = narrowed;
            }
        }
        Ok(domains)
    }

    /// Whether a piece has layers with several readings.
    fn open(&self, piece: Piece, domains: &Domains) -> bool {
        let of = |t: &usize| self.targets[*t].piece == piece;
        domains.iter().any(|domain| domain.len() > 1 && domain.iter().any(of))
    }

    /// Where numbers show that a piece's shortcuts were made.
    fn shown(&self, piece: Piece, domains: &Domains) -> Option<Shortcuts> {
        let agrees = |shortcuts| self.propagate(domains.clone(), Some((piece, shortcuts))).is_ok();
        match (agrees(Shortcuts::First), agrees(Shortcuts::Last)) {
            (true, false) => Some(Shortcuts::First),
            (false, true) => Some(Shortcuts::Last),
            _ => None,
        }
    }

    fn propagate(&self, mut domains: Domains, assumed: Option<(Piece, Shortcuts)>) -> Result<Domains, usize> {
        let precedes = |one: usize, two: usize| {
            let (one, two) = (&self.targets[one], &self.targets[two]);
            let shortcuts = assumed
                .filter(|(piece, _)| *piece == one.piece)
                .map_or(Shortcuts::Anywhere, |(_, s)| s);
            one.precedes(two, shortcuts)
        };
        loop {
            let before: usize = domains.iter().map(Vec::len).sum();
            for (one, two) in &self.order {
                // `one` was made before `two`: what it may be must leave `two` something that isn't made earlier.
                let (a, b) = (std::mem::take(&mut domains[*one]), std::mem::take(&mut domains[*two]));
                let a: Vec<usize> = a
                    .into_iter()
                    .filter(|s| b.iter().any(|t| s != t && !precedes(*t, *s)))
                    .collect();
                let b: Vec<usize> = b
                    .into_iter()
                    .filter(|t| a.iter().any(|s| s != t && !precedes(*t, *s)))
                    .collect();
                (domains[*one], domains[*two]) = (a, b);
            }
            for (at, class) in self.classes.iter().enumerate() {
                if !matching::prune(class, &mut domains) {
                    return Err(at);
                }
            }
            if domains.iter().map(Vec::len).sum::<usize>() == before {
                return Ok(domains);
            }
        }
    }

    /// Notes the reason for whatever has become certain.
    fn settle(&self, domains: &Domains, why: &mut [Option<Why>], reason: impl Fn(usize) -> Why) {
        for (seat, domain) in domains.iter().enumerate() {
            if domain.len() == 1 && why[seat].is_none() {
                why[seat] = Some(reason(seat));
            }
        }
    }

    /// Its place among its equals.
    fn rank(&self, seat: usize, domains: &Domains) -> Why {
        let class = self.classes.iter().find(|c| c.seats.contains(&seat));
        let equals = class.map(|c| c.targets.as_slice()).unwrap_or_default();
        let rank = equals.iter().position(|t| domains[seat] == [*t]).unwrap_or(0) + 1;
        Why::Order { rank, of: equals.len() }
    }

    fn result(&self, domains: &Domains, why: &[Option<Why>]) -> Result<Vec<(usize, Why)>, Failure> {
        let mut sets = Vec::new();
        for class in &self.classes {
            let mut open: Vec<usize> = class.seats.iter().copied().filter(|s| domains[*s].len() > 1).collect();
            while let Some(seat) = open.pop() {
                let (mut targets, mut candidates) = (domains[seat].clone(), vec![seat]);
                while let Some(at) = open
                    .iter()
                    .position(|s| domains[*s].iter().any(|t| targets.contains(t)))
                {
                    let seat = open.swap_remove(at);
                    candidates.push(seat);
                    let new = domains[seat]
                        .iter()
                        .filter(|t| !targets.contains(t))
                        .copied()
                        .collect::<Vec<_>>();
                    targets.extend(new);
                }
                targets.sort_by_key(|t| self.targets[*t].place());
                candidates.sort_unstable();
                sets.push((targets, candidates));
            }
        }
        if !sets.is_empty() {
            return Err(Failure::Undecided(sets));
        }
        let mut out = vec![(usize::MAX, Why::Shape); self.targets.len()];
        for (seat, domain) in domains.iter().enumerate() {
            if let ([target], Some(why)) = (domain.as_slice(), &why[seat]) {
                out[*target] = (seat, why.clone());
            }
        }
        // Every class was matched, so that nothing is left; if it were, it would be missing, not made up.
        let missing: Vec<usize> = (0..out.len()).filter(|t| out[*t].0 == usize::MAX).collect();
        if missing.is_empty() {
            Ok(out)
        } else {
            Err(Failure::Missing(missing))
        }
    }

    /// The only network that a seat can be of.
    pub(super) fn network(&self, domain: &[usize]) -> Option<&'static str> {
        let first = self.targets[*domain.first()?].piece;
        let one = domain.iter().all(|t| self.targets[*t].piece.same_network(first));
        one.then(|| first.network())
    }

    /// What a seat can be in its unit.
    pub(super) fn roles(&self, domain: &[usize]) -> Vec<&str> {
        roles_of(self.targets, domain)
    }
}

fn join(one: Domains, two: Domains) -> Domains {
    let pairs = one.into_iter().zip(two);
    pairs
        .map(|(mut a, b)| {
            a.extend(b.into_iter().filter(|t| !a.contains(t)).collect::<Vec<_>>());
            a
        })
        .collect()
}
