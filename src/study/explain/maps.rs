//! Maps of the features, once for each thing that their points can be coloured by.

use ndarray::Axis;

use super::{super::StudyError, Drawn, Layer};
use crate::{
    explain::{FeatureMap, Tsne, maps, sample_rows},
    report::{ExplanationSection, Figure, Groups, Picture, Scatter},
    seed::stream,
    words::{count, counted},
};

/// Points of a map. More hide each other, and t-SNE takes a minute and more.
const MOST_POINTS: usize = 2000;

/// Draws all maps of a layer.
pub(super) fn draw(layer: &Layer<'_>, seed: u64, drawn: &mut Drawn) -> Result<(), StudyError> {
    let all: Vec<usize> = (0..layer.rows.len()).collect();
    let shown = sample_rows(&all, &layer.patient, MOST_POINTS, &mut stream(seed, "explain maps"));
    let made = maps(layer.standardised().select(Axis(0), &shown).view(), &Tsne::default());
    let made = made.map_err(|source| StudyError::Explain {
        features: layer.name.clone(),
        source,
    })?;
    let mut section = ExplanationSection {
        heading: format!("Maps of {}", layer.name),
        words: vec![words(layer, shown.len(), seed)],
        ..ExplanationSection::default()
    };
    section
        .words
        .extend(made.iter().map(|map| format!("{}: {}", map.method, map.words)));
    let banner = drawn.page.banners.first().map(String::as_str);
    let colourings = colourings(layer, &shown);
    for map in &made {
        let figures = colourings.iter().map(|groups| figure(layer, map, groups, banner));
        section.figures.extend(figures);
    }
    drawn.page.sections.push(section);
    Ok(())
}

fn words(layer: &Layer<'_>, shown: usize, seed: u64) -> String {
    let slices = counted(layer.rows.len(), "slice");
    let which = match shown < layer.rows.len() {
        true => format!(
            "{} points of {slices}, drawn by patient in turns (seed {seed}), so that no patient crowds out others",
            count(shown)
        ),
        false => format!("One point for each of {slices}"),
    };
    format!("{which}. Features are standardised on the rows that heads are fitted on, as heads see them.")
}

/// What points are coloured by: label, site and set, as far as the rows differ in them.
fn colourings(layer: &Layer<'_>, shown: &[usize]) -> Vec<Groups> {
    let positive = shown
        .iter()
        .find(|at| layer.positive(**at))
        .map_or("", |at| layer.label(*at));
    let labels: Vec<&str> = shown.iter().map(|at| layer.label(*at)).collect();
    let site = |at: &usize| layer.cohort.rows.site[layer.rows[*at]].as_deref().unwrap_or("no site");
    let sites: Vec<&str> = shown.iter().map(site).collect();
    let sets: Vec<String> = shown.iter().map(|at| layer.set(*at)).collect();
    let sets: Vec<&str> = sets.iter().map(String::as_str).collect();
    let order = |set: &str| {
        ["train", "validation", "test", "out-of-fold"]
            .iter()
            .position(|known| *known == set)
    };
    [
        Groups::new("label", &labels, |label| usize::from(label != positive)),
        Groups::new("site", &sites, |site| usize::from(site == "no site")),
        Groups::new("set", &sets, |set| order(set).unwrap_or(usize::MAX)),
    ]
    .into_iter()
    .filter(|groups| groups.names.len() > 1)
    .collect()
}

fn figure(layer: &Layer<'_>, map: &FeatureMap, groups: &Groups, banner: Option<&str>) -> Figure {
    let title = format!("{} of {} by {}", map.method, layer.name, groups.by);
    let scatter = Scatter {
        title: &title,
        places: map.places.view(),
        axes: &map.axes,
        groups,
        banner,
    };
    Figure {
        file: format!("{}.{}.{}.svg", layer.name, map.method.to_lowercase(), groups.by),
        caption: "One mark a slice; point at a name to see its slices alone.".to_owned(),
        picture: Picture::Svg(scatter.svg()),
        title,
    }
}
