//! `hounsfield explain`: what the features of a finished study look like, as one page and the files of its figures.
//!
//! Maps and neighbours need features only, sheets of neighbours the images too, reconstructions and walks a generator.

#[cfg(feature = "torch")]
mod generated;
mod images;
mod layer;
mod maps;
mod neighbours;

use std::{
    io::Write as _,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use self::{images::Images, layer::Layer};
use super::{Key, StudyError, StudyRun, probe, sha256_path};
use crate::{
    card::{CheckedCard, EncoderCard},
    cohort::{Cohort, Split},
    encoder::Weights,
    explain::SamePatient,
    features::read_features,
    recipe::RecipeError,
    report::{Explanation, explanation_page, picture_file},
    tables::atomic_write,
    words::count,
};

/// The page, which holds all its figures.
pub const FILE: &str = "explain/explain.html";

/// Folder of the page and of its figures.
const FOLDER: &str = "explain";

/// What was counted, for programs.
const COUNTS: &str = "explain/explain.json";

const STAGE: &str = "explain";

/// The layer that a generator turns into images.
const LATENT: &str = "z_mean";

/// What `hounsfield explain` leaves behind.
#[derive(Debug, Clone, PartialEq)]
pub struct Explained {
    /// What was counted, in words.
    pub lines: Vec<String>,
    /// The page first, then the other files.
    pub files: Vec<PathBuf>,
    /// Images that could not be read again.
    pub unreadable: usize,
}

/// The content of [`COUNTS`].
#[derive(Debug, Default, Serialize, Deserialize)]
struct Counts {
    layers: Vec<LayerCounts>,
    unreadable: usize,
}

#[derive(Debug, Serialize, Deserialize)]
struct LayerCounts {
    features: String,
    nearest_of_same_patient: SamePatient,
}

/// What a part of the page adds to it.
#[derive(Default)]
struct Drawn {
    page: Explanation,
    counts: Counts,
    /// Names in the run folder and contents of files that are no figures.
    tables: Vec<(String, Vec<u8>)>,
}

impl StudyRun {
    /// Draws what the features of a finished study look like, and writes the report again, which links to it. `device`
    /// is where a generator runs.
    ///
    /// # Errors
    ///
    /// A run folder without results of this recipe; features that are not there any more.
    pub fn explain(&mut self, device: &str) -> Result<Explained, StudyError> {
        self.check_device(device)?;
        self.check_results()?;
        let key = self.explain_key()?;
        if !self.begin(STAGE, &key)? {
            let cohort = self.cohort()?;
            let split = self.split(&cohort)?;
            let drawn = self.draw(&cohort, &split, device)?;
            let written = self.write_explanation(&drawn)?;
            self.finish(STAGE, &key, &written)?;
        }
        self.report()?;
        self.explained()
    }

    /// The page, where it was made from the results that are in the run folder.
    pub(super) fn explanation(&self) -> Result<Option<String>, StudyError> {
        let current = self.stages.is_done(STAGE, &self.explain_key()?);
        if !current && self.folder.join(FILE).exists() {
            tracing::warn!("{FILE} is of other results, or of another build: run `hounsfield explain` again");
        }
        Ok(current.then(|| FILE.to_owned()))
    }

    fn explain_key(&self) -> Result<String, StudyError> {
        let results = sha256_path(&self.folder.join(probe::STUDY_FILE))?;
        let mut key = Key::of_program(STAGE).text(&results).value(&self.study.card);
        for (name, file) in self.probe_files()? {
            key = key.text(&name).text(&sha256_path(&file)?);
        }
        Ok(key.finish())
    }

    fn draw(&self, cohort: &Cohort, split: &Split, device: &str) -> Result<Drawn, StudyError> {
        let saved = self.saved_report()?;
        let mut drawn = Drawn {
            page: Explanation {
                title: saved.title,
                lead: "What the features look like.".to_owned(),
                report: Some("../report.html".to_owned()),
                banners: saved.banners,
                ..Explanation::default()
            },
            ..Drawn::default()
        };
        let images = Images::of(self, cohort);
        for (name, file) in self.probe_files()? {
            self.check_stop()?;
            tracing::info!("explain: {name}");
            let same = self.study.features.table.is_some();
            let layer = Layer::new(name, read_features(&file)?, cohort, split, same)?;
            maps::draw(&layer, self.study.seed, &mut drawn)?;
            neighbours::draw(&layer, images.as_ref(), self.study.seed, &mut drawn)?;
            if let Some(images) = &images
                && layer.name == LATENT
            {
                self.draw_generated(&layer, images, device, &mut drawn)?;
            }
        }
        if images.is_none() {
            let note = "The study starts from a table of features: there are no images to show beside them.";
            drawn.page.notes.push(note.to_owned());
        }
        drawn.counts.unreadable = images.map_or(0, |images| images.unreadable());
        Ok(drawn)
    }

    /// What the generator that was trained with the encoder makes of latent vectors, where there is one.
    fn draw_generated(
        &self,
        layer: &Layer<'_>,
        images: &Images<'_>,
        device: &str,
        drawn: &mut Drawn,
    ) -> Result<(), StudyError> {
        let Some(card) = self.card_with_generator()? else {
            let note = "The encoder has no card that names a generator: there are no reconstructions and no walks.";
            drawn.page.notes.push(note.to_owned());
            return Ok(());
        };
        #[cfg(feature = "torch")]
        return generated::draw(self, &card, layer, images, device, drawn);
        #[cfg(not(feature = "torch"))]
        {
            let _ = (card, layer, images, device);
            let note = "This build has no libtorch (install with `--features torch`): there are no reconstructions \
                        and no walks.";
            drawn.page.notes.push(note.to_owned());
            Ok(())
        }
    }

    /// The card of the study's encoder, where it names a generator.
    fn card_with_generator(&self) -> Result<Option<CheckedCard>, StudyError> {
        let weights = self.study.encoder.as_ref().map(|encoder| encoder.weights());
        let folder = match weights {
            Some(Weights::File(path)) if self.study.card.is_some() => path.parent().unwrap_or(Path::new("")),
            _ => return Ok(None),
        };
        let card = EncoderCard::load(folder).map_err(RecipeError::from)?;
        Ok(card.card.generator.is_some().then_some(card))
    }

    /// Writes all files; returns their names in the run folder.
    fn write_explanation(&self, drawn: &Drawn) -> Result<Vec<String>, StudyError> {
        let folder = self.folder.join(FOLDER);
        std::fs::create_dir_all(&folder).map_err(|source| StudyError::Folder { source, path: folder })?;
        let counts = serde_json::to_string_pretty(&drawn.counts).expect("names and numbers");
        let mut files = vec![
            (FILE.to_owned(), explanation_page(&drawn.page).into_bytes()),
            (COUNTS.to_owned(), counts.into_bytes()),
        ];
        let figures = drawn.page.sections.iter().flat_map(|section| &section.figures);
        files.extend(figures.map(|figure| (format!("{FOLDER}/{}", figure.file), picture_file(&figure.picture))));
        files.extend(drawn.tables.iter().cloned());
        for (name, content) in &files {
            atomic_write(&self.folder.join(name), |file| file.write_all(content))?;
        }
        Ok(files.into_iter().map(|(name, _)| name).collect())
    }

    /// What the stage left, drawn now or before.
    fn explained(&self) -> Result<Explained, StudyError> {
        let path = self.folder.join(COUNTS);
        let text = std::fs::read_to_string(&path).unwrap_or_default();
        let counts: Counts = serde_json::from_str(&text).map_err(|_| StudyError::NoResults { path })?;
        let names = self.stages.outputs([STAGE]).into_keys();
        let others = names.filter(|name| name != FILE).map(|name| self.folder.join(name));
        Ok(Explained {
            lines: counts.layers.iter().map(LayerCounts::words).collect(),
            files: std::iter::once(self.folder.join(Path::new(FILE)))
                .chain(others)
                .collect(),
            unreadable: counts.unreadable,
        })
    }
}

impl LayerCounts {
    fn words(&self) -> String {
        let SamePatient { rows, same, by_chance } = self.nearest_of_same_patient;
        match rows {
            0 => format!(
                "{}: no patient has two slices, so that none can be its patient's nearest",
                self.features
            ),
            _ => format!(
                "{}: the nearest slice is one of the same patient for {} of {} slices ({:.1} %; {:.1} % by chance)",
                self.features,
                count(same),
                count(rows),
                100.0 * same as f64 / rows as f64,
                100.0 * by_chance
            ),
        }
    }
}
