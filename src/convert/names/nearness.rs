//! Layers of one network lie nearer to each other than to those of another.

use std::collections::BTreeMap;

use super::{
    matching,
    order::shared,
    solve::{Class, Domains, Pin, Seat},
    targets::{Piece, Target},
};

/// Strikes out pieces that lie farther from a seat than another one, by the layers that no other piece has.
pub(super) fn narrow(targets: &[Target], seats: &[Seat], classes: &mut [Class], domains: &mut Domains, pins: &[Pin]) {
    let mut own: BTreeMap<Piece, Vec<usize>> = BTreeMap::new();
    for (target, seat, _) in pins {
        own.entry(targets[*target].piece).or_default().push(*seat);
    }
    for class in classes.iter().filter(|c| c.seats.len() == c.targets.len()) {
        let piece = targets[class.targets[0]].piece;
        if class.targets.iter().all(|t| targets[*t].piece == piece) {
            own.entry(piece).or_default().extend(&class.seats);
        }
    }
    let depth = |seat: usize, piece: Piece| {
        let of = own.get(&piece).into_iter().flatten();
        of.map(|other| shared(&seats[seat].path, &seats[*other].path)).max()
    };
    // A discriminator has no averages, and a generator has: where that is so, it tells the two apart.
    let averaged = |piece: Piece| {
        let of: Vec<bool> = own
            .get(&piece)
            .into_iter()
            .flatten()
            .map(|s| seats[*s].averaged)
            .collect();
        let first = of.first().copied();
        first.filter(|first| of.iter().all(|a| a == first))
    };
    for class in classes {
        let mut pieces: Vec<Piece> = class.targets.iter().map(|t| targets[*t].piece).collect();
        pieces.dedup();
        if class.seats.len() > class.targets.len() {
            // More than are needed: the nearest, where they stand out.
            let closeness = |seat: usize| pieces.iter().filter_map(|p| depth(seat, *p)).max();
            let mut nearest = class.seats.clone();
            nearest.sort_by_key(|seat| std::cmp::Reverse(closeness(*seat)));
            let wanted = class.targets.len();
            if closeness(nearest[wanted - 1]) > closeness(nearest[wanted]) {
                for seat in nearest.split_off(wanted) {
                    domains[seat].clear();
                }
                class.seats.retain(|seat| nearest.contains(seat));
            }
        }
        if pieces.len() < 2 {
            continue;
        }
        let before: Vec<Vec<usize>> = class.seats.iter().map(|s| domains[*s].clone()).collect();
        for seat in &class.seats {
            let deepest = pieces.iter().filter_map(|p| depth(*seat, *p)).max();
            let far = |t: usize| depth(*seat, targets[t].piece) != deepest;
            let other = |t: usize| averaged(targets[t].piece).is_some_and(|a| a != seats[*seat].averaged);
            let differ = pieces.iter().any(|p| averaged(*p) != averaged(pieces[0]));
            domains[*seat].retain(|t| !(far(*t) || differ && other(*t)));
        }
        if !matching::fits(class, domains) {
            for (seat, domain) in class.seats.iter().zip(before) {
                domains[*seat] = domain;
            }
        }
    }
}
