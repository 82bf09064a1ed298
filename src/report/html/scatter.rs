//! Points on a plane in SVG, told by colour and shape, with a legend that counts them.

use std::collections::BTreeMap;

use ndarray::ArrayView2;
use rand::seq::SliceRandom as _;

use super::{
    escape,
    plot::{Axis, Frame},
    roc::banner_mark,
};
use crate::{seed::stream, words::count};

/// Outlines of about one area around their middle, in as many forms as there are colours in style.css.
const SHAPES: [&str; 8] = [
    "m-3 0a3 3 0 1 0 6 0a3 3 0 1 0-6 0z",
    "m-2.7-2.7h5.4v5.4h-5.4z",
    "m0-3.7l3.5 6h-7z",
    "m0-3.9l3.5 3.9l-3.5 3.9l-3.5-3.9z",
    "m-1.2-3.6h2.4v2.4h2.4v2.4h-2.4v2.4h-2.4v-2.4h-2.4v-2.4h2.4z",
    "m0 3.7l3.5-6h-7z",
    "m-3.4-1.7l1.7-1.7l1.7 1.7l1.7-1.7l1.7 1.7l-1.7 1.7l1.7 1.7l-1.7 1.7l-1.7-1.7l-1.7 1.7l-1.7-1.7l1.7-1.7z",
    "m-3.4-1.3h6.8v2.6h-6.8z",
];

/// More groups than this could not be told apart: the smallest are shown as one.
const MOST_GROUPS: usize = 12;

/// Letters of a name in the legend, which does not wrap.
const LEGEND_LETTERS: usize = 40;
const LEGEND_LINE: f64 = 17.0;

/// Which group each point is of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Groups {
    /// What tells the groups apart, e.g. `label`.
    pub by: String,
    /// Their names, in the order of the legend.
    pub names: Vec<String>,
    /// For each point the place of its group in `names`.
    pub of: Vec<usize>,
}

impl Groups {
    /// Groups of equal cells, ordered by `rank` and then by name. From the thirteenth on the smallest are one group.
    ///
    /// ```
    /// use hounsfield::report::Groups;
    /// let groups = Groups::new("set", &["test", "train", "test"], |set| usize::from(set != "train"));
    /// assert_eq!((groups.names, groups.of), (vec!["train".to_owned(), "test".to_owned()], vec![1, 0, 1]));
    /// ```
    pub fn new(by: &str, cells: &[&str], rank: impl Fn(&str) -> usize) -> Self {
        let mut sizes = BTreeMap::<&str, usize>::new();
        cells
            .iter()
            .copied()
            .for_each(|cell| *sizes.entry(cell).or_default() += 1);
        let mut largest: Vec<&str> = sizes.keys().copied().collect();
        largest.sort_by_key(|name| std::cmp::Reverse(sizes[name]));
        let own = match largest.len() > MOST_GROUPS {
            true => MOST_GROUPS - 1,
            false => largest.len(),
        };
        let mut shown = largest[..own].to_vec();
        shown.sort_by_key(|name| (rank(name), *name));
        let place = |cell: &&str| shown.iter().position(|name| name == cell).unwrap_or(own);
        let of = cells.iter().map(place).collect();
        let mut names: Vec<String> = shown.into_iter().map(str::to_owned).collect();
        if own < largest.len() {
            names.push(format!("{} others", largest.len() - own));
        }
        Self {
            by: by.to_owned(),
            names,
            of,
        }
    }
}

/// Points to draw.
#[derive(Debug, Clone, Copy)]
pub struct Scatter<'a> {
    /// What is drawn, for those who don't see it.
    pub title: &'a str,
    /// `[N, 2]` places around 0.
    pub places: ArrayView2<'a, f64>,
    /// What the axes across and up are.
    pub axes: &'a [String; 2],
    /// The group of each point.
    pub groups: &'a Groups,
    /// A banner that stands across the plot, so that one that was cut out still carries it.
    pub banner: Option<&'a str>,
}

impl Scatter<'_> {
    /// The figure as an `svg` element for a page of this house, which brings the colours.
    ///
    /// Both axes have one scale. The order in which points are drawn is shuffled, so that no group lies on top.
    pub fn svg(&self) -> String {
        let farthest = self.places.iter().fold(0.0, |most: f64, place| most.max(place.abs()));
        let end = round_up(farthest);
        let axis = |label: &String| Axis {
            from: -end,
            to: end,
            label: escape(label),
        };
        let frame = Frame {
            across: axis(&self.axes[0]),
            up: axis(&self.axes[1]),
        };
        let mut order: Vec<usize> = (0..self.places.nrows()).collect();
        order.shuffle(&mut stream(0, "order of drawing"));
        let point = |row: usize| {
            let (x, y) = (frame.x(self.places[[row, 0]]), frame.y(self.places[[row, 1]]));
            shape(self.groups.of[row], "point", x, y)
        };
        let points: String = order.into_iter().map(point).collect();
        let mark = self.banner.map_or(String::new(), banner_mark);
        let (width, height) = Frame::size();
        let legend: String = (0..self.groups.names.len())
            .map(|group| self.entry(group, height + LEGEND_LINE * (group as f64 + 0.5)))
            .collect();
        format!(
            "<svg class=\"scatter\" viewBox=\"0 0 {width} {:.0}\" role=\"img\" aria-label=\"{}\">\n\
             {}{points}{mark}{legend}</svg>\n",
            height + LEGEND_LINE * (self.groups.names.len() as f64 + 0.5),
            escape(self.title),
            frame.axes()
        )
    }

    fn entry(&self, group: usize, y: f64) -> String {
        let size = self.groups.of.iter().filter(|of| **of == group).count();
        let name = &self.groups.names[group];
        let short = match name.char_indices().nth(LEGEND_LETTERS) {
            Some((end, _)) => format!("{}…", &name[..end]),
            None => name.clone(),
        };
        format!(
            "<g class=\"entry h{}\">{}<text class=\"name\" x=\"62\" y=\"{:.1}\">{} ({})</text></g>\n",
            group % SHAPES.len(),
            shape(group, "key", 52.0, y),
            y + 4.0,
            escape(&short),
            count(size)
        )
    }
}

/// The ninth group has the first one's colour and the second one's shape, and so on.
fn shape(group: usize, class: &str, x: f64, y: f64) -> String {
    let colours = SHAPES.len();
    let outline = SHAPES[(group + group / colours) % colours];
    format!(
        "<path class=\"{class} h{}\" d=\"M{x:.1} {y:.1}{outline}\"/>\n",
        group % colours
    )
}

/// The end of an axis that holds the value and whose half is short to write.
fn round_up(value: f64) -> f64 {
    if value <= 0.0 {
        return 1.0;
    }
    let power = 10.0_f64.powf(value.log10().floor());
    let ends = [1.0, 1.2, 1.6, 2.0, 2.4, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 10.0];
    let fits = ends.into_iter().find(|end| end * power >= value);
    fits.unwrap_or(10.0) * power
}

#[cfg(test)]
mod tests {
    use ndarray::Array2;

    use super::*;

    #[test]
    fn every_point_is_drawn_and_the_legend_counts_them() {
        let cells: Vec<String> = (0..60).map(|row| format!("<site {}>", row % 20)).collect();
        let cells: Vec<&str> = cells.iter().map(String::as_str).collect();
        let groups = Groups::new("site", &cells, |_| 0);
        assert_eq!(groups.names.len(), MOST_GROUPS);
        assert_eq!(groups.names[MOST_GROUPS - 1], "9 others");
        let places = Array2::from_shape_fn((60, 2), |(row, axis)| row as f64 * 0.1 - axis as f64);
        let axes = ["across", "up & <down>"].map(str::to_owned);
        let scatter = Scatter {
            title: "sites \"<x>\"",
            places: places.view(),
            axes: &axes,
            groups: &groups,
            banner: Some("UNTRAINED ENCODER: its weights"),
        };
        let svg = scatter.svg();
        assert_eq!(svg.matches("class=\"point").count(), 60);
        assert_eq!(svg.matches("class=\"entry").count(), MOST_GROUPS);
        assert!(svg.contains("(27)") && svg.contains("UNTRAINED ENCODER<"), "{svg}");
        assert!(!svg.contains("<site") && !svg.contains("<down>") && !svg.contains("NaN"));
    }

    #[test]
    fn the_axis_ends_at_a_short_number() {
        for (value, end) in [(0.0, 1.0), (0.99, 1.0), (7.3, 8.0), (0.021, 0.024), (1000.0, 1000.0)] {
            assert!((round_up(value) - end).abs() < 1e-12, "{value}: {}", round_up(value));
        }
    }
}
