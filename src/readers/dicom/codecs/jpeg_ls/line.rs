//! Lines of a JPEG-LS scan: contexts, prediction and run mode, annex A of T.87.

use super::{PIXELS_END, Parameters, damaged};
use crate::readers::dicom::codecs::{CodecError, bits::Bits};

/// J of A.2.1: the logarithms of the run lengths.
const RUNS: [u8; 32] = [
    0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7, 8, 9, 10, 11, 12, 13, 14, 15,
];

/// Contexts of regular mode (A.3.4); two more are those of interrupted runs.
const REGULAR: usize = 365;

/// What is known of the errors in one context: A, B, C and N of A.2.1.
#[derive(Clone, Copy)]
struct Context {
    /// A: sum of the magnitudes.
    magnitude: u32,
    /// B: sum of the errors; of an interrupted run Nn, the number of negative ones.
    bias: i32,
    /// C: what corrects the prediction.
    correction: i32,
    /// N: how many were seen.
    seen: i32,
}

/// Decodes line after line.
pub(super) struct Lines<'a> {
    parameters: &'a Parameters,
    contexts: Box<[Context; REGULAR + 2]>,
    /// RUNindex.
    run: usize,
    /// The last line with a sample on either side, `[columns + 2]`.
    above: Vec<i32>,
    /// The line that is being decoded, the same.
    line: Vec<i32>,
}

impl<'a> Lines<'a> {
    pub(super) fn new(parameters: &'a Parameters, columns: usize) -> Self {
        // A.2.1.
        let context = Context {
            magnitude: 2.max((parameters.range as u32 + 32) / 64),
            bias: 0,
            correction: 0,
            seen: 1,
        };
        Self {
            parameters,
            contexts: Box::new([context; REGULAR + 2]),
            run: 0,
            above: vec![0; columns + 2],
            line: vec![0; columns + 2],
        }
    }

    /// Decodes a line and adds it to `values`.
    pub(super) fn next(&mut self, bits: &mut Bits<'_>, values: &mut Vec<u16>) -> Result<(), CodecError> {
        let done = if self.parameters.near == 0 {
            self.decode::<true>(bits)
        } else {
            self.decode::<false>(bits)
        };
        // Behind the end are zeros, which may look like damage.
        if bits.overrun() {
            return Err(PIXELS_END);
        }
        done?;
        let columns = self.line.len() - 2;
        values.extend(self.line[1..=columns].iter().map(|value| *value as u16));
        std::mem::swap(&mut self.line, &mut self.above);
        Ok(())
    }

    /// The letters of figure A.3: a is to the left, b above, c above to the left, d above to the right.
    fn decode<const LOSSLESS: bool>(&mut self, bits: &mut Bits<'_>) -> Result<(), CodecError> {
        let columns = self.line.len() - 2;
        // A.2.1: outside the image stands what is next to it; left of a line the first sample of the line above.
        self.above[columns + 1] = self.above[columns];
        self.line[0] = self.above[1];
        let near = if LOSSLESS { 0 } else { self.parameters.near };
        let mut at = 1;
        let (mut c, mut b) = (self.above[0], self.above[1]);
        let mut class_bc = self.class(b - c, near);
        while at <= columns {
            let (a, d) = (self.line[at - 1], self.above[at + 1]);
            let class_db = self.class(d - b, near);
            let context = 81 * class_db + 9 * class_bc + self.class(c - a, near);
            if context != 0 {
                self.line[at] = self.regular::<LOSSLESS>(bits, context, (a, b, c))?;
                (c, b, class_bc) = (b, d, class_db);
                at += 1;
                continue;
            }
            let length = self.run_length(bits, columns + 1 - at)?;
            self.line[at..at + length].fill(a);
            at += length;
            if at <= columns {
                self.line[at] = self.interruption::<LOSSLESS>(bits, a, self.above[at])?;
                self.run = self.run.saturating_sub(1);
                at += 1;
            }
            if at <= columns {
                (c, b) = (self.above[at - 1], self.above[at]);
                class_bc = self.class(b - c, near);
            }
        }
        Ok(())
    }

    /// The class of a gradient, -4 to 4 (A.3.3). A sum of comparisons: gradients cannot be predicted, and neither can
    /// branches on them.
    #[inline(always)]
    fn class(&self, gradient: i32, near: i32) -> i32 {
        let [t1, t2, t3] = self.parameters.thresholds;
        let size = gradient.abs();
        let class = i32::from(size > near) + i32::from(size >= t1) + i32::from(size >= t2) + i32::from(size >= t3);
        if gradient < 0 { -class } else { class }
    }

    /// A sample of regular mode (A.4 to A.6); `context` is signed.
    #[inline(always)]
    fn regular<const LOSSLESS: bool>(
        &mut self,
        bits: &mut Bits<'_>,
        context: i32,
        (a, b, c): (i32, i32, i32),
    ) -> Result<i32, CodecError> {
        let parameters = self.parameters;
        // All ones where the context is negative, so that (x ^ sign) - sign is x or -x.
        let sign = context >> 31;
        // At most 81 * 4 + 9 * 4 + 4.
        let context = &mut self.contexts[((context ^ sign) - sign) as usize];
        // The median of a, b and a + b - c (A.4.1).
        let median = (a + b - c).clamp(a.min(b), a.max(b));
        let prediction = (median + ((context.correction ^ sign) - sign)).clamp(0, parameters.max);
        let k = golomb(context.magnitude, context.seen);
        let mapped = code(bits, k, parameters.limit, parameters.error_bits)?;
        // A.5.2 reversed: errors are folded, the other way round where the context leans to negative ones.
        let folded = (mapped >> 1) as i32 ^ -((mapped & 1) as i32);
        let error = if LOSSLESS && k == 0 && 2 * context.bias <= -context.seen {
            !folded
        } else {
            folded
        };
        context.update(
            error,
            if LOSSLESS { 1 } else { 2 * parameters.near + 1 },
            parameters.reset,
        );
        Ok(reconstruct::<LOSSLESS>(parameters, prediction, (error ^ sign) - sign))
    }

    /// How many samples repeat the last one (A.7.1); at most `left`.
    fn run_length(&mut self, bits: &mut Bits<'_>, left: usize) -> Result<usize, CodecError> {
        let mut length = 0;
        loop {
            bits.need(32);
            let log = u32::from(RUNS[self.run]);
            if bits.take(1) == 0 {
                length += if log == 0 { 0 } else { bits.take(log) as usize };
                return if length < left {
                    Ok(length)
                } else {
                    Err(damaged("a run beyond the end of its line"))
                };
            }
            length += 1 << log;
            if length <= left {
                self.run = (self.run + 1).min(RUNS.len() - 1);
            }
            if length >= left {
                return Ok(left);
            }
        }
    }

    /// The sample behind a run (A.7.2).
    fn interruption<const LOSSLESS: bool>(&mut self, bits: &mut Bits<'_>, a: i32, b: i32) -> Result<i32, CodecError> {
        let parameters = self.parameters;
        let near = if LOSSLESS { 0 } else { parameters.near };
        let alike = (a - b).abs() <= near;
        let context = &mut self.contexts[REGULAR + usize::from(alike)];
        let seen = context.seen;
        let magnitude = context.magnitude + if alike { seen as u32 >> 1 } else { 0 };
        let k = golomb(magnitude, seen);
        let limit = parameters.limit - u32::from(RUNS[self.run]) - 1;
        let mapped = code(bits, k, limit, parameters.error_bits)?;
        let folded = mapped + u32::from(alike);
        let size = folded.div_ceil(2) as i32;
        // A.7.2.2 reversed.
        let negative = (k != 0 || 2 * context.bias >= seen) == (folded & 1 == 1);
        let error = if negative { -size } else { size };
        if error < 0 {
            context.bias += 1;
        }
        context.magnitude += (mapped + 1 - u32::from(alike)) >> 1;
        context.halve(parameters.reset);
        context.seen += 1;
        let error = if !alike && a > b { -error } else { error };
        Ok(reconstruct::<LOSSLESS>(parameters, if alike { a } else { b }, error))
    }
}

impl Context {
    /// A.6: `step` is 2 NEAR + 1.
    #[inline(always)]
    fn update(&mut self, error: i32, step: i32, reset: i32) {
        self.bias += error * step;
        self.magnitude += error.unsigned_abs();
        self.halve(reset);
        self.seen += 1;
        // Code segment A.13.
        if self.bias <= -self.seen {
            self.bias = (self.bias + self.seen).max(1 - self.seen);
            self.correction = (self.correction - 1).max(-128);
        } else if self.bias > 0 {
            self.bias = (self.bias - self.seen).min(0);
            self.correction = (self.correction + 1).min(127);
        }
    }

    #[inline(always)]
    fn halve(&mut self, reset: i32) {
        if self.seen == reset {
            self.magnitude >>= 1;
            self.bias >>= 1;
            self.seen >>= 1;
        }
    }
}

/// The Golomb parameter: the least k with `seen << k >= magnitude` (A.5.1), by the lengths of both.
#[inline(always)]
fn golomb(magnitude: u32, seen: i32) -> u32 {
    let k = seen.leading_zeros().saturating_sub(magnitude.leading_zeros());
    k + u32::from(u64::from(seen.cast_unsigned()) << k < u64::from(magnitude))
}

/// A code of at most `limit` bits (A.5.3), for errors of `error_bits`.
#[inline(always)]
fn code(bits: &mut Bits<'_>, k: u32, limit: u32, error_bits: u32) -> Result<u32, CodecError> {
    bits.need(Bits::REFILLED);
    let longest = limit - error_bits - 1;
    let zeros = bits.zeros();
    if zeros < longest {
        bits.skip(zeros + 1);
        bits.need(32);
        let value = zeros << k | if k == 0 { 0 } else { bits.take(k) };
        // Twice the largest range: what is more would overflow the sums.
        return if value < 1 << 17 {
            Ok(value)
        } else {
            Err(damaged("an error out of range"))
        };
    }
    // No unary part is longer.
    bits.skip(longest + 1);
    bits.need(32);
    let value = bits.take(error_bits) + 1;
    if zeros == longest {
        Ok(value)
    } else {
        Err(damaged("a code longer than any"))
    }
}

/// The sample from its prediction and error, modulo the range (A.4.4, A.4.5).
#[inline(always)]
fn reconstruct<const LOSSLESS: bool>(parameters: &Parameters, prediction: i32, error: i32) -> i32 {
    let near = if LOSSLESS { 0 } else { parameters.near };
    let step = 2 * near + 1;
    let value = prediction + error * step;
    let round = parameters.range * step;
    let value = if value < -near {
        value + round
    } else if value > parameters.max + near {
        value - round
    } else {
        value
    };
    value.clamp(0, parameters.max)
}
