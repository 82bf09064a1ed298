//! Baselines that never look at an image: the label predicted from where the slice lies, where it was made, how large its
//! file is, or any column of the table.
//!
//! A logistic regression (c = 1) on each column alone, with folds that keep patients whole, and the AUC of rows of one fold
//! with an interval over patients. Where its lower end lies above 0.5, a network may have learnt the column instead of the
//! disease (DeGrave et al., Nat Mach Intell 3:610-619, 2021, <https://doi.org/10.1038/s42256-021-00338-7>). Rows are compared
//! within their fold only: between folds, heads that know nothing differ by the share of positives they were fitted on,
//! which pushes the AUC of all rows together below 0.5.

use std::collections::{BTreeMap, BTreeSet};

use ndarray::Array2;
use rayon::prelude::*;
use serde_json::json;

use super::{AuditError, Check, Finding, Material, Outcome, Settings, Severity, counted};
use crate::{
    heads::{HeadConfig, LogisticConfig, TrainingSet, Tuning},
    readers::{self, SliceAddress},
    seed,
    stats::{Clusters, Estimate, FoldError, Ranking, grouped_folds},
};

/// Columns of numbers with no more distinct values are taken as categories (a KVP, a slice thickness).
const FEW: usize = 12;

/// Categories that get a column of their own, the most frequent of the training rows; the others share none.
const LEVELS: usize = 50;

/// A text column with more distinct values is free text or an identifier.
const MANY: usize = 200;

/// What is said of a column of more than [`MANY`] texts.
const TEXTS: &str = "more than 200 different texts";

/// What is said of a column that is the same everywhere.
const CONSTANT: &str = "constant";

/// From this AUC on a baseline is a serious rival of any network.
const STRONG: f64 = 0.8;

/// Below this AUC it explains little of what a network finds.
const WEAK: f64 = 0.6;

/// Baselines that one sentence names; the others are in the numbers.
const NAMED: usize = 10;

/// Position, site, file and every metadata column, each alone.
#[derive(Debug)]
pub struct Baselines;

/// What the label is predicted from.
struct Rival<'a> {
    name: String,
    /// As sentences call it.
    shown: String,
    parts: Vec<Part<'a>>,
}

/// One column, a value a row.
enum Part<'a> {
    Numbers(Vec<Option<f64>>),
    Names(Vec<Option<&'a str>>),
}

impl Check for Baselines {
    fn name(&self) -> &'static str {
        "baselines without images"
    }

    fn run(&self, material: &Material, settings: &Settings) -> Result<Outcome, AuditError> {
        if material.positive_label.is_none() {
            return Ok(Outcome::CannotRun(
                "no positive class is named (--label and --positive)".to_owned(),
            ));
        }
        let positive_label = material.positive_label.as_deref().unwrap_or_default();
        let rows = usable(material);
        // Usable rows are of a class.
        let positive: Vec<bool> = rows.iter().map(|&row| material.positive[row] == Some(true)).collect();
        let groups = material.clusters(&rows);
        let (folds, k) = match folds(&positive, &groups, settings) {
            Ok(folds) => folds,
            Err(error) => return Ok(Outcome::CannotRun(error.to_string())),
        };
        let (rivals, mut skipped) = rivals(material, &rows);
        if rivals.is_empty() {
            let why = "nothing to predict from is known of the rows: name --position, --site or --meta".to_owned();
            return Ok(Outcome::CannotRun(match skipped.is_empty() {
                true => why,
                false => format!("{why}; {}", not_tried(&skipped)),
            }));
        }
        let clusters = Clusters::new(&groups);
        let unit = if material.has_patients { "patient" } else { "row" };
        let whole = format!("{} of {}", counted(rows.len(), "row"), counted(clusters.count(), unit));
        let (mut found, mut harmless) = (Vec::new(), Vec::new());
        let fitted: Vec<(&Rival, Vec<f64>)> = rivals
            .par_iter()
            .map(|rival| (rival, scores(rival, &positive, &groups, &folds, k)))
            .collect();
        for (rival, scores) in fitted {
            let Some(auc) = interval(&positive, &scores, &folds, k, &clusters, settings)? else {
                skipped
                    .entry("no fold has both classes")
                    .or_default()
                    .push(rival.shown.clone());
                continue;
            };
            let numbers = json!({"baseline": rival.name, "positive": positive_label, "auc": auc.value, "lower": auc.lower,
                "upper": auc.upper, "level": settings.bootstrap.level, "unit": "row", "clusters": unit, "rows": rows.len(),
                "patients": clusters.count(), "folds": k, "resamples": settings.bootstrap.resamples, "seed": settings.bootstrap.seed,
                "method": "logistic regression (c = 1), grouped folds, AUC within folds, percentile bootstrap over clusters"});
            let interval = format!("{:.3} ({:.3} to {:.3})", auc.value, auc.lower, auc.upper);
            let list = if auc.lower > 0.5 { &mut found } else { &mut harmless };
            list.push((auc.value, (rival.shown.as_str(), interval), numbers));
        }
        found.sort_by(|a, b| b.0.total_cmp(&a.0));
        let level = 100.0 * settings.bootstrap.level;
        let (perfect, others): (Vec<_>, Vec<_>) = found.into_iter().partition(|(auc, ..)| *auc > 0.999_999);
        let mut findings = Vec::new();
        for (_, (name, interval), numbers) in perfect {
            let sentence = format!(
                "{} alone tells `{positive_label}` from the rest completely: AUC {interval} ({whole}): the label by another name, or a perfect shortcut",
                named(name)
            );
            findings.push(
                Finding::new(self.name(), Severity::Serious, sentence, json!([numbers]))
                    .next("if it is the label by another name leave it out (--meta); else no result on these rows tells the disease"),
            );
        }
        for (severity, from, below) in [
            (Severity::Serious, STRONG, f64::INFINITY),
            (Severity::Notable, WEAK, STRONG),
            (Severity::Note, 0.0, WEAK),
        ] {
            let (names, numbers): (Vec<&(&str, String)>, Vec<_>) = others
                .iter()
                .filter(|(auc, ..)| (from..below).contains(auc))
                .map(|(_, shown, numbers)| (shown, numbers.clone()))
                .unzip();
            if names.is_empty() {
                continue;
            }
            let more = names.len().saturating_sub(NAMED);
            let sentence = match &names[..] {
                [(name, interval)] => format!(
                    "{} alone tells `{positive_label}` from the rest: AUC {interval} ({level} % interval; {whole}, {k} folds)",
                    named(name)
                ),
                _ => format!(
                    "each of these alone tells `{positive_label}` from the rest, AUC ({level} % interval): {}{} ({whole}, {k} folds)",
                    listing(&names[..names.len().min(NAMED)]),
                    if more > 0 {
                        format!(" and {more} more (--json)")
                    } else {
                        String::new()
                    },
                ),
            };
            findings.push(
                Finding::new(self.name(), severity, sentence, json!(numbers))
                    .next("print these baselines beside the network's AUC; compare within their strata, or match the classes on them"),
            );
        }
        if !harmless.is_empty() {
            let (names, numbers): (Vec<_>, Vec<_>) =
                harmless.iter().map(|(_, shown, numbers)| (shown, numbers)).unzip();
            let sentence = format!(
                "no AUC that is clearly above 0.5 for `{positive_label}` from {} ({whole})",
                listing(&names)
            );
            findings.push(Finding::new(self.name(), Severity::Ok, sentence, json!(numbers)));
        }
        if !skipped.is_empty() {
            findings.push(Finding::new(
                self.name(),
                Severity::Ok,
                not_tried(&skipped),
                json!({"skipped": skipped}),
            ));
        }
        Ok(Outcome::Ran(findings))
    }
}

/// Columns that the user named and that nothing can be predicted from.
#[derive(Debug)]
pub struct NamedColumns;

impl Check for NamedColumns {
    fn name(&self) -> &'static str {
        "baselines of named columns"
    }

    fn run(&self, material: &Material, _: &Settings) -> Result<Outcome, AuditError> {
        if material.positive_label.is_none() {
            return Ok(Outcome::Ran(Vec::new()));
        }
        let rows = usable(material);
        let unfit = columns(material).into_iter().filter(|column| column.named);
        let unfit: Vec<String> = unfit
            .filter_map(|column| Some(format!("{} ({})", column.shown, column.part(&rows).err()?)))
            .collect();
        Ok(match unfit.is_empty() {
            true => Outcome::Ran(Vec::new()),
            false => Outcome::CannotRun(format!(
                "nothing can be predicted from {} in {} with a class",
                unfit.join(", "),
                counted(rows.len(), "row")
            )),
        })
    }
}

/// Rows of a class, and of a patient where there are patients.
fn usable(material: &Material) -> Vec<usize> {
    let known = |row: &usize| !material.has_patients || material.patient[*row].is_some();
    (0..material.len())
        .filter(|&row| material.positive[row].is_some())
        .filter(known)
        .collect()
}

/// A column in backticks is called one; a file's size is none.
fn named(shown: &str) -> String {
    match shown.starts_with('`') {
        true => format!("column {shown}"),
        false => shown.to_owned(),
    }
}

fn listing(names: &[&(&str, String)]) -> String {
    let each = names.iter().map(|(name, interval)| format!("{name} {interval}"));
    each.collect::<Vec<_>>().join(", ")
}

/// Why columns were left out, and which.
type Skipped = BTreeMap<&'static str, Vec<String>>;

fn not_tried(skipped: &Skipped) -> String {
    let groups = skipped
        .iter()
        .map(|(why, names)| format!("{why}: {}", names.join(", ")));
    format!(
        "{} not tried: {}",
        counted(skipped.values().map(Vec::len).sum(), "baseline"),
        groups.collect::<Vec<_>>().join("; ")
    )
}

/// As many folds as the patients of each class allow.
fn folds(positive: &[bool], groups: &[usize], settings: &Settings) -> Result<(Vec<usize>, usize), FoldError> {
    let mut k = settings.folds;
    loop {
        let mut draws = seed::stream(settings.bootstrap.seed, "audit");
        match grouped_folds(positive, groups, k, &mut draws) {
            Ok(folds) => return Ok((folds, k)),
            Err(FoldError::TooFewGroups { positive, negative, .. }) if positive.min(negative) >= 2 && k > 2 => {
                k = positive.min(negative);
            }
            Err(error) => return Err(error),
        }
    }
}

/// What there is to predict from, and what was left out and why.
fn rivals<'a>(material: &'a Material, rows: &[usize]) -> (Vec<Rival<'a>>, Skipped) {
    let (mut rivals, mut skipped) = (Vec::new(), Skipped::new());
    for column in columns(material) {
        match column.part(rows) {
            Ok(part) => rivals.push(Rival {
                name: column.name,
                shown: column.shown,
                parts: vec![part],
            }),
            // [`NamedColumns`] says it.
            Err(_) if column.named => {}
            Err(why) => skipped.entry(why).or_default().push(column.shown),
        }
    }
    if !material.identifying.is_empty() {
        let names = material.identifying.iter().map(|name| format!("`{name}`"));
        skipped.insert("like an identifier (--meta tries it)", names.collect());
    }
    if material.paths.iter().any(Option::is_some) {
        let facts: Vec<Option<[f64; 3]>> = rows
            .par_iter()
            .map(|&row| facts(material.paths[row].as_deref()?))
            .collect();
        let column = |place: usize| {
            facts
                .iter()
                .map(|facts| facts.map(|facts| facts[place]))
                .collect::<Vec<_>>()
        };
        for (name, places) in [("file size", &[0][..]), ("image width and height", &[1, 2])] {
            let varies = |place: &usize| {
                let values: BTreeSet<u64> = column(*place).iter().flatten().map(|value| value.to_bits()).collect();
                values.len() > 1
            };
            if facts.iter().all(Option::is_none) {
                skipped.entry("unreadable").or_default().push(name.to_owned());
            } else if !places.iter().any(varies) {
                skipped.entry(CONSTANT).or_default().push(name.to_owned());
            } else {
                rivals.push(Rival {
                    name: name.to_owned(),
                    shown: name.to_owned(),
                    parts: places.iter().map(|&place| Part::Numbers(column(place))).collect(),
                });
            }
        }
    }
    (rivals, skipped)
}

/// Bytes, width and height of a picture; no width and height for what `image` does not know, such as DICOM. A slice of many
/// has no bytes of its own.
fn facts(path: &std::path::Path) -> Option<[f64; 3]> {
    let address = SliceAddress::parse(path)
        .ok()
        .filter(|address| address.slice.is_none())?;
    let (bytes, dimensions) = if address.member.is_some() {
        let content = readers::content(&address).ok()?;
        let reader = image::ImageReader::new(std::io::Cursor::new(&content));
        (
            content.len() as f64,
            reader.with_guessed_format().ok()?.into_dimensions(),
        )
    } else {
        let bytes = std::fs::metadata(&address.file).ok()?.len() as f64;
        let reader = image::ImageReader::open(&address.file).ok()?;
        (bytes, reader.with_guessed_format().ok()?.into_dimensions())
    };
    let (width, height) = dimensions.unwrap_or((0, 0));
    Some([bytes, f64::from(width), f64::from(height)])
}

/// A column of the tables that may be predicted from.
struct Named<'a> {
    name: String,
    shown: String,
    /// Whether the user asked for it.
    named: bool,
    cells: &'a [Option<String>],
}

impl<'a> Named<'a> {
    fn part(&self, rows: &[usize]) -> Result<Part<'a>, &'static str> {
        let cells: Vec<Option<&str>> = rows.iter().map(|&row| self.cells[row].as_deref()).collect();
        part(&cells)
    }
}

/// Position, site and the other columns.
fn columns(material: &Material) -> Vec<Named<'_>> {
    let roles = [
        ("position", &material.position_column, &material.position),
        ("site", &material.site_column, &material.site),
    ];
    let is_named = |name: &String| material.named.contains(name);
    let roles = roles.into_iter().filter_map(|(role, column, cells)| {
        Some(Named {
            name: role.to_owned(),
            shown: match column {
                Some(column) if column != role => format!("`{column}` ({role})"),
                _ => format!("`{role}`"),
            },
            named: column.as_ref().is_some_and(is_named),
            cells: cells.as_deref()?,
        })
    });
    let meta = material.meta.iter().map(|(name, cells)| Named {
        name: name.clone(),
        shown: format!("`{name}`"),
        named: is_named(name),
        cells,
    });
    roles.chain(meta).collect()
}

/// A column as numbers or categories, or why it is neither.
fn part<'a>(cells: &[Option<&'a str>]) -> Result<Part<'a>, &'static str> {
    let distinct: BTreeSet<Option<&str>> = cells.iter().copied().collect();
    let values = distinct.iter().flatten().count();
    if values == 0 {
        return Err("empty");
    }
    if distinct.len() < 2 {
        return Err(CONSTANT);
    }
    let number = |cell: &str| cell.trim().parse::<f64>().ok().filter(|value| value.is_finite());
    let numeric = distinct.iter().flatten().all(|cell| number(cell).is_some());
    if numeric && values > FEW {
        return Ok(Part::Numbers(cells.iter().map(|cell| number((*cell)?)).collect()));
    }
    if values > MANY {
        return Err(TEXTS);
    }
    Ok(Part::Names(cells.to_vec()))
}

/// Scores of every row by a head that was fitted on the other folds; 0 where the column is constant there.
fn scores(rival: &Rival<'_>, positive: &[bool], groups: &[usize], folds: &[usize], k: usize) -> Vec<f64> {
    let mut scores = vec![0.0; positive.len()];
    for fold in 0..k {
        let of = |inside: bool| {
            (0..folds.len())
                .filter(|&row| (folds[row] == fold) == inside)
                .collect::<Vec<usize>>()
        };
        let (train, held_out) = (of(false), of(true));
        let encoders: Vec<Encoder> = rival.parts.iter().map(|part| Encoder::fit(part, &train)).collect();
        let width: usize = encoders.iter().map(Encoder::width).sum();
        let encode = |rows: &[usize]| {
            let mut x = Array2::zeros((rows.len(), width));
            for (mut target, &row) in x.rows_mut().into_iter().zip(rows) {
                let mut start = 0;
                for (encoder, part) in encoders.iter().zip(&rival.parts) {
                    encoder.fill(
                        part,
                        row,
                        target.as_slice_mut().map_or(&mut [][..], |all| &mut all[start..]),
                    );
                    start += encoder.width();
                }
            }
            x
        };
        if width == 0 {
            continue;
        }
        let (x, labels): (_, Vec<bool>) = (encode(&train), train.iter().map(|&row| positive[row]).collect());
        let patients: Vec<usize> = train.iter().map(|&row| groups[row]).collect();
        let head = HeadConfig::Logistic(LogisticConfig {
            c: Some(1.0),
            ..LogisticConfig::default()
        });
        let set = TrainingSet {
            x: x.view(),
            positive: &labels,
            groups: &patients,
        };
        // A head that can't be fitted knows nothing: its rows tie.
        let fitted = head
            .fit(&set, &Tuning::default(), 0)
            .and_then(|head| head.score(encode(&held_out).view()));
        match fitted {
            Ok(found) => held_out.iter().zip(found).for_each(|(&row, score)| scores[row] = score),
            Err(error) => tracing::debug!("baseline {}, fold {fold}: {error}", rival.name),
        }
    }
    scores
}

/// How a column becomes numbers, as the training rows say.
enum Encoder {
    /// The value, its square and whether it is missing; a missing one is the mean. Squares are of what is left of the mean,
    /// over the standard deviation.
    Numbers { mean: f64, deviation: f64 },
    /// One column a level.
    Names(BTreeMap<String, usize>),
}

impl Encoder {
    fn fit(part: &Part<'_>, train: &[usize]) -> Self {
        match part {
            Part::Numbers(values) => {
                let known: Vec<f64> = train.iter().filter_map(|&row| values[row]).collect();
                let n = known.len().max(1) as f64;
                let mean = known.iter().sum::<f64>() / n;
                let variance = known.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / n;
                Self::Numbers {
                    mean,
                    deviation: if variance > 0.0 { variance.sqrt() } else { 1.0 },
                }
            }
            Part::Names(names) => {
                let mut counts = BTreeMap::<&str, usize>::new();
                for &row in train {
                    *counts.entry(names[row].unwrap_or_default()).or_default() += 1;
                }
                let mut levels: Vec<(&str, usize)> = counts.into_iter().collect();
                levels.sort_by_key(|(_, n)| std::cmp::Reverse(*n));
                let names = levels.into_iter().take(LEVELS).map(|(name, _)| name.to_owned());
                Self::Names(names.enumerate().map(|(column, name)| (name, column)).collect())
            }
        }
    }

    fn width(&self) -> usize {
        match self {
            Self::Numbers { .. } => 3,
            Self::Names(levels) => levels.len(),
        }
    }

    fn fill(&self, part: &Part<'_>, row: usize, target: &mut [f64]) {
        match (self, part) {
            (Self::Numbers { mean, deviation }, Part::Numbers(values)) => {
                let z = values[row].map_or(0.0, |value| (value - mean) / deviation);
                target[..3].copy_from_slice(&[z, z * z, f64::from(u8::from(values[row].is_none()))]);
            }
            (Self::Names(levels), Part::Names(names)) => {
                if let Some(&column) = levels.get(names[row].unwrap_or_default()) {
                    target[column] = 1.0;
                }
            }
            _ => unreachable!("an encoder is fitted on the part that it encodes"),
        }
    }
}

/// The AUC of rows of one fold, folds weighed by their pairs, with the percentile interval over clusters.
fn interval(
    positive: &[bool],
    scores: &[f64],
    folds: &[usize],
    k: usize,
    clusters: &Clusters,
    settings: &Settings,
) -> Result<Option<Estimate>, AuditError> {
    let members: Vec<Vec<usize>> = (0..k)
        .map(|fold| (0..folds.len()).filter(|&row| folds[row] == fold).collect())
        .collect();
    let rankings: Vec<Ranking> = members
        .iter()
        .map(|rows| {
            let labels: Vec<bool> = rows.iter().map(|&row| positive[row]).collect();
            let scores: Vec<f64> = rows.iter().map(|&row| scores[row]).collect();
            Ranking::new(&labels, &scores)
        })
        .collect();
    let auc = |weights: &[u32]| {
        let (mut area, mut pairs) = (0.0, 0.0);
        for (rows, ranking) in members.iter().zip(&rankings) {
            let own: Vec<u32> = rows.iter().map(|&row| weights[row]).collect();
            let count = |class: bool| -> f64 {
                let of = rows.iter().zip(&own).filter(|(row, _)| positive[**row] == class);
                of.map(|(_, weight)| f64::from(*weight)).sum()
            };
            let here = count(true) * count(false);
            area += here * ranking.auc(&own).unwrap_or(0.0);
            pairs += here;
        }
        (pairs > 0.0).then(|| area / pairs)
    };
    let Some(value) = auc(&vec![1; positive.len()]) else {
        return Ok(None);
    };
    let replicates = settings
        .bootstrap
        .resample(clusters, |weights| auc(weights).map(|auc| vec![auc]))?;
    let [lower, upper] = replicates.interval(0);
    Ok(Some(Estimate { value, lower, upper }))
}

#[cfg(test)]
mod tests {
    use rand::RngExt as _;

    use super::*;
    use crate::audit::material::testing::material;

    /// 60 patients of three rows; the site follows the label in nine of ten, the age does not, the position does by its
    /// distance from the middle.
    fn cohort() -> String {
        let mut draw = seed::stream(3, "test");
        let mut text = "who label site z age same".to_owned();
        for patient in 0..60 {
            let ill = patient % 2 == 0;
            let site = if (patient % 20 < 2) != ill { "north" } else { "south" };
            let age: u32 = draw.random_range(20..90);
            for slice in 0..3 {
                let away: f64 = draw.random_range(0.0..1.0) + if ill { 0.8 } else { 0.0 };
                let z = if slice == 1 { away } else { -away };
                let label = if ill { "ill" } else { "well" };
                text += &format!("\nP{patient} {label} {site} {z:.3} {age} x");
            }
        }
        text
    }

    fn run(material: &Material) -> Vec<Finding> {
        match Baselines.run(material, &Settings::default()).unwrap() {
            Outcome::Ran(findings) => findings,
            Outcome::CannotRun(why) => panic!("{why}"),
        }
    }

    #[test]
    fn a_shortcut_is_found_and_noise_is_not() {
        let findings = run(&material(&cohort()));
        let baseline = |place: usize, row: usize| findings[place].numbers[row]["baseline"].as_str().unwrap().to_owned();
        assert_eq!(findings.len(), 3, "{findings:?}");
        assert_eq!(findings[2].sentence, "1 baseline not tried: constant: `same`");
        assert_eq!(
            (baseline(0, 0), baseline(0, 1)),
            ("position".to_owned(), "site".to_owned())
        );
        assert_eq!(findings[0].severity, Severity::Serious);
        assert!(
            findings[1].sentence.contains("from `age` 0."),
            "{}",
            findings[1].sentence
        );
        let auc = findings[0].numbers[1]["auc"].as_f64().unwrap();
        assert!((auc - 0.9).abs() < 0.03, "{auc}");
    }

    #[test]
    fn a_column_that_is_the_label_says_so() {
        let text = cohort().replace(" x", " left");
        let text: Vec<String> = text
            .lines()
            .map(|line| {
                if line.contains(" ill ") {
                    line.replace("left", "right")
                } else {
                    line.to_owned()
                }
            })
            .collect();
        let findings = run(&material(&text.join("\n")));
        assert!(
            findings[0]
                .sentence
                .contains("column `same` alone tells `ill` from the rest completely: AUC 1.000"),
            "{}",
            findings[0].sentence
        );
    }

    #[test]
    fn a_named_column_that_holds_nothing_is_said_to_hold_nothing() {
        let mut material = material(&cohort());
        material.position = Some(vec![None; material.len()]);
        material.position_column = Some("z".to_owned());
        let outcome = NamedColumns.run(&material, &Settings::default()).unwrap();
        assert!(
            matches!(&outcome, Outcome::CannotRun(why) if why.contains("from `z` (position) (empty) in 180 rows")),
            "{outcome:?}"
        );
        material.named = vec!["site".to_owned()];
        let outcome = NamedColumns.run(&material, &Settings::default()).unwrap();
        assert_eq!(outcome, Outcome::Ran(Vec::new()));
    }

    #[test]
    fn too_few_patients_and_no_positive_class_are_said() {
        let few = Baselines
            .run(&material("who label site\nA ill n\nB well s"), &Settings::default())
            .unwrap();
        assert!(
            matches!(&few, Outcome::CannotRun(why) if why.contains("patients")),
            "{few:?}"
        );
        let none = Baselines
            .run(&material("who site\nA n\nB s"), &Settings::default())
            .unwrap();
        assert!(
            matches!(&none, Outcome::CannotRun(why) if why.contains("--positive")),
            "{none:?}"
        );
    }

    #[test]
    fn levels_are_those_of_the_training_rows() {
        let part = Part::Names(vec![Some("a"), Some("b"), None]);
        let encoder = Encoder::fit(&part, &[0, 2]);
        let mut cells = [0.0; 2];
        encoder.fill(&part, 1, &mut cells);
        assert_eq!((encoder.width(), cells), (2, [0.0, 0.0]));
    }
}
