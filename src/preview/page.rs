//! The page in plain data: values by site, then the slices of each site.

use super::{PreviewPlan, Scale, Site, ValueCounts, draw::Listed};
use crate::{
    ct::HuWindow,
    report::{Explanation, ExplanationSection, Figure, FigureTable, Histogram, Picture},
    transforms::{Cropping, Preprocess},
    words::{count, counted},
};

/// Bins of a histogram; 20 HU each.
const BINS: usize = 120;

/// The axis of Hounsfield units: from below air to bone.
const HU_RANGE: [f64; 2] = [-1200.0, 1200.0];

/// Where the peak of soft tissue is looked for, in HU: between fat and enhanced vessels.
const SOFT_TISSUE: [i32; 2] = [0, 100];

/// More lines than this can't be told apart: the first are drawn.
const MOST_LINES: usize = 16;

/// The whole page.
pub(super) fn page(plan: &PreviewPlan, sites: &[Site]) -> Explanation {
    let slices = sites.iter().map(|site| site.slices.len()).sum();
    let mut sections = vec![settings(plan), values(plan, sites)];
    sections.extend(sites.iter().enumerate().map(|(at, site)| slices_of(plan, at, site)));
    Explanation {
        title: plan.title.clone(),
        lead: format!(
            "{} of {}, before and after preprocessing; up to {} a site, of as many patients as can be (seed {}).",
            counted(slices, "slice"),
            counted(sites.len(), "site"),
            plan.per_site,
            plan.seed
        ),
        report: None,
        banners: plan.preprocess.watermarks(),
        notes: notes(sites),
        sections,
    }
}

/// What a reader must know before the figures.
fn notes(sites: &[Site]) -> Vec<String> {
    let mut notes = Vec::new();
    let of_scale = |scale: Scale| -> Vec<&str> {
        let have = sites.iter().filter(|site| site.counts.contains_key(&scale));
        have.map(|site| site.name.as_str()).collect()
    };
    let scales: Vec<(Scale, Vec<&str>)> = Scale::ALL
        .into_iter()
        .map(|scale| (scale, of_scale(scale)))
        .filter(|(_, names)| !names.is_empty())
        .collect();
    if scales.len() > 1 {
        let words: Vec<String> = scales
            .iter()
            .map(|(scale, names)| format!("{} at {}", scale.words(), names.join(", ")))
            .collect();
        notes.push(format!(
            "Slices differ in what their values are: {}. A classifier can tell them apart by that alone.",
            words.join("; ")
        ));
    }
    let failed: usize = sites.iter().map(|site| site.failures.len()).sum();
    let first = sites.iter().flat_map(|site| &site.failures).min();
    if let Some((row, reason)) = first {
        notes.push(format!(
            "{} could not be read or prepared (first: row {}: {reason}).",
            counted(failed, "slice"),
            row + 1
        ));
    }
    notes
}

fn settings(plan: &PreviewPlan) -> ExplanationSection {
    let preprocess = &plan.preprocess;
    let windows: Vec<String> = preprocess.windows().iter().map(|window| window.words()).collect();
    let what = match preprocess {
        Preprocess::Standard(standard) => {
            let crop = match standard.crop {
                Cropping::None => "",
                Cropping::Body => ", cropped to the body (the white line in the picture before)",
            };
            let what = if windows.len() == 1 {
                "Window"
            } else {
                "Windows, one a plane"
            };
            format!("{what}: {}{crop}.", windows.join("; "))
        }
        Preprocess::Song2020(_) => "Each column is scaled to its own minimum and maximum.".to_owned(),
    };
    ExplanationSection {
        heading: "Preprocessing".to_owned(),
        words: vec![
            what,
            format!("{} x {} pixels enter the encoder.", plan.size, plan.size),
            format!("As features and cards name it: {}", preprocess.canonical()),
            format!("SHA-256 {}", preprocess.sha256()),
        ],
        ..ExplanationSection::default()
    }
}

/// Histograms of all scales that there are, and the same in numbers.
fn values(plan: &PreviewPlan, sites: &[Site]) -> ExplanationSection {
    let figures = Scale::ALL.into_iter().filter_map(|scale| histogram(plan, sites, scale));
    ExplanationSection {
        heading: "Values by site".to_owned(),
        words: vec![
            "Sites should agree in where air, fat and soft tissue lie. Where they do not, units, calibration or an earlier \
             windowing differ, and a classifier may learn the site."
                .to_owned(),
        ],
        figures: figures.collect(),
        table: Some(table(plan, sites)),
    }
}

fn histogram(plan: &PreviewPlan, sites: &[Site], scale: Scale) -> Option<Figure> {
    let range = match scale {
        Scale::Hu => HU_RANGE,
        Scale::Grey8 => [0.0, 256.0],
        Scale::Grey16 => [0.0, 65536.0],
    };
    let bins = match scale {
        Scale::Grey8 => 64,
        _ => BINS,
    };
    let of_sites = sites.iter().filter_map(|site| Some((site, site.counts.get(&scale)?)));
    let groups: Vec<(String, Vec<f64>)> = of_sites
        .map(|(site, counts)| (site.name.clone(), counts.binned(range, bins)))
        .collect();
    if groups.is_empty() {
        return None;
    }
    let marks: Vec<(String, [f64; 2])> = match (scale, &plan.preprocess) {
        (Scale::Hu, preprocess) => {
            let windows = preprocess.windows().iter();
            windows.map(|window| (window.name(), ends(window.0))).collect()
        }
        (Scale::Grey16, Preprocess::Standard(standard)) => {
            let window = standard.grey16_window.iter();
            window
                .map(|window| ("grey16_window".to_owned(), ends(*window)))
                .collect()
        }
        _ => Vec::new(),
    };
    let title = format!("How often values occur, {}", scale.words());
    let shown = &groups[..groups.len().min(MOST_LINES)];
    let mut caption = match scale {
        Scale::Hu => "All pixels of the slices that were drawn, in steps of 20 HU; dashes mark the windows.".to_owned(),
        Scale::Grey8 => {
            "All pixels, in steps of 4. These pictures were windowed before they came here; peaks at both ends are \
                         what that window cut off."
                .to_owned()
        }
        Scale::Grey16 => "All pixels. Nothing in these pictures states their unit.".to_owned(),
    };
    if shown.len() < groups.len() {
        caption += &format!(" The first {} of {} sites are drawn.", shown.len(), groups.len());
    }
    let histogram = Histogram {
        title: &title,
        axis: scale.words(),
        range,
        groups: shown,
        marks: &marks,
    };
    Some(Figure {
        file: format!("values-{}.svg", scale.words().replace(' ', "-").to_lowercase()),
        caption,
        picture: Picture::Svg(histogram.svg()),
        title,
    })
}

fn ends(window: HuWindow) -> [f64; 2] {
    let (center, half) = (f64::from(window.center), f64::from(window.width) / 2.0);
    [center - half, center + half]
}

/// One line a site and scale.
fn table(plan: &PreviewPlan, sites: &[Site]) -> FigureTable {
    let windows = match &plan.preprocess {
        Preprocess::Standard(_) => plan.preprocess.windows(),
        Preprocess::Song2020(_) => &[],
    };
    let mut headings: Vec<String> = [
        "Site",
        "Slices",
        "Patients",
        "Values",
        "1 %",
        "Median",
        "99 %",
        "Peak of soft tissue",
    ]
    .map(str::to_owned)
    .to_vec();
    let names = windows.iter().map(|window| window.words());
    headings.extend(names.map(|name| format!("Below, in and above {name}, % of pixels")));
    let line = |(site, scale, counts): (&Site, Scale, &ValueCounts)| {
        let slices = site.slices.iter().filter(|slice| slice.shown.scale == scale).count();
        let number = |value: Option<i32>| value.map_or("-".to_owned(), |value| value.to_string());
        let peak = match scale {
            Scale::Hu => counts.peak(SOFT_TISSUE[0], SOFT_TISSUE[1]),
            _ => None,
        };
        let mut cells = vec![
            site.name.clone(),
            count(slices),
            count(site.patients),
            scale.words().to_owned(),
            number(counts.quantile(0.01)),
            number(counts.quantile(0.5)),
            number(counts.quantile(0.99)),
            number(peak),
        ];
        cells.extend(windows.iter().map(|window| match scale {
            Scale::Hu => {
                let shares = counts.shares(window.0).map(|share| format!("{:.1}", 100.0 * share));
                shares.join(" / ")
            }
            _ => "-".to_owned(),
        }));
        cells
    };
    FigureTable {
        caption: "The same in numbers".to_owned(),
        headings,
        lines: sites
            .iter()
            .flat_map(|site| site.counts.iter().map(move |(scale, counts)| (site, *scale, counts)))
            .map(line)
            .collect(),
    }
}

fn slices_of(plan: &PreviewPlan, at: usize, site: &Site) -> ExplanationSection {
    let planes: Vec<String> = plan.preprocess.windows().iter().map(|window| window.words()).collect();
    let after = match &plan.preprocess {
        Preprocess::Standard(_) => format!("then {}", planes.join(", then ")),
        Preprocess::Song2020(_) => "then as song2020 scales it".to_owned(),
    };
    let figure = site.sheet.as_ref().map(|png| Figure {
        file: format!("site-{}.png", at + 1),
        title: format!("Slices of {}, before and after", site.name),
        caption: format!(
            "A line a slice, in the order of the table. Left as stored: black -1000 HU, white 1000 HU (8-bit pictures as they \
             are, 16-bit ones from their lowest to their highest value); {after}. Black planes: see the table."
        ),
        picture: Picture::Png(png.clone()),
    });
    ExplanationSection {
        heading: format!("Slices of {}", site.name),
        words: vec![format!(
            "{} of {}.",
            counted(site.slices.len(), "slice"),
            counted(site.patients, "patient")
        )],
        figures: figure.into_iter().collect(),
        table: (!site.slices.is_empty()).then(|| FigureTable {
            caption: "The slices, in the order of the lines".to_owned(),
            headings: [
                "Row",
                "Patient",
                "Label",
                "Values",
                "Pixels",
                "Lowest",
                "Highest",
                "Lung, % of the body",
                "Not prepared",
            ]
            .map(str::to_owned)
            .to_vec(),
            lines: site.slices.iter().map(line).collect(),
        }),
    }
}

fn line(slice: &Listed) -> Vec<String> {
    let shown = &slice.shown;
    let lung = shown
        .lung
        .map_or("-".to_owned(), |share| format!("{:.1}", 100.0 * share));
    vec![
        (shown.row + 1).to_string(),
        slice.patient_id.clone(),
        slice.label.clone().unwrap_or_default(),
        shown.scale.words().to_owned(),
        format!("{} x {}", shown.dim.0, shown.dim.1),
        shown.range[0].to_string(),
        shown.range[1].to_string(),
        lung,
        shown.refused.clone().unwrap_or_default(),
    ]
}

/// The columns of the list of slices.
pub(super) fn list_header() -> Vec<String> {
    [
        "row",
        "site",
        "slice_id",
        "patient_id",
        "label",
        "values",
        "rows",
        "columns",
        "lowest",
        "highest",
        "lung_fraction",
        "not_prepared",
    ]
    .map(str::to_owned)
    .to_vec()
}

/// The slices that are on the page.
pub(super) fn list(sites: &[Site]) -> impl Iterator<Item = Vec<String>> {
    sites.iter().flat_map(|site| {
        site.slices.iter().map(|slice| {
            let shown = &slice.shown;
            vec![
                (shown.row + 1).to_string(),
                site.name.clone(),
                slice.slice_id.clone(),
                slice.patient_id.clone(),
                slice.label.clone().unwrap_or_default(),
                shown.scale.words().to_owned(),
                shown.dim.0.to_string(),
                shown.dim.1.to_string(),
                shown.range[0].to_string(),
                shown.range[1].to_string(),
                shown.lung.map_or(String::new(), |share| share.to_string()),
                shown.refused.clone().unwrap_or_default(),
            ]
        })
    })
}
