//! Slices in archives: the same as in files, and nothing but an error from archives that were made to harm.

use std::{
    io::{Cursor, Write as _},
    path::{Path, PathBuf},
    sync::Arc,
};

use hounsfield::{
    ct::{CtVolume, Geometry},
    readers::{self, Archive, Refusal, WriteOptions, read_slice, read_volume, write_volume},
};
use rand::RngExt as _;
use zip::{CompressionMethod, write::SimpleFileOptions};

use crate::command::Workshop;

/// Small pictures: their files, their bytes.
fn pictures() -> [(PathBuf, Vec<u8>); 2] {
    ["l8.png", "l16.tif"].map(|name| {
        let path = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("tests/oracles/images")
            .join(name);
        let bytes = std::fs::read(&path).unwrap();
        (path, bytes)
    })
}

type Files<'a> = &'a [(&'a str, &'a [u8])];

fn zip(files: Files, options: SimpleFileOptions) -> Vec<u8> {
    let mut zip = zip::ZipWriter::new(Cursor::new(Vec::new()));
    for (name, content) in files {
        zip.start_file(*name, options).unwrap();
        zip.write_all(content).unwrap();
    }
    zip.finish().unwrap().into_inner()
}

fn deflated() -> SimpleFileOptions {
    SimpleFileOptions::default().compression_method(CompressionMethod::Deflated)
}

fn stored() -> SimpleFileOptions {
    SimpleFileOptions::default().compression_method(CompressionMethod::Stored)
}

/// Names go in as they are, whatever the crate thinks of them.
fn tar(files: Files) -> Vec<u8> {
    let mut tar = tar::Builder::new(Vec::new());
    for (name, content) in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        if name.len() <= 100 {
            header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
            header.set_cksum();
            tar.append(&header, *content).unwrap();
        } else {
            tar.append_data(&mut header, name, *content).unwrap();
        }
    }
    tar.into_inner().unwrap()
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    gzip.write_all(bytes).unwrap();
    gzip.finish().unwrap()
}

fn put(folder: &Path, name: &str, bytes: &[u8]) -> PathBuf {
    let path = folder.join(name);
    std::fs::write(&path, bytes).unwrap();
    path
}

fn member(archive: &Path, name: &str) -> PathBuf {
    format!("{}!{name}", archive.display()).into()
}

/// Bytes that deflate can't shrink.
fn noise(length: usize) -> Vec<u8> {
    let mut random = hounsfield::seed::stream(0, "noise");
    (0..length).map(|_| random.random()).collect()
}

/// Why the members of an archive that are not read are not.
fn refusals(path: &Path) -> Vec<(String, Refusal)> {
    let archive = Archive::open(path).unwrap();
    for refused in archive.refused() {
        let error = archive.read(&refused.name).unwrap_err();
        assert!(error.to_string().contains(&refused.why.to_string()), "{error}");
    }
    let pairs = archive
        .refused()
        .iter()
        .map(|refused| (refused.name.clone(), refused.why));
    pairs.collect()
}

#[test]
fn a_slice_in_an_archive_is_that_of_the_file() {
    let dir = tempfile::tempdir().unwrap();
    let [(one, one_bytes), (two, two_bytes)] = pictures();
    let long = format!("{}/two.tif", "long".repeat(40));
    let files: Files = &[
        ("./one.png", &one_bytes),
        (&long, &two_bytes),
        ("\u{e4}/one", &one_bytes),
    ];
    let archives = [
        put(dir.path(), "deflated.zip", &zip(files, deflated())),
        put(dir.path(), "stored.zip", &zip(files, stored())),
        put(dir.path(), "zip64.zip", &zip(files, deflated().large_file(true))),
        put(dir.path(), "plain.tar", &tar(files)),
        put(dir.path(), "packed.tar.gz", &gzip(&tar(files))),
        put(dir.path(), "PACKED.TGZ", &gzip(&tar(files))),
    ];
    for path in archives {
        let archive = Archive::open(&path).unwrap();
        let names: Vec<&str> = archive.members().iter().map(|member| member.name.as_str()).collect();
        assert_eq!(names, ["./one.png", &long, "\u{e4}/one"], "{}", path.display());
        assert_eq!(archive.members()[1].bytes, two_bytes.len() as u64);
        assert_eq!(archive.read(&long).unwrap(), two_bytes);
        assert!(archive.refused().is_empty());
        for (name, file) in [("./one.png", &one), (&long, &two), ("\u{e4}/one", &one)] {
            let address = member(&path, name);
            assert_eq!(read_slice(&address).unwrap(), read_slice(file).unwrap());
            assert_eq!(readers::sha256(&address).unwrap(), readers::sha256(file).unwrap());
        }
        assert_eq!(readers::stamp(&member(&path, "one")), readers::stamp(&path));
        let error = read_slice(&member(&path, "Smith^John.dcm")).unwrap_err();
        assert_eq!(error.without_path(), "archive has no such member");
        assert!(error.to_string().ends_with("!Smith^John.dcm"), "{error}");
    }
}

/// Expected: what Python's zipfile and tarfile wrote; see make_archives.py.
#[test]
fn archives_of_other_programs_hold_what_was_put_into_them() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/oracles/archives");
    let text = std::fs::read_to_string(folder.join("expected.json")).unwrap();
    let expected: serde_json::Map<String, serde_json::Value> = serde_json::from_str(&text).unwrap();
    for (name, expected) in expected {
        let path = folder.join(&name);
        let archive = Archive::open(&path).unwrap();
        let hash =
            |member: &readers::Member| (member.name.clone(), readers::sha256(&self::member(&path, &member.name)));
        let found: serde_json::Map<_, _> = archive
            .members()
            .iter()
            .map(hash)
            .map(|(name, hash)| (name, hash.unwrap().into()))
            .collect();
        assert_eq!(&found, expected["members"].as_object().unwrap(), "{name}");
        let refused: Vec<&str> = archive.refused().iter().map(|refused| refused.name.as_str()).collect();
        assert_eq!(serde_json::json!(refused), expected["refused"], "{name}");
    }
}

/// Tars as GNU's tar and Python's write them with pax headers, and one that ends without its end.
#[test]
fn names_and_lengths_of_pax_headers_are_those_of_the_member() {
    let dir = tempfile::tempdir().unwrap();
    let pax = |records: &[(&str, &str)], content: &[u8]| {
        let mut tar = tar::Builder::new(Vec::new());
        let records = records.iter().map(|(key, value)| (*key, value.as_bytes()));
        tar.append_pax_extensions(records).unwrap();
        let mut header = tar::Header::new_ustar();
        header.set_path("short").unwrap();
        header.set_size(content.len() as u64);
        header.set_cksum();
        tar.append(&header, content).unwrap();
        tar.into_inner().unwrap()
    };
    let named = put(
        dir.path(),
        "a.tar",
        &pax(&[("mtime", "1.5"), ("path", "\u{fc}ber/b")], b"abc"),
    );
    assert_eq!(Archive::open(&named).unwrap().read("\u{fc}ber/b").unwrap(), b"abc");
    let sized = pax(&[("size", "2")], b"abc");
    let sized = put(dir.path(), "b.tar", &sized[..sized.len() - 1024]);
    assert_eq!(Archive::open(&sized).unwrap().read("short").unwrap(), b"ab");
    let sparse = put(dir.path(), "c.tar", &pax(&[("GNU.sparse.major", "1")], b"abc"));
    assert_eq!(refusals(&sparse), [("short".to_owned(), Refusal::Sparse)]);
    for records in [&[("size", "-1")], &[("size", "99999999999999999999999")]] {
        let broken = put(dir.path(), "d.tar", &pax(records, b"abc"));
        let error = Archive::open(&broken).unwrap_err();
        assert!(error.to_string().contains("extended header"), "{error}");
    }
}

#[test]
fn names_that_lead_out_links_devices_and_archives_are_listed_and_never_read() {
    let dir = tempfile::tempdir().unwrap();
    let inner = zip(&[("a", b"a")], stored());
    let files: Files = &[
        ("../../up", b"up"),
        ("/etc/shadow", b"root"),
        ("C:/autoexec", b"dos"),
        ("a\\b", b"dos"),
        ("fine", b"fine"),
        ("inner.zip", &inner),
        ("odd#slice=1", b"odd"),
    ];
    let expected = [
        ("../../up", Refusal::Outside),
        ("/etc/shadow", Refusal::Outside),
        ("C:/autoexec", Refusal::Outside),
        ("a\\b", Refusal::Outside),
        ("inner.zip", Refusal::Nested),
        ("odd#slice=1", Refusal::Unnameable),
    ]
    .map(|(name, why)| (name.to_owned(), why));
    let mut linked = tar(files);
    linked.truncate(linked.len() - 1024);
    for (kind, target) in [
        (b'1', "/etc/shadow"),
        (b'2', "../up"),
        (b'3', ""),
        (b'6', ""),
        (b'S', ""),
    ] {
        let mut header = tar::Header::new_gnu();
        let (old, name) = (header.as_old_mut(), format!("zz{}", char::from(kind)));
        old.name[..3].copy_from_slice(name.as_bytes());
        old.linkname[..target.len()].copy_from_slice(target.as_bytes());
        old.linkflag = [kind];
        header.set_size(0);
        header.set_cksum();
        linked.extend_from_slice(header.as_bytes());
    }
    let links = [
        ("zz1", Refusal::Link),
        ("zz2", Refusal::Link),
        ("zz3", Refusal::NoFile),
        ("zz6", Refusal::NoFile),
        ("zzS", Refusal::Sparse),
    ];
    let path = put(dir.path(), "a.tar", &linked);
    let with_links: Vec<_> = expected
        .iter()
        .cloned()
        .chain(links.map(|(name, why)| (name.to_owned(), why)))
        .collect();
    assert_eq!(refusals(&path), with_links);
    assert_eq!(Archive::open(&path).unwrap().members().len(), 1);

    // A zip that says it was made on Unix, with the mode of a link.
    let mut linked = zip(&[("fine", b"fine"), ("link", b"/etc/shadow")], stored());
    let entry = entries(&linked)[1];
    linked[entry + 5] = 3;
    linked[entry + 38..entry + 42].copy_from_slice(&(0o120_777_u32 << 16).to_le_bytes());
    let path = put(dir.path(), "a.zip", &linked);
    assert_eq!(refusals(&path), [("link".to_owned(), Refusal::Link)]);
    let path = put(dir.path(), "b.zip", &zip(files, stored()));
    let found = refusals(&path);
    assert!(
        found.contains(&expected[0]) && found.contains(&expected[4]),
        "{found:?}"
    );
    // Whatever the crate makes of the other names: nothing of a file's content has left the archive.
    assert!(std::fs::read_dir(dir.path()).unwrap().count() == 3);
}

/// Where the entries of a zip's central directory begin.
fn entries(zip: &[u8]) -> Vec<usize> {
    let starts = (0..zip.len() - 4).filter(|at| zip[*at..].starts_with(b"PK\x01\x02"));
    starts.collect()
}

#[test]
fn zips_that_lie_about_lengths_checksums_or_places_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let content = noise(10_000);
    let whole = zip(&[("a", &content), ("b", b"")], deflated());
    let [a, b] = entries(&whole)[..] else { panic!() };
    let read = |patch: &dyn Fn(&mut Vec<u8>)| {
        let mut patched = whole.clone();
        patch(&mut patched);
        let path = put(dir.path(), "a.zip", &patched);
        Archive::open(&path)
            .and_then(|archive| archive.read("a"))
            .map_err(|error| error.without_path())
    };
    let set = |zip: &mut Vec<u8>, at: usize, value: u32| zip[at..at + 4].copy_from_slice(&value.to_le_bytes());
    assert_eq!(read(&|_| {}).unwrap(), content);

    let lengths = read(&|zip| set(zip, a + 24, 9_999)).unwrap_err();
    assert!(
        lengths.contains("another length") || lengths.contains("checksum"),
        "{lengths}"
    );
    let longer = read(&|zip| set(zip, a + 24, 10_001)).unwrap_err();
    assert!(longer.contains("another length"), "{longer}");
    let sum = read(&|zip| set(zip, a + 16, 0)).unwrap_err();
    assert!(sum.contains("checksum"), "{sum}");
    // 60,000 x 60,000 pixels, and a length that would be read if so little made so much.
    let huge = read(&|zip| set(zip, a + 24, 3_600_000_000)).unwrap_err();
    assert!(huge.contains("bytes to 3600000000, at most 200 times"), "{huge}");
    let bomb = read(&|zip| set(zip, a + 24, 400 << 20)).unwrap_err();
    assert!(bomb.contains("bytes to 419430400, at most 200 times"), "{bomb}");
    // The second entry points to the first one's content.
    let overlap = read(&|zip| zip.copy_within(a + 20..a + 24, b + 20)).unwrap_err();
    assert!(overlap.contains("overlap"), "{overlap}");
    let locked = read(&|zip| (zip[a + 8], zip[6]) = (zip[a + 8] | 1, zip[6] | 1)).unwrap_err();
    assert!(locked.contains("is encrypted"), "{locked}");
    let method = read(&|zip| zip[a + 10] = 14).unwrap_err();
    assert!(method.contains("method other than deflate"), "{method}");
    let twice = read(&|zip| {
        let name = zip.iter().rposition(|byte| *byte == b'b').unwrap();
        zip[name] = b'a';
    })
    .unwrap_err();
    assert!(twice.contains("name of another member"), "{twice}");
}

#[test]
fn what_inflates_without_measure_is_refused_with_both_numbers() {
    let dir = tempfile::tempdir().unwrap();
    let zeros = vec![0; (64 << 20) + 1024];
    let packed = gzip(&zeros);
    let path = put(dir.path(), "a.tar.gz", &packed);
    let error = Archive::open(&path).unwrap_err().without_path();
    let numbers = format!("archive of {} bytes inflates to more than {}", packed.len(), 64 << 20);
    assert!(error.contains(&numbers), "{error}");
}

#[test]
fn archives_that_are_cut_or_damaged_are_errors_and_never_panics() {
    let [(_, one), (_, two)] = pictures();
    let long = "long".repeat(40);
    let files: Files = &[("a/one.png", &one), (&long, &two), ("c", &noise(700))];
    let archives = [
        zip(files, deflated()),
        zip(files, stored().large_file(true)),
        tar(files),
        gzip(&tar(files)),
    ];
    let mut random = hounsfield::seed::stream(0, "damage");
    let try_it = |bytes: &[u8]| {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(bytes).unwrap();
        let Ok(archive) = Archive::from_file(file, Path::new("damaged")) else {
            return 0;
        };
        let names = archive.members().iter().map(|member| &member.name);
        names.filter(|name| archive.read(name).is_ok()).count()
    };
    for whole in archives {
        assert_eq!(try_it(&whole), 3);
        for length in (0..whole.len()).step_by(whole.len() / 200) {
            try_it(&whole[..length]);
        }
        for _ in 0..1500 {
            let mut damaged = whole.clone();
            for _ in 0..random.random_range(1..4) {
                let at = random.random_range(0..damaged.len());
                damaged[at] = random.random();
            }
            try_it(&damaged);
        }
    }
}

#[test]
fn many_threads_read_one_archive_and_a_changed_one_is_opened_anew() {
    let dir = tempfile::tempdir().unwrap();
    let contents: Vec<Vec<u8>> = (0..50).map(|n| noise(500 + n)).collect();
    let names: Vec<String> = (0..50).map(|n| format!("{n}")).collect();
    let files: Vec<(&str, &[u8])> = names
        .iter()
        .map(String::as_str)
        .zip(contents.iter().map(Vec::as_slice))
        .collect();
    for (name, bytes) in [
        ("a.zip", zip(&files, deflated())),
        ("b.tar", tar(&files)),
        ("c.tgz", gzip(&tar(&files))),
    ] {
        let path = put(dir.path(), name, &bytes);
        let first = readers::archive(&path).unwrap();
        std::thread::scope(|scope| {
            for thread in 0..16 {
                let (names, contents, path, first) = (&names, &contents, &path, &first);
                scope.spawn(move || {
                    for n in 0..50 {
                        let at = (n * 7 + thread) % 50;
                        let archive = readers::archive(path).unwrap();
                        assert_eq!(archive.read(&names[at]).unwrap(), contents[at]);
                        assert!(Arc::ptr_eq(&archive, first));
                    }
                });
            }
        });
        put(dir.path(), name, &tar(&[("other", b"content")]));
        assert_eq!(readers::archive(&path).unwrap().members().len(), 1);
    }
}

/// Files of many slices stay open, two of them; three are asked for here.
#[test]
fn many_threads_read_the_slices_of_volumes_in_and_out_of_archives() {
    let dir = tempfile::tempdir().unwrap();
    let voxels = ndarray::Array3::from_shape_fn((7, 5, 6), |(d, h, w)| (d * 100 + h * 10 + w) as f32 - 300.0);
    let volume = CtVolume {
        voxels,
        geometry: Geometry::axial([2.0, 1.0, 1.0]),
    };
    let plain = dir.path().join("a.nii.gz");
    write_volume(&volume, &plain, &WriteOptions::default()).unwrap();
    let bytes = std::fs::read(&plain).unwrap();
    let zipped = put(dir.path(), "b.zip", &zip(&[("v.nii.gz", &bytes)], stored()));
    let tarred = put(dir.path(), "c.tgz", &gzip(&tar(&[("x/v.nii.gz", &bytes)])));
    let places = [plain, member(&zipped, "v.nii.gz"), member(&tarred, "x/v.nii.gz")];
    let axial = volume.axial();
    std::thread::scope(|scope| {
        for thread in 0..12 {
            let (places, axial) = (&places, &axial);
            scope.spawn(move || {
                for n in 0..70 {
                    let (place, at) = (&places[(n + thread) % 3], (n * 3 + thread) % 7);
                    let slice = read_slice(Path::new(&format!("{}#slice={at}", place.display()))).unwrap();
                    assert_eq!(slice, axial.slice(at));
                }
            });
        }
    });
    let beyond = read_slice(Path::new(&format!("{}#slice=7", places[1].display()))).unwrap_err();
    assert!(beyond.to_string().contains("holds 7 slices and slice 7"), "{beyond}");
    assert_eq!(read_volume(&places[2]).unwrap().axial(), axial);
    let hashes = places.map(|place| readers::sha256(Path::new(&format!("{}#slice=2", place.display()))).unwrap());
    assert!(hashes[0] == hashes[1] && hashes[1] == hashes[2], "{hashes:?}");
}

/// The rows of a table name members; nothing else is said.
#[test]
fn the_audit_sees_images_in_archives() {
    let shop = Workshop::new("");
    let [(_, one), (_, two)] = pictures();
    let bytes = zip(
        &[("Smith/a.png", &one), ("Smith/b.tif", &two), ("c.png", &one)],
        deflated(),
    );
    put(&shop.path(""), "all.zip", &bytes);
    shop.write(
        "table.csv",
        "file,patient,set,label\nall.zip!Smith/a.png,A,train,1\nall.zip!Smith/b.tif,B,train,0\nall.zip!c.png,C,test,1\nall.zip!d.png,D,test,0\n",
    );
    let table = shop.path("table.csv");
    let said = shop.hounsfield(&[
        "audit",
        table.to_str().unwrap(),
        "--path",
        "file",
        "--patient",
        "patient",
        "--set",
        "set",
        "--label",
        "label",
        "--positive",
        "1",
    ]);
    assert!(
        said.out.contains("1 image of 3 stands byte for byte in two sets"),
        "{}{}",
        said.out,
        said.err
    );
    assert!(
        said.out.contains("1 of 4 image files could not be read"),
        "{}",
        said.out
    );
    assert!(!(said.out + &said.err).contains("Smith"));
}
