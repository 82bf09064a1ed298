//! JPEG, ITU-T T.81: the markers (annex B), and which decoder its frame needs. One component.

mod dct;
mod huffman;
mod lossless;
mod sequential;

use self::huffman::Huffman;
use super::{CodecError, Expected, plausible, same_frame};

const FORMAT: &str = "JPEG";

/// Two codes of one bit each are the least that a block of 64 pixels takes: DC and end of block.
const DCT_PER_BYTE: usize = 4 * 64;

/// A sample takes at least one bit.
const LOSSLESS_PER_BYTE: usize = 8;

/// Marker codes, the byte behind 0xFF (table B.1).
mod marker {
    pub(super) const SOF0: u8 = 0xC0;
    pub(super) const SOF1: u8 = 0xC1;
    pub(super) const SOF2: u8 = 0xC2;
    pub(super) const SOF3: u8 = 0xC3;
    pub(super) const DHT: u8 = 0xC4;
    pub(super) const DAC: u8 = 0xCC;
    pub(super) const RST0: u8 = 0xD0;
    pub(super) const RST7: u8 = 0xD7;
    pub(super) const SOI: u8 = 0xD8;
    pub(super) const EOI: u8 = 0xD9;
    pub(super) const SOS: u8 = 0xDA;
    pub(super) const DQT: u8 = 0xDB;
    pub(super) const DRI: u8 = 0xDD;
    pub(super) const TEM: u8 = 0x01;
}

/// A frame header (B.2.2) of one component.
struct Frame {
    lossless: bool,
    precision: u8,
    component: u8,
    quantization: usize,
}

/// A scan header (B.2.3) of one component, with the tables that are in force.
struct Scan<'a> {
    precision: u8,
    rows: usize,
    columns: usize,
    dc: &'a Huffman,
    ac: Option<&'a Huffman>,
    quantization: &'a [u16; 64],
    /// In MCUs: samples (lossless) or blocks; 0 where there are none.
    restart: usize,
    /// Ss: the predictor of a lossless scan, 0 in a DCT scan.
    selection: u8,
    /// Al: the point transform.
    point: u8,
}

/// Tables as markers set them.
#[derive(Default)]
struct Tables {
    dc: [Option<Huffman>; 4],
    ac: [Option<Huffman>; 4],
    /// In zigzag order, as they come.
    quantization: [Option<[u16; 64]>; 4],
    restart: usize,
}

/// Decodes a frame: baseline, extended sequential (8 and 12 bit) or lossless, whichever the stream says; files name the
/// wrong one of these syntaxes often enough.
pub(super) fn decode(stream: &[u8], expected: &Expected) -> Result<Vec<u16>, CodecError> {
    plausible(FORMAT, stream, expected, DCT_PER_BYTE)?;
    let mut segments = Segments { bytes: stream };
    if segments.marker()? != marker::SOI {
        return Err(damaged("no start of image"));
    }
    let mut tables = Tables::default();
    let mut frame = None;
    loop {
        let code = segments.marker()?;
        match code {
            marker::SOI | marker::TEM | marker::RST0..=marker::RST7 => {}
            marker::EOI => return Err(damaged("end of image before its pixels")),
            marker::SOF0 | marker::SOF1 | marker::SOF3 => {
                if frame.is_some() {
                    return Err(damaged("two frames"));
                }
                frame = Some(frame_header(
                    segments.segment()?,
                    code == marker::SOF3,
                    stream,
                    expected,
                )?);
            }
            marker::SOF2 => return Err(unsupported("progressive DCT")),
            marker::DAC | 0xC9..=0xCB | 0xCD..=0xCF => return Err(unsupported("arithmetic coding")),
            0xC5..=0xC7 => return Err(unsupported("a hierarchy of frames")),
            marker::DHT => tables.huffman(segments.segment()?)?,
            marker::DQT => tables.quantization(segments.segment()?)?,
            marker::DRI => match segments.segment()? {
                &[high, low] => tables.restart = usize::from(u16::from_be_bytes([high, low])),
                _ => return Err(damaged("restart interval of a wrong length")),
            },
            marker::SOS => {
                let frame = frame.ok_or_else(|| damaged("a scan before its frame"))?;
                let scan = tables.scan(segments.segment()?, &frame, expected)?;
                let intervals = intervals(segments.bytes);
                return if frame.lossless {
                    lossless::decode(&scan, &intervals)
                } else {
                    sequential::decode(&scan, &intervals)
                };
            }
            // Application data, comments and what tomorrow brings.
            _ => drop(segments.segment()?),
        }
    }
}

fn frame_header(segment: &[u8], lossless: bool, stream: &[u8], expected: &Expected) -> Result<Frame, CodecError> {
    let &[precision, r1, r0, c1, c0, components, ref rest @ ..] = segment else {
        return Err(damaged("a short frame header"));
    };
    if components != 1 {
        return Err(unsupported(&format!("{components} components a pixel")));
    }
    let &[component, _sampling, quantization] = rest else {
        return Err(damaged("a frame header of a wrong length"));
    };
    let size = (u16::from_be_bytes([r1, r0]).into(), u16::from_be_bytes([c1, c0]).into());
    same_frame(FORMAT, size, precision.into(), expected)?;
    if lossless {
        plausible(FORMAT, stream, expected, LOSSLESS_PER_BYTE)?;
    }
    // Table B.2.
    if !(if lossless {
        (2..=16).contains(&precision)
    } else {
        matches!(precision, 8 | 12)
    }) {
        return Err(damaged(&format!("{precision} bits a sample")));
    }
    Ok(Frame {
        lossless,
        precision,
        component,
        quantization: quantization.into(),
    })
}

impl Tables {
    /// B.2.4.2: several tables may stand in one segment.
    fn huffman(&mut self, mut segment: &[u8]) -> Result<(), CodecError> {
        while let Some((&id, rest)) = segment.split_first() {
            let (counts, rest) = rest
                .split_first_chunk::<16>()
                .ok_or_else(|| damaged("a short Huffman table"))?;
            let n = counts.iter().map(|count| usize::from(*count)).sum();
            let (values, rest) = rest
                .split_at_checked(n)
                .ok_or_else(|| damaged("a short Huffman table"))?;
            let shelf = match id >> 4 {
                0 => &mut self.dc,
                1 => &mut self.ac,
                _ => return Err(damaged("a Huffman table of an unknown class")),
            };
            let place = shelf
                .get_mut(usize::from(id & 15))
                .ok_or_else(|| damaged("a Huffman table beyond the fourth"))?;
            *place = Some(Huffman::new(counts, values)?);
            segment = rest;
        }
        Ok(())
    }

    /// B.2.4.1.
    fn quantization(&mut self, mut segment: &[u8]) -> Result<(), CodecError> {
        while let Some((&id, rest)) = segment.split_first() {
            let bytes = match id >> 4 {
                0 => 64,
                1 => 128,
                _ => return Err(damaged("a quantization table of an unknown precision")),
            };
            let (values, rest) = rest
                .split_at_checked(bytes)
                .ok_or_else(|| damaged("a short quantization table"))?;
            let place = self
                .quantization
                .get_mut(usize::from(id & 15))
                .ok_or_else(|| damaged("a quantization table beyond the fourth"))?;
            let mut table = [0; 64];
            for (at, value) in table.iter_mut().enumerate() {
                *value = if bytes == 64 {
                    values[at].into()
                } else {
                    u16::from_be_bytes([values[2 * at], values[2 * at + 1]])
                };
            }
            *place = Some(table);
            segment = rest;
        }
        Ok(())
    }

    fn scan(&self, segment: &[u8], frame: &Frame, expected: &Expected) -> Result<Scan<'_>, CodecError> {
        let &[1, component, ids, selection, end, approximation] = segment else {
            return Err(damaged("a scan header that is not of one component"));
        };
        if component != frame.component {
            return Err(damaged("a scan of a component that the frame has not"));
        }
        let table = |shelf: &'_ [Option<Huffman>; 4], id: u8| shelf.get(usize::from(id)).is_some_and(Option::is_some);
        let (dc, ac) = (ids >> 4, ids & 15);
        let missing = || damaged("a scan whose tables are missing");
        if !table(&self.dc, dc) || (!frame.lossless && !table(&self.ac, ac)) {
            return Err(missing());
        }
        const NONE: &[u16; 64] = &[1; 64];
        let quantization = match self.quantization.get(frame.quantization) {
            _ if frame.lossless => NONE,
            Some(Some(table)) => table,
            _ => return Err(missing()),
        };
        // Table B.3: a sequential scan holds all coefficients at full precision.
        if !frame.lossless && (selection, end, approximation) != (0, 63, 0) {
            return Err(damaged("a sequential scan of a part of the coefficients"));
        }
        Ok(Scan {
            precision: frame.precision,
            rows: expected.rows,
            columns: expected.columns,
            dc: self.dc[usize::from(dc)].as_ref().ok_or_else(missing)?,
            ac: self.ac.get(usize::from(ac)).and_then(Option::as_ref),
            quantization,
            restart: self.restart,
            selection,
            point: approximation & 15,
        })
    }
}

/// Walks over markers and their segments.
struct Segments<'a> {
    bytes: &'a [u8],
}

impl<'a> Segments<'a> {
    /// The next marker's code. Fill bytes before it (B.1.1.2) and what strays between segments are passed over, as
    /// libjpeg does.
    fn marker(&mut self) -> Result<u8, CodecError> {
        loop {
            let at = self.bytes.iter().position(|byte| *byte == 0xFF).ok_or(HEADERS_END)?;
            self.bytes = &self.bytes[at + 1..];
            match self.bytes.first() {
                None => return Err(HEADERS_END),
                Some(0 | 0xFF) => {}
                Some(&code) => {
                    self.bytes = &self.bytes[1..];
                    return Ok(code);
                }
            }
        }
    }

    /// What stands behind a marker, without the two bytes of its length.
    fn segment(&mut self) -> Result<&'a [u8], CodecError> {
        let (length, rest) = self.bytes.split_first_chunk::<2>().ok_or(HEADERS_END)?;
        let length = usize::from(u16::from_be_bytes(*length))
            .checked_sub(2)
            .ok_or_else(|| damaged("a segment shorter than its length"))?;
        let (segment, rest) = rest.split_at_checked(length).ok_or(HEADERS_END)?;
        self.bytes = rest;
        Ok(segment)
    }
}

/// The coded bytes behind a scan header, without stuffing (B.1.1.5), cut at restart markers; up to any other marker.
fn intervals(bytes: &[u8]) -> Vec<Vec<u8>> {
    let mut all = Vec::new();
    let mut now = Vec::with_capacity(bytes.len());
    let mut rest = bytes;
    loop {
        let at = rest.iter().position(|byte| *byte == 0xFF).unwrap_or(rest.len());
        now.extend_from_slice(&rest[..at]);
        match rest.get(at + 1) {
            // A stuffed byte.
            Some(0) => {
                now.push(0xFF);
                rest = &rest[at + 2..];
            }
            // A fill byte.
            Some(0xFF) => rest = &rest[at + 1..],
            Some(marker::RST0..=marker::RST7) => {
                now.shrink_to_fit();
                all.push(std::mem::take(&mut now));
                rest = &rest[at + 2..];
            }
            _ => {
                all.push(now);
                return all;
            }
        }
    }
}

const HEADERS_END: CodecError = CodecError::Truncated {
    format: FORMAT,
    part: "its headers",
};

const PIXELS_END: CodecError = CodecError::Truncated {
    format: FORMAT,
    part: "its pixels",
};

fn damaged(what: &str) -> CodecError {
    CodecError::Damaged {
        format: FORMAT,
        what: what.to_owned(),
    }
}

fn unsupported(feature: &str) -> CodecError {
    CodecError::Unsupported {
        format: FORMAT,
        feature: feature.to_owned(),
    }
}
