//! Bits, most significant first, from bytes without stuffing.

/// A reader that never fails: beyond the end are zeros, and [`Bits::overrun`] tells. Callers ask once a row, so that
/// the inner loops have no branch for it.
pub(super) struct Bits<'a> {
    bytes: &'a [u8],
    /// The next byte; behind the end of `bytes` it goes on counting.
    at: usize,
    /// Bits not yet taken, from the top. Below the lowest `have` there may be more of the right ones.
    buffer: u64,
    have: u32,
}

impl<'a> Bits<'a> {
    /// Bits that are there after [`Bits::refill`].
    pub(super) const REFILLED: u32 = 56;

    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self {
            bytes,
            at: 0,
            buffer: 0,
            have: 0,
        }
    }

    /// Makes at least [`Bits::REFILLED`] bits ready.
    #[inline(always)]
    pub(super) fn refill(&mut self) {
        let next = match self.bytes.get(self.at..).and_then(<[u8]>::first_chunk::<8>) {
            Some(next) => u64::from_be_bytes(*next),
            None => self.last_bytes(),
        };
        self.buffer |= next >> self.have;
        self.at += ((63 - self.have) >> 3) as usize;
        self.have |= 56;
    }

    /// Fewer than eight bytes are left.
    #[cold]
    fn last_bytes(&self) -> u64 {
        let mut next = [0; 8];
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        next[..rest.len()].copy_from_slice(rest);
        u64::from_be_bytes(next)
    }

    /// Makes at least `n` bits ready, `n` up to [`Bits::REFILLED`].
    #[inline(always)]
    pub(super) fn need(&mut self, n: u32) {
        if self.have < n {
            self.refill();
        }
    }

    /// The next `n` bits, 1 to 32, which stay; they must be ready.
    #[inline(always)]
    pub(super) fn peek(&self, n: u32) -> u32 {
        (self.buffer >> (64 - n)) as u32
    }

    /// Drops `n` bits that were ready.
    #[inline(always)]
    pub(super) fn skip(&mut self, n: u32) {
        self.buffer <<= n;
        self.have -= n;
    }

    /// The next `n` bits, 1 to 32; they must be ready.
    #[inline(always)]
    pub(super) fn take(&mut self, n: u32) -> u32 {
        let value = self.peek(n);
        self.skip(n);
        value
    }

    /// How many zeros stand before the next one, which may be beyond the bits that are ready.
    #[inline(always)]
    pub(super) fn zeros(&self) -> u32 {
        self.buffer.leading_zeros()
    }

    /// Whether more bits were taken than there are.
    pub(super) fn overrun(&self) -> bool {
        self.at * 8 - self.have as usize > self.bytes.len() * 8
    }
}
