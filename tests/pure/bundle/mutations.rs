//! Thousands of damaged checkpoints: each must be an error in words, or be read as what it is.

use std::sync::Arc;

use hounsfield::{
    convert::{
        bundle::{Bundle, Table},
        module::Module,
    },
    seed::stream,
};
use rand::{Rng, RngExt as _};

use super::{Contents, contents, in_memory, oracle, tiny};
use crate::checkpoint::{self, Blocks, Layout, Pair};

/// Numbers that programs trip over.
const NUMBERS: [u64; 14] = [
    0,
    1,
    2,
    0x7f,
    0x80,
    0xff,
    0xffff,
    0x7fff_ffff,
    0x8000_0000,
    0xffff_ffff,
    1 << 40,
    (1 << 63) - 1,
    1 << 63,
    u64::MAX,
];

/// Changes bytes as a bad disk, a bad line or a bad mind would.
fn damage(bytes: &mut Vec<u8>, rng: &mut impl Rng) {
    let at = |bytes: &[u8], rng: &mut dyn FnMut(usize) -> usize| rng(bytes.len().max(1));
    let mut below = |most: usize| rng.random_range(0..most);
    let place = at(bytes, &mut below);
    let run = below(17).min(bytes.len().saturating_sub(place));
    match below(8) {
        0 => bytes.truncate(place),
        1 => {
            bytes.drain(place..place + run);
        }
        2 => {
            let new: Vec<u8> = (0..=run).map(|_| below(256) as u8).collect();
            bytes.splice(place..place, new);
        }
        3 => bytes[place..place + run]
            .iter_mut()
            .for_each(|byte| *byte = below(256) as u8),
        4 => {
            let copy = bytes[place..place + run].to_vec();
            let other = at(bytes, &mut below);
            bytes.splice(other..other, copy);
        }
        5 => {
            let number = checkpoint::varint(NUMBERS[below(NUMBERS.len())]);
            let end = (place + number.len()).min(bytes.len());
            bytes.splice(place..end, number);
        }
        _ => {
            if let Some(byte) = bytes.get_mut(place) {
                *byte ^= 1 << below(8);
            }
        }
    }
}

/// Index and data of the module of three blocks.
fn blocks() -> (Vec<u8>, Vec<u8>) {
    let scratch = tempfile::tempdir().unwrap();
    let module = Module::open(oracle("tfhub/blocks.tar.gz").as_ref(), scratch.path()).unwrap();
    let prefix = module.variables_prefix().display();
    (
        super::read(&format!("{prefix}.index")),
        super::read(&format!("{prefix}.data-00000-of-00001")),
    )
}

/// An error in words, or exactly `expected`. Tells which.
fn is_refused(index: &[u8], data: &Arc<[u8]>, expected: &Contents, what: &str) -> bool {
    match Bundle::from_bytes(index, std::slice::from_ref(data)).and_then(|bundle| contents(&bundle)) {
        Ok(found) => {
            assert!(found == *expected, "{what}: other variables than were written");
            false
        }
        Err(error) => {
            assert!(error.to_string().len() > 20, "{what}: {error}");
            true
        }
    }
}

fn blind(index: &[u8], data: &[u8], count: usize, purpose: &str) {
    let mut rng = stream(0, purpose);
    let expected = in_memory(index, data).unwrap();
    let whole: Arc<[u8]> = data.into();
    let mut refused = 0;
    for i in 0..count {
        let (mut index, mut data) = (index.to_vec(), whole.clone());
        if i % 3 == 0 {
            let mut bytes = data.to_vec();
            damage(&mut bytes, &mut rng);
            data = bytes.into();
        } else {
            damage(&mut index, &mut rng);
        }
        refused += usize::from(is_refused(&index, &data, &expected, &format!("{purpose} {i}")));
    }
    // What is left changed nothing: empty runs, copies of equal bytes, padding.
    assert!(refused > count * 8 / 10, "{refused} of {count} refused");
}

#[test]
fn damaged_files_of_a_small_module_are_refused_or_read_as_they_were() {
    let (index, data) = tiny();
    blind(&index, &data, 4000, "blind tiny");
}

#[test]
fn damaged_files_of_a_module_of_many_blocks_are_refused_or_read_as_they_were() {
    let (index, data) = blocks();
    blind(&index, &data, 1500, "blind blocks");
}

/// What is read must be sound, whatever it says: as many values as the shape has, and no more bytes than there are.
fn is_sound(index: &[u8], data: &Arc<[u8]>, what: &str) -> bool {
    let opened = Bundle::from_bytes(index, std::slice::from_ref(data));
    match opened.and_then(|bundle| Ok((contents(&bundle)?, bundle.bytes()))) {
        Ok((found, bytes)) => {
            assert!(bytes <= data.len() as u64, "{what}: {bytes} bytes from {}", data.len());
            for (name, (_, shape, values)) in found {
                let count = shape.iter().product::<usize>();
                assert!(
                    values.is_none_or(|values| values.len() == count),
                    "{what}: {name} {shape:?}"
                );
            }
            true
        }
        Err(error) => {
            assert!(error.to_string().len() > 20, "{what}: {error}");
            false
        }
    }
}

/// Few variables, so that thousands of tables can be rebuilt: whole ones, parts, integers.
fn small() -> (Vec<Pair>, Vec<u8>) {
    let prefix = oracle("tfhub/parts");
    let mut pairs = Table::parse(&super::read(&format!("{prefix}.index")))
        .unwrap()
        .entries()
        .to_vec();
    let mut data = super::read(&format!("{prefix}.data-00000-of-00001"));
    let (types, more) = (oracle("tfhub/types.index"), oracle("tfhub/types.data-00000-of-00001"));
    // The types behind the parts, in the same file: alignment is free, so that the first offsets can stay as they are.
    let shift = data.len() as u64;
    for (key, value) in Table::parse(&super::read(&types)).unwrap().entries().iter().skip(1) {
        // A field that stands twice counts where it stands last.
        let offset = offset(value) + shift;
        pairs.push((key.clone(), [value.clone(), checkpoint::number(4, offset)].concat()));
    }
    data.extend(super::read(&more));
    pairs.sort();
    (pairs, data)
}

/// Field 4 of an entry that TensorFlow wrote.
fn offset(entry: &[u8]) -> u64 {
    let mut rest = entry;
    let varint = |rest: &mut &[u8]| {
        let mut value = 0;
        for place in 0.. {
            let (byte, after) = rest.split_first().unwrap();
            *rest = after;
            value |= u64::from(byte & 0x7f) << (7 * place);
            if *byte < 0x80 {
                break;
            }
        }
        value
    };
    while !rest.is_empty() {
        let tag = varint(&mut rest);
        match tag & 7 {
            0 if tag >> 3 == 4 => return varint(&mut rest),
            0 => _ = varint(&mut rest),
            2 => {
                let length = varint(&mut rest) as usize;
                rest = &rest[length..];
            }
            _ => rest = &rest[4..],
        }
    }
    0
}

/// Damage below the checksums: entries, keys, blocks and places are changed, then sealed as if they were meant so.
fn deep(count: usize, purpose: &str) {
    let mut rng = stream(0, purpose);
    let (pairs, data) = small();
    let data: Arc<[u8]> = data.into();
    assert!(is_sound(
        &checkpoint::table(&pairs, Layout::default()),
        &data,
        "unchanged"
    ));
    let mut sound = 0;
    for i in 0..count {
        let layout = Layout {
            block: [64, 300, 1 << 18][rng.random_range(0..3)],
            restart: [1, 3, 16][rng.random_range(0..3)],
            snappy: rng.random_bool(0.2),
        };
        let mut pairs = pairs.clone();
        let entry = rng.random_range(0..pairs.len());
        let index = match rng.random_range(0..10) {
            0..4 => {
                damage(&mut pairs[entry].1, &mut rng);
                checkpoint::table(&pairs, layout)
            }
            4 => {
                // A field of numbers that stands once more, with one that lies.
                let lie = NUMBERS[rng.random_range(0..NUMBERS.len())];
                let field = rng.random_range(1..8);
                let more = match field {
                    2 => checkpoint::message(2, &checkpoint::message(2, &checkpoint::number(1, lie))),
                    7 => {
                        let extent = [checkpoint::number(1, lie), checkpoint::number(2, lie / 2)].concat();
                        checkpoint::message(7, &checkpoint::message(1, &extent))
                    }
                    field => checkpoint::number(field, lie),
                };
                pairs[entry].1.extend(more);
                checkpoint::table(&pairs, layout)
            }
            5 => {
                damage(&mut pairs[entry].0, &mut rng);
                if rng.random_bool(0.5) {
                    pairs.sort();
                }
                checkpoint::table(&pairs, layout)
            }
            6 => {
                let other = rng.random_range(0..pairs.len());
                match rng.random_range(0..3) {
                    0 => pairs.swap(entry, other),
                    1 => pairs[other].1 = pairs[entry].1.clone(),
                    _ => _ = pairs.remove(entry),
                }
                checkpoint::table(&pairs, layout)
            }
            7 => {
                let mut blocks = checkpoint::blocks(&pairs, layout);
                let block = rng.random_range(0..blocks.data.len());
                damage(&mut blocks.data[block], &mut rng);
                blocks.seal(|_| {}, |_| {}, |_| {})
            }
            8 => {
                let blocks = checkpoint::blocks(&pairs, layout);
                lying_places(&blocks, &mut rng)
            }
            _ => {
                let mut blocks = checkpoint::blocks(&pairs, layout);
                let mark = rng.random_range(0..blocks.marks.len());
                match rng.random_bool(0.5) {
                    true => damage(&mut blocks.marks[mark], &mut rng),
                    false => _ = blocks.data.remove(mark),
                }
                blocks.seal(|_| {}, |index| damage(index, &mut rng), |_| {})
            }
        };
        sound += usize::from(is_sound(&index, &data, &format!("{purpose} {i}")));
    }
    assert!((count / 50..count / 2).contains(&sound), "{sound} of {count} sound");
}

fn lying_places(blocks: &Blocks, rng: &mut impl Rng) -> Vec<u8> {
    let lie = NUMBERS[rng.random_range(0..NUMBERS.len())];
    let (which, near, footer) = (rng.random_range(0..4), rng.random_bool(0.5), rng.random_bool(0.5));
    let (one, other) = (
        rng.random_range(0..blocks.data.len()),
        rng.random_range(0..blocks.data.len()),
    );
    blocks.seal(
        |handles| match (footer, which) {
            (true, _) => {}
            (false, 0) => handles[one].0 = if near { handles[one].0.wrapping_add(lie) } else { lie },
            (false, 1) => handles[one].1 = if near { handles[one].1.wrapping_sub(lie) } else { lie },
            (false, 2) => handles[one] = handles[other],
            (false, _) => handles.swap(one, other),
        },
        |_| {},
        |numbers| match (footer, which) {
            (false, _) => {}
            (true, which) if near => numbers[which] = numbers[which].wrapping_add(lie),
            (true, which) => numbers[which] = numbers[(which + 2) % 4],
        },
    )
}

#[test]
fn damage_below_good_checksums_is_refused_or_sound() {
    deep(6000, "deep");
}

/// For a night: `HOUNSFIELD_MUTATIONS=2000000 cargo test --release --test pure mutations -- --ignored`.
#[test]
#[ignore = "as long as it is told to run"]
fn as_many_mutations_as_are_asked_for() {
    let count: usize = std::env::var("HOUNSFIELD_MUTATIONS").map_or(100_000, |count| count.parse().unwrap());
    let (index, data) = super::tiny();
    blind(&index, &data, count / 4, "blind, long");
    deep(count * 3 / 4, "deep, long");
}
