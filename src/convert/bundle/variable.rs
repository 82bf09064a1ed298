//! Variables as the index names them, with every number of their entries checked.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

use super::{
    BundleError, DType, Lie, MOST_AXES, MOST_ENTRY, MOST_PARTS, Table, message::Entry, slices, slices::Region,
};

/// A variable of a checkpoint.
#[derive(Debug, Clone)]
pub struct Variable {
    /// What its values are.
    pub dtype: DType,
    /// Its shape; empty for a single value.
    pub shape: Vec<usize>,
    pub(super) place: Place,
}

/// Where its values are.
#[derive(Debug, Clone)]
pub(super) enum Place {
    Whole(Span),
    Parts(Vec<(Region, Span)>),
}

/// Bytes of a data file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Span {
    pub(super) shard: i32,
    pub(super) offset: u64,
    pub(super) size: u64,
    /// Masked CRC-32C of the values.
    pub(super) checksum: u32,
    /// Values, which for strings the size does not tell.
    pub(super) values: u64,
}

impl Variable {
    pub(super) fn spans(&self) -> Vec<Span> {
        match &self.place {
            Place::Whole(span) => vec![*span],
            Place::Parts(parts) => parts.iter().map(|(_, span)| *span).collect(),
        }
    }
}

/// All variables of an index. `length` gives the bytes of a data file.
pub(super) fn variables(
    table: &Table,
    shards: i32,
    length: &mut dyn FnMut(i32) -> Result<u64, BundleError>,
    path: &Path,
) -> Result<BTreeMap<String, Variable>, BundleError> {
    let mut variables = BTreeMap::new();
    let mut used = BTreeSet::new();
    // Names begin with no zero byte, keys of parts do.
    let parts = table
        .entries()
        .iter()
        .filter(|(key, _)| key.first() == Some(&0))
        .count();
    for (key, value) in table
        .entries()
        .iter()
        .filter(|(key, _)| key.first().is_some_and(|byte| *byte != 0))
    {
        let name = std::str::from_utf8(key).map_err(|_| BundleError::Name {
            name: String::from_utf8_lossy(key).into_owned(),
            path: path.to_owned(),
        })?;
        let mut reading = Reading {
            table,
            shards,
            length: &mut *length,
            name,
            path,
        };
        let entry = reading.parse(value)?;
        let (dtype, shape) = reading.shape(&entry)?;
        let place = match entry.slices.is_empty() {
            true => Place::Whole(reading.span(&entry, dtype, &shape)?),
            false => Place::Parts(reading.parts(&entry, dtype, &shape, &mut used)?),
        };
        variables.insert(name.to_owned(), Variable { dtype, shape, place });
    }
    if used.len() < parts {
        return Err(BundleError::Stray {
            count: parts - used.len(),
            path: path.to_owned(),
        });
    }
    apart(&variables, path)?;
    Ok(variables)
}

/// One entry on its way to a variable.
struct Reading<'a> {
    table: &'a Table,
    shards: i32,
    length: &'a mut dyn FnMut(i32) -> Result<u64, BundleError>,
    name: &'a str,
    path: &'a Path,
}

impl Reading<'_> {
    fn lie(&self, what: Lie) -> BundleError {
        BundleError::Lie {
            name: self.name.to_owned(),
            what,
            path: self.path.to_owned(),
        }
    }

    fn parse(&self, value: &[u8]) -> Result<Entry, BundleError> {
        if value.len() > MOST_ENTRY {
            return Err(self.lie(Lie::Long { length: value.len() }));
        }
        Entry::parse(value).map_err(|source| BundleError::Entry {
            name: self.name.to_owned(),
            source,
            path: self.path.to_owned(),
        })
    }

    fn shape(&self, entry: &Entry) -> Result<(DType, Vec<usize>), BundleError> {
        let dtype = DType::of(entry.dtype).ok_or_else(|| self.lie(Lie::Type { code: entry.dtype }))?;
        if entry.shape.unknown_rank {
            return Err(self.lie(Lie::UnknownShape));
        }
        let axes = entry.shape.dims.len();
        if axes > MOST_AXES {
            return Err(self.lie(Lie::Axes { axes }));
        }
        let size = |size: &i64| usize::try_from(*size).map_err(|_| self.lie(Lie::Axis { size: *size }));
        let shape = entry.shape.dims.iter().map(size).collect::<Result<Vec<_>, _>>()?;
        self.values(&shape, dtype)?;
        Ok((dtype, shape))
    }

    /// Values of a shape, whose bytes can be counted as well.
    fn values(&self, shape: &[usize], dtype: DType) -> Result<u64, BundleError> {
        let bytes = |values: &usize| {
            values
                .checked_mul(dtype.width().unwrap_or(1))
                .is_some_and(|n| n <= isize::MAX as usize)
        };
        let values = shape.iter().try_fold(1_usize, |values, size| values.checked_mul(*size));
        values
            .filter(bytes)
            .map(|values| values as u64)
            .ok_or_else(|| self.lie(Lie::Huge))
    }

    fn span(&mut self, entry: &Entry, dtype: DType, shape: &[usize]) -> Result<Span, BundleError> {
        let values = self.values(shape, dtype)?;
        let Entry {
            shard,
            offset,
            size,
            checksum,
            ..
        } = *entry;
        let bytes = u64::try_from(size).ok();
        match dtype.width() {
            Some(width) if bytes != Some(values * width as u64) => {
                return Err(self.lie(Lie::Size {
                    found: size,
                    expected: values * width as u64,
                }));
            }
            // Strings have a byte at least for the length of each.
            None if bytes.is_none_or(|bytes| bytes < values) => {
                return Err(self.lie(Lie::Size {
                    found: size,
                    expected: values,
                }));
            }
            _ => {}
        }
        if !(0..self.shards).contains(&shard) {
            return Err(self.lie(Lie::Shard {
                shard,
                shards: self.shards,
            }));
        }
        let length = (self.length)(shard)?;
        let outside = || Lie::Outside { offset, size, length };
        let (first, bytes) = u64::try_from(offset)
            .ok()
            .zip(bytes)
            .ok_or_else(|| self.lie(outside()))?;
        if first.checked_add(bytes).is_none_or(|end| end > length) {
            return Err(self.lie(outside()));
        }
        Ok(Span {
            shard,
            offset: first,
            size: bytes,
            checksum,
            values,
        })
    }

    fn parts(
        &mut self,
        entry: &Entry,
        dtype: DType,
        shape: &[usize],
        used: &mut BTreeSet<Vec<u8>>,
    ) -> Result<Vec<(Region, Span)>, BundleError> {
        let count = entry.slices.len();
        if count > MOST_PARTS {
            return Err(self.lie(Lie::Parts { parts: count }));
        }
        let mut parts: Vec<(Region, Span)> = Vec::with_capacity(count);
        for (part, extents) in entry.slices.iter().enumerate() {
            let region = Region::of(extents, shape).ok_or_else(|| self.lie(Lie::Part { part }))?;
            let key = slices::key(self.name, extents);
            let value = self.table.get(&key).ok_or_else(|| self.lie(Lie::PartEntry { part }))?;
            let stored = self.parse(value)?;
            if self.shape(&stored)? != (dtype, region.shape().to_vec()) || !stored.slices.is_empty() {
                return Err(self.lie(Lie::PartEntry { part }));
            }
            let span = self.span(&stored, dtype, region.shape())?;
            used.insert(key);
            parts.push((region, span));
        }
        // No value twice and as many values as there are: each value once.
        let total = parts
            .iter()
            .try_fold(0_u64, |total, (_, span)| total.checked_add(span.values));
        let twice =
            |(i, (region, _)): (usize, &(Region, Span))| parts[..i].iter().any(|(other, _)| region.overlaps(other));
        if total != Some(self.values(shape, dtype)?) || parts.iter().enumerate().any(twice) {
            return Err(self.lie(Lie::Cover));
        }
        Ok(parts)
    }
}

/// No byte belongs to two variables, so that all of them together are no larger than the files.
fn apart(variables: &BTreeMap<String, Variable>, path: &Path) -> Result<(), BundleError> {
    let named = variables
        .iter()
        .flat_map(|(name, variable)| variable.spans().into_iter().map(move |span| (span, name)));
    let mut spans: Vec<(Span, &String)> = named.filter(|(span, _)| span.size > 0).collect();
    spans.sort_unstable();
    let clash = spans.windows(2).find(|pair| {
        let (ahead, span) = (pair[0].0, pair[1].0);
        ahead.shard == span.shard && span.offset < ahead.offset + ahead.size
    });
    match clash {
        Some(pair) => Err(BundleError::Overlap {
            first: pair[0].1.clone(),
            second: pair[1].1.clone(),
            path: path.to_owned(),
        }),
        None => Ok(()),
    }
}
