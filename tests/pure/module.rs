//! `convert::module`: folders and archives of modules, and archives that are traps.

use std::{
    fs,
    io::Write as _,
    path::{Path, PathBuf},
};

use hounsfield::convert::{
    bundle::Bundle,
    module::{Module, ModuleError},
};

use crate::checkpoint;

/// Expected: the rule in make_tfhub.py, whose TensorFlow and `tarfile` wrote the archive.
#[test]
fn a_module_of_many_blocks_is_unpacked_and_read() {
    let scratch = tempfile::tempdir().unwrap();
    let archive = Path::new("tests/oracles/tfhub/blocks.tar.gz");
    let module = Module::open(archive, scratch.path()).unwrap();
    let bundle = Bundle::open(module.variables_prefix()).unwrap();
    assert_eq!(bundle.variables().len(), 1100);
    bundle.verify(&|_| {}).unwrap();
    for i in 0..1100_u32 {
        let name = format!("{:04}/{}w", i * 7919 % 1100, "deep/".repeat(100));
        let expected: Vec<f32> = (0..=i % 3).map(|power| i as f32 / (1 << power) as f32).collect();
        assert_eq!(bundle.read_f32(&name).unwrap(), expected, "{name}");
    }
    let digest = hounsfield::tables::sha256_file(archive).unwrap();
    assert_eq!(module.archive_sha256(), Some(digest.as_str()));
    assert_eq!(module.fingerprint().unwrap(), [("blocks.tar.gz".to_owned(), digest)]);
    assert_eq!(fs::read_dir(scratch.path()).unwrap().count(), 1);
    drop(module);
    assert_eq!(fs::read_dir(scratch.path()).unwrap().count(), 0);
}

#[test]
fn a_folder_is_taken_as_it_is_and_known_by_its_files() {
    let scratch = tempfile::tempdir().unwrap();
    let open = |path: &str| Module::open(path.as_ref(), scratch.path()).unwrap();
    let module = open("tests/oracles/bigbigan/tfhub_tiny");
    assert_eq!(Bundle::open(module.variables_prefix()).unwrap().variables().len(), 444);
    assert_eq!(module.archive_sha256(), None);
    let fingerprint = module.fingerprint().unwrap();
    let names: Vec<&str> = fingerprint.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["variables.data-00000-of-00001", "variables.index"]);
    assert!(fingerprint.iter().all(|(_, digest)| digest.len() == 64));
    assert_eq!(
        open("tests/oracles/bigbigan/tfhub_tiny/variables")
            .fingerprint()
            .unwrap(),
        fingerprint
    );
}

/// A member of an archive: its path, its kind, what it holds.
type Member<'a> = (&'a str, tar::EntryType, &'a [u8]);

fn header(path: &str, kind: tar::EntryType, size: u64) -> tar::Header {
    let mut header = tar::Header::new_gnu();
    // Past `set_path`, which would refuse what is refused here.
    let name = &mut header.as_old_mut().name;
    name[..path.len()].copy_from_slice(path.as_bytes());
    header.set_entry_type(kind);
    header.set_size(size);
    header.set_cksum();
    header
}

fn tarred(members: &[Member<'_>]) -> Vec<u8> {
    let mut tar = tar::Builder::new(Vec::new());
    for (path, kind, bytes) in members {
        tar.append(&header(path, *kind, bytes.len() as u64), *bytes).unwrap();
    }
    tar.into_inner().unwrap()
}

fn gzipped(bytes: &[u8]) -> Vec<u8> {
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    packed.write_all(bytes).unwrap();
    packed.finish().unwrap()
}

const FILE: tar::EntryType = tar::EntryType::Regular;
const FOLDER: tar::EntryType = tar::EntryType::Directory;

/// Opens bytes as a file; nothing is left in the scratch folder afterwards.
fn opened(bytes: &[u8]) -> Result<usize, ModuleError> {
    let folder = tempfile::tempdir().unwrap();
    let (path, scratch) = (folder.path().join("module"), folder.path().join("scratch"));
    fs::write(&path, bytes).unwrap();
    fs::create_dir(&scratch).unwrap();
    let found =
        Module::open(&path, &scratch).map(|module| Bundle::open(module.variables_prefix()).unwrap().variables().len());
    assert_eq!(fs::read_dir(&scratch).unwrap().count(), 0);
    // Nor beside it.
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2);
    found
}

fn refused(bytes: &[u8]) -> String {
    opened(bytes).unwrap_err().to_string()
}

/// Index and data of one variable.
fn checkpoint() -> (Vec<u8>, Vec<u8>) {
    checkpoint::floats(&[("w", &[2], &[1., 2.])])
}

#[test]
fn archives_open_packed_or_not_and_in_a_folder_or_not() {
    let (index, data) = checkpoint();
    for top in ["", "./", "bigbigan-resnet50/", "./m/"] {
        let paths = [
            "variables/variables.index",
            "variables/variables.data-00000-of-00001",
            "saved_model.pb",
            "variables",
        ];
        let paths = paths.map(|path| format!("{top}{path}"));
        let members: [Member<'_>; 4] = [
            (&paths[3], FOLDER, b""),
            (&paths[2], FILE, b"what the graph is"),
            (&paths[0], FILE, &index),
            (&paths[1], FILE, &data),
        ];
        let tar = tarred(&members);
        assert_eq!(
            (opened(&tar).unwrap(), opened(&gzipped(&tar)).unwrap()),
            (1, 1),
            "{top}"
        );
    }
}

#[test]
fn names_in_extension_headers_count() {
    let (index, data) = checkpoint();
    let long = format!("{}/variables/variables.index\0", "m".repeat(150));
    let pax_path = format!("{}/variables/variables.data-00000-of-00001", "m".repeat(150));
    let pax = format!("{} path={pax_path}\n", pax_path.len() + " path=\n".len() + 3);
    let tar = tarred(&[
        ("././@LongLink", tar::EntryType::GNULongName, long.as_bytes()),
        ("cut off", FILE, &index),
        ("PaxHeader", tar::EntryType::XHeader, pax.as_bytes()),
        ("cut off", FILE, &data),
    ]);
    assert_eq!(opened(&tar).unwrap(), 1);
}

#[test]
fn archives_that_are_traps_are_refused_in_words_and_leave_nothing() {
    use tar::EntryType as Kind;
    let (index, data) = checkpoint();
    let good: [Member<'_>; 2] = [
        ("variables/variables.index", FILE, &index),
        ("variables/variables.data-00000-of-00001", FILE, &data),
    ];
    let cases: &[(&[Member<'_>], &str)] = &[
        (&[("/etc/variables/variables.index", FILE, b"x")], "leaves the folder"),
        (&[("../variables/variables.index", FILE, b"x")], "leaves the folder"),
        (&[("a/../../variables.index", FILE, b"x")], "leaves the folder"),
        (&[("variables/..", FOLDER, b"")], "leaves the folder"),
        (&[("variables/variables.index", Kind::Symlink, b"")], "is a link"),
        (&[("assets/x", Kind::Symlink, b"")], "is a link"),
        (&[("variables", Kind::Link, b"")], "is a hard link"),
        (&[("variables/variables.index", Kind::Char, b"")], "is a device"),
        (&[("variables/variables.index", Kind::Block, b"")], "is a device"),
        (&[("variables/variables.index", Kind::Fifo, b"")], "is a pipe"),
        (
            &[("variables/variables.index", Kind::GNUSparse, b"")],
            "is a file with holes",
        ),
        (
            &[("variables/variables.index", Kind::new(b'Z'), b"")],
            "of a kind that is not known",
        ),
        (&[("variables/variables.index", FILE, b"x")], "stands in it twice"),
        (&[("./variables//variables.index", FILE, b"x")], "stands in it twice"),
        (
            &[("other/variables/variables.index", FILE, b"x")],
            "the variables of two modules, in \"other\" and \"\"",
        ),
        (
            &[("P", Kind::XHeader, b"15 size=999999\n"), ("a", FILE, b"")],
            "has its size in a pax header",
        ),
        (
            &[("P", Kind::XHeader, b"22 GNU.sparse.major=1\n"), ("a", FILE, b"")],
            "is a file with holes",
        ),
        (
            &[("P", Kind::XHeader, b"99 path=a\n"), ("a", FILE, b"")],
            "a path that is not readable",
        ),
        (
            &[("L", Kind::GNULongName, b"../../variables/x\0"), ("a", FILE, b"")],
            "leaves the folder",
        ),
        (
            &[("L", Kind::GNULongName, &[b'a'; 70_000]), ("a", FILE, b"")],
            "a path that is not readable",
        ),
    ];
    for (trap, expected) in cases {
        let error = refused(&gzipped(&tarred(&[trap, good.as_slice()].concat())));
        assert!(error.contains(expected), "{error:?} instead of {expected:?}");
    }
    let many: Vec<String> = (0..20_001).map(|i| format!("assets/{i}")).collect();
    let many: Vec<Member<'_>> = many.iter().map(|name| (name.as_str(), FILE, [].as_slice())).collect();
    assert!(refused(&gzipped(&tarred(&many))).contains("more than 10000 files"));
}

/// The header claims a terabyte; nothing of the kind follows.
#[test]
fn members_that_claim_more_than_a_module_has_are_refused() {
    let (index, _) = checkpoint();
    let mut tar = tarred(&[("variables/variables.index", FILE, &index)]);
    tar.truncate(tar.len() - 1024);
    tar.extend(header("variables/variables.data-00000-of-00001", FILE, 1 << 40).as_bytes());
    let error = refused(&tar);
    assert!(error.contains("unpacks to more than 64 GiB"), "{error}");
    let mut tar = tarred(&[]);
    tar.truncate(0);
    tar.extend(header("variables/variables.data-00000-of-00001", FILE, u64::MAX).as_bytes());
    refused(&tar);
}

#[test]
fn archives_that_end_too_early_or_were_changed_are_refused_in_words() {
    let (index, data) = checkpoint();
    let tar = tarred(&[
        ("variables/variables.index", FILE, &index),
        ("variables/variables.data-00000-of-00001", FILE, &data),
    ]);
    let packed = gzipped(&tar);
    for length in (1..packed.len()).rev().step_by(5) {
        assert!(opened(&packed[..length]).is_err(), "{length} of {} bytes", packed.len());
    }
    for at in (0..packed.len()).step_by(3) {
        let mut changed = packed.clone();
        changed[at] ^= 0x55;
        // Time, system and extra flags of the gzip header are nobody's.
        assert!(opened(&changed).is_err() || (4..10).contains(&at), "byte {at}");
    }
    // Less the end marks and what fills up the last block, which nobody misses.
    for length in (1..tar.len() - 1024 - 504).rev().step_by(29) {
        assert!(opened(&tar[..length]).is_err(), "{length} of {} bytes", tar.len());
    }
    let mut changed = tar.clone();
    changed[520] ^= 1;
    refused(&changed);
}

#[test]
fn other_files_and_folders_are_named_for_what_they_are() {
    for (bytes, expected) in [
        (b"PK\x03\x04............".as_slice(), "a zip archive"),
        (b"\x89HDF\r\n\x1a\n", "an HDF5 file of Keras"),
        (b"\x80\x02}q\0.", "a pickle"),
        (b"", "an empty file"),
        (b"hello", "a file of another kind"),
    ] {
        let error = refused(bytes);
        assert!(
            error.contains(expected) && error.contains("a module of TensorFlow Hub was expected"),
            "{error}"
        );
    }
    let text = refused(&gzipped(b"hello"));
    assert!(
        text.contains("was expected") || text.contains("is empty") || text.contains("is damaged"),
        "{text}"
    );
    let other = refused(&tarred(&[("notes.txt", FILE, b"hello")]));
    assert!(other.contains("an archive of something else was found"), "{other}");

    let folder = tempfile::tempdir().unwrap();
    let error = |path: &Path| Module::open(path, folder.path()).unwrap_err().to_string();
    let within = |files: &[&str]| -> PathBuf {
        let root = folder.path().join(files.join("+").replace('/', "-"));
        for file in files {
            fs::create_dir_all(root.join(file).parent().unwrap()).unwrap();
            fs::write(root.join(file), "").unwrap();
        }
        root
    };
    for (files, expected) in [
        (
            ["saved_model.pb", "tfhub_module.pb"].as_slice(),
            "a module whose folder `variables` is missing",
        ),
        (
            &["variables/variables.data-00000-of-00001"],
            "a module whose `variables.index` is missing",
        ),
        (&["model.h5"], "a folder of Keras"),
        (&["model.ckpt.index"], "a folder of checkpoints outside a module"),
        (&["m.tar.gz"], "name the archive"),
        (&["notes.txt"], "a folder of another kind"),
    ] {
        let error = error(&within(files));
        assert!(error.contains(expected), "{error}");
    }
    assert!(error(&folder.path().join("nowhere")).contains("can't be read"));
}

#[test]
fn a_model_of_tensorflow_2_is_told_from_a_module() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("variables")).unwrap();
    for file in ["index", "data-00000-of-00001"] {
        let from = format!("tests/oracles/tfhub/objects.{file}");
        fs::copy(from, folder.path().join(format!("variables/variables.{file}"))).unwrap();
    }
    let error = Module::open(folder.path(), folder.path()).unwrap_err().to_string();
    assert!(error.contains("those of a TensorFlow 2 model"), "{error}");
}
