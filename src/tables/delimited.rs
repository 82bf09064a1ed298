//! Text with a delimiter (RFC 4180 and what Excel makes of it): comma, semicolon or tab, UTF-8 or Windows-1252.

use std::{fs, io, path::Path, path::PathBuf};

use csv::{ByteRecord, ReaderBuilder, StringRecord};

use super::{TableError, TextTable, WriteError, atomic_write, check_names};

/// A delimited text in memory, its delimiter found and its header checked.
#[derive(Debug, Clone)]
pub struct DelimitedText {
    text: String,
    delimiter: u8,
    names: Vec<String>,
    header: bool,
    path: PathBuf,
}

/// What a text does not tell of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Layout {
    /// What stands between two fields: a comma, semicolon, tab or space (runs of spaces are one); found out where
    /// `None`, among the first three.
    pub separator: Option<char>,
    /// Whether the first line names the columns; else they are named `c1`, `c2`, ...
    pub header: bool,
}

impl Default for Layout {
    /// A header, and a separator that is found out.
    fn default() -> Self {
        Self {
            separator: None,
            header: true,
        }
    }
}

/// As many records are looked at to find the delimiter.
const SNIFFED: usize = 50;

impl DelimitedText {
    /// Reads and decodes the file.
    ///
    /// UTF-8 and UTF-16 lose their byte order mark; what is no UTF-8 is read as Windows-1252, with a warning in the log.
    ///
    /// # Errors
    ///
    /// [`TableError::Read`], [`TableError::Empty`], and the errors of names.
    pub fn open(path: &Path) -> Result<Self, TableError> {
        Self::open_as(path, Layout::default())
    }

    /// Reads a file whose layout the caller knows, such as a list without a header whose fields stand between spaces.
    ///
    /// # Errors
    ///
    /// As [`Self::open`].
    pub fn open_as(path: &Path, layout: Layout) -> Result<Self, TableError> {
        let bytes = fs::read(path).map_err(|source| TableError::read(source, path))?;
        Self::from_text(decode(bytes, path), path, layout)
    }

    fn from_text(mut text: String, path: &Path, layout: Layout) -> Result<Self, TableError> {
        if layout.separator == Some(' ') {
            text = single_spaces(&text);
        }
        let delimiter = match layout.separator.map(u8::try_from) {
            Some(Ok(separator)) => separator,
            _ => sniff(&text),
        };
        let mut header = StringRecord::new();
        let found = reader(&text, delimiter)
            .read_record(&mut header)
            .map_err(|source| TableError::Csv {
                source,
                path: path.to_owned(),
            })?;
        if !found || header.iter().all(|name| name.trim().is_empty()) {
            return Err(TableError::Empty { path: path.to_owned() });
        }
        let names: Vec<String> = match layout.header {
            true => header.iter().map(|name| name.trim().to_owned()).collect(),
            false => (1..=header.len()).map(|place| format!("c{place}")).collect(),
        };
        check_names(names.iter().map(String::as_str), path)?;
        Ok(Self {
            text,
            delimiter,
            names,
            header: layout.header,
            path: path.to_owned(),
        })
    }

    /// The header's names, white space around them removed.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// Calls `row` with the number (from 0) and the fields of each row. Rows of nothing at the end are left out.
    ///
    /// # Errors
    ///
    /// [`TableError::Ragged`] with the line, and what `row` answers.
    pub fn for_each_row<E: From<TableError>>(
        &self,
        mut row: impl FnMut(usize, &StringRecord) -> Result<(), E>,
    ) -> Result<usize, E> {
        let csv_error = |source| TableError::Csv {
            source,
            path: self.path.clone(),
        };
        let mut reader = reader(&self.text, self.delimiter);
        let mut record = StringRecord::new();
        let (mut n_rows, mut blank) = (0, 0);
        if self.header {
            reader.read_record(&mut record).map_err(csv_error)?;
        }
        while reader.read_record(&mut record).map_err(csv_error)? {
            if record.len() > 1 && record.iter().all(|field| field.trim().is_empty()) {
                blank += 1; // held back: nothing, if only such rows follow
                continue;
            }
            let (found, expected) = (record.len(), self.names.len());
            if found != expected {
                let line = record.position().map_or(0, csv::Position::line);
                return Err(TableError::Ragged {
                    line,
                    found,
                    expected,
                    path: self.path.clone(),
                }
                .into());
            }
            let empty = StringRecord::from(vec![""; expected]);
            for _ in 0..std::mem::take(&mut blank) {
                row(n_rows, &empty)?;
                n_rows += 1;
            }
            row(n_rows, &record)?;
            n_rows += 1;
        }
        Ok(n_rows)
    }

    /// All cells as text.
    ///
    /// # Errors
    ///
    /// [`TableError::Ragged`] with the line.
    pub fn to_text(&self) -> Result<TextTable, TableError> {
        let mut columns: Vec<_> = self.names.iter().map(|name| (name.clone(), Vec::new())).collect();
        self.for_each_row(|_, record| {
            for ((_, cells), field) in columns.iter_mut().zip(record) {
                cells.push((!field.is_empty()).then(|| field.to_owned()));
            }
            Ok::<_, TableError>(())
        })?;
        TextTable::new(columns)
    }
}

/// Writes a CSV file atomically: commas, quotes where needed, `\n`, UTF-8 without a mark.
///
/// # Errors
///
/// [`WriteError`].
pub fn write_csv(path: &Path, header: &[String], rows: impl Iterator<Item = Vec<String>>) -> Result<(), WriteError> {
    atomic_write(path, |file| {
        let mut writer = csv::Writer::from_writer(file);
        writer.write_record(header).map_err(io_error)?;
        for row in rows {
            writer.write_record(&row).map_err(io_error)?;
        }
        writer.flush()
    })
}

fn io_error(error: csv::Error) -> io::Error {
    match error.into_kind() {
        csv::ErrorKind::Io(error) => error,
        other => io::Error::other(format!("{other:?}")),
    }
}

fn reader(text: &str, delimiter: u8) -> csv::Reader<&[u8]> {
    ReaderBuilder::new()
        .delimiter(delimiter)
        .has_headers(false)
        .flexible(true)
        .from_reader(text.as_bytes())
}

/// One space between fields, none around them.
fn single_spaces(text: &str) -> String {
    let lines = text
        .lines()
        .map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "));
    lines.collect::<Vec<_>>().join("\n")
}

/// The delimiter under which most of the first records are as wide as the header; a comma where none makes two columns.
fn sniff(text: &str) -> u8 {
    let mut best = (0, 1, b',');
    for delimiter in [b',', b';', b'\t'] {
        let mut records = reader(text, delimiter)
            .into_byte_records()
            .take(SNIFFED + 1)
            .map_while(Result::ok);
        let width = records.next().map_or(0, |header: ByteRecord| header.len());
        let agreeing = 1 + records.filter(|record| record.len() == width).count();
        if width > 1 && (agreeing, width) > (best.0, best.1) {
            best = (agreeing, width, delimiter);
        }
    }
    best.2
}

/// Bytes to text, without a byte order mark.
fn decode(bytes: Vec<u8>, path: &Path) -> String {
    match bytes.as_slice() {
        [0xff, 0xfe, rest @ ..] => return utf16(rest, u16::from_le_bytes),
        [0xfe, 0xff, rest @ ..] => return utf16(rest, u16::from_be_bytes),
        _ => {}
    }
    match String::from_utf8(bytes) {
        Ok(text) => text.strip_prefix('\u{feff}').map(str::to_owned).unwrap_or(text),
        Err(error) => {
            let at = error.utf8_error().valid_up_to();
            tracing::warn!("no UTF-8 at byte {at}, read as Windows-1252 (save as UTF-8 to be sure): {path:?}");
            error.into_bytes().into_iter().map(windows_1252).collect()
        }
    }
}

fn utf16(bytes: &[u8], unit: fn([u8; 2]) -> u16) -> String {
    // chunks_exact gives slices of two.
    let units = bytes.chunks_exact(2).map(|pair| unit([pair[0], pair[1]]));
    char::decode_utf16(units)
        .map(|c| c.unwrap_or(char::REPLACEMENT_CHARACTER))
        .collect()
}

/// The WHATWG table: Latin-1 but for 0x80 to 0x9f, of which five that stand for nothing stay control characters.
fn windows_1252(byte: u8) -> char {
    const HIGH: [char; 32] = [
        '€', '\u{81}', '‚', 'ƒ', '„', '…', '†', '‡', 'ˆ', '‰', 'Š', '‹', 'Œ', '\u{8d}', 'Ž', '\u{8f}', '\u{90}', '‘',
        '’', '“', '”', '•', '–', '—', '˜', '™', 'š', '›', 'œ', '\u{9d}', 'ž', 'Ÿ',
    ];
    match byte {
        0x80..=0x9f => HIGH[usize::from(byte - 0x80)],
        _ => char::from(byte),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(bytes: &[u8]) -> Result<TextTable, TableError> {
        let path = Path::new("t.csv");
        DelimitedText::from_text(decode(bytes.to_vec(), path), path, Layout::default())?.to_text()
    }

    #[test]
    fn a_list_without_a_header_is_read_between_its_spaces() {
        let layout = Layout {
            separator: Some(' '),
            header: false,
        };
        let path = Path::new("t.txt");
        let text = " a.png 2  0 130\nb.png 0 9 134 \n".to_owned();
        let table = DelimitedText::from_text(text, path, layout).unwrap().to_text().unwrap();
        assert_eq!(cells(&table, "c1"), ["a.png", "b.png"]);
        assert_eq!(cells(&table, "c4"), ["130", "134"]);
    }

    fn cells(table: &TextTable, name: &str) -> Vec<String> {
        table
            .column(name)
            .unwrap()
            .iter()
            .map(|cell| cell.clone().unwrap_or("-".to_owned()))
            .collect()
    }

    #[test]
    fn the_delimiter_is_found_even_where_another_stands_in_the_fields() {
        let german = read(b"a;b\n1,5;2,5\n3,5;4,5\n").unwrap();
        assert_eq!(cells(&german, "b"), ["2,5", "4,5"]);
        let comma = read(b"a,b\nx;y;z,1\nu,2\n").unwrap();
        assert_eq!(cells(&comma, "a"), ["x;y;z", "u"]);
        let tab = read(b"a\tb\n1,2\t3\n").unwrap();
        assert_eq!(cells(&tab, "a"), ["1,2"]);
        assert_eq!(cells(&read(b"one\nx\ny\n").unwrap(), "one"), ["x", "y"]);
    }

    #[test]
    fn quotes_hold_line_breaks_and_a_ragged_row_is_named_by_its_line() {
        let table = read(b"a,b\n\"x\ny\",1\n\"say \"\"hi\"\"\",\n").unwrap();
        assert_eq!(cells(&table, "a"), ["x\ny", "say \"hi\""]);
        assert_eq!(cells(&table, "b"), ["1", "-"]);
        let error = read(b"a,b\n\"x\ny\",1\n2\n").unwrap_err().to_string();
        assert!(error.starts_with("line 4 has 1 fields, the header has 2"), "{error}");
    }

    #[test]
    fn marks_and_old_encodings_are_read() {
        assert_eq!(cells(&read("\u{feff}a,b\nß,1\n".as_bytes()).unwrap(), "a"), ["ß"]);
        assert_eq!(cells(&read(b"a,b\nna\xefve \x80\x96,1\n").unwrap(), "a"), ["naïve €–"]);
        let utf16: Vec<u8> = [0xff, 0xfe]
            .into_iter()
            .chain("a\tb\né\t1\n".encode_utf16().flat_map(u16::to_le_bytes))
            .collect();
        assert_eq!(cells(&read(&utf16).unwrap(), "a"), ["é"]);
    }

    #[test]
    fn blank_lines_at_the_end_are_no_rows_and_those_within_are_kept_in_their_place() {
        let table = read(b"a,b\r\n1,2\r\n,\r\n3,4\r\n\r\n,\r\n\r\n").unwrap();
        assert_eq!(cells(&table, "a"), ["1", "-", "3"]);
        assert_eq!(read(b"a,b\n").unwrap().n_rows, 0);
    }

    #[test]
    fn names_that_are_empty_or_repeated_are_refused() {
        assert!(matches!(
            read(b",a\n0,1\n"),
            Err(TableError::EmptyName {
                position: 1,
                columns: 2,
                ..
            })
        ));
        assert!(matches!(read(b"a, a\n0,1\n"), Err(TableError::DuplicateName { .. })));
        assert!(matches!(read(b"\n"), Err(TableError::Empty { .. })));
    }
}
