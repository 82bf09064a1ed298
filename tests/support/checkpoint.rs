//! A writer of TensorFlow's checkpoints for tests, which can also lie: every checksum is that of what it wrote.

#![allow(dead_code, reason = "each test binary takes what it needs")]

/// A key with its value.
pub type Pair = (Vec<u8>, Vec<u8>);

/// How a table is laid out.
#[derive(Debug, Clone, Copy)]
pub struct Layout {
    /// A block is closed when it has so many bytes; TensorFlow takes 262,144.
    pub block: usize,
    /// Every so many keys one stands whole; LevelDB takes 16.
    pub restart: usize,
    pub snappy: bool,
}

impl Default for Layout {
    fn default() -> Self {
        Self {
            block: 1 << 18,
            restart: 16,
            snappy: false,
        }
    }
}

/// The blocks of a table before they are sealed, for tests that change them.
#[derive(Debug, Clone)]
pub struct Blocks {
    pub data: Vec<Vec<u8>>,
    /// Last key of each.
    pub marks: Vec<Vec<u8>>,
    pub layout: Layout,
}

/// A table of the pairs as they come, sorted or not.
pub fn table(pairs: &[Pair], layout: Layout) -> Vec<u8> {
    blocks(pairs, layout).seal(|_| {}, |_| {}, |_| {})
}

pub fn blocks(pairs: &[Pair], layout: Layout) -> Blocks {
    let (mut data, mut marks) = (Vec::new(), Vec::new());
    let (mut open, mut size) = (Vec::new(), 0);
    for pair in pairs {
        size += pair.0.len() + pair.1.len() + 3;
        open.push(pair.clone());
        if size >= layout.block {
            marks.push(pair.0.clone());
            data.push(block(&std::mem::take(&mut open), layout.restart));
            size = 0;
        }
    }
    if let Some(last) = open.last() {
        marks.push(last.0.clone());
        data.push(block(&open, layout.restart));
    }
    Blocks { data, marks, layout }
}

impl Blocks {
    /// The file. The handles of the data blocks, the index block and the footer's numbers (place and size of the meta
    /// block, then of the index block) can be changed before their checksums are taken.
    pub fn seal(
        &self,
        handles: impl FnOnce(&mut Vec<(u64, u64)>),
        index: impl FnOnce(&mut Vec<u8>),
        footer: impl FnOnce(&mut [u64; 4]),
    ) -> Vec<u8> {
        let mut file = Vec::new();
        let mut places: Vec<_> = self
            .data
            .iter()
            .map(|block| append(&mut file, block, self.layout.snappy))
            .collect();
        let meta = append(&mut file, &block(&[], 1), false);
        handles(&mut places);
        let entries: Vec<Pair> = self
            .marks
            .iter()
            .zip(places)
            .map(|(mark, (offset, size))| (mark.clone(), [varint(offset), varint(size)].concat()))
            .collect();
        let mut contents = block(&entries, 1);
        index(&mut contents);
        let index = append(&mut file, &contents, self.layout.snappy);
        let mut numbers = [meta.0, meta.1, index.0, index.1];
        footer(&mut numbers);
        file.extend(self::footer(numbers));
        file
    }
}

/// The end of a table.
pub fn footer(numbers: [u64; 4]) -> Vec<u8> {
    let mut bytes: Vec<u8> = numbers.into_iter().flat_map(varint).collect();
    bytes.resize(40, 0);
    bytes.extend(0xdb47_7524_8b80_fb57_u64.to_le_bytes());
    bytes
}

fn append(file: &mut Vec<u8>, block: &[u8], snappy: bool) -> (u64, u64) {
    let packed = match snappy {
        true => snap::raw::Encoder::new().compress_vec(block).expect("less than 4 GiB"),
        false => block.to_vec(),
    };
    append_raw(file, &packed, u8::from(snappy))
}

/// A block as it is, with its trailer.
pub fn append_raw(file: &mut Vec<u8>, block: &[u8], way: u8) -> (u64, u64) {
    let place = (file.len() as u64, block.len() as u64);
    file.extend(block);
    file.push(way);
    let checksum = crc32c::crc32c_append(crc32c::crc32c(block), &[way]);
    file.extend(masked(checksum).to_le_bytes());
    place
}

/// Entries with prefixes taken from the key ahead, then the restarts.
pub fn block(pairs: &[Pair], restart: usize) -> Vec<u8> {
    let (mut bytes, mut restarts) = (Vec::new(), vec![0_u32]);
    let mut ahead: &[u8] = &[];
    for (i, (key, value)) in pairs.iter().enumerate() {
        let whole = i % restart == 0;
        if whole && i > 0 {
            restarts.push(bytes.len() as u32);
        }
        let shared = if whole {
            0
        } else {
            ahead.iter().zip(key).take_while(|(a, b)| a == b).count()
        };
        for number in [shared, key.len() - shared, value.len()] {
            bytes.extend(varint(number as u64));
        }
        bytes.extend(&key[shared..]);
        bytes.extend(value);
        ahead = key;
    }
    bytes.extend(restarts.iter().flat_map(|place| place.to_le_bytes()));
    bytes.extend((restarts.len() as u32).to_le_bytes());
    bytes
}

/// The value of the empty key.
pub fn header(shards: u64) -> Vec<u8> {
    [number(1, shards), message(3, &number(1, 1))].concat()
}

/// `BundleEntryProto`; negative numbers are given as their two's complement.
#[derive(Debug, Clone, Default)]
pub struct Entry {
    pub dtype: u64,
    pub shape: Vec<u64>,
    pub shard: u64,
    pub offset: u64,
    pub size: u64,
    pub checksum: u32,
    /// Start and length along each axis, of each part.
    pub slices: Vec<Vec<(u64, u64)>>,
}

impl Entry {
    pub fn bytes(&self) -> Vec<u8> {
        let shape: Vec<u8> = self
            .shape
            .iter()
            .flat_map(|size| message(2, &number(1, *size)))
            .collect();
        let mut bytes = [number(1, self.dtype), message(2, &shape)].concat();
        bytes.extend([number(3, self.shard), number(4, self.offset), number(5, self.size)].concat());
        bytes.extend(varint(6 << 3 | 5));
        bytes.extend(self.checksum.to_le_bytes());
        for slice in &self.slices {
            let extents = slice
                .iter()
                .flat_map(|(start, length)| message(1, &[number(1, *start), varint(2 << 3), varint(*length)].concat()));
            bytes.extend(message(7, &extents.collect::<Vec<_>>()));
        }
        bytes
    }
}

/// A field of an integer; zero is left out.
pub fn number(field: u64, value: u64) -> Vec<u8> {
    match value {
        0 => Vec::new(),
        value => [varint(field << 3), varint(value)].concat(),
    }
}

/// A field of bytes or of a message.
pub fn message(field: u64, value: &[u8]) -> Vec<u8> {
    [varint(field << 3 | 2), varint(value.len() as u64), value.to_vec()].concat()
}

pub fn varint(mut value: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    while value >= 0x80 {
        bytes.push(value as u8 | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
    bytes
}

pub fn masked(checksum: u32) -> u32 {
    checksum.rotate_right(15).wrapping_add(0xa282_ead8)
}

/// A checkpoint of one data file: index and data. The variables are 32-bit floats, in the order of their names.
pub fn floats(variables: &[(&str, &[u64], &[f32])]) -> (Vec<u8>, Vec<u8>) {
    let mut data = Vec::new();
    let mut pairs = vec![(Vec::new(), header(1))];
    for (name, shape, values) in variables {
        let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        let entry = Entry {
            dtype: 1,
            shape: shape.to_vec(),
            offset: data.len() as u64,
            size: bytes.len() as u64,
            checksum: masked(crc32c::crc32c(&bytes)),
            ..Entry::default()
        };
        pairs.push((name.as_bytes().to_vec(), entry.bytes()));
        data.extend(bytes);
    }
    (table(&pairs, Layout::default()), data)
}
