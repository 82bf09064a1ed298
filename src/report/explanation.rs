//! A page of pictures, as plain data: figures and tables, section by section. What features look like, or slices, or where a
//! classifier of scans looks.

use std::{
    io::Write as _,
    path::{Path, PathBuf},
};

use super::{explanation_page, picture_file};
use crate::tables::{WriteError, atomic_write};

/// Everything that the page of `hounsfield explain` or of `hounsfield preview` says.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Explanation {
    /// What the study is called.
    pub title: String,
    /// What the page shows, in a sentence.
    pub lead: String,
    /// Where the report of the study is, relative to the page.
    pub report: Option<String>,
    /// Words that stand on every output: leakage, watermarks, untrained weights.
    pub banners: Vec<String>,
    /// What a reader must know before the figures.
    pub notes: Vec<String>,
    /// One section an idea and table of features.
    pub sections: Vec<ExplanationSection>,
}

impl Explanation {
    /// Writes the page under its name and its figures beside it; gives the files, the page first.
    ///
    /// # Errors
    ///
    /// A folder that can't be written to.
    pub fn write(&self, folder: &Path, page: &str) -> Result<Vec<PathBuf>, WriteError> {
        let mut files = vec![(page, explanation_page(self).into_bytes())];
        let figures = self.sections.iter().flat_map(|section| &section.figures);
        files.extend(figures.map(|figure| (figure.file.as_str(), picture_file(&figure.picture))));
        let mut paths = Vec::new();
        for (name, content) in files {
            let path = folder.join(name);
            atomic_write(&path, |file| file.write_all(&content))?;
            paths.push(path);
        }
        Ok(paths)
    }
}

/// Figures that belong together.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ExplanationSection {
    /// Its heading.
    pub heading: String,
    /// What was done and how to read it: sentences.
    pub words: Vec<String>,
    /// The figures.
    pub figures: Vec<Figure>,
    /// The same in words, for those who don't see the figures.
    pub table: Option<FigureTable>,
}

/// One picture, which stands in the page and as a file beside it.
#[derive(Debug, Clone, PartialEq)]
pub struct Figure {
    /// The file's name.
    pub file: String,
    /// What it shows, in a few words.
    pub title: String,
    /// How to read it.
    pub caption: String,
    /// The picture itself.
    pub picture: Picture,
}

/// A picture's content.
#[derive(Debug, Clone, PartialEq)]
pub enum Picture {
    /// What [`Scatter::svg`](super::Scatter::svg) drew.
    Svg(String),
    /// The bytes of a PNG file.
    Png(Vec<u8>),
}

/// Lines of cells under headings.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct FigureTable {
    /// What it lists.
    pub caption: String,
    /// Headings of the columns.
    pub headings: Vec<String>,
    /// As many cells a line as there are headings.
    pub lines: Vec<Vec<String>>,
}
