//! The headers of a JPEG 2000 codestream, annex A of T.800, as far as they say how much is asked for.

use std::borrow::Cow;

use super::{FORMAT, damaged, unsupported};
use crate::readers::dicom::codecs::CodecError;

/// Marker codes (table A.2).
mod marker {
    pub(super) const SOC: u16 = 0xFF4F;
    pub(super) const SIZ: u16 = 0xFF51;
    pub(super) const COD: u16 = 0xFF52;
    pub(super) const COC: u16 = 0xFF53;
    pub(super) const POC: u16 = 0xFF5F;
    pub(super) const SOT: u16 = 0xFF90;
    pub(super) const SOD: u16 = 0xFF93;
    pub(super) const EOC: u16 = 0xFFD9;
}

/// A tile-part's least: SOT segment and SOD.
const TILE_PART: usize = 14;

/// A codestream whose parts are all there.
pub(super) struct Codestream<'a> {
    /// From SOC to EOC.
    pub(super) bytes: Cow<'a, [u8]>,
    pub(super) rows: usize,
    pub(super) columns: usize,
    /// Bits of a sample, 1 to 16.
    pub(super) precision: u16,
    pub(super) signed: bool,
    /// Rows and columns of a tile, at most the image's.
    tile: [usize; 2],
    tiles: usize,
    layers: usize,
    levels: u32,
    /// Logarithms of the precincts' widths (low 4 bits) and heights, one a resolution; none means whole tiles.
    precincts: &'a [u8],
}

impl<'a> Codestream<'a> {
    /// Reads the main header and walks over the tile-parts.
    pub(super) fn read(stream: &'a [u8]) -> Result<Self, CodecError> {
        let bytes = unwrapped(stream)?;
        let mut reader = Reader { bytes, at: 0 };
        if (reader.u16()?, reader.u16()?) != (marker::SOC, marker::SIZ) {
            return Err(damaged("no start of codestream"));
        }
        let mut codestream = Self::size(reader.segment()?)?;
        loop {
            match reader.u16()? {
                marker::SOT => break,
                marker::COD => codestream.coding_style(reader.segment()?)?,
                marker::COC | marker::POC => return Err(unsupported("coding styles of single components or orders")),
                0xFF30..=0xFF3F => {}
                0xFF50 => {
                    return Err(unsupported(
                        "high-throughput code blocks or other extended capabilities",
                    ));
                }
                0xFF01..=0xFFFE => drop(reader.segment()?),
                _ => return Err(damaged("no marker where one is due")),
            }
        }
        if codestream.layers == 0 {
            return Err(damaged("no coding style"));
        }
        reader.at -= 2;
        codestream.bytes = reader.tile_parts(codestream.tiles)?;
        Ok(codestream)
    }

    /// SIZ (A.5.1).
    fn size(segment: &[u8]) -> Result<Self, CodecError> {
        let mut reader = Reader { bytes: segment, at: 2 };
        let mut number = || reader.u32().map(|value| value as usize);
        let [x1, y1, x0, y0] = [number()?, number()?, number()?, number()?];
        let [tile_x, tile_y, tile_x0, tile_y0] = [number()?, number()?, number()?, number()?];
        let components = reader.u16()?;
        if components != 1 {
            return Err(unsupported(&format!("{components} components a pixel")));
        }
        let &[depth, 1, 1] = &segment[reader.at..] else {
            return Err(unsupported("a subsampled component"));
        };
        let (rows, columns) = (y1.saturating_sub(y0), x1.saturating_sub(x0));
        if rows == 0 || columns == 0 || tile_x == 0 || tile_y == 0 || tile_x0 > x0 || tile_y0 > y0 {
            return Err(damaged("an empty image or tile"));
        }
        let precision = u16::from(depth & 0x7F) + 1;
        if precision > 16 {
            return Err(unsupported(&format!("{precision} bits a sample")));
        }
        // Sizes have 32 bits, so that these products cannot overflow in 64.
        let tiles = (x1 - tile_x0).div_ceil(tile_x) as u64 * (y1 - tile_y0).div_ceil(tile_y) as u64;
        Ok(Self {
            bytes: Cow::Borrowed(&[]),
            rows,
            columns,
            precision,
            signed: depth & 0x80 != 0,
            tile: [tile_y.min(rows), tile_x.min(columns)],
            tiles: usize::try_from(tiles).map_err(|_| damaged("more tiles than memory"))?,
            layers: 0,
            levels: 0,
            precincts: &[],
        })
    }

    /// COD (A.6.1).
    fn coding_style(&mut self, segment: &'a [u8]) -> Result<(), CodecError> {
        let &[
            style,
            _order,
            l1,
            l0,
            _mct,
            levels,
            _width,
            _height,
            blocks,
            _transform,
            ref precincts @ ..,
        ] = segment
        else {
            return Err(damaged("a short coding style"));
        };
        if levels > 32 {
            return Err(damaged("more than 32 decompositions"));
        }
        if blocks & 0x40 != 0 {
            return Err(unsupported("high-throughput code blocks"));
        }
        let with_precincts = style & 1 != 0;
        if with_precincts && precincts.len() != usize::from(levels) + 1 {
            return Err(damaged("another number of precinct sizes than resolutions"));
        }
        self.layers = u16::from_be_bytes([l1, l0]).into();
        self.levels = levels.into();
        self.precincts = if with_precincts { precincts } else { &[] };
        // B.7: only the lowest resolution may have precincts one sample wide.
        if self
            .precincts
            .iter()
            .skip(1)
            .any(|size| size & 15 == 0 || size >> 4 == 0)
        {
            return Err(damaged("a precinct of no size"));
        }
        Ok(())
    }

    /// Whether the stream is long enough for its tiles and packets: a tile takes a header, a packet a byte (B.9).
    pub(super) fn affordable(&self) -> Result<(), CodecError> {
        let length = self.bytes.len();
        let mut packets = 0usize;
        for level in 0..=self.levels {
            let sizes = self.precincts.get(level as usize).copied().unwrap_or(0xFF);
            let shrink = self.levels - level;
            let across = |size: usize, log: u8| (size >> shrink.min(31)).max(1).div_ceil(1 << log);
            let precincts = across(self.tile[0], sizes >> 4).saturating_mul(across(self.tile[1], sizes & 15));
            packets = packets.saturating_add(precincts);
        }
        packets = packets.saturating_mul(self.layers).saturating_mul(self.tiles);
        if self.tiles > length / TILE_PART || packets > length {
            return Err(damaged(&format!(
                "{} tiles and {packets} packets in {length} bytes",
                self.tiles
            )));
        }
        Ok(())
    }
}

/// The codestream within the boxes of a JP2 file (annex I), which some writers put into DICOM against PS3.5 A.4.4.
fn unwrapped(stream: &[u8]) -> Result<&[u8], CodecError> {
    if !stream.starts_with(b"\0\0\0\x0CjP  ") {
        return Ok(stream);
    }
    let mut reader = Reader { bytes: stream, at: 0 };
    loop {
        let start = reader.at;
        let (length, kind) = (reader.u32()? as usize, reader.u32()?);
        let length = match length {
            0 => stream.len() - start,
            1 => return Err(unsupported("a box of more than 4 GB")),
            length => length,
        };
        let rest = &stream[start..];
        let body = rest
            .get(8..length.min(rest.len()))
            .ok_or_else(|| damaged("a box of no size"))?;
        if kind.to_be_bytes() == *b"jp2c" {
            return Ok(body);
        }
        reader.at = start + length;
    }
}

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    /// The next `n` bytes.
    fn take(&mut self, n: usize) -> Result<&'a [u8], CodecError> {
        let bytes = self.bytes.get(self.at..).and_then(|rest| rest.get(..n));
        self.at = self.at.saturating_add(n);
        bytes.ok_or(CodecError::Truncated {
            format: FORMAT,
            part: "its headers",
        })
    }

    fn u16(&mut self) -> Result<u16, CodecError> {
        self.take(2).map(|bytes| u16::from_be_bytes([bytes[0], bytes[1]]))
    }

    fn u32(&mut self) -> Result<u32, CodecError> {
        Ok(u32::from(self.u16()?) << 16 | u32::from(self.u16()?))
    }

    /// What stands behind a marker, without the two bytes of its length.
    fn segment(&mut self) -> Result<&'a [u8], CodecError> {
        let length = usize::from(self.u16()?);
        self.take(
            length
                .checked_sub(2)
                .ok_or_else(|| damaged("a segment shorter than its length"))?,
        )
    }

    /// Walks from SOT to SOT (A.4.2) and gives everything up to the end. Every tile must be there, and every part as
    /// long as it says. An end marker that is missing, or a last length left open, are put right.
    fn tile_parts(&mut self, tiles: usize) -> Result<Cow<'a, [u8]>, CodecError> {
        let mut seen = 0;
        loop {
            let start = self.at;
            match self.u16() {
                Ok(marker::SOT) => {}
                Ok(marker::EOC) if seen >= tiles => return Ok(Cow::Borrowed(&self.bytes[..self.at])),
                Ok(_) | Err(_) if seen >= tiles => {
                    let mut whole = self.bytes[..start].to_vec();
                    whole.extend(marker::EOC.to_be_bytes());
                    return Ok(Cow::Owned(whole));
                }
                Ok(marker::EOC) | Err(_) => return Err(PIXELS_END),
                Ok(_) => return Err(damaged("no tile where one is due")),
            }
            let header = self.segment()?;
            let &[_, _, p3, p2, p1, p0, part, _parts] = header else {
                return Err(damaged("a tile header of a wrong length"));
            };
            seen += usize::from(part == 0);
            self.tile_header()?;
            match u32::from_be_bytes([p3, p2, p1, p0]) as usize {
                // Up to the end; what is behind the end marker is padding.
                0 if seen >= tiles => {
                    let end = self
                        .bytes
                        .windows(2)
                        .rposition(|pair| pair == marker::EOC.to_be_bytes());
                    let end = end.filter(|end| *end >= self.at).ok_or(PIXELS_END)?;
                    let mut whole = self.bytes[..end + 2].to_vec();
                    let length = u32::try_from(end - start).map_err(|_| damaged("a tile of more than 4 GB"))?;
                    whole[start + 6..start + 10].copy_from_slice(&length.to_be_bytes());
                    return Ok(Cow::Owned(whole));
                }
                length => {
                    let end = start + length;
                    if end < self.at {
                        return Err(damaged("a tile shorter than its header"));
                    }
                    if end > self.bytes.len() {
                        return Err(PIXELS_END);
                    }
                    self.at = end;
                }
            }
        }
    }

    /// The markers from SOT to SOD. A tile of its own coding style would not have been paid for.
    fn tile_header(&mut self) -> Result<(), CodecError> {
        loop {
            match self.u16()? {
                marker::SOD => return Ok(()),
                marker::COD | marker::COC | marker::POC => return Err(unsupported("coding styles of single tiles")),
                0xFF01..=0xFFFE => drop(self.segment()?),
                _ => return Err(damaged("no marker where one is due")),
            }
        }
    }
}

const PIXELS_END: CodecError = CodecError::Truncated {
    format: FORMAT,
    part: "its pixels",
};
