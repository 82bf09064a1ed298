//! Huffman and quantization tables, and the scans that use them: T.81 B.2.3 and B.2.4.

use super::{Frame, Huffman, damaged};
use crate::readers::dicom::codecs::{CodecError, Expected};

/// A scan header (B.2.3) of one component, with the tables that are in force.
pub(super) struct Scan<'a> {
    pub(super) precision: u8,
    pub(super) rows: usize,
    pub(super) columns: usize,
    pub(super) dc: &'a Huffman,
    pub(super) ac: Option<&'a Huffman>,
    pub(super) quantization: &'a [u16; 64],
    /// In MCUs: samples (lossless) or blocks; 0 where there are none.
    pub(super) restart: usize,
    /// Ss: the predictor of a lossless scan, 0 in a DCT scan.
    pub(super) selection: u8,
    /// Al: the point transform.
    pub(super) point: u8,
}

/// Tables as markers set them.
#[derive(Default)]
pub(super) struct Tables {
    dc: [Option<Huffman>; 4],
    ac: [Option<Huffman>; 4],
    /// In zigzag order, as they come.
    quantization: [Option<[u16; 64]>; 4],
    /// In MCUs.
    pub(super) restart: usize,
}

impl Tables {
    /// B.2.4.2: several tables may stand in one segment.
    pub(super) fn huffman(&mut self, mut segment: &[u8]) -> Result<(), CodecError> {
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
    pub(super) fn quantization(&mut self, mut segment: &[u8]) -> Result<(), CodecError> {
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

    /// B.2.3.
    pub(super) fn scan(&self, segment: &[u8], frame: &Frame, expected: &Expected) -> Result<Scan<'_>, CodecError> {
        let &[1, component, ids, selection, end, approximation] = segment else {
            return Err(damaged("a scan header that is not of one component"));
        };
        if component != frame.component {
            return Err(damaged("a scan of a component that the frame has not"));
        }
        let missing = || damaged("a scan whose tables are missing");
        // Lossless scans have none.
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
            dc: self
                .dc
                .get(usize::from(ids >> 4))
                .and_then(Option::as_ref)
                .ok_or_else(missing)?,
            ac: self.ac.get(usize::from(ids & 15)).and_then(Option::as_ref),
            quantization,
            restart: self.restart,
            selection,
            point: approximation & 15,
        })
    }
}
