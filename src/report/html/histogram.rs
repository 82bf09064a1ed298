//! How often values occur, one line a group, in SVG: shares on a logarithmic scale, so that bone shows beside air.

use super::{
    escape,
    plot::{Axis, DASHES, Frame, dashes},
};

/// Powers of ten that the axis up spans: below lie single pixels, above is nearly all of a slice.
const POWERS: [f64; 2] = [-4.0, 0.0];

/// Letters of a name in the legend, which does not wrap.
const LEGEND_LETTERS: usize = 40;
const LEGEND_LINE: f64 = 17.0;

/// More room at the right, for numbers of four digits under the axis' end.
const MARGIN: f64 = 8.0;

/// From the top of the plot to the first mark's name, and from one to the next.
const MARK_LINE: f64 = 13.0;

/// Values of several groups to draw.
#[derive(Debug, Clone, PartialEq)]
pub struct Histogram<'a> {
    /// What is drawn, for those who don't see it.
    pub title: &'a str,
    /// What the axis across is.
    pub axis: &'a str,
    /// Where its ends are.
    pub range: [f64; 2],
    /// Names and shares: equal bins from end to end, whose shares add up to 1.
    pub groups: &'a [(String, Vec<f64>)],
    /// Names of stretches of the axis, and their ends.
    pub marks: &'a [(String, [f64; 2])],
}

impl Histogram<'_> {
    /// The figure as an `svg` element for a page of this house, which brings the colours.
    pub fn svg(&self) -> String {
        let [from, to] = self.range;
        let frame = Frame {
            across: Axis {
                from,
                to,
                label: escape(self.axis),
            },
            up: Axis {
                from: POWERS[0],
                to: POWERS[1],
                label: "share of the pixels, power of ten".to_owned(),
            },
        };
        let marks: String = self
            .marks
            .iter()
            .enumerate()
            .map(|(index, mark)| self.mark(&frame, index, mark))
            .collect();
        let lines: String = self
            .groups
            .iter()
            .enumerate()
            .map(|(index, (_, shares))| frame.line(index, self.steps(shares)))
            .collect();
        let (width, height) = Frame::size();
        let legend: String = self
            .groups
            .iter()
            .enumerate()
            .map(|(index, (name, _))| entry(index, name, height + LEGEND_LINE * (index as f64 + 0.5)))
            .collect();
        format!(
            "<svg class=\"histogram\" viewBox=\"0 0 {:.0} {:.0}\" role=\"img\" aria-label=\"{}\">\n\
             {}{marks}{lines}{legend}</svg>\n",
            width + MARGIN,
            height + LEGEND_LINE * (self.groups.len() as f64 + 0.5),
            escape(self.title),
            frame.axes()
        )
    }

    /// The outline of the bars.
    fn steps(&self, shares: &[f64]) -> impl Iterator<Item = (f64, f64)> {
        let [from, to] = self.range;
        let width = (to - from) / shares.len() as f64;
        shares.iter().enumerate().flat_map(move |(bin, share)| {
            let up = share.log10().max(POWERS[0]);
            [bin, bin + 1].map(|edge| (from + edge as f64 * width, up))
        })
    }

    fn mark(&self, frame: &Frame, index: usize, (name, ends): &(String, [f64; 2])) -> String {
        let [low, high] = ends.map(|end| end.clamp(self.range[0], self.range[1]));
        let sides: String = [low, high]
            .map(|end| frame.guide((end, POWERS[0]), (end, POWERS[1])))
            .concat();
        let y = frame.y(POWERS[1]) + MARK_LINE * (index as f64 + 1.0);
        format!(
            "{sides}<path class=\"chance\" d=\"M{:.1} {:.1}H{:.1}\"/>\n\
             <text class=\"tick\" x=\"{:.1}\" y=\"{y:.1}\" text-anchor=\"middle\">{}</text>\n",
            frame.x(low),
            y + 3.0,
            frame.x(high),
            (frame.x(low) + frame.x(high)) / 2.0,
            escape(name)
        )
    }
}

fn entry(index: usize, name: &str, y: f64) -> String {
    let short = match name.char_indices().nth(LEGEND_LETTERS) {
        Some((end, _)) => format!("{}…", &name[..end]),
        None => name.to_owned(),
    };
    format!(
        "<path class=\"curve h{}\" stroke-dasharray=\"{}\" d=\"M46 {y:.1}H80\"/>\
         <text class=\"name\" x=\"88\" y=\"{:.1}\">{}</text>\n",
        index % DASHES.len(),
        dashes(index),
        y + 4.0,
        escape(&short)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_group_has_a_line_and_nothing_leaves_the_plot() {
        let groups = [
            ("<site a>".to_owned(), vec![0.5, 0.0, 0.5, 0.0]),
            ("site b".to_owned(), vec![1.0, 0.0, 0.0, 0.0]),
        ];
        let marks = [("lung".to_owned(), [-1350.0, 150.0])];
        let histogram = Histogram {
            title: "values \"by\" site",
            axis: "HU",
            range: [-1200.0, 1200.0],
            groups: &groups,
            marks: &marks,
        };
        let svg = histogram.svg();
        assert_eq!(svg.matches("<polyline").count(), 2);
        assert_eq!(svg.matches("class=\"name\"").count(), 2);
        assert!(svg.contains("&lt;site a&gt;") && svg.contains(">lung<"), "{svg}");
        for wrong in ["NaN", "inf", "<site"] {
            assert!(!svg.contains(wrong), "{wrong} in {svg}");
        }
        let (width, height) = Frame::size();
        let points = svg.split("points=\"").skip(1).flat_map(|rest| {
            let points = rest.split('"').next().unwrap();
            points.split(' ').map(|point| point.split_once(',').unwrap())
        });
        for (x, y) in points {
            let (x, y): (f64, f64) = (x.parse().unwrap(), y.parse().unwrap());
            assert!((0.0..width).contains(&x) && (0.0..height).contains(&y), "{x} {y}");
        }
    }
}
