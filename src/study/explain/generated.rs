//! What the encoder's generator makes of latent vectors: reconstructions, and walks along what heads read.

use ndarray::{Array2, Array3, Axis};

use super::{
    super::{StudyError, StudyRun, probe::MODELS},
    Drawn, Images, Layer,
};
use crate::{
    card::CheckedCard,
    explain::{Direction, STEPS},
    heads::FittedHead,
    journal::Sheet,
    report::{ExplanationSection, Figure, FigureTable, Picture},
    torch::{self, device::DeviceChoice, generator::InferenceGenerator},
    words::counted,
};

/// Slices that are reconstructed, and slices that walks start from.
const RECONSTRUCTED: usize = 8;
const WALKED: usize = 4;

/// Images of latent vectors, `[N, Z]` to `[N, R, R]` in `[-1, 1]`.
type Generate<'a> = &'a dyn Fn(&Array2<f64>) -> Result<Array3<f32>, StudyError>;

/// Draws reconstructions, and a walk for each linear head of the layer.
pub(super) fn draw(
    run: &StudyRun,
    card: &CheckedCard,
    layer: &Layer<'_>,
    images: &Images<'_>,
    device: &str,
    drawn: &mut Drawn,
) -> Result<(), StudyError> {
    let Some(entry) = &card.card.generator else {
        return Ok(());
    };
    torch::init(None);
    let device = device.parse::<DeviceChoice>()?.resolve()?;
    let weights = card.folder.join(&entry.weights);
    let generator = InferenceGenerator::open(&entry.network, layer.raw.ncols(), &weights, device)?;
    let generate = |z: &Array2<f64>| {
        let images = generator.generate(&z.mapv(|value| value as f32));
        images.map_err(StudyError::from)
    };
    let rows = layer.queries(RECONSTRUCTED, run.study.seed);
    drawn
        .page
        .sections
        .push(reconstructions(layer, images, &rows, &generate)?);
    let rows = layer.queries(WALKED, run.study.seed);
    for head in &run.study.probe.heads {
        let (head, features) = (head.name(), &layer.name);
        let fitted = FittedHead::load(&run.folder.join(format!("{MODELS}/{features}.{head}.safetensors")));
        let fitted = fitted.map_err(|source| StudyError::Head {
            head: head.to_owned(),
            features: features.clone(),
            source,
        })?;
        if let Some(weights) = fitted.raw_weights() {
            let walk = Walk {
                fitted,
                weights,
                rows: &rows,
            };
            drawn.page.sections.push(walk.section(layer, images, &generate)?);
        }
    }
    Ok(())
}

/// Slices above, what the generator makes of their latent vectors below.
fn reconstructions(
    layer: &Layer<'_>,
    images: &Images<'_>,
    rows: &[usize],
    generate: Generate<'_>,
) -> Result<ExplanationSection, StudyError> {
    let generated = generate(&layer.raw.select(Axis(0), rows))?;
    let mut sheet = Sheet::new(rows.len());
    for row in rows {
        sheet.push(images.read_at(layer.rows[*row], generated.dim().1).view())?;
    }
    for image in generated.outer_iter() {
        sheet.push(image)?;
    }
    Ok(ExplanationSection {
        heading: format!("Reconstructions from {}", layer.name),
        words: vec![format!(
            "{}, one a patient, from held-out sets first. What differs was not kept in the {} numbers of {}, or the \
             generator can't draw it; neither was trained to copy single pixels.",
            counted(rows.len(), "slice"),
            layer.raw.ncols(),
            layer.name
        )],
        figures: vec![Figure {
            file: format!("{}.reconstructions.png", layer.name),
            title: "Slices and their reconstructions".to_owned(),
            caption: format!("Above x, {}, below G(E(x)), at the generator's size.", images.words()),
            picture: Picture::Png(sheet.png()?),
        }],
        table: None,
    })
}

/// Walks from some slices along the direction that one head reads.
struct Walk<'a> {
    fitted: FittedHead,
    /// `Z` weights on the raw features' scale.
    weights: Vec<f64>,
    rows: &'a [usize],
}

impl Walk<'_> {
    fn section(
        &self,
        layer: &Layer<'_>,
        images: &Images<'_>,
        generate: Generate<'_>,
    ) -> Result<ExplanationSection, StudyError> {
        let head = self.fitted.kind();
        let sums = layer.raw.dot(&ndarray::aview1(&self.weights));
        let direction = Direction {
            weights: self.weights.clone(),
            sd: sums.std(0.0),
        };
        let mut sheet = Sheet::new(1 + STEPS.len());
        let mut lines = Vec::new();
        for (number, row) in self.rows.iter().enumerate() {
            let walked = direction.walk(layer.raw.row(*row), &STEPS);
            let walked = walked.map_err(|source| StudyError::Explain {
                features: layer.name.clone(),
                source,
            })?;
            let generated = generate(&walked)?;
            sheet.push(images.read_at(layer.rows[*row], generated.dim().1).view())?;
            for image in generated.outer_iter() {
                sheet.push(image)?;
            }
            let scores = self.fitted.score(walked.view()).map_err(|source| StudyError::Head {
                head: head.to_owned(),
                features: layer.name.clone(),
                source,
            })?;
            let who = [(number + 1).to_string(), layer.set(*row), layer.label(*row).to_owned()];
            let scores = scores.iter().map(|score| format!("{score:.3}"));
            lines.push(who.into_iter().chain(scores).collect());
        }
        let steps = STEPS.map(|step| match step {
            0.0 => "0 SD".to_owned(),
            step => format!("{step:+.0} SD"),
        });
        Ok(ExplanationSection {
            heading: format!("What {head} reads in {}", layer.name),
            words: vec![format!(
                "From the latent vector of a slice along the weights of {head}, the shortest way to another score: images \
                 whose score (the sum of weights times features) is {} to {} away, one SD being that of all slices. They \
                 show what the generator draws on that way, which need not be what radiologists would see, nor the only \
                 thing that the score depends on.",
                steps[0],
                steps[STEPS.len() - 1]
            )],
            figures: vec![Figure {
                file: format!("{}.walk.{head}.png", layer.name),
                title: format!("Walks along {head}"),
                caption: format!(
                    "Left the slice, then G(z) at {}; the scores stand below.",
                    steps.join(", ")
                ),
                picture: Picture::Png(sheet.png()?),
            }],
            table: Some(FigureTable {
                caption: format!("Score of {head}, before any calibration, at each step"),
                headings: ["Row", "Set", "Label"]
                    .map(str::to_owned)
                    .into_iter()
                    .chain(steps)
                    .collect(),
                lines,
            }),
        })
    }
}
