//! Compressed pixels: the first six bytes say which codec and what the data set says of the frame, the rest is its stream.
#![no_main]

#[allow(dead_code)]
#[path = "../../src/readers"]
mod readers {
    pub mod dicom {
        pub mod codecs;
    }
}

use readers::dicom::codecs::{CODECS, Expected};

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    hounsfield_fuzz::begin();
    let Some((&[codec, rows, columns, stored, signed, wide], stream)) = bytes.split_first_chunk::<6>() else {
        return;
    };
    let expected = Expected {
        rows: usize::from(rows) + 1,
        columns: usize::from(columns) + 1,
        bits_allocated: if wide % 2 == 1 { 16 } else { 8 },
        bits_stored: u16::from(stored) % 16 + 1,
        signed: signed % 2 == 1,
    };
    let codec = &CODECS[usize::from(codec) % CODECS.len()];
    if let Ok(values) = (codec.decode)(stream, &expected) {
        assert_eq!(values.len(), expected.rows * expected.columns);
    }
});
