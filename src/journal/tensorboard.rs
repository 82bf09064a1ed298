//! Event files that TensorBoard shows, without TensorFlow and without a protobuf crate.
//!
//! A file is a sequence of TFRecords (length, its checksum, data, its checksum), each an `Event` message. Fields are
//! those of `event.proto`, `summary.proto`, `tensor.proto` and `tensor_shape.proto` in
//! <https://github.com/tensorflow/tensorboard/tree/2.21.0/tensorboard/compat/proto>.

use std::{
    fs::{self, File},
    io::{self, Write as _},
    path::{Path, PathBuf},
    time::{SystemTime, UNIX_EPOCH},
};

use super::{
    JournalError,
    protobuf::Message,
    sheet::{Sheet, encode},
};
use crate::tables::write_error;

/// Since version 2, TensorBoard drops orphaned steps where a session starts, and nowhere else.
const VERSION: &[u8] = b"brain.Event:2";

/// Writes scalars, sheets of images and texts into an event file of its own; TensorBoard shows all files of a folder as
/// one run. An event is in the file when the call returns.
///
/// ```
/// use hounsfield::journal::{Events, Sheet};
/// let folder = tempfile::tempdir()?;
/// let mut events = Events::create(folder.path())?;
/// events.scalar(100, "loss/encoder", 0.5)?;
/// let mut sheet = Sheet::new(1);
/// sheet.push(ndarray::Array2::zeros((64, 64)).view())?;
/// events.sheet(100, "samples", &sheet)?;
///
/// let mut events = Events::resume(folder.path(), 100)?; // from a checkpoint of step 100
/// events.scalar(200, "loss/encoder", 0.25)?;
/// assert_eq!(std::fs::read_dir(folder.path())?.count(), 2);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Events {
    file: File,
    path: PathBuf,
}

impl Events {
    /// Begins an event file in the folder, which is made if it isn't there.
    ///
    /// # Errors
    ///
    /// [`JournalError::Write`].
    pub fn create(folder: &Path) -> Result<Self, JournalError> {
        fs::create_dir_all(folder).map_err(|source| write_error(source, folder))?;
        let (file, path) = new_file(folder).map_err(|source| write_error(source, folder))?;
        let mut events = Self { file, path };
        events.write(&version(now()))?;
        Ok(events)
    }

    /// Begins the event file of a run that goes on from a checkpoint of this step: TensorBoard drops what older files
    /// of the folder say of later steps. Its reader in Python does so at once; the faster one that serves the page by
    /// default (2.21) does so name by name, when the name gets its first value of the new file.
    ///
    /// # Errors
    ///
    /// [`JournalError::Write`].
    pub fn resume(folder: &Path, step: u64) -> Result<Self, JournalError> {
        let mut events = Self::create(folder)?;
        // What is at the session's first step or later is dropped.
        events.write(&session_start(now(), step + 1))?;
        Ok(events)
    }

    /// Writes a number, as the 32-bit one that TensorBoard keeps. A `/` in the name groups charts.
    ///
    /// # Errors
    ///
    /// [`JournalError::Write`].
    pub fn scalar(&mut self, step: u64, name: &str, value: f64) -> Result<(), JournalError> {
        self.write(&scalar(now(), step, name, value))
    }

    /// Writes a sheet of images.
    ///
    /// # Errors
    ///
    /// [`JournalError::EmptySheet`], [`JournalError::Write`].
    pub fn sheet(&mut self, step: u64, name: &str, sheet: &Sheet) -> Result<(), JournalError> {
        let picture = sheet.picture()?;
        self.write(&image(now(), step, name, picture.dimensions(), &encode(&picture)))
    }

    /// Writes a text, which TensorBoard shows as Markdown.
    ///
    /// # Errors
    ///
    /// [`JournalError::Write`].
    pub fn text(&mut self, step: u64, name: &str, markdown: &str) -> Result<(), JournalError> {
        self.write(&text(now(), step, name, markdown))
    }

    fn write(&mut self, event: &Message) -> Result<(), JournalError> {
        self.file
            .write_all(&record(event.as_bytes()))
            .map_err(|source| write_error(source, &self.path).into())
    }
}

/// TensorBoard takes files for events by the `tfevents` in their names, and reads them in the order of the names: that
/// of the starts, with a second added where two fall into one.
fn new_file(folder: &Path) -> io::Result<(File, PathBuf)> {
    let mut second = now() as u64;
    loop {
        let path = folder.join(format!("events.out.tfevents.{second:010}.hounsfield"));
        match File::create_new(&path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => second += 1,
            file => return Ok((file?, path)),
        }
    }
}

/// Seconds since 1970; 0 on a machine whose clock is older.
fn now() -> f64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0.0, |time| time.as_secs_f64())
}

// The numbers are those of the fields in the .proto files.

fn event(wall_time: f64, step: u64) -> Message {
    Message::default().double(1, wall_time).integer(2, step)
}

fn version(wall_time: f64) -> Message {
    event(wall_time, 0).bytes(3, VERSION)
}

fn session_start(wall_time: f64, step: u64) -> Message {
    const START: u64 = 1;
    event(wall_time, step).message(7, &Message::default().integer(1, START))
}

fn scalar(wall_time: f64, step: u64, name: &str, value: f64) -> Message {
    summary(wall_time, step, &named(name).float(2, value as f32))
}

fn image(wall_time: f64, step: u64, name: &str, (width, height): (u32, u32), png: &[u8]) -> Message {
    const GREY: u64 = 1;
    let image = Message::default()
        .integer(1, height.into())
        .integer(2, width.into())
        .integer(3, GREY)
        .bytes(4, png);
    summary(wall_time, step, &named(name).message(4, &image))
}

/// A tensor of one string that is marked for the plugin of texts.
fn text(wall_time: f64, step: u64, name: &str, markdown: &str) -> Message {
    const STRING: u64 = 7;
    let one = Message::default().message(2, &Message::default().integer(1, 1));
    let tensor = Message::default()
        .integer(1, STRING)
        .message(2, &one)
        .bytes(8, markdown.as_bytes());
    let plugin = Message::default().bytes(1, b"text");
    let metadata = Message::default().message(1, &plugin);
    summary(wall_time, step, &named(name).message(8, &tensor).message(9, &metadata))
}

fn named(name: &str) -> Message {
    Message::default().bytes(1, name.as_bytes())
}

fn summary(wall_time: f64, step: u64, value: &Message) -> Message {
    event(wall_time, step).message(5, &Message::default().message(1, value))
}

/// A TFRecord: `u64` length, checksum of these 8 bytes, data, checksum of the data; little-endian.
fn record(data: &[u8]) -> Vec<u8> {
    let length = (data.len() as u64).to_le_bytes();
    let parts: [&[u8]; 4] = [
        &length,
        &masked_checksum(&length).to_le_bytes(),
        data,
        &masked_checksum(data).to_le_bytes(),
    ];
    parts.concat()
}

/// CRC-32C, turned and shifted so that checksums of data that hold checksums stay good (`masked_crc32c` of
/// <https://www.tensorflow.org/tutorials/load_data/tfrecord#tfrecords_format_details>).
fn masked_checksum(data: &[u8]) -> u32 {
    crc32c::crc32c(data).rotate_right(15).wrapping_add(0xa282_ead8)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// The data of each record of a file, checked.
    fn records(path: &Path) -> Vec<Vec<u8>> {
        let mut rest = &fs::read(path).unwrap()[..];
        let mut records = Vec::new();
        while !rest.is_empty() {
            let length = u64::from_le_bytes(rest[..8].try_into().unwrap()) as usize;
            let data = &rest[12..12 + length];
            let (head, tail) = (&rest[8..12], &rest[12 + length..16 + length]);
            assert_eq!(head, masked_checksum(&rest[..8]).to_le_bytes());
            assert_eq!(tail, masked_checksum(data).to_le_bytes());
            records.push(data.to_vec());
            rest = &rest[16 + length..];
        }
        records
    }

    /// Expected: `RecordWriter.write(Event(..).SerializeToString())`, tensorboard 2.21.0; see make_tensorboard.py.
    #[test]
    fn records_are_those_of_tensorboards_own_writer() {
        let oracle = include_str!("../../tests/oracles/tensorboard/records.json");
        let oracle: BTreeMap<String, String> = serde_json::from_str(oracle).unwrap();
        let time = 1_700_000_000.25;
        let made = [
            ("version", version(time)),
            ("session_start", session_start(time, 301)),
            ("scalar", scalar(time, 300, "loss/encoder", -0.1)),
            ("scalar_nan", scalar(time, 0, "loss", f64::NAN)),
            (
                "image",
                image(time, 70_000, "samples", (200, 130), b"the bytes of a PNG"),
            ),
            ("text", text(time, 1, "recipe", "seed = 1 # Größe")),
        ];
        assert_eq!(made.len(), oracle.len());
        for (name, event) in made {
            assert_eq!(hex(&record(event.as_bytes())), oracle[name], "{name}");
        }
    }

    #[test]
    fn each_start_has_its_file_and_a_resumed_one_says_from_which_step() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path().join("events");
        let mut first = Events::create(&folder).unwrap();
        first.scalar(1, "loss", 0.5).unwrap();
        let second = Events::resume(&folder, 7).unwrap();
        assert!(
            first.path < second.path,
            "TensorBoard reads files in the order of their names"
        );
        let (first, second) = (records(&first.path), records(&second.path));
        assert_eq!((first.len(), second.len()), (2, 2));
        let (tag, length) = (0x09, 9); // The double of the wall time.
        assert_eq!(
            (second[1][0], &second[1][length..]),
            (tag, &[0x10, 8, 0x3a, 2, 0x08, 1][..])
        );
    }
}
