//! Slices and those that lie nearest to them: a table, a list of pseudonyms and, where there are images, a sheet of them.

use super::{super::StudyError, Drawn, FOLDER, Images, Layer, LayerCounts};
use crate::{
    explain::{Neighbours, neighbours, same_patient, sample_rows},
    journal::{Frame, Sheet},
    report::{ExplanationSection, Figure, FigureTable, Picture},
    seed::stream,
    words::counted,
};

/// Slices whose neighbours are shown, and how many of each.
const QUERIES: usize = 8;
const NEIGHBOURS: usize = 7;

/// Slices that are asked whether the nearest is of the same patient.
const MOST_ASKED: usize = 2000;

/// Draws what lies near some slices of a layer, and counts how often it is the patient's own.
pub(super) fn draw(
    layer: &Layer<'_>,
    images: Option<&Images<'_>>,
    seed: u64,
    drawn: &mut Drawn,
) -> Result<(), StudyError> {
    let x = layer.standardised();
    let all: Vec<usize> = (0..layer.rows.len()).collect();
    let asked = sample_rows(&all, &layer.patient, MOST_ASKED, &mut stream(seed, "explain nearest"));
    let counts = LayerCounts {
        features: layer.name.clone(),
        nearest_of_same_patient: same_patient(x.view(), &layer.patient, &asked),
    };
    let chosen = layer.queries(QUERIES, seed);
    let found = neighbours(x.view(), &layer.patient, &chosen, NEIGHBOURS);
    let mut section = ExplanationSection {
        heading: format!("Neighbours in {}", layer.name),
        words: vec![
            format!(
                "The {NEIGHBOURS} slices of other patients that lie nearest (Euclidean distance of standardised features) \
                 to {}, one a patient, of both classes, from held-out sets first (seed {seed}).",
                counted(chosen.len(), "slice")
            ),
            format!("{}.", counts.words()),
        ],
        table: Some(table(layer, &found)),
        ..ExplanationSection::default()
    };
    if let Some(images) = images {
        section.figures.push(sheet(layer, images, &found)?);
    }
    let name = format!("{FOLDER}/{}.neighbours.csv", layer.name);
    drawn.tables.push((name, list(layer, &found)));
    drawn.counts.layers.push(counts);
    drawn.page.sections.push(section);
    Ok(())
}

/// One line a query, in the order of the sheet.
fn table(layer: &Layer<'_>, found: &[Neighbours]) -> FigureTable {
    let headings = [
        "Row",
        "Set",
        "Label",
        "Labels of the neighbours, nearest first",
        "Same label",
        "Nearest of all",
    ];
    let line = |(number, near): (usize, &Neighbours)| {
        let labels: Vec<&str> = near.nearest.iter().map(|near| layer.label(near.row)).collect();
        let own = layer.label(near.query);
        let same = labels.iter().filter(|label| **label == own).count();
        let nearest = match near.own_first {
            Some(true) => "of the same patient",
            Some(false) => "of another patient",
            None => "of another patient, who has no other slice",
        };
        vec![
            (number + 1).to_string(),
            layer.set(near.query),
            own.to_owned(),
            labels.join(", "),
            format!("{same} of {}", labels.len()),
            nearest.to_owned(),
        ]
    };
    FigureTable {
        caption: "The same in words".to_owned(),
        headings: headings.map(str::to_owned).to_vec(),
        lines: found.iter().enumerate().map(line).collect(),
    }
}

/// The query at the left of each line, framed neighbours at its right.
fn sheet(layer: &Layer<'_>, images: &Images<'_>, found: &[Neighbours]) -> Result<Figure, StudyError> {
    // Few other patients may leave fewer neighbours; every line is as long as the shortest.
    let shown = found.iter().map(|near| near.nearest.len()).min().unwrap_or(0);
    let mut sheet = Sheet::new(1 + shown);
    for near in found {
        sheet.push(images.read(layer.rows[near.query]).view())?;
        for neighbour in &near.nearest[..shown] {
            let frame = match layer.label(neighbour.row) == layer.label(near.query) {
                true => Frame::Solid,
                false => Frame::Broken,
            };
            sheet.push_framed(images.read(layer.rows[neighbour.row]).view(), frame)?;
        }
    }
    Ok(Figure {
        file: format!("{}.neighbours.png", layer.name),
        title: format!("Slices and their neighbours in {}", layer.name),
        caption: format!(
            "Left the slice, right its neighbours, nearest first, {}. A solid white frame: the same label as the slice at the \
             left; a broken one: another.",
            images.words()
        ),
        picture: Picture::Png(sheet.png()?),
    })
}

/// Who is who, by pseudonym: one line a neighbour.
fn list(layer: &Layer<'_>, found: &[Neighbours]) -> Vec<u8> {
    let mut csv = csv::Writer::from_writer(Vec::new());
    let who = |at: usize| {
        let rows = &layer.cohort.rows;
        let row = layer.rows[at];
        let [slice, patient] = [&rows.slice_id[row], &rows.patient_id[row]].map(String::clone);
        [slice, patient, layer.label(at).to_owned(), layer.set(at)]
    };
    let header = [
        "row",
        "slice_id",
        "patient_id",
        "label",
        "set",
        "rank",
        "near_slice_id",
        "near_patient_id",
        "near_label",
        "near_set",
        "distance",
        "own_patient_nearer",
    ];
    let lines = found.iter().enumerate().flat_map(|(row, near)| {
        near.nearest.iter().enumerate().map(move |(rank, neighbour)| {
            let own = near.own_first.map_or(String::new(), |own| own.to_string());
            let (row, rank) = ((row + 1).to_string(), (rank + 1).to_string());
            let (query, near) = (who(near.query), who(neighbour.row));
            let head = std::iter::once(row).chain(query);
            let rest = std::iter::once(rank)
                .chain(near)
                .chain([neighbour.distance.to_string(), own]);
            head.chain(rest).collect::<Vec<String>>()
        })
    });
    let lines = std::iter::once(header.map(str::to_owned).to_vec()).chain(lines);
    lines.for_each(|line| csv.write_record(line).expect("a line of text is written into memory"));
    csv.into_inner().expect("a buffer in memory is flushed")
}
