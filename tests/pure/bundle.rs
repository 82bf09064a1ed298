//! `convert::bundle`: checkpoints as TensorFlow wrote them, and what must not pass for one.

use std::{collections::BTreeMap, fs, path::Path, sync::Arc};

use hounsfield::convert::bundle::{Bundle, BundleError, DType, Table};

use crate::checkpoint::{self, Entry, Layout, Pair};

mod mutations;

/// Names to type, shape and the bits of the values (none where the type can't be read).
type Contents = BTreeMap<String, (DType, Vec<usize>, Option<Vec<i64>>)>;

/// Everything that a checkpoint holds, each checksum checked twice: in its place and when it is read.
fn contents(bundle: &Bundle) -> Result<Contents, BundleError> {
    bundle.verify(&|_| {})?;
    let variables = bundle.variables().iter().map(|(name, variable)| {
        let values = match variable.dtype {
            DType::Float32 => {
                let values = bundle.read_f32(name)?;
                Some(values.into_iter().map(|value| i64::from(value.to_bits())).collect())
            }
            DType::Int32 | DType::Int64 => Some(bundle.read_i64(name)?),
            _ => None,
        };
        Ok((name.clone(), (variable.dtype, variable.shape.clone(), values)))
    });
    variables.collect()
}

fn oracle(name: &str) -> String {
    format!("tests/oracles/{name}")
}

fn read(path: &str) -> Vec<u8> {
    fs::read(path).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Index and data of the module that TensorFlow wrote for the small BigBiGAN of the oracle.
fn tiny() -> (Vec<u8>, Vec<u8>) {
    let prefix = oracle("bigbigan/tfhub_tiny/variables/variables");
    (
        read(&format!("{prefix}.index")),
        read(&format!("{prefix}.data-00000-of-00001")),
    )
}

fn in_memory(index: &[u8], data: &[u8]) -> Result<Contents, BundleError> {
    contents(&Bundle::from_bytes(index, &[Arc::from(data)])?)
}

/// Expected: `tf.train.list_variables` of TensorFlow 2.15 (oracles/bigbigan/tf_twin.py).
#[test]
fn all_variables_of_a_module_that_tensorflow_wrote_read_with_their_shapes() {
    let bundle = Bundle::open(oracle("bigbigan/tfhub_tiny/variables/variables").as_ref()).unwrap();
    let expected: BTreeMap<String, Vec<usize>> =
        serde_json::from_slice(&read(&oracle("bigbigan/tfhub_tiny_variables.json"))).unwrap();
    assert_eq!(expected.len(), 444);
    let found: BTreeMap<_, _> = bundle
        .variables()
        .iter()
        .map(|(name, v)| (name.clone(), v.shape.clone()))
        .collect();
    assert_eq!(found, expected);
    for (name, (dtype, shape, values)) in contents(&bundle).unwrap() {
        let expected = if name == "global_step" {
            DType::Int64
        } else {
            DType::Float32
        };
        assert_eq!(
            (dtype, values.map(|v| v.len())),
            (expected, Some(shape.iter().product())),
            "{name}"
        );
    }
    let length = fs::metadata(oracle("bigbigan/tfhub_tiny/variables/variables.data-00000-of-00001"))
        .unwrap()
        .len();
    assert_eq!(bundle.bytes(), length);
}

/// Expected: `tf.train.load_checkpoint(prefix).get_tensor(name)`, TensorFlow 2.15; see make_tfhub.py.
#[test]
fn types_parts_shards_and_objects_read_as_tensorflow_reads_them() {
    type Expected = BTreeMap<String, BTreeMap<String, serde_json::Value>>;
    let all: Expected = serde_json::from_slice(&read(&oracle("tfhub/expected.json"))).unwrap();
    for (checkpoint, variables) in all {
        let bundle = Bundle::open(oracle(&format!("tfhub/{checkpoint}")).as_ref()).unwrap();
        bundle.verify(&|_| {}).unwrap();
        assert!(bundle.variables().keys().eq(variables.keys()), "{checkpoint}");
        for (name, expected) in variables {
            let variable = &bundle.variables()[&name];
            assert_eq!(variable.dtype.to_string(), expected["dtype"], "{name}");
            assert_eq!(serde_json::json!(variable.shape), expected["shape"], "{name}");
            match variable.dtype {
                DType::Float32 => {
                    let values = expected["values"].as_array().unwrap().iter();
                    let values: Vec<u32> = values
                        .map(|value| value.as_str().unwrap().parse::<f32>().unwrap().to_bits())
                        .collect();
                    let found: Vec<u32> = bundle.read_f32(&name).unwrap().iter().map(|v| v.to_bits()).collect();
                    assert_eq!(found, values, "{name}");
                    let error = bundle.read_i64(&name).unwrap_err().to_string();
                    assert!(error.contains("holds float32, int32 or int64 was expected"), "{error}");
                }
                DType::Int32 | DType::Int64 => {
                    assert_eq!(
                        serde_json::json!(bundle.read_i64(&name).unwrap()),
                        expected["values"],
                        "{name}"
                    );
                }
                dtype => {
                    let error = bundle.read_f32(&name).unwrap_err().to_string();
                    assert!(
                        error.contains(&format!("holds {dtype}, float32 was expected")),
                        "{error}"
                    );
                }
            }
        }
    }
}

/// A table may be cut into blocks, restart and be packed in any way.
#[test]
fn the_layout_of_an_index_does_not_change_what_it_says() {
    let (index, data) = tiny();
    let expected = in_memory(&index, &data).unwrap();
    let pairs = Table::parse(&index).unwrap().entries().to_vec();
    for (block, restart, snappy) in [
        (1 << 18, 16, false),
        (500, 1, false),
        (1, 3, false),
        (900, 16, true),
        (1 << 18, 500, true),
    ] {
        let other = checkpoint::table(&pairs, Layout { block, restart, snappy });
        assert!(
            in_memory(&other, &data).unwrap() == expected,
            "{block} {restart} {snappy}"
        );
    }
}

#[test]
fn progress_counts_all_bytes_of_all_variables() {
    for checkpoint in ["types", "parts", "shards", "objects"] {
        let bundle = Bundle::open(oracle(&format!("tfhub/{checkpoint}")).as_ref()).unwrap();
        let (last, sizes) = (std::cell::Cell::new(0), bundle.bytes());
        bundle
            .verify(&|done| {
                assert!(done >= last.get());
                last.set(done);
            })
            .unwrap();
        assert_eq!(last.get(), sizes, "{checkpoint}");
    }
}

#[test]
fn files_that_are_missing_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let prefix = folder.path().join("v");
    let error = |prefix: &Path| Bundle::open(prefix).unwrap_err().to_string();
    assert!(error(&prefix).contains("v.index"), "{}", error(&prefix));
    fs::copy(oracle("tfhub/shards.index"), folder.path().join("v.index")).unwrap();
    fs::copy(
        oracle("tfhub/shards.data-00000-of-00003"),
        folder.path().join("v.data-00000-of-00003"),
    )
    .unwrap();
    let found = error(&prefix);
    assert!(
        found.contains("v.data-00001-of-00003") || found.contains("v.data-00002-of-00003"),
        "{found}"
    );
    assert!(found.contains("can't be read"), "{found}");
}

/// A checkpoint of two variables, `a` of shape [2, 2] and `b` of shape [3], with one entry changed.
fn with(name: &str, change: impl FnOnce(&mut Entry)) -> (Vec<Pair>, Vec<u8>) {
    let data: Vec<u8> = (0..7).flat_map(|i| (i as f32).to_le_bytes()).collect();
    let checksum = |bytes: &[u8]| checkpoint::masked(crc32c::crc32c(bytes));
    let a = Entry {
        dtype: 1,
        shape: vec![2, 2],
        size: 16,
        checksum: checksum(&data[..16]),
        ..Entry::default()
    };
    let b = Entry {
        shape: vec![3],
        offset: 16,
        size: 12,
        checksum: checksum(&data[16..]),
        ..a.clone()
    };
    let mut entries = BTreeMap::from([("a", a), ("b", b)]);
    change(entries.get_mut(name).unwrap());
    let pairs = entries.into_iter().map(|(name, entry)| (name.into(), entry.bytes()));
    (
        [(Vec::new(), checkpoint::header(1))].into_iter().chain(pairs).collect(),
        data,
    )
}

fn refused(pairs: &[Pair], data: &[u8]) -> String {
    in_memory(&checkpoint::table(pairs, Layout::default()), data)
        .unwrap_err()
        .to_string()
}

#[test]
fn entries_that_contradict_themselves_or_their_files_are_refused_in_words() {
    let minus = |number: i64| number.cast_unsigned();
    let (pairs, data) = with("a", |_| {});
    assert_eq!(
        in_memory(&checkpoint::table(&pairs, Layout::default()), &data)
            .unwrap()
            .len(),
        2
    );
    type Change = Box<dyn FnOnce(&mut Entry)>;
    let lies: Vec<(Change, &str)> = vec![
        (Box::new(|e| e.size = 12), "it has 12 bytes, its shape and type make 16"),
        (
            Box::new(|e| e.shape = vec![2, 3]),
            "it has 16 bytes, its shape and type make 24",
        ),
        (Box::new(move |e| e.size = minus(-16)), "it has -16 bytes"),
        (
            Box::new(|e| e.shape = vec![1 << 62, 4]),
            "more values than memory has addresses",
        ),
        (
            Box::new(|e| e.shape = vec![1 << 40, 1 << 40, 0]),
            "more values than memory has addresses",
        ),
        (
            Box::new(|e| (e.shape, e.size) = (vec![1 << 40], 4 << 40)),
            "with 4398046511104 bytes, the data file has 28",
        ),
        (
            Box::new(move |e| e.shape = vec![2, minus(-1)]),
            "an axis of its shape has the size -1",
        ),
        (Box::new(|e| e.shape = vec![1; 255]), "255 axes, TensorFlow allows 254"),
        (
            Box::new(|e| e.offset = 13),
            "lies at 13 with 16 bytes, the data file has 28",
        ),
        (Box::new(|e| e.offset = (1 << 63) - 1), "the data file has 28"),
        (Box::new(move |e| e.offset = minus(-4)), "lies at -4"),
        (
            Box::new(|e| e.offset = 4),
            "\"a\" and \"b\" are stored in the same bytes",
        ),
        (Box::new(|e| e.shard = 1), "it lies in data file 1, there are 1"),
        (
            Box::new(move |e| e.shard = minus(-1)),
            "it lies in data file -1, there are 1",
        ),
        (
            Box::new(|e| e.shard = 1 << 40),
            "field 3 holds 1099511627776, which is out of its range",
        ),
        (Box::new(|e| e.dtype = 20), "type has the code 20"),
        (Box::new(|e| e.dtype = 2), "it has 16 bytes, its shape and type make 32"),
        (Box::new(|e| e.checksum ^= 1), "the checksum of variable \"a\" is wrong"),
        (
            Box::new(|e| e.slices = vec![vec![(0, 1), (0, 2)]]),
            "part 0 of it is not stored",
        ),
        (
            Box::new(|e| e.slices = vec![vec![(1, 2), (0, 2)]]),
            "part 0 of it does not lie in its shape",
        ),
        (
            Box::new(|e| e.slices = vec![vec![(0, 2)]]),
            "part 0 of it does not lie in its shape",
        ),
        (
            Box::new(|e| e.slices = vec![vec![(0, 1), (0, 2)]; 257]),
            "stored in 257 parts",
        ),
    ];
    for (change, expected) in lies {
        let (pairs, data) = with("a", change);
        let error = refused(&pairs, &data);
        assert!(error.contains(expected), "{error:?} instead of {expected:?}");
    }
}

#[test]
fn headers_of_other_times_and_machines_are_refused_in_words() {
    let version = |fields: &[u8]| checkpoint::message(3, fields);
    let number = checkpoint::number;
    for (header, expected) in [
        (version(&number(1, 1)), "the checkpoint has 0 data files"),
        (number(1, (-1_i64).cast_unsigned()), "the checkpoint has -1 data files"),
        ([number(1, 1), number(2, 1)].concat(), "the checkpoint is big-endian"),
        (
            [number(1, 1), version(&number(2, 2))].concat(),
            "readers of version 2 of the format",
        ),
        (
            [number(1, 1), version(&number(3, 1))].concat(),
            "readers of version other than 1 of the format",
        ),
        (checkpoint::header(2), "memory.data-00000-of-00002"),
        (vec![0xff], "the header of the checkpoint is not understood"),
    ] {
        let (mut pairs, data) = with("a", |_| {});
        pairs[0].1 = header;
        // With two data files only the second is missing: the first is looked for as one of two.
        let index = checkpoint::table(&pairs, Layout::default());
        let shards: &[Arc<[u8]>] = if expected.contains("memory") {
            &[]
        } else {
            &[Arc::from(data.as_slice())]
        };
        let error = Bundle::from_bytes(&index, shards).unwrap_err().to_string();
        assert!(error.contains(expected), "{error:?} instead of {expected:?}");
    }
    let (pairs, data) = with("a", |_| {});
    assert!(refused(&pairs[1..], &data).contains("has no header"));
    assert!(refused(&[], &data).contains("has no header"));
}

/// A variable of shape [4, 2] in two parts; `change` is given its entry and the keys of the parts with theirs.
fn in_parts(change: impl FnOnce(&mut Entry, &mut Vec<(Vec<u8>, Entry)>)) -> (Vec<Pair>, Vec<u8>) {
    let data: Vec<u8> = (0..8).flat_map(|i| (i as f32).to_le_bytes()).collect();
    let checksum = |bytes: &[u8]| checkpoint::masked(crc32c::crc32c(bytes));
    let slices = vec![vec![(0, 1), (0, 2)], vec![(1, 3), (0, 2)]];
    let mut whole = Entry {
        dtype: 1,
        shape: vec![4, 2],
        slices,
        ..Entry::default()
    };
    let part = |rows: u64, from: usize, to: usize| {
        let (offset, size) = (from as u64, (to - from) as u64);
        Entry {
            dtype: 1,
            shape: vec![rows, 2],
            offset,
            size,
            checksum: checksum(&data[from..to]),
            ..Entry::default()
        }
    };
    let mut parts = vec![
        (b"\0v\0\x01\x01\x02\x80\x81\x80\x82".to_vec(), part(1, 0, 8)),
        (b"\0v\0\x01\x01\x02\x81\x83\x80\x82".to_vec(), part(3, 8, 32)),
    ];
    change(&mut whole, &mut parts);
    let parts = parts.into_iter().map(|(key, entry)| (key, entry.bytes()));
    let mut pairs = vec![(Vec::new(), checkpoint::header(1))];
    pairs.extend(parts);
    pairs.push((b"v".to_vec(), whole.bytes()));
    (pairs, data)
}

#[test]
fn parts_that_do_not_make_up_their_variable_are_refused_in_words() {
    let (pairs, data) = in_parts(|_, _| {});
    let found = in_memory(&checkpoint::table(&pairs, Layout::default()), &data).unwrap();
    let expected = (0..8).map(|i| i64::from((i as f32).to_bits())).collect();
    assert_eq!(found["v"], (DType::Float32, vec![4, 2], Some(expected)));
    type Change = Box<dyn FnOnce(&mut Entry, &mut Vec<(Vec<u8>, Entry)>)>;
    let lies: Vec<(Change, &str)> = vec![
        (
            Box::new(|v, _| v.slices.truncate(1)),
            "its parts do not make up its shape",
        ),
        (
            Box::new(|v, _| v.slices[1] = v.slices[0].clone()),
            "its parts do not make up its shape",
        ),
        (
            Box::new(|v, _| v.slices.clear()),
            "it has 0 bytes, its shape and type make 32",
        ),
        (
            Box::new(|v, _| v.shape = vec![4, 3]),
            "its parts do not make up its shape",
        ),
        (Box::new(|_, parts| parts.truncate(1)), "part 1 of it is not stored"),
        (
            Box::new(|_, parts| parts[1].1.shape = vec![2, 3]),
            "part 1 of it is not stored with the shape",
        ),
        (
            Box::new(|_, parts| parts[1].1.dtype = 3),
            "part 1 of it is not stored with the shape and type",
        ),
        (
            Box::new(|_, parts| parts[1].1.offset = 4),
            "are stored in the same bytes",
        ),
        (Box::new(|_, parts| parts[1].1.offset = 9), "lies at 9"),
        (
            Box::new(|_, parts| parts.push((b"\0w\0\x01\x01\0".to_vec(), parts[0].1.clone()))),
            "1 of the stored parts",
        ),
        (
            Box::new(|_, parts| parts[1].1.slices = vec![vec![(0, 3), (0, 2)]]),
            "part 1 of it is not stored",
        ),
    ];
    for (change, expected) in lies {
        let (pairs, data) = in_parts(change);
        let error = refused(&pairs, &data);
        assert!(error.contains(expected), "{error:?} instead of {expected:?}");
    }
}

#[test]
fn blocks_that_lie_about_their_place_are_refused_in_words() {
    let (pairs, data) = with("a", |_| {});
    let blocks = checkpoint::blocks(
        &pairs,
        Layout {
            block: 1,
            ..Layout::default()
        },
    );
    assert_eq!(blocks.data.len(), 3);
    let error = |index: Vec<u8>| in_memory(&index, &data).unwrap_err().to_string();
    let cases = [
        (
            blocks.seal(|handles| handles[1] = handles[0], |_| {}, |_| {}),
            "begins before the one ahead of it ends",
        ),
        (
            blocks.seal(|handles| handles.swap(0, 2), |_| {}, |_| {}),
            "begins before the one ahead of it ends",
        ),
        (
            blocks.seal(|handles| handles[2].1 = u64::MAX, |_| {}, |_| {}),
            "its data block would lie at",
        ),
        (
            blocks.seal(|handles| handles[2].0 = 1 << 40, |_| {}, |_| {}),
            "its data block would lie at",
        ),
        (
            blocks.seal(|handles| handles[2].1 -= 1, |_| {}, |_| {}),
            "checksum of its block",
        ),
        // Index and meta block that are each other, or a data block.
        (
            blocks.seal(|_| {}, |_| {}, |n| *n = [n[2], n[3], n[0], n[1]]),
            "has no header",
        ),
        (
            blocks.seal(|_| {}, |_| {}, |n| (n[0], n[1]) = (n[2], n[3])),
            "begins before the one ahead of it ends",
        ),
        (
            blocks.seal(|_| {}, |_| {}, |n| (n[2], n[3]) = (0, blocks.data[0].len() as u64)),
            "not understood",
        ),
        (
            blocks.seal(|_| {}, |_| {}, |n| n[3] += 1),
            "its index block would lie at",
        ),
        (
            blocks.seal(|_| {}, |index| index.truncate(3), |_| {}),
            "no good list of restarts",
        ),
        (
            blocks.seal(|_| {}, |index| *index = vec![0xff; 64], |_| {}),
            "no good list of restarts",
        ),
        (
            blocks.seal(|_| {}, |index| index[2] = 0x7f, |_| {}),
            "an entry of its block",
        ),
    ];
    for (i, (index, expected)) in cases.into_iter().enumerate() {
        let error = error(index);
        assert!(error.contains(expected), "{i}: {error:?} instead of {expected:?}");
    }
}

/// 64 bytes from 3 are the most that Snappy makes; a claim of more is refused before memory is taken for it, and so are
/// honest blocks that together unpack to more than an index may have.
#[test]
fn snappy_that_claims_too_much_is_refused_in_words() {
    let index_of = |packed: &[u8], way| {
        let mut file = Vec::new();
        let head = checkpoint::append_raw(&mut file, packed, way);
        let meta = checkpoint::append_raw(&mut file, &checkpoint::block(&[], 1), 0);
        let handle = [checkpoint::varint(head.0), checkpoint::varint(head.1)].concat();
        let index = checkpoint::append_raw(&mut file, &checkpoint::block(&[(vec![1], handle)], 1), 0);
        file.extend(checkpoint::footer([meta.0, meta.1, index.0, index.1]));
        file
    };
    let error = |index: Vec<u8>| Table::parse(&index).unwrap_err().to_string();
    let claim = error(index_of(b"\xff\xff\xff\xff\x0f\0a", 1));
    assert!(claim.contains("claims to unpack from 7 bytes to 4294967295"), "{claim}");
    let zeros = snap::raw::Encoder::new()
        .compress_vec(&vec![0; Table::MOST + 1])
        .unwrap();
    assert!(zeros.len() < 4 << 20);
    let bomb = error(index_of(&zeros, 1));
    assert!(bomb.contains("it unpacks to more than 67108864 bytes"), "{bomb}");
    let broken = error(index_of(b"\x02\0a", 1));
    assert!(broken.contains("does not unpack"), "{broken}");
    let unknown = error(index_of(b"\x02\0a", 4));
    assert!(unknown.contains("compressed in way 4"), "{unknown}");
}

/// A key of a megabyte, of which the next ones take all but a byte, would unpack to gigabytes.
#[test]
fn keys_that_are_taken_from_each_other_can_not_fill_the_memory() {
    let mut entries = [
        checkpoint::varint(0),
        checkpoint::varint(1 << 20),
        checkpoint::varint(0),
        vec![1; 1 << 20],
    ]
    .concat();
    for byte in 2..=255_u8 {
        entries.extend([checkpoint::varint((1 << 20) - 1), vec![1, 0, byte]].concat());
    }
    entries.extend([0, 0, 0, 0, 1, 0, 0, 0]);
    let blocks = checkpoint::Blocks {
        data: vec![entries],
        marks: vec![vec![2]],
        layout: Layout::default(),
    };
    let error = Table::parse(&blocks.seal(|_| {}, |_| {}, |_| {}))
        .unwrap_err()
        .to_string();
    assert!(error.contains("it unpacks to more than 67108864 bytes"), "{error}");
}

#[test]
fn other_files_are_no_index() {
    for (bytes, expected) in [
        (Vec::new(), "it has 0 bytes, a table has at least 48"),
        (vec![0; 4096], "does not end in the mark of a table"),
        (vec![0; Table::MOST + 1], "an index has at most"),
    ] {
        let error = Table::parse(&bytes).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }
}
