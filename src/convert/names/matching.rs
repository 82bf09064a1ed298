//! One seat for each target of a class: what no full assignment uses is struck out.

use super::solve::{Class, Domains};

/// Whether every seat of a class can have a target of its own.
pub(super) fn fits(class: &Class, domains: &Domains) -> bool {
    full(class, domains).is_some()
}

/// Strikes out what is in no full assignment; false where there is none.
///
/// Régin 1994, "A filtering algorithm for constraints of difference in CSPs", without his search for components: classes are
/// small.
pub(super) fn prune(class: &Class, domains: &mut Domains) -> bool {
    let Some(holder) = full(class, domains) else {
        return false;
    };
    let mut kept = Vec::with_capacity(class.seats.len());
    for (at, seat) in class.seats.iter().enumerate() {
        let possible = |target: &usize| {
            let Some(wanted) = class.targets.iter().position(|t| t == target) else {
                return false;
            };
            if holder[wanted] == Some(at) {
                return true;
            }
            // The one who holds it must find another, without those two.
            let (mut trial, mut tried) = (holder.clone(), vec![false; class.targets.len()]);
            let Some(evicted) = trial[wanted] else {
                return false;
            };
            for held in &mut trial {
                if *held == Some(at) {
                    *held = None;
                }
            }
            trial[wanted] = Some(at);
            tried[wanted] = true;
            augment(class, domains, evicted, &mut trial, &mut tried)
        };
        kept.push((
            *seat,
            domains[*seat].iter().copied().filter(possible).collect::<Vec<_>>(),
        ));
    }
    for (seat, domain) in kept {
        domains[seat] = domain;
    }
    true
}

/// For each target the place of its seat in the class.
fn full(class: &Class, domains: &Domains) -> Option<Vec<Option<usize>>> {
    let mut holder = vec![None; class.targets.len()];
    for at in 0..class.seats.len() {
        let mut tried = vec![false; class.targets.len()];
        if !augment(class, domains, at, &mut holder, &mut tried) {
            return None;
        }
    }
    holder.iter().all(Option::is_some).then_some(holder)
}

/// Kuhn's augmenting path.
fn augment(class: &Class, domains: &Domains, at: usize, holder: &mut [Option<usize>], tried: &mut [bool]) -> bool {
    for (place, target) in class.targets.iter().enumerate() {
        if tried[place] || !domains[class.seats[at]].contains(target) {
            continue;
        }
        tried[place] = true;
        let free = match holder[place] {
            None => true,
            Some(other) => augment(class, domains, other, holder, tried),
        };
        if free {
            holder[place] = Some(at);
            return true;
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_no_full_assignment_uses_is_struck_out() {
        let class = Class {
            targets: vec![10, 11, 12],
            seats: vec![0, 1, 2],
        };
        let mut domains = vec![vec![10, 11], vec![10, 11], vec![10, 11, 12]];
        assert!(prune(&class, &mut domains));
        assert_eq!(domains, [vec![10, 11], vec![10, 11], vec![12]]);
        let mut domains = vec![vec![10], vec![10], vec![11, 12]];
        assert!(!prune(&class, &mut domains));
    }
}
