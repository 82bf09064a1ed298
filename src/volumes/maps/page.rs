//! The page in plain data: how to read it, then the scans of each set.

use ndarray::Array3;

use super::{
    Looked,
    choice::{Choice, cut},
    name,
};
use crate::{
    ct::HuWindow,
    explain::{Colours, ExplainError, Overlay},
    report::{Explanation, ExplanationSection, Figure, FigureTable, Picture},
    scans::CachedScan,
    words::counted,
};

/// How the title of every such page begins.
pub(super) const TITLE: &str = "Where ";

/// Axial slices below the planes.
const SLICES: usize = 8;

/// A map of one scan.
#[derive(Debug)]
pub(super) struct Heat {
    pub colours: Colours,
    /// `[D, H, W]`
    pub values: Array3<f32>,
}

impl Heat {
    /// As files are named.
    pub fn name(&self) -> &'static str {
        match self.colours {
            Colours::Heat => "grad-cam",
            Colours::Signed => "occlusion",
        }
    }
}

/// A scan with its pictures.
#[derive(Debug)]
pub(super) struct Shown {
    choice: Choice,
    pictures: Vec<Drawn>,
}

#[derive(Debug)]
struct Drawn {
    colours: Colours,
    file: String,
    png: Vec<u8>,
    peak: [usize; 3],
    size: [usize; 3],
    axial: Vec<usize>,
    /// The largest value, sign aside; 0 where all is cold.
    most: f32,
}

impl Shown {
    pub fn new(scan: &CachedScan, choice: Choice, heats: &[Heat]) -> Result<Self, ExplainError> {
        let mut pictures = Vec::new();
        for heat in heats {
            let overlay = Overlay {
                scan: scan.voxels(),
                heat: heat.values.view(),
                window: HuWindow::LUNG,
                colours: heat.colours,
                slices: SLICES,
            };
            pictures.push(Drawn {
                colours: heat.colours,
                file: name(&choice, heat.name(), "png"),
                png: overlay.png()?,
                peak: overlay.peak(),
                size: scan.voxels().dim().into(),
                axial: overlay.axial(),
                most: heat.values.iter().fold(0.0, |most, value| most.max(value.abs())),
            });
        }
        Ok(Self { choice, pictures })
    }
}

/// All that the page says.
pub(super) struct Page<'a> {
    pub looked: &'a Looked<'a>,
    /// Voxels along D, H and W that one place of the maps stands for; `None` where there are none for Grad-CAM.
    pub grain: Option<[f64; 3]>,
    /// Distance of voxels, mm.
    pub spacing: f64,
    /// Whether the network looks at slices one by one.
    pub slices: bool,
    /// Side of the cube of occlusion maps, where there are any.
    pub occlusion: Option<usize>,
    /// Each set with its scans.
    pub sets: &'a [(String, Vec<Shown>)],
}

impl Page<'_> {
    pub fn explanation(&self) -> Explanation {
        let scans: usize = self.sets.iter().map(|(_, shown)| shown.len()).sum();
        let mut sections = vec![self.reading()];
        sections.extend(self.sets.iter().map(|(set, shown)| self.section(set, shown)));
        Explanation {
            title: format!("{TITLE}{} looks", self.looked.name),
            lead: format!(
                "{} of {}, and what in them speaks for `{}` by this network.",
                counted(scans, "scan"),
                counted(self.sets.len(), "set"),
                self.looked.positive
            ),
            report: self.looked.report.clone(),
            banners: self.looked.banners.clone(),
            notes: vec![
                "A map shows what moved one score of one network. It is no outline of disease, and a network that looks at the \
                 right place may still be wrong."
                    .to_owned(),
                "Scans were not drawn at random: the surest calls, right and wrong, stand for no average.".to_owned(),
            ],
            sections,
        }
    }

    fn reading(&self) -> ExplanationSection {
        let mut words = vec![
            "Each picture shows three planes through its strongest place, above without and below with colours, then axial \
             slices from the head to the feet. Axial planes are seen from the feet, coronal ones from the front, sagittal ones from \
             the patient's left; R, L, A, P, H and F say where right, left, front, back, head and feet are, and lines at the edges \
             where the other planes lie. The grey is the lung window."
                .to_owned(),
        ];
        words.extend(self.grain.map(|grain| self.of_grad_cam(grain)));
        if self.grain.is_none() {
            words.push("There is no Grad-CAM: the network's last layer is no map over the scan.".to_owned());
        }
        if self.slices && self.grain.is_some() {
            words.push(
                "The network takes the largest of each feature over all slices: only slices that hold such a largest feature are hot, \
                 and disease in a slice that holds none stays cold."
                    .to_owned(),
            );
        }
        words.extend(self.occlusion.map(|cube| {
            format!(
                "Occlusion (Zeiler and Fergus 2014): a cube of air, {cube} voxels ({} mm) a side, hides a part of the scan; orange \
                 is where the log-odds of `{}` fall by it, blue where they rise, up to the most of each scan. What is seen in two \
                 places can be hidden in one without a change, and scans with holes are none that the network was trained on.",
                short(cube as f64 * self.spacing),
                self.looked.positive
            )
        }));
        words.push(format!(
            "Scans of each set were drawn as true positives, false positives, false negatives and true negatives in turn, those \
             furthest from {} first, of as many patients as can be.",
            self.cut()
        ));
        ExplanationSection {
            heading: "How to read this".to_owned(),
            words,
            ..ExplanationSection::default()
        }
    }

    /// What Grad-CAM shows, where one place of the maps stands for so many voxels.
    fn of_grad_cam(&self, grain: [f64; 3]) -> String {
        let [d, h, w] = grain.map(short);
        let [dm, hm, wm] = grain.map(|voxels| short(voxels * self.spacing));
        format!(
            "Grad-CAM (Selvaraju et al. 2017): the network's last maps, weighted by how much each raises the number of `{}`, where \
             their sum is above 0. That number is one of the two before the softmax, as that paper takes it and Li et al. 2020 for \
             COVNet, and not the log-odds, which are its difference from the other: what raises the score by lowering the other \
             number alone is not hot. Colours go from nothing to the largest of each scan, so that they can't be compared between \
             scans. One place of the maps stands for {d} x {h} x {w} voxels ({dm} x {hm} x {wm} mm, depth, height, width): nothing \
             finer is shown. What speaks against `{}` is not shown, and a network that tells a class by what is missing is hot where \
             there is nothing, as in the air around the body: look at occlusion maps too before you believe either.",
            self.looked.positive, self.looked.positive
        )
    }

    /// The score from which on a scan is called positive, in words.
    fn cut(&self) -> String {
        match self.looked.threshold {
            Some(threshold) => format!("the threshold of {threshold:.4}"),
            None => "even odds (no threshold was chosen)".to_owned(),
        }
    }

    fn section(&self, set: &str, shown: &[Shown]) -> ExplanationSection {
        ExplanationSection {
            heading: format!("Set `{set}`"),
            words: Vec::new(),
            figures: shown
                .iter()
                .flat_map(|scan| scan.pictures.iter().map(|drawn| self.figure(set, &scan.choice, drawn)))
                .collect(),
            table: Some(FigureTable {
                caption: "The scans, in the order of the pictures".to_owned(),
                headings: [
                    "Row",
                    "Scan",
                    "Patient",
                    "Label",
                    "Score",
                    "Called",
                    "Drawn as",
                    "Strongest at",
                ]
                .map(str::to_owned)
                .to_vec(),
                lines: shown.iter().map(|scan| self.line(scan)).collect(),
            }),
        }
    }

    fn figure(&self, set: &str, choice: &Choice, drawn: &Drawn) -> Figure {
        let rows = &self.looked.cohort.rows;
        let method = match drawn.colours {
            Colours::Heat => "Grad-CAM",
            Colours::Signed => "Occlusion",
        };
        let label = rows.label[choice.row]
            .as_deref()
            .map_or("no label".to_owned(), |label| format!("label {label}"));
        let [d, h, w] = drawn.peak;
        let scale = match (drawn.colours, drawn.most > 0.0) {
            (Colours::Heat, true) => "The bar goes from nothing to the largest of this scan.".to_owned(),
            (Colours::Heat, false) => format!(
                "Nothing in the last maps speaks for `{}`: there is no heat, and the planes go through the middle.",
                self.looked.positive
            ),
            (Colours::Signed, true) => {
                format!("The bar goes from -{most:.3} to {most:.3} log-odds.", most = drawn.most)
            }
            (Colours::Signed, false) => "No cube moves the score: the planes go through the middle.".to_owned(),
        };
        let slices: Vec<String> = drawn.axial.iter().map(|at| (at + 1).to_string()).collect();
        Figure {
            file: drawn.file.clone(),
            title: format!("{method}: {}, {}", rows.scan_id[choice.row], choice.why.words()),
            caption: format!(
                "Patient {}, {label}, set {set}: score {:.4}, {} is {:.4}. Planes through axial slice {} of {}, coronal {} of {}, \
                 sagittal {} of {}; then axial slices {}. {scale}",
                rows.patient_id[choice.row],
                self.looked.scores[choice.row].unwrap_or(f64::NAN),
                if self.looked.threshold.is_some() {
                    "the threshold"
                } else {
                    "the cut at even odds"
                },
                cut(self.looked.threshold),
                d + 1,
                drawn.size[0],
                h + 1,
                drawn.size[1],
                w + 1,
                drawn.size[2],
                slices.join(", ")
            ),
            picture: Picture::Png(drawn.png.clone()),
        }
    }

    fn line(&self, shown: &Shown) -> Vec<String> {
        let (rows, row) = (&self.looked.cohort.rows, shown.choice.row);
        let score = self.looked.scores[row].unwrap_or(f64::NAN);
        let called = match score >= cut(self.looked.threshold) {
            true => self.looked.positive.to_owned(),
            false => format!("not {}", self.looked.positive),
        };
        let places = shown.pictures.iter().map(|drawn| {
            let [d, h, w] = drawn.peak.map(|at| at + 1);
            match drawn.most > 0.0 {
                true => format!("{d}, {h}, {w}"),
                false => "nowhere".to_owned(),
            }
        });
        vec![
            (row + 1).to_string(),
            rows.scan_id[row].clone(),
            rows.patient_id[row].clone(),
            rows.label[row].clone().unwrap_or_default(),
            format!("{score:.4}"),
            called,
            shown.choice.why.words().to_owned(),
            places.collect::<Vec<_>>().join("; "),
        ]
    }
}

/// A length without zeros at its end.
fn short(length: f64) -> String {
    format!("{}", (length * 10.0).round() / 10.0)
}
