//! Plain text for terminals: tables whose columns fit their content and whose lines fit the terminal.

/// Widest line of a table.
pub const WIDTH: usize = 100;

/// Space between two columns.
const GAP: usize = 2;

/// No column is squeezed below this while a wider one can give.
const NARROWEST: usize = 8;

/// A table of text: columns are as wide as their content, and cells wrap where a line would pass 100.
///
/// ```
/// use hounsfield::report::Grid;
/// let mut grid = Grid::new(&["metric", "value"]);
/// grid.row(["auc", "0.903 (0.837 to 0.957)"]);
/// assert_eq!(grid.render(), "  metric  value\n  auc     0.903 (0.837 to 0.957)\n");
/// ```
#[derive(Debug, Clone)]
pub struct Grid {
    rows: Vec<Vec<String>>,
}

impl Grid {
    /// A table with these headings; without headings where all of them are empty.
    pub fn new(headings: &[&str]) -> Self {
        Self {
            rows: vec![headings.iter().map(|&heading| heading.to_owned()).collect()],
        }
    }

    /// One more row; missing cells are empty.
    pub fn row<S: Into<String>>(&mut self, cells: impl IntoIterator<Item = S>) -> &mut Self {
        let row: Vec<String> = cells.into_iter().map(|cell| plain(&cell.into())).collect();
        debug_assert!(row.len() <= self.rows[0].len(), "a cell without a heading: {row:?}");
        self.rows.push(row);
        self
    }

    /// Whether there are headings only.
    pub fn is_empty(&self) -> bool {
        self.rows.len() == 1
    }

    /// The lines, each indented by two and ended by a line feed.
    pub fn render(&self) -> String {
        let widths = self.widths();
        let mut text = String::new();
        for (index, row) in self.rows.iter().enumerate() {
            if index == 0 && row.iter().all(String::is_empty) {
                continue;
            }
            let cells: Vec<Vec<String>> = row
                .iter()
                .zip(&widths)
                .map(|(cell, &width)| wrap_to(cell, width))
                .collect();
            for line in 0..cells.iter().map(Vec::len).max().unwrap_or(0) {
                let mut out = String::new();
                for (cell, &width) in cells.iter().zip(&widths) {
                    let part = cell.get(line).map_or("", String::as_str);
                    out += &format!("{:GAP$}{part:<width$}", "");
                }
                text += out.trim_end();
                text.push('\n');
            }
        }
        text
    }

    /// As wide as the content; where that is too much, the widest columns give first.
    fn widths(&self) -> Vec<usize> {
        let columns = self.rows[0].len();
        let longest = |column: usize| {
            let cells = self.rows.iter().filter_map(|row| row.get(column));
            cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
        };
        let mut widths: Vec<usize> = (0..columns).map(longest).collect();
        let room = WIDTH.saturating_sub(GAP * columns);
        while widths.iter().sum::<usize>() > room {
            let Some(widest) = widths.iter_mut().max_by_key(|width| **width) else {
                break;
            };
            if *widest <= NARROWEST {
                break;
            }
            *widest -= 1;
        }
        widths
    }
}

/// Lines of at most 100 columns; a word that is longer than a line is cut.
pub fn wrap(text: &str, first: &str, next: &str) -> Vec<String> {
    let room = WIDTH - first.chars().count().max(next.chars().count());
    let indent = |(index, line): (usize, String)| format!("{}{line}", if index == 0 { first } else { next });
    wrap_to(&plain(text), room)
        .into_iter()
        .enumerate()
        .map(indent)
        .collect()
}

fn wrap_to(text: &str, room: usize) -> Vec<String> {
    let room = room.max(1);
    if text.chars().count() <= room {
        return vec![text.to_owned()];
    }
    let mut lines = vec![String::new()];
    let words = text.split_whitespace().flat_map(|word| {
        let letters: Vec<char> = word.chars().collect();
        letters
            .chunks(room)
            .map(|part| part.iter().collect::<String>())
            .collect::<Vec<_>>()
    });
    for word in words {
        // There is always a last line.
        let last = lines.last_mut().expect("starts with one");
        if !last.is_empty() && last.chars().count() + 1 + word.chars().count() > room {
            lines.push(word);
        } else {
            if !last.is_empty() {
                last.push(' ');
            }
            last.push_str(&word);
        }
    }
    lines
}

/// Without control characters: names come from the user's tables, and a terminal obeys escape sequences.
pub(super) fn plain(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::{Grid, WIDTH, wrap};

    #[test]
    fn wrapping_keeps_the_words() {
        let text = "word ".repeat(100);
        let joined = wrap(&text, "", "").join(" ");
        assert_eq!(joined, text.trim());
    }

    #[test]
    fn long_cells_wrap_in_their_column_and_no_line_passes_the_width() {
        let mut grid = Grid::new(&["claim", "printed", "note"]);
        grid.row(["S-n", "201", &"a sentence of some length ".repeat(9)]);
        grid.row(["x\u{1b}[31m", &"0123456789".repeat(12), "short"]);
        grid.row(["only one cell"]);
        let text = grid.render();
        assert!(text.lines().all(|line| line.chars().count() <= WIDTH), "{text}");
        assert!(!text.contains('\u{1b}') && text.contains("sentence"), "{text}");
        assert_eq!(text.matches("length").count(), 9, "{text}");
    }

    #[test]
    fn many_columns_are_squeezed_no_further_than_they_can() {
        let grid = Grid::new(&["a heading that is long"; 9]);
        assert!(grid.render().lines().all(|line| line.chars().count() <= WIDTH));
    }
}
