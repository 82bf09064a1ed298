//! How often which values occur, in so many bins that quantiles and shares can be told from them.

use crate::ct::{HuWindow, Pixels};

/// What values are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Scale {
    /// Hounsfield units.
    Hu,
    /// 8-bit pictures, windowed by whoever made them.
    Grey8,
    /// 16-bit pictures of unknown unit.
    Grey16,
}

impl Scale {
    /// The scale of a slice.
    pub fn of(pixels: &Pixels) -> Self {
        match pixels {
            Pixels::Hu(_) => Self::Hu,
            Pixels::Grey8(_) => Self::Grey8,
            Pixels::Grey16(_) => Self::Grey16,
        }
    }

    /// All scales.
    pub const ALL: [Self; 3] = [Self::Hu, Self::Grey8, Self::Grey16];

    /// In words.
    pub fn words(self) -> &'static str {
        match self {
            Self::Hu => "HU",
            Self::Grey8 => "8-bit grey",
            Self::Grey16 => "16-bit grey",
        }
    }

    /// The values of the first and the last bin, each one wide. Beyond [-2048, 4095], the range of 12 stored bits with a margin,
    /// HU are counted as its ends.
    fn ends(self) -> [i32; 2] {
        match self {
            Self::Hu => [-2048, 4095],
            Self::Grey8 => [0, 255],
            Self::Grey16 => [0, 65535],
        }
    }
}

/// How often which values occur.
#[derive(Debug, Clone, PartialEq)]
pub struct ValueCounts {
    scale: Scale,
    /// One bin a value.
    bins: Vec<u64>,
    total: u64,
}

impl ValueCounts {
    /// Nothing counted yet.
    pub fn new(scale: Scale) -> Self {
        let [first, last] = scale.ends();
        Self {
            scale,
            bins: vec![0; last.abs_diff(first) as usize + 1],
            total: 0,
        }
    }

    /// Counts the pixels of a slice, rounded to whole values; nothing where it is of another scale.
    pub fn add(&mut self, pixels: &Pixels) {
        match (self.scale, pixels) {
            (Scale::Hu, Pixels::Hu(hu)) => hu
                .iter()
                .filter(|value| value.is_finite())
                .for_each(|value| self.count(value.round() as i32)),
            (Scale::Grey8, Pixels::Grey8(grey)) => grey.iter().for_each(|value| self.count((*value).into())),
            (Scale::Grey16, Pixels::Grey16(grey)) => grey.iter().for_each(|value| self.count((*value).into())),
            _ => {}
        }
    }

    /// Adds what was counted elsewhere; nothing where it is of another scale.
    pub fn merge(&mut self, other: &Self) {
        if self.scale == other.scale {
            self.bins
                .iter_mut()
                .zip(&other.bins)
                .for_each(|(sum, count)| *sum += count);
            self.total += other.total;
        }
    }

    fn count(&mut self, value: i32) {
        let [first, last] = self.scale.ends();
        self.bins[value.clamp(first, last).abs_diff(first) as usize] += 1;
        self.total += 1;
    }

    /// How many pixels were counted.
    pub fn total(&self) -> u64 {
        self.total
    }

    /// Each value that occurs and how often.
    fn values(&self) -> impl Iterator<Item = (i32, u64)> {
        let [first, _] = self.scale.ends();
        let values = (first..).zip(self.bins.iter().copied());
        values.filter(|(_, count)| *count > 0)
    }

    /// The smallest value that at least this share of the pixels does not exceed; `None` where nothing was counted.
    ///
    /// ```
    /// use hounsfield::{ct::Pixels, preview::{Scale, ValueCounts}};
    /// let mut counts = ValueCounts::new(Scale::Grey8);
    /// counts.add(&Pixels::Grey8(ndarray::array![[1, 2], [3, 9]]));
    /// assert_eq!((counts.quantile(0.0), counts.quantile(0.5), counts.quantile(1.0)), (Some(1), Some(2), Some(9)));
    /// ```
    pub fn quantile(&self, share: f64) -> Option<i32> {
        let wanted = ((share * self.total as f64).ceil() as u64).max(1);
        let mut below = 0;
        self.values().find_map(|(value, count)| {
            below += count;
            (below >= wanted).then_some(value)
        })
    }

    /// Where most values of a range lie: the middle of the stretch of 11 values that holds most of them; `None` where the range
    /// holds none.
    pub fn peak(&self, from: i32, to: i32) -> Option<i32> {
        const REACH: i32 = 5;
        let [first, last] = self.scale.ends();
        let at = |value: i32| match (first..=last).contains(&value) {
            true => self.bins[value.abs_diff(first) as usize],
            false => 0,
        };
        let around = |middle: i32| (middle - REACH..=middle + REACH).map(at).sum::<u64>();
        let peak = (from..=to).rev().max_by_key(|middle| around(*middle))?;
        (around(peak) > 0).then_some(peak)
    }

    /// The shares of pixels below, in and above a window; 0 where nothing was counted.
    pub fn shares(&self, window: HuWindow) -> [f64; 3] {
        let half = f64::from(window.width) / 2.0;
        let (low, high) = (f64::from(window.center) - half, f64::from(window.center) + half);
        let mut counts = [0u64; 3];
        for (value, count) in self.values() {
            let value = f64::from(value);
            counts[usize::from(value >= low) + usize::from(value > high)] += count;
        }
        counts.map(|count| count as f64 / self.total.max(1) as f64)
    }

    /// The shares of all pixels in `bins` equal bins from one value to another; what lies beyond is in none.
    pub fn binned(&self, [from, to]: [f64; 2], bins: usize) -> Vec<f64> {
        let mut shares = vec![0.0; bins];
        for (value, count) in self.values() {
            let place = (f64::from(value) - from) / (to - from) * bins as f64;
            if place >= 0.0
                && let Some(share) = shares.get_mut(place as usize)
            {
                *share += count as f64 / self.total as f64;
            }
        }
        shares
    }
}

#[cfg(test)]
mod tests {
    use ndarray::array;

    use super::*;

    #[test]
    fn shares_quantiles_and_peaks_are_those_of_the_values() {
        let mut counts = ValueCounts::new(Scale::Hu);
        counts.add(&Pixels::Hu(array![
            [-1000.0, -1000.2, -1350.0, 150.0],
            [150.6, 40.0, 42.4, f32::NAN]
        ]));
        assert_eq!(counts.total(), 7);
        assert_eq!(
            counts.shares(HuWindow::LUNG).map(|share| (share * 7.0).round()),
            [0.0, 6.0, 1.0]
        );
        assert_eq!(counts.quantile(0.5), Some(40));
        assert_eq!((counts.peak(0, 100), counts.peak(300, 400)), (Some(37), None));
        let binned = counts.binned([-1400.0, 200.0], 2);
        assert_eq!([binned[0], binned[1]].map(|share| (share * 7.0).round()), [3.0, 4.0]);
    }

    #[test]
    fn values_beyond_the_bins_are_counted_as_their_ends_and_nothing_counts_as_nothing() {
        let mut counts = ValueCounts::new(Scale::Hu);
        assert_eq!((counts.quantile(0.5), counts.shares(HuWindow::WIDE)), (None, [0.0; 3]));
        counts.add(&Pixels::Hu(array![[-1e30, 1e30]]));
        assert_eq!((counts.quantile(0.0), counts.quantile(1.0)), (Some(-2048), Some(4095)));
        counts.add(&Pixels::Grey8(array![[7]]));
        assert_eq!(counts.total(), 2, "another scale");
    }
}
