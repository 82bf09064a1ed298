//! Every codec beside other people's, on the streams that `tests/oracles/make_codecs.py` writes, and damaged.

use std::{fs, path::PathBuf, time::Instant};

use rand::{Rng as _, RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use serde::Deserialize;

use super::*;

/// A stream, and what others decode from it.
#[derive(Deserialize)]
struct Sample {
    stream: String,
    uid: String,
    rows: usize,
    columns: usize,
    bits_allocated: u16,
    bits_stored: u16,
    signed: bool,
    values: String,
    /// Largest difference between two right decoders.
    tolerance: i32,
    /// A word of the message where a stream is not to be decoded.
    refused: Option<String>,
}

impl Sample {
    fn all() -> Vec<Self> {
        let index = fs::read(folder().join("index.json")).unwrap();
        serde_json::from_slice(&index).unwrap()
    }

    /// Those that are decoded.
    fn good() -> impl Iterator<Item = Self> {
        Self::all().into_iter().filter(|sample| sample.refused.is_none())
    }

    fn named(name: &str) -> Self {
        Self::all().into_iter().find(|sample| sample.stream == name).unwrap()
    }

    fn bytes(&self) -> Vec<u8> {
        fs::read(folder().join(&self.stream)).unwrap()
    }

    fn values(&self) -> Vec<u16> {
        let bytes = fs::read(folder().join(&self.values)).unwrap();
        bytes
            .chunks(2)
            .map(|pair| u16::from_le_bytes([pair[0], pair[1]]))
            .collect()
    }

    fn expected(&self) -> Expected {
        Expected {
            rows: self.rows,
            columns: self.columns,
            bits_allocated: self.bits_allocated,
            bits_stored: self.bits_stored,
            signed: self.signed,
        }
    }

    fn decode(&self, stream: &[u8]) -> Result<Vec<u16>, CodecError> {
        let codec = CODECS.iter().find(|codec| codec.uid == self.uid).unwrap();
        (codec.decode)(stream, &self.expected())
    }
}

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/oracles/codecs")
}

/// Expected: CharLS, OpenJPEG, libjpeg and libjpeg-turbo, see make_codecs.py; lossless streams, what was encoded.
#[test]
fn pixels_are_what_other_decoders_give() {
    for sample in Sample::good() {
        let values = sample.decode(&sample.bytes()).unwrap();
        let expected = sample.values();
        assert_eq!(values.len(), expected.len(), "{}", sample.stream);
        let signed = |value: u16| {
            if sample.signed {
                i32::from(value.cast_signed())
            } else {
                i32::from(value)
            }
        };
        let pairs = values.iter().zip(&expected);
        let worst = pairs
            .map(|(ours, theirs)| (signed(*ours) - signed(*theirs)).abs())
            .max();
        assert!(worst <= Some(sample.tolerance), "{}: off by {worst:?}", sample.stream);
    }
}

#[test]
fn every_codec_has_a_stream() {
    for codec in CODECS {
        assert!(Sample::good().any(|sample| sample.uid == codec.uid), "{}", codec.uid);
    }
}

#[test]
fn what_is_not_read_is_named() {
    for sample in Sample::all() {
        if let Some(word) = &sample.refused {
            let message = sample.decode(&sample.bytes()).unwrap_err().to_string();
            assert!(message.contains(word.as_str()), "{message}");
        }
    }
}

#[test]
fn padding_behind_the_pixels_is_no_matter() {
    for sample in Sample::good() {
        let bytes = sample.bytes();
        let whole = sample.decode(&bytes).unwrap();
        for padding in [[0u8].as_slice(), &[0; 7], &[0xFF, 0xFF, 0xFF], &[0xFF, 0]] {
            let padded = [&bytes, padding].concat();
            assert_eq!(sample.decode(&padded).unwrap(), whole, "{} {padding:?}", sample.stream);
        }
    }
}

/// Of a lossless stream whose last bytes are cut off, only the end marker may be missed; never is a frame made up.
#[test]
fn streams_that_end_early_are_errors() {
    for sample in Sample::good() {
        let bytes = sample.bytes();
        let whole = sample.decode(&bytes).unwrap();
        let near_an_end = |length: &usize| *length < 150 || length + 150 > bytes.len() || length.is_multiple_of(7);
        for length in (0..bytes.len()).filter(near_an_end) {
            match sample.decode(&bytes[..length]) {
                Err(_) => {}
                Ok(values) => {
                    assert!(values == whole, "{} cut at {length} of {}", sample.stream, bytes.len());
                    // The end marker, padding to an even length, and bits that fill the last byte.
                    assert!(
                        length + 4 >= bytes.len(),
                        "{} needs {length} of {}",
                        sample.stream,
                        bytes.len()
                    );
                }
            }
        }
    }
}

/// Each interval of its own would decode; what is missing would move up.
#[test]
fn a_lost_restart_interval_is_an_error() {
    for name in [
        "lossless_restart.jpg",
        "extended_12_restart.jpg",
        "baseline_restart.jpg",
        "ls_restart.jls",
    ] {
        let sample = Sample::named(name);
        let bytes = sample.bytes();
        let at = |code: u8| bytes.windows(2).position(|pair| pair == [0xFF, code]).unwrap();
        let lost = [&bytes[..at(0xD1)], &bytes[at(0xD2)..]].concat();
        assert!(sample.decode(&lost).is_err(), "{name}");
    }
}

/// T.800 A.4.2: the last tile-part may leave its length open.
#[test]
fn a_tile_of_open_length_reaches_to_the_end() {
    let sample = Sample::named("j2k_12.j2k");
    let mut bytes = sample.bytes();
    let tile = bytes.windows(2).position(|pair| pair == [0xFF, 0x90]).unwrap();
    bytes[tile + 6..tile + 10].fill(0);
    assert_eq!(sample.decode(&bytes).unwrap(), sample.values());
    bytes.extend([0; 3]);
    assert_eq!(sample.decode(&bytes).unwrap(), sample.values());
    bytes.truncate(bytes.len() - 100);
    assert!(sample.decode(&bytes).is_err());
}

#[test]
fn another_size_than_the_data_sets_is_an_error() {
    for sample in Sample::good().filter(|sample| !sample.uid.ends_with(".5")) {
        for (rows, columns) in [(sample.columns, sample.rows), (sample.rows + 1, sample.columns)] {
            let codec = CODECS.iter().find(|codec| codec.uid == sample.uid).unwrap();
            let expected = Expected {
                rows,
                columns,
                ..sample.expected()
            };
            let error = (codec.decode)(&sample.bytes(), &expected).unwrap_err();
            assert!(matches!(error, CodecError::Size { .. }), "{}: {error}", sample.stream);
        }
    }
}

#[test]
fn more_bits_than_are_allocated_are_an_error() {
    for name in ["lossless_12.jpg", "ls_12.jls", "j2k_12.j2k"] {
        let sample = Sample::named(name);
        let codec = CODECS.iter().find(|codec| codec.uid == sample.uid).unwrap();
        let expected = Expected {
            bits_allocated: 8,
            ..sample.expected()
        };
        let error = (codec.decode)(&sample.bytes(), &expected).unwrap_err();
        assert!(
            matches!(
                error,
                CodecError::Precision {
                    precision: 12,
                    allocated: 8,
                    ..
                }
            ),
            "{error}"
        );
    }
}

/// What claims 60,000 x 60,000 is refused before memory is asked for, however well the header agrees.
#[test]
fn bombs_are_refused_by_their_length() {
    for sample in Sample::good() {
        let mut bytes = sample.bytes();
        let size = [sample.rows, sample.columns].map(|side| side as u16);
        let [rows, columns] = size.map(u16::to_be_bytes);
        let wide = size.map(|side| u32::from(side).to_be_bytes());
        let huge = 60_000u16.to_be_bytes();
        for at in 0..bytes.len().min(100) {
            if bytes[at..].starts_with(&[rows, columns].concat()) {
                bytes[at..at + 4].copy_from_slice(&[huge, huge].concat());
            }
            // JPEG 2000 has the width first, and the tile's again.
            if bytes[at..].starts_with(&[wide[1], wide[0]].concat()) {
                bytes[at + 2..at + 4].copy_from_slice(&huge);
                bytes[at + 6..at + 8].copy_from_slice(&huge);
            }
        }
        let expected = Expected {
            rows: 60_000,
            columns: 60_000,
            ..sample.expected()
        };
        let codec = CODECS.iter().find(|codec| codec.uid == sample.uid).unwrap();
        let error = (codec.decode)(&bytes, &expected).unwrap_err();
        assert!(
            matches!(error, CodecError::TooShort { .. }),
            "{}: {error}",
            sample.stream
        );
    }
}

/// 12,000 damaged streams: bytes changed, cut out, doubled. No panic, and none takes long: each is decoded in about a
/// millisecond, so that 5 s only go by where something grows.
#[test]
fn damage_ends_in_an_error_or_in_pixels_and_soon() {
    let mut rng = ChaCha8Rng::seed_from_u64(0);
    let samples: Vec<_> = Sample::all()
        .into_iter()
        .map(|sample| (sample.bytes(), sample))
        .collect();
    for round in 0..12_000 {
        let (bytes, sample) = &samples[round % samples.len()];
        let damaged = damage(bytes, &mut rng);
        let start = Instant::now();
        if let Ok(values) = sample.decode(&damaged) {
            assert_eq!(values.len(), sample.rows * sample.columns, "{}", sample.stream);
        }
        let took = start.elapsed();
        assert!(took.as_secs() < 5, "{} took {took:?}: {damaged:02x?}", sample.stream);
    }
}

fn damage(bytes: &[u8], rng: &mut ChaCha8Rng) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    for _ in 0..rng.random_range(1..6) {
        let at = rng.random_range(0..bytes.len());
        // Headers are short and decide the most.
        let at = if rng.random() { at } else { at % 120.min(bytes.len()) };
        match rng.random_range(0..6) {
            0 => bytes[at] = 0xFF,
            1 => bytes[at] = 0,
            2 => bytes[at] ^= 1 << rng.random_range(0..8),
            3 => drop(bytes.drain(at..(at + rng.random_range(1..9)).min(bytes.len() - 1).max(at))),
            4 => {
                let end = (at + rng.random_range(1..20)).min(bytes.len());
                bytes.extend_from_within(at..end);
            }
            _ => bytes[at] = rng.next_u32() as u8,
        }
    }
    bytes
}
