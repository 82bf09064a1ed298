//! The little of protobuf's wire format that a writer needs (<https://protobuf.dev/programming-guides/encoding>).

/// A message as it is put together, field after field in the order of their numbers.
#[derive(Debug, Default)]
pub(super) struct Message(Vec<u8>);

/// How the value of a field is laid out, the lower three bits of its tag.
#[derive(Clone, Copy)]
enum Wire {
    Varint = 0,
    Fixed64 = 1,
    Delimited = 2,
    Fixed32 = 5,
}

impl Message {
    /// An integer, a boolean or an enum's value. Zero is what a reader takes a missing field for, and is left out.
    pub(super) fn integer(mut self, field: u32, value: u64) -> Self {
        if value != 0 {
            self.tag(field, Wire::Varint);
            self.varint(value);
        }
        self
    }

    pub(super) fn float(mut self, field: u32, value: f32) -> Self {
        self.tag(field, Wire::Fixed32);
        self.0.extend(value.to_le_bytes());
        self
    }

    pub(super) fn double(mut self, field: u32, value: f64) -> Self {
        self.tag(field, Wire::Fixed64);
        self.0.extend(value.to_le_bytes());
        self
    }

    /// A string or bytes.
    pub(super) fn bytes(mut self, field: u32, value: &[u8]) -> Self {
        self.tag(field, Wire::Delimited);
        self.varint(value.len() as u64);
        self.0.extend(value);
        self
    }

    pub(super) fn message(self, field: u32, value: &Self) -> Self {
        self.bytes(field, &value.0)
    }

    pub(super) fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    fn tag(&mut self, field: u32, wire: Wire) {
        self.varint(u64::from(field << 3 | wire as u32));
    }

    /// Seven bits a byte, the lowest first; the eighth bit says that more follow.
    fn varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.0.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.0.push(value as u8);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The examples of the encoding guide: `Test1 {a: 150}` and `Test3 {c: {a: 150}}`, `Test2 {b: "testing"}`.
    #[test]
    fn messages_are_those_of_the_encoding_guide() {
        let first = Message::default().integer(1, 150);
        assert_eq!(first.as_bytes(), [0x08, 0x96, 0x01]);
        let third = Message::default().message(3, &first);
        assert_eq!(third.as_bytes(), [0x1a, 0x03, 0x08, 0x96, 0x01]);
        let second = Message::default().bytes(2, b"testing");
        assert_eq!(second.as_bytes(), b"\x12\x07testing");
    }
}
