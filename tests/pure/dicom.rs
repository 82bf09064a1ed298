//! DICOM CT: made files of every way in which pixels are written, real files, files that lie and files that are broken.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use dicom_dictionary_std::{tags, uids};
use dicom_object::Tag;
use hounsfield::{
    ct::{Pixels, Rescale},
    readers::{DicomFile, FrameValues, PADDING_HU, ReadError, Slices as _, confidential, read_slice},
};
use ndarray::{Array2, array};
use serde_json::Value;

use crate::{
    dicom_files::{CtFile, series},
    sha1::sha1,
};

fn oracles() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/oracles/dicom")
}

fn parse(bytes: &[u8]) -> Result<DicomFile, ReadError> {
    DicomFile::parse(bytes.to_vec(), Path::new("test.dcm"))
}

/// All frames of a file.
fn values(bytes: &[u8], stated: Option<Rescale>) -> Result<Vec<FrameValues>, ReadError> {
    let frames = parse(bytes)?.frames(stated)?;
    (0..frames.len()).map(|at| frames.values(at)).collect()
}

fn one(file: &CtFile) -> FrameValues {
    values(&file.bytes(), None).unwrap().remove(0)
}

/// What a refusal says; it names no patient and ends with the path.
fn refusal(bytes: &[u8]) -> String {
    let message = values(bytes, None).unwrap_err().to_string();
    assert!(
        !message.contains("SECRET") && message.ends_with(": test.dcm"),
        "{message}"
    );
    message
}

fn numbers(value: &Value) -> Vec<f64> {
    value
        .as_array()
        .unwrap()
        .iter()
        .map(|number| number.as_f64().unwrap())
        .collect()
}

/// Expected: pydicom 3.0.2's `pixel_array` and `apply_rescale`; see make_dicom.py.
#[test]
fn every_way_of_writing_pixels_is_read_as_pydicom_reads_it() {
    let text = std::fs::read_to_string(oracles().join("expected.json")).unwrap();
    let files: BTreeMap<String, Value> = serde_json::from_str(&text).unwrap();
    assert!(files.len() > 40);
    for (name, expected) in &files {
        let bytes = std::fs::read(oracles().join(format!("{name}.dcm"))).unwrap();
        let stated = expected.get("hu").is_none().then_some(Rescale {
            slope: 1.0,
            intercept: 0.0,
        });
        let frames = values(&bytes, stated).unwrap_or_else(|error| panic!("{name}: {error}"));
        let shape = numbers(&expected["shape"]);
        assert_eq!(frames.len(), shape[0] as usize, "{name}");
        let mut rest = numbers(&expected["stored"]).into_iter();
        let mut hu = expected.get("hu").map(numbers).unwrap_or_default().into_iter();
        for (at, frame) in frames.iter().enumerate() {
            assert_eq!(frame.stored.dim(), (shape[1] as usize, shape[2] as usize), "{name}");
            let stored = frame.stored.iter().map(|value| f64::from(*value));
            assert!(stored.eq(rest.by_ref().take(frame.stored.len())), "{name}, frame {at}");
            if stated.is_none() {
                let ours = frame.hu.iter().map(|value| f64::from(*value));
                assert!(ours.eq(hu.by_ref().take(frame.hu.len())), "{name}, frame {at}");
                assert_eq!(frame.padded, numbers(&expected["padded"])[at] as usize, "{name}");
                let (low, high) = frame.range.unwrap();
                assert_eq!(
                    [low, high].map(f64::from)[..],
                    numbers(&expected["range"][at]),
                    "{name}"
                );
            }
        }
    }
}

#[test]
fn frames_have_places_of_their_own() {
    for name in ["enhanced", "enhanced_implicit", "enhanced_big_endian", "enhanced_rle"] {
        let bytes = std::fs::read(oracles().join(format!("{name}.dcm"))).unwrap();
        let facts = parse(&bytes).unwrap().facts();
        let heights: Vec<_> = facts.planes.iter().map(|plane| plane.position.unwrap()[2]).collect();
        assert_eq!(heights, [100.0, 97.5, 95.0]);
        let plane = &facts.planes[1];
        assert_eq!(plane.orientation, Some([1.0, 0.0, 0.0, 0.0, 1.0, 0.0]));
        assert_eq!((plane.pixel_spacing, plane.thickness), (Some([0.75, 0.5]), Some(2.5)));
        assert_eq!(
            plane.rescale,
            Some(Rescale {
                slope: 2.0,
                intercept: -1000.5
            })
        );
        assert_eq!(plane.image_type, ["ORIGINAL", "PRIMARY", "VOLUME", "NONE"]);
    }
    // A stack without groups: nothing says where its frames are.
    let bytes = std::fs::read(oracles().join("frames.dcm")).unwrap();
    let facts = parse(&bytes).unwrap().facts();
    assert!(facts.planes.len() == 3 && facts.planes.iter().all(|plane| plane.position.is_none()));
}

#[test]
fn facts_are_trimmed_and_what_makes_no_sense_is_absent() {
    let file = CtFile::new(&array![[0]])
        .text(tags::MANUFACTURER, "LO", " MADE ")
        .text(tags::CONVOLUTION_KERNEL, "SH", r"I30f\3")
        .text(tags::KVP, "DS", "one hundred")
        .text(tags::INSTANCE_NUMBER, "IS", "12.0")
        .text(tags::SERIES_NUMBER, "IS", "")
        .text(tags::IMAGE_POSITION_PATIENT, "DS", r"1\2")
        .text(tags::GANTRY_DETECTOR_TILT, "DS", "-12.5 ")
        .text(tags::CONTRAST_BOLUS_AGENT, "LO", "ULTRAVIST")
        .text(tags::BURNED_IN_ANNOTATION, "CS", "NO");
    let facts = parse(&file.bytes()).unwrap().facts();
    assert_eq!(facts.manufacturer.as_deref(), Some("MADE"));
    assert_eq!(facts.kernel.as_deref(), Some(r"I30f\3"));
    assert_eq!((facts.kvp, facts.gantry_tilt), (None, Some(-12.5)));
    assert_eq!((facts.instance_number, facts.series_number), (Some(12), None));
    assert_eq!((facts.contrast, facts.burned_in), (Some(true), Some(false)));
    assert_eq!(facts.planes[0].position, None);
    assert_eq!((facts.rows, facts.columns), (Some(1), Some(1)));
    assert!(!format!("{facts:?}").contains("SECRET"));
}

/// Pseudonyms are hashes of names: two that differ in an umlaut only must stay two, whatever the file says of letters.
#[test]
fn names_in_other_letters_stay_apart() {
    let name = |characters: Option<&str>, byte: u8| {
        let mut file = CtFile::new(&array![[0]]).text(tags::PATIENT_ID, "LO", "M*LLER");
        if let Some(characters) = characters {
            file = file.text(tags::SPECIFIC_CHARACTER_SET, "CS", characters);
        }
        let mut bytes = file.bytes();
        let at = bytes.windows(6).position(|part| part == b"M*LLER").unwrap();
        bytes[at + 1] = byte;
        parse(&bytes).unwrap().facts().patient_id.unwrap()
    };
    assert_eq!(name(Some("ISO_IR 100"), 0xDC), "MÜLLER");
    for characters in [
        None,
        Some("ISO_IR 100"),
        Some("ISO_IR 192"),
        Some("NONSENSE"),
        Some(r"\ISO 2022 IR 87"),
    ] {
        assert_ne!(name(characters, 0xDC), name(characters, 0xD6), "{characters:?}");
    }
}

#[test]
fn a_rescale_is_stated_only_where_the_file_has_none() {
    let stated = |slope, intercept| Some(Rescale { slope, intercept });
    let file = CtFile::new(&array![[0, 1024]]);
    let bare = file
        .clone()
        .without(tags::RESCALE_SLOPE)
        .without(tags::RESCALE_INTERCEPT);
    let message = refusal(&bare.bytes());
    assert!(
        message.contains("RescaleSlope is missing") && message.contains("--assume-rescale"),
        "{message}"
    );
    let hu = values(&bare.bytes(), stated(2.0, -24.0)).unwrap().remove(0).hu;
    assert_eq!(hu, array![[-24.0, 2024.0]]);
    assert!(values(&file.bytes(), stated(1.0, -1024.0)).is_ok());
    let message = values(&file.bytes(), stated(1.0, 0.0)).unwrap_err().to_string();
    assert!(message.contains("1,-1024 and 1,0 was stated"), "{message}");
    let half = file.without(tags::RESCALE_SLOPE);
    assert!(values(&half.bytes(), stated(1.0, 0.0)).is_err());
    assert!(values(&half.bytes(), stated(1.0, -1024.0)).is_ok());
    let unspecified = bare.text(tags::RESCALE_TYPE, "LO", "US");
    assert!(refusal(&unspecified.bytes()).contains("RescaleType is US"));
    assert!(values(&unspecified.bytes(), stated(1.0, 0.0)).is_ok());
}

#[test]
fn what_others_read_too_is_read() {
    let file = CtFile::new(&array![[0, 1], [2, 3]]);
    let hu = one(&file).hu;
    let blanks = " ".repeat(64);
    for file in [
        file.clone().text(tags::NUMBER_OF_FRAMES, "IS", "0"),
        file.clone().without(tags::HIGH_BIT),
        file.clone().text(tags::REFERENCED_STUDY_SEQUENCE, "SQ", &blanks),
        file.clone().text(tags::RESCALE_TYPE, "LO", "HU"),
    ] {
        assert_eq!(one(&file).hu, hu);
    }
    let worded = file.text(tags::RESCALE_TYPE, "LO", "HOUNSFIELD UNITS").bytes();
    let facts = parse(&worded).unwrap().facts();
    assert_eq!(facts.planes[0].rescale, None);
    let stated = Rescale {
        slope: 1.0,
        intercept: -1024.0,
    };
    assert_eq!(values(&worded, Some(stated)).unwrap()[0].hu, hu);
}

/// A value is looked at once a frame: a long one would take an hour.
#[test]
fn long_values_are_no_numbers_but_are_seen() {
    let long = " ".repeat(1 << 20) + "5 ";
    let file = CtFile::new(&array![[0, 1], [2, 3]]).text(Tag(0x0019, 0x1001), "UT", &long);
    let parsed = parse(&file.bytes()).unwrap();
    let found = confidential(parsed.object());
    assert!(
        found.iter().any(|finding| finding.keyword == "private attributes"),
        "{found:?}"
    );
    let made = std::fs::read(oracles().join("explicit.dcm")).unwrap();
    let found = confidential(parse(&made).unwrap().object());
    assert!(
        found
            .iter()
            .any(|finding| finding.keyword == "MediaStorageSOPInstanceUID"),
        "{found:?}"
    );
    let message = refusal(&file.text(tags::RESCALE_SLOPE, "UT", &long).bytes());
    assert!(message.contains("RescaleSlope is missing"), "{message}");
}

#[test]
fn what_no_hounsfield_units_can_be_made_of_is_refused_by_name() {
    let file = CtFile::new(&array![[0, 1], [2, 3]]);
    let table: &[(Tag, &str, &str)] = &[(tags::MODALITY_LUT_TYPE, "LO", "HU")];
    let cases = [
        (
            file.clone()
                .text(tags::PHOTOMETRIC_INTERPRETATION, "CS", "PALETTE COLOR"),
            "is PALETTE COLOR",
        ),
        (
            file.clone().text(tags::PHOTOMETRIC_INTERPRETATION, "CS", "Secret"),
            "no known term",
        ),
        (file.clone().number(tags::SAMPLES_PER_PIXEL, 3), "SamplesPerPixel is 3"),
        (file.clone().bits(32, 32, true), "BitsAllocated is 32"),
        (file.clone().bits(16, 17, true), "BitsStored is 17"),
        (file.clone().bits(16, 0, true), "BitsStored is 0"),
        (file.clone().number(tags::HIGH_BIT, 16), "HighBit is 16"),
        (
            file.clone().number(tags::PIXEL_REPRESENTATION, 2),
            "PixelRepresentation is 2",
        ),
        (
            file.clone().without(tags::PIXEL_REPRESENTATION),
            "PixelRepresentation is missing",
        ),
        (file.clone().without(tags::PIXEL_DATA), "PixelData is missing"),
        (
            file.clone()
                .without(tags::RESCALE_SLOPE)
                .sequence(tags::MODALITY_LUT_SEQUENCE, &[table]),
            "ModalityLUTSequence",
        ),
        (
            file.clone().text(tags::NUMBER_OF_FRAMES, "IS", "-1"),
            "NumberOfFrames is -1",
        ),
        (file.clone().text(tags::RESCALE_SLOPE, "DS", "1e300"), "out of range"),
        (
            file.clone().text(tags::RESCALE_TYPE, "LO", "Z_EFF"),
            "RescaleType is Z_EFF",
        ),
        (
            file.clone().text(tags::RESCALE_TYPE, "LO", "Secret"),
            "--assume-rescale",
        ),
        (file.clone().text(tags::NUMBER_OF_FRAMES, "IS", "2"), "fewer pixels"),
        (file.clone().number(tags::ROWS, 1), "pixels of 2 frames"),
        (file.clone().number(tags::ROWS, 0), "2 x 0 pixels"),
        (
            file.clone().syntax("1.2.840.10008.1.2.4.102"),
            "1.2.840.10008.1.2.4.102 (MPEG-4",
        ),
        (file.clone().syntax("1.2.3.4"), "1.2.3.4 (unknown)"),
        (file.clone().syntax("1.2.840.10008.1.2.5"), "aren't compressed"),
        (
            file.clone().fragments("1.2.840.10008.1.2.1", &[&[0; 8]]),
            "are compressed",
        ),
    ];
    for (file, words) in cases {
        let message = refusal(&file.bytes());
        assert!(message.contains(words), "{message}, expected {words}");
    }
}

#[test]
fn a_series_of_any_syntax_is_the_same_series() {
    let stored = |at: usize| Array2::from_shape_fn((3, 5), |(row, column)| (at * 100 + row * 10 + column) as i32);
    let syntaxes = [
        uids::IMPLICIT_VR_LITTLE_ENDIAN,
        uids::EXPLICIT_VR_LITTLE_ENDIAN,
        uids::DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN,
        "1.2.840.10008.1.2.2",
    ];
    for syntax in syntaxes {
        for (at, file) in series(3, 2.5, stored).iter().enumerate() {
            let bytes = file.clone().syntax(syntax).bytes();
            assert_eq!(values(&bytes, None).unwrap()[0].stored, stored(at), "{syntax}");
            let facts = parse(&bytes).unwrap().facts();
            assert_eq!(facts.planes[0].position, Some([-100.0, -120.0, at as f64 * 2.5]));
            assert_eq!(facts.transfer_syntax, syntax);
        }
        let bytes = CtFile::new(&array![[1, 200, 3]])
            .bits(8, 8, false)
            .syntax(syntax)
            .bytes();
        assert_eq!(values(&bytes, None).unwrap()[0].stored, array![[1, 200, 3]], "{syntax}");
    }
}

/// Padding beside a lossy codec's edge is a few units off; what lies above -1024 HU never is padding without a name.
#[test]
fn a_slice_of_padding_alone_has_no_range() {
    let padding = CtFile::new(&array![[-2000, -2000]]);
    let values = one(&padding);
    assert_eq!((values.padded, values.range), (2, None));
    assert_eq!(values.hu, array![[PADDING_HU, PADDING_HU]]);
    let named = CtFile::new(&array![[0, 24]]).number(tags::PIXEL_PADDING_VALUE, 24);
    assert_eq!(one(&named).range, Some((-1024.0, -1024.0)));
    let noise = CtFile::new(&array![[-6, 24]]);
    assert_eq!(one(&noise).range, Some((-1030.0, -1000.0)));
}

/// A few bytes that claim gigabytes, a million items, or sequences without end.
#[test]
fn claims_are_held_against_what_is_there() {
    let file = CtFile::new(&array![[0]]);
    let whole = file.bytes();
    let started = Instant::now();
    let with = |element: &[u8]| {
        let mut bytes = whole.clone();
        let pixels = bytes.windows(4).position(|part| part == [0xE0, 0x7F, 0x10, 0]).unwrap();
        bytes.splice(pixels..pixels, element.iter().copied());
        bytes
    };
    for vr in [b"OB", b"OW", b"UT", b"UN", b"SQ", b"OF", b"OV", b"UC"] {
        let mut element = vec![0x99, 0, 0x10, 0];
        element.extend(vr);
        element.extend([0, 0, 0xF0, 0xFF, 0xFF, 0xFF]);
        assert!(
            matches!(parse(&with(&element)), Err(ReadError::Truncated { .. })),
            "{vr:?}"
        );
    }
    // Sequences in sequences.
    let mut deep = Vec::new();
    for _ in 0..100_000 {
        deep.extend([0x40, 0, 0x30, 0xA7, b'S', b'Q', 0, 0, 0xFF, 0xFF, 0xFF, 0xFF]);
        deep.extend([0xFE, 0xFF, 0, 0xE0, 0xFF, 0xFF, 0xFF, 0xFF]);
    }
    assert!(refusal(&with(&deep)).contains("more than 32 deep"));
    // Two million empty items.
    let mut many = vec![0x40, 0, 0x30, 0xA7, b'S', b'Q', 0, 0, 0xFF, 0xFF, 0xFF, 0xFF];
    many.extend([0xFE, 0xFF, 0, 0xE0, 0, 0, 0, 0].repeat(2_000_000));
    assert!(refusal(&with(&many)).contains("more than a million elements"));
    // Rows and frames.
    let large = file.clone().number(tags::ROWS, 8192).number(tags::COLUMNS, 8192);
    assert!(refusal(&large.bytes()).contains("fewer pixels"));
    assert!(refusal(&large.text(tags::NUMBER_OF_FRAMES, "IS", "65536").bytes()).contains("fewer pixels"));
    assert!(refusal(&file.clone().number(tags::ROWS, 60_000).bytes()).contains("1 x 60000"));
    let facts = parse(&file.text(tags::NUMBER_OF_FRAMES, "IS", "2147483647").bytes())
        .unwrap()
        .facts();
    assert_eq!(facts.planes.len(), 1);
    assert!(started.elapsed() < Duration::from_secs(20), "{:?}", started.elapsed());
}

#[test]
fn a_deflated_bomb_is_refused_before_it_is_whole() {
    use std::io::Write as _;
    let syntax = uids::DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN;
    let small = CtFile::new(&array![[0]]).syntax(syntax);
    let mut bytes = small.bytes();
    let start = 132 + 12 + 8 + 22;
    let mut deflate = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::best());
    let zeros = vec![0; 1 << 20];
    for _ in 0..64 {
        deflate.write_all(&zeros).unwrap();
    }
    let bomb = deflate.finish().unwrap();
    assert!(bomb.len() < 100_000);
    bytes.truncate(start);
    bytes.extend(bomb);
    assert!(refusal(&bytes).contains("hundredfold"));
}

/// 4,000 damaged copies of the small files end in values or in a refusal that names no patient.
#[test]
fn damaged_files_are_read_or_refused() {
    let mut files: Vec<PathBuf> = std::fs::read_dir(oracles())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    files.retain(|path| path.extension().is_some_and(|extension| extension == "dcm"));
    files.sort();
    let mut state = 0x9E37_79B9_7F4A_7C15_u64;
    let mut draw = |n: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state % n as u64) as usize
    };
    let (mut read, mut refused) = (0, 0);
    let mut slowest = Duration::ZERO;
    let rounds = 4_000_usize.div_ceil(files.len());
    for path in &files {
        let whole = std::fs::read(path).unwrap();
        for _ in 0..rounds {
            let mut bytes = whole.clone();
            for _ in 0..1 + draw(4) {
                let at = draw(bytes.len());
                match draw(4) {
                    0 => bytes[at] ^= 1 << draw(8),
                    1 => bytes[at] = [0, 0x7F, 0x80, 0xFE, 0xFF][draw(5)],
                    2 => bytes.truncate(at.max(1)),
                    _ => drop(bytes.splice(at..at, (0..1 + draw(20)).map(|i| (i * 37) as u8))),
                }
            }
            let started = Instant::now();
            let facts = parse(&bytes).map(|file| file.facts());
            match values(&bytes, None) {
                Ok(_) => read += 1,
                Err(error) => {
                    let message = error.to_string();
                    assert!(!message.contains("MADE"), "{message}");
                    assert!(!matches!(error, ReadError::DecoderPanic { .. }), "{message}");
                    refused += 1;
                }
            }
            drop(facts);
            slowest = slowest.max(started.elapsed());
        }
    }
    println!("{read} read, {refused} refused, the slowest in {slowest:?}");
    assert!(read > 500 && refused > 500, "{read} read, {refused} refused");
    assert!(slowest < Duration::from_secs(2), "{slowest:?}");
}

fn real(part: &str) -> Option<PathBuf> {
    let root = std::env::var_os("HOUNSFIELD_DATA").filter(|root| !root.is_empty());
    if root.is_none() {
        println!("skipped: HOUNSFIELD_DATA is not set");
    }
    root.map(|root| Path::new(&root).join(part))
}

type Row = BTreeMap<String, String>;

fn rows(table: &Path) -> Vec<Row> {
    let mut reader = csv::Reader::from_path(table).unwrap();
    reader.deserialize().collect::<Result<_, _>>().unwrap()
}

/// `dicom-ct/inventory.csv`: SHA-1 of the stored values as pydicom 3.0.2 decodes them, little-endian int32.
#[test]
fn real_files_of_every_syntax_decode_to_the_pixels_of_pydicom() {
    let Some(folder) = real("dicom-ct") else { return };
    let rows = rows(&folder.join("inventory.csv"));
    assert!(rows.len() >= 25);
    for row in rows {
        let path = folder.join(&row["file"]);
        let file = DicomFile::parse(std::fs::read(&path).unwrap(), &path).unwrap();
        assert_eq!(file.facts().transfer_syntax, row["transfer_syntax"]);
        let rescale = file.facts().planes[0].rescale.unwrap();
        let values = file.frames(None).unwrap().values(0).unwrap();
        let bytes: Vec<u8> = values.stored.iter().flat_map(|value| value.to_le_bytes()).collect();
        assert_eq!(sha1(&bytes), row["raw_sha1"], "{}", row["file"]);
        // The inventory's mean has the padding in it.
        let whole = values
            .stored
            .iter()
            .map(|value| f64::from(rescale.hu(*value)))
            .sum::<f64>()
            / values.hu.len() as f64;
        assert!(
            (whole - row["hu_mean"].parse::<f64>().unwrap()).abs() < 1e-3,
            "{}",
            row["file"]
        );
        let (low, _) = values.range.unwrap();
        assert!(low > -2049.0, "{low} HU: {}", row["file"]);
    }
}

/// `covid-ct-md/slices.csv`: SHA-1 of the stored values as little-endian uint16, their range and their mean in HU.
#[test]
fn real_slices_of_three_patients_have_their_published_pixels() {
    let Some(folder) = real("covid-ct-md") else { return };
    let mut seen = 0;
    for row in rows(&folder.join("slices.csv"))
        .iter()
        .filter(|row| !row["dicom"].is_empty())
    {
        let path = folder.join(&row["dicom"]);
        let file = DicomFile::parse(std::fs::read(&path).unwrap(), &path).unwrap();
        let place = file.facts().planes[0].position.unwrap()[2];
        assert!(
            (place - row["z"].parse::<f64>().unwrap()).abs() < 1e-3,
            "{}",
            row["dicom"]
        );
        let values = file.frames(None).unwrap().values(0).unwrap();
        let bytes: Vec<u8> = values
            .stored
            .iter()
            .flat_map(|value| (*value as u16).to_le_bytes())
            .collect();
        assert_eq!(sha1(&bytes), row["raw_u16le_sha1"], "{}", row["dicom"]);
        let mean = values.hu.iter().map(|hu| f64::from(*hu)).sum::<f64>() / values.hu.len() as f64;
        assert!(
            (mean - row["hu_mean"].parse::<f64>().unwrap()).abs() < 1e-3,
            "{}",
            row["dicom"]
        );
        seen += 1;
    }
    assert!(seen >= 30, "{seen}");
}

#[test]
fn a_file_needs_no_ending() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("series/00000001");
    CtFile::new(&array![[0, 1024]]).write(&path);
    assert!(matches!(read_slice(&path).unwrap().pixels, Pixels::Hu(hu) if hu == array![[-1024.0, 0.0]]));
}

#[test]
fn an_address_names_a_frame() {
    let path = oracles().join("enhanced.dcm");
    let with = |options: &str| read_slice(Path::new(&format!("{}{options}", path.display())));
    assert!(matches!(with(""), Err(ReadError::WhichSlice { found: 3, .. })));
    assert!(with("#slice=2").is_ok() && with("#slice=3").is_err());
    let bare = oracles().join("no_rescale.dcm");
    assert!(read_slice(&bare).is_err());
    assert!(read_slice(Path::new(&format!("{}#rescale=1,-1024", bare.display()))).is_ok());
}
