//! The frame of a square plot in SVG: axes, ticks, and lines that are told by colour and dashes.

/// Side of the square in SVG units, and where it stands.
const SIDE: f64 = 260.0;
const LEFT: f64 = 46.0;
const TOP: f64 = 10.0;

/// Dash patterns beside colours, so that no line is told by colour alone. As many as `--head-N` colours in style.css.
pub(super) const DASHES: [&str; 8] = ["none", "8 3", "2 2.5", "9 3 2 3", "14 3 2 3 2 3", "4 4", "14 5", "1 4"];

/// One axis: its range, and what it says.
pub(super) struct Axis {
    pub from: f64,
    pub to: f64,
    pub label: String,
}

impl Axis {
    /// From 0 to 1.
    pub fn unit(label: impl Into<String>) -> Self {
        Self {
            from: 0.0,
            to: 1.0,
            label: label.into(),
        }
    }

    /// Quarters of the range.
    fn ticks(&self) -> [f64; 5] {
        [0.0, 0.25, 0.5, 0.75, 1.0].map(|part| self.from + part * (self.to - self.from))
    }

    /// Where a value stands, as a part of the side; values beyond the axis stand at its end.
    fn place(&self, value: f64) -> f64 {
        ((value - self.from) / (self.to - self.from)).clamp(0.0, 1.0)
    }
}

/// A plot's two axes.
pub(super) struct Frame {
    pub across: Axis,
    pub up: Axis,
}

impl Frame {
    /// Width and height of the figure.
    pub fn size() -> (f64, f64) {
        (LEFT + SIDE + 12.0, TOP + SIDE + 42.0)
    }

    /// The `viewBox` of the figure.
    pub fn view_box() -> String {
        let (width, height) = Self::size();
        format!("0 0 {width} {height}")
    }

    /// The middle of the square.
    pub fn middle() -> (f64, f64) {
        (LEFT + SIDE / 2.0, TOP + SIDE / 2.0)
    }

    pub fn x(&self, value: f64) -> f64 {
        LEFT + SIDE * self.across.place(value)
    }

    pub fn y(&self, value: f64) -> f64 {
        TOP + SIDE * (1.0 - self.up.place(value))
    }

    /// Grid, ticks and labels.
    pub fn axes(&self) -> String {
        let (left, right, top, bottom) = (LEFT, LEFT + SIDE, TOP, TOP + SIDE);
        let mut axes = String::new();
        for (across, up) in self.across.ticks().into_iter().zip(self.up.ticks()) {
            let (x, y) = (self.x(across), self.y(up));
            axes += &format!(
                "<path class=\"grid\" d=\"M{x:.1} {bottom:.1}V{top:.1}M{left:.1} {y:.1}H{right:.1}\"/>\n\
                 <text class=\"tick\" x=\"{x:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{}</text>\n\
                 <text class=\"tick\" x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>\n",
                bottom + 15.0,
                short(across),
                left - 6.0,
                y + 4.0,
                short(up)
            );
        }
        let (middle_x, middle_y) = Self::middle();
        let (across, up) = (&self.across.label, &self.up.label);
        axes + &format!(
            "<text class=\"axis\" x=\"{middle_x:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{across}</text>\n\
             <text class=\"axis\" x=\"12\" y=\"{middle_y:.1}\" text-anchor=\"middle\" \
             transform=\"rotate(-90 12 {middle_y:.1})\">{up}</text>\n",
            TOP + SIDE + 34.0
        )
    }

    /// Words across the plot. `words` is markup.
    pub fn mark(words: &str) -> String {
        let (x, y) = Self::middle();
        format!("<text class=\"mark\" x=\"{x}\" y=\"{y}\" transform=\"rotate(-45 {x} {y})\">{words}</text>\n")
    }

    /// A thin line that others are read against.
    pub fn guide(&self, from: (f64, f64), to: (f64, f64)) -> String {
        format!(
            "<path class=\"chance\" d=\"M{:.1} {:.1}L{:.1} {:.1}\"/>\n",
            self.x(from.0),
            self.y(from.1),
            self.x(to.0),
            self.y(to.1)
        )
    }

    /// The line of the head of this number.
    pub fn line(&self, index: usize, points: impl Iterator<Item = (f64, f64)>) -> String {
        let mut points: Vec<String> = points
            .map(|(across, up)| format!("{:.1},{:.1}", self.x(across), self.y(up)))
            .collect();
        // Steps finer than a tenth of a unit fall together: sets of many slices stay small.
        points.dedup();
        format!(
            "<polyline class=\"curve h{}\" stroke-dasharray=\"{}\" points=\"{}\"/>\n",
            index % DASHES.len(),
            dashes(index),
            points.join(" ")
        )
    }

    /// An area in the colour of the head of this number.
    pub fn band(&self, index: usize, outline: impl Iterator<Item = (f64, f64)>) -> String {
        let points: Vec<String> = outline
            .map(|(across, up)| format!("{:.1},{:.1}", self.x(across), self.y(up)))
            .collect();
        format!(
            "<polygon class=\"band h{}\" points=\"{}\"/>\n",
            index % DASHES.len(),
            points.join(" ")
        )
    }

    /// The interval of a point of the head of this number.
    pub fn whisker(&self, index: usize, across: f64, [lower, upper]: [f64; 2]) -> String {
        format!(
            "<path class=\"whisker h{}\" d=\"M{:.1} {:.1}V{:.1}\"/>\n",
            index % DASHES.len(),
            self.x(across),
            self.y(lower),
            self.y(upper)
        )
    }

    /// A thin line of several points that others are read against.
    pub fn reference(&self, points: impl Iterator<Item = (f64, f64)>) -> String {
        let points: Vec<String> = points
            .map(|(across, up)| format!("{:.1},{:.1}", self.x(across), self.y(up)))
            .collect();
        format!("<polyline class=\"chance\" points=\"{}\"/>\n", points.join(" "))
    }

    /// A point of the head of this number.
    pub fn dot(&self, index: usize, across: f64, up: f64, radius: f64) -> String {
        format!(
            "<circle class=\"dot h{}\" cx=\"{:.1}\" cy=\"{:.1}\" r=\"{radius:.1}\"/>\n",
            index % DASHES.len(),
            self.x(across),
            self.y(up)
        )
    }
}

/// The sample line of a legend.
pub(super) fn sample(index: usize) -> String {
    format!(
        "<svg class=\"sample\" viewBox=\"0 0 34 10\" aria-hidden=\"true\"><path class=\"curve h{}\" \
         stroke-dasharray=\"{}\" d=\"M1 5H33\"/></svg>",
        index % DASHES.len(),
        dashes(index)
    )
}

/// The ninth head has the first one's colour and the second one's dashes, and so on.
pub(super) fn dashes(index: usize) -> &'static str {
    DASHES[(index + index / DASHES.len()) % DASHES.len()]
}

/// A tick without zeros that say nothing.
fn short(value: f64) -> String {
    let text = format!("{value:.3}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}
