//! What a network takes of memory before it is built: by part, in bytes, from the layers as words describe them.
//!
//! Scans are large. 256 x 256 x 256 voxels in a batch of 8 are 8 GiB for one activation of 16 channels, so that a training says what
//! it will take before its first step, and what would fit where that is too much.

use super::{BaselineConfig, BaselineError, LayerFacts, Made, Place, trunk::is_trained};
use crate::{method::Precision, words::binary};

/// Bytes of a 32-bit float.
const FLOAT: u64 = 4;
/// Bytes of a bfloat16.
const BFLOAT: u64 = 2;
/// Sizes that are proposed are multiples of so many voxels.
const STEP: usize = 16;

/// Memory of a training or of scoring, in bytes, at the worst moment of a step. The program and libtorch themselves, some 220 MiB, are not
/// counted.
///
/// ```
/// use hounsfield::{baseline::{BaselineConfig, MemoryLimit, MemoryPlan}, method::Precision};
/// let network = BaselineConfig::named("pu-a").expect("one of the five");
/// let plan = MemoryPlan::of(&network, [256; 3], 8, 8, Precision::Float32, false)?;
/// let plan = plan.on_card()?;
/// assert_eq!(plan.largest, 8 << 30); // one activation of 16 channels
/// let said = plan.refuse(MemoryLimit::Free(16 << 30)).unwrap_err().to_string();
/// assert!(said.contains("16.0 GiB") && said.contains("train.part"), "{said}");
/// # Ok::<(), hounsfield::baseline::BaselineError>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct MemoryPlan {
    /// All tensors of the network, and their bfloat16 copies where it computes in that precision.
    pub parameters: u64,
    /// Gradients of the trained ones.
    pub gradients: u64,
    /// Both running means of Adam.
    pub optimizer: u64,
    /// Activations that are kept for gradients, or that a layer reads and gives where nothing is kept.
    pub activations: u64,
    /// Gradients of activations on their way from one layer to the one before.
    pub passing: u64,
    /// Scans as the network takes them: those in it, and the next ones, which are made ready meanwhile.
    pub batch: u64,
    /// What convolutions take for themselves. That is the library's business and a guess: half of the largest activation.
    pub workspace: u64,
    /// All of it.
    pub total: u64,
    /// The largest single activation of the scans that pass together.
    pub largest: u64,
    request: Request,
}

/// What was planned.
#[derive(Debug, Clone, PartialEq)]
struct Request {
    network: BaselineConfig,
    size: [usize; 3],
    /// Scans of one step of the optimiser; none where scans are only scored.
    batch: Option<usize>,
    /// Scans that pass together.
    part: usize,
    precision: Precision,
    recompute: bool,
    place: Place,
}

/// How much memory there is for a plan, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MemoryLimit {
    /// So much is free.
    Free(u64),
    /// So much `train.memory_mb` allows.
    Allowed(u64),
}

impl MemoryLimit {
    /// In bytes.
    pub fn bytes(self) -> u64 {
        match self {
            Self::Free(bytes) | Self::Allowed(bytes) => bytes,
        }
    }
}

impl std::fmt::Display for MemoryLimit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Free(bytes) => write!(f, "{} are free", binary(*bytes)),
            Self::Allowed(bytes) => write!(f, "`train.memory_mb` allows {}", binary(*bytes)),
        }
    }
}

/// Settings with which a training fits.
#[derive(Debug, Clone, PartialEq)]
pub struct Proposal {
    /// Scans that pass together.
    pub part: usize,
    /// Whether activations are computed again.
    pub recompute: bool,
    /// How it is computed.
    pub precision: Precision,
    /// Size of the scans.
    pub size: [usize; 3],
    /// What it takes then, in bytes.
    pub total: u64,
    /// As it was asked for: only what is to be changed is told.
    from: (usize, bool, Precision, [usize; 3]),
}

impl MemoryPlan {
    /// The plan of a training: `batch` scans of `size` a step, `part` of them together.
    ///
    /// # Errors
    ///
    /// When the sizes make no network, or a number of scans is 0.
    pub fn of(
        network: &BaselineConfig,
        size: [usize; 3],
        batch: usize,
        part: usize,
        precision: Precision,
        recompute: bool,
    ) -> Result<Self, BaselineError> {
        if batch == 0 || !(1..=batch).contains(&part) {
            return Err(BaselineError::Scans { batch, part });
        }
        Self::new(Request {
            network: network.clone(),
            size,
            batch: Some(batch),
            part,
            precision,
            recompute,
            place: Place::Processor,
        })
    }

    /// The same on a graphics card, where no level of a network is one operation.
    ///
    /// # Errors
    ///
    /// None that the plan itself did not have.
    pub fn on_card(&self) -> Result<Self, BaselineError> {
        Self::new(Request {
            place: Place::Card,
            ..self.request.clone()
        })
    }

    /// The plan of scoring: `part` scans together, and nothing is kept.
    ///
    /// # Errors
    ///
    /// As [`MemoryPlan::of`].
    pub fn scoring(
        network: &BaselineConfig,
        size: [usize; 3],
        part: usize,
        precision: Precision,
    ) -> Result<Self, BaselineError> {
        if part == 0 {
            return Err(BaselineError::Scans { batch: part, part });
        }
        Self::new(Request {
            network: network.clone(),
            size,
            batch: None,
            part,
            precision,
            recompute: false,
            place: Place::Processor,
        })
    }

    fn new(request: Request) -> Result<Self, BaselineError> {
        let Request {
            network, size, part, ..
        } = &request;
        let layers = network.layers_on(request.place, *size)?;
        let (mut all, mut trained) = (0, 0);
        for (name, shape) in network.expected_tensors(*size)? {
            let count = product(&shape);
            all += count;
            trained += if is_trained(&name) { count } else { 0 };
        }
        let (number, copies) = match request.precision {
            Precision::Float32 => (FLOAT, 0),
            Precision::BFloat16 => (BFLOAT, BFLOAT * trained),
        };
        let scans = *part as u64;
        let made = layers.iter().filter(|layer| layer.made != Made::Never);
        let largest = made.map(given).max().unwrap_or(0);
        let (kept, passing, largest) = match request.batch {
            Some(_) => {
                let (kept, passing) = worst(&layers, request.recompute);
                (kept, passing, largest)
            }
            None => {
                // What enters a layer, what it gives, and one map between the two where it is several operations.
                let together = network.together(*size);
                (2 * largest / together, largest / together, largest / together)
            }
        };
        let of_activations = |numbers: u64| numbers.saturating_mul(number.saturating_mul(scans));
        let training = u64::from(request.batch.is_some());
        let mut plan = Self {
            parameters: FLOAT * all + copies,
            gradients: training * FLOAT * trained,
            optimizer: training * 2 * FLOAT * trained,
            activations: of_activations(kept),
            passing: of_activations(passing),
            batch: (2 * FLOAT).saturating_mul(scans).saturating_mul(product(size)),
            workspace: of_activations(largest) / 2,
            total: 0,
            largest: of_activations(largest),
            request,
        };
        plan.total = plan
            .parts()
            .iter()
            .fold(0, |total, (_, bytes)| total.saturating_add(*bytes));
        Ok(plan)
    }

    fn parts(&self) -> [(&'static str, u64); 7] {
        let (activations, passing) = match (self.request.batch, self.request.recompute) {
            (None, _) => ("activations", "between two layers"),
            (_, false) => ("activations", "their gradients"),
            (_, true) => ("activations, computed again", "their gradients"),
        };
        [
            ("parameters", self.parameters),
            ("gradients", self.gradients),
            ("optimiser (Adam)", self.optimizer),
            (activations, self.activations),
            (passing, self.passing),
            ("scans", self.batch),
            ("workspace (a guess)", self.workspace),
        ]
    }

    /// A line a part, for a terminal.
    pub fn table(&self) -> String {
        let Request {
            batch, part, precision, ..
        } = &self.request;
        let (scans, size) = (crate::words::counted(*part, "scan"), voxels(self.request.size));
        let floats = match precision {
            Precision::Float32 => "32-bit floats",
            Precision::BFloat16 => "bf16",
        };
        let mut text = match batch {
            None => format!("memory of scoring: {scans} of {size} together, {floats}\n"),
            Some(batch) if batch == part => {
                format!("memory of a training step: {scans} of {size} together, {floats}\n")
            }
            Some(batch) => format!("memory of a training step: {scans} of {batch} together, of {size}, {floats}\n"),
        };
        let total = [("together", self.total)];
        for (name, bytes) in self.parts().iter().filter(|(_, bytes)| *bytes > 0).chain(&total) {
            text += &format!("  {name:<28}{:>10}\n", binary(*bytes));
        }
        text
    }

    /// Whether it fits.
    ///
    /// # Errors
    ///
    /// [`BaselineError::Memory`] when it does not, with what would: smaller parts first, since nothing but the statistics of batch
    /// norms depends on them, then activations that are computed again, bf16, and smaller scans.
    pub fn refuse(&self, limit: MemoryLimit) -> Result<(), BaselineError> {
        if self.total <= limit.bytes() {
            return Ok(());
        }
        Err(BaselineError::Memory {
            total: self.total,
            limit,
            scans: self.request.part,
            size: self.request.size,
            proposal: self.proposal(limit.bytes()).map(Box::new),
        })
    }

    /// The first of the settings that fits, from what changes least to what changes most; none where no scan of 16 voxels or more does.
    pub fn proposal(&self, limit: u64) -> Option<Proposal> {
        let asked = &self.request;
        let halves = || std::iter::successors(Some(asked.part), |part| Some(part / 2).filter(|part| *part > 0));
        let ways = [
            (asked.recompute, asked.precision),
            (true, asked.precision),
            (true, Precision::BFloat16),
        ];
        let same_size = ways
            .into_iter()
            .filter(|(recompute, _)| asked.batch.is_some() || !recompute)
            .flat_map(|(recompute, precision)| halves().map(move |part| (part, recompute, precision, asked.size)));
        let training = asked.batch.is_some();
        let smaller = smaller(asked.size).map(|size| (1, training, Precision::BFloat16, size));
        same_size.chain(smaller).find_map(|(part, recompute, precision, size)| {
            let request = Request {
                part,
                recompute,
                precision,
                size,
                ..asked.clone()
            };
            let plan = Self::new(request).ok().filter(|plan| plan.total <= limit)?;
            Some(Proposal {
                part,
                recompute,
                precision,
                size,
                total: plan.total,
                from: (asked.part, asked.recompute, asked.precision, asked.size),
            })
        })
    }
}

impl std::fmt::Display for Proposal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (part, recompute, precision, size) = self.from;
        let mut settings = Vec::new();
        if self.size != size {
            settings.push(format!("`input.size = {:?}`", self.size));
        }
        if self.part != part {
            settings.push(format!("`train.part = {}`", self.part));
        }
        if self.recompute != recompute {
            settings.push("`train.recompute = true`".to_owned());
        }
        if self.precision != precision {
            settings.push("`train.precision = \"bf16\"`".to_owned());
        }
        write!(f, "{} takes {}", settings.join(" with "), binary(self.total))
    }
}

impl BaselineConfig {
    /// How many times less than a whole scan passes at once where it is only scored.
    fn together(&self, size: [usize; 3]) -> u64 {
        match self {
            Self::CovNet(config) => config.slices(size[0]).div_ceil(super::CovNet::TOGETHER).max(1) as u64,
            _ => 1,
        }
    }
}

/// Numbers that are kept, and those that pass between layers, for one scan, at the moment of the backward pass that takes most.
fn worst(layers: &[LayerFacts], recompute: bool) -> (u64, u64) {
    let mut most = (0, 0);
    // What is kept up to a layer; of the segments before it only what enters them, and what leaves it.
    let (mut kept, mut entered) = (0, 0);
    for (number, layer) in layers.iter().enumerate() {
        let before = number.checked_sub(1).map(|before| &layers[before]);
        if recompute && before.is_some_and(|before| before.segment != layer.segment) {
            entered += before.map_or(0, given);
            kept = 0;
        }
        kept += layer.kept as u64;
        let enters = before.filter(|before| before.made != Made::Never).map_or(0, given);
        let passing = match layer.made {
            // A layer may be several operations of its size or of what enters: each has a gradient that comes and one that goes.
            Made::Whole => 2 * given(layer).max(enters),
            Made::Never => 0,
            Made::Overwritten => enters,
            Made::Fused => given(layer),
        };
        let leaves = if recompute {
            given(last_of_segment(layers, number))
        } else {
            0
        };
        let now = (entered + kept + leaves, passing);
        if now.0 + now.1 > most.0 + most.1 {
            most = now;
        }
    }
    most
}

fn last_of_segment(layers: &[LayerFacts], number: usize) -> &LayerFacts {
    let rest = layers[number..].iter();
    let same = rest.take_while(|layer| layer.segment == layers[number].segment);
    same.last().unwrap_or(&layers[number])
}

/// Numbers that leave a layer.
fn given(layer: &LayerFacts) -> u64 {
    product(&layer.output)
}

fn product(shape: &[usize]) -> u64 {
    shape.iter().fold(1, |count, n| count.saturating_mul(*n as u64))
}

/// Sizes of about the same shape, each a step smaller than the last.
fn smaller(size: [usize; 3]) -> impl Iterator<Item = [usize; 3]> {
    let longest = size.into_iter().max().unwrap_or(0);
    let steps = (1..longest.div_ceil(STEP)).rev();
    steps.map(move |step| size.map(|length| (length * step * STEP / longest / STEP * STEP).max(STEP).min(length)))
}

/// `256 x 256 x 256`.
pub(super) fn voxels([d, h, w]: [usize; 3]) -> String {
    format!("{d} x {h} x {w}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layer(output: &[usize], kept: usize, segment: usize) -> LayerFacts {
        LayerFacts {
            name: String::new(),
            kind: String::new(),
            output: output.to_vec(),
            parameters: 0,
            kept,
            segment,
            made: Made::Whole,
        }
    }

    fn covnet(more: &str) -> BaselineConfig {
        toml::from_str(&format!("kind = 'covnet'\n{more}")).unwrap()
    }

    /// At the second layer: what the first two keep, and gradients of what enters it. At the last it would be 30 and 8.
    #[test]
    fn the_most_is_taken_where_what_is_kept_and_what_passes_are_most_together() {
        let layers = [layer(&[10], 20, 0), layer(&[4], 8, 1), layer(&[2], 2, 2)];
        assert_eq!(worst(&layers, false), (28, 20), "not (30, 8), at the last layer");
    }

    /// At the second layer: what enters it (10), what it keeps (8), what leaves it (4), and 20 on their way.
    #[test]
    fn segments_keep_what_enters_and_one_of_them_all() {
        let layers = [layer(&[10], 20, 0), layer(&[4], 8, 1), layer(&[2], 2, 2)];
        let (kept, passing) = worst(&layers, true);
        assert_eq!(
            kept + passing,
            [20 + 10 + 20, 10 + 8 + 4 + 20, 10 + 4 + 2 + 2 + 8]
                .into_iter()
                .max()
                .unwrap()
        );
    }

    #[test]
    fn recomputing_and_smaller_parts_and_bf16_take_less() {
        let network = covnet("");
        let total = |part, precision, recompute| {
            MemoryPlan::of(&network, [64; 3], 8, part, precision, recompute)
                .unwrap()
                .total
        };
        let whole = total(8, Precision::Float32, false);
        for (part, precision, recompute) in [
            (4, Precision::Float32, false),
            (8, Precision::BFloat16, false),
            (8, Precision::Float32, true),
        ] {
            assert!(total(part, precision, recompute) < whole);
        }
        let scoring = MemoryPlan::scoring(&network, [64; 3], 1, Precision::Float32).unwrap();
        assert!(scoring.total < whole / 8);
        assert_eq!((scoring.gradients, scoring.optimizer), (0, 0));
    }

    #[test]
    fn the_parts_of_a_table_sum_up() {
        let plan = MemoryPlan::of(&covnet(""), [64; 3], 4, 2, Precision::Float32, true).unwrap();
        assert_eq!(plan.parts().iter().map(|part| part.1).sum::<u64>(), plan.total);
        let table = plan.table();
        assert!(
            table.starts_with("memory of a training step: 2 scans of 4 together, of 64 x 64 x 64"),
            "{table}"
        );
        assert_eq!(table.lines().count(), 9, "{table}");
    }

    #[test]
    fn what_is_proposed_fits_and_changes_as_little_as_it_can() {
        let network = covnet("");
        let plan =
            |part, recompute, precision, size| MemoryPlan::of(&network, size, 8, part, precision, recompute).unwrap();
        let asked = plan(8, false, Precision::Float32, [64; 3]);
        assert_eq!(asked.refuse(MemoryLimit::Free(asked.total)), Ok(()));
        let mut limit = asked.total - 1;
        let mut seen = Vec::new();
        while let Some(found) = asked.proposal(limit) {
            assert!(found.total <= limit);
            assert_eq!(
                plan(found.part, found.recompute, found.precision, found.size).total,
                found.total
            );
            seen.push((found.part, found.recompute, found.precision, found.size));
            limit = found.total - 1;
        }
        assert_eq!(seen[0], (4, false, Precision::Float32, [64; 3]));
        assert!(seen.contains(&(1, true, Precision::BFloat16, [64; 3])), "{seen:?}");
        assert_eq!(seen.last().unwrap().3, [16; 3], "{seen:?}");
        let said = asked.refuse(MemoryLimit::Allowed(1)).unwrap_err().to_string();
        assert!(said.contains("no setting"), "{said}");
    }

    #[test]
    fn a_refusal_has_both_numbers_and_the_way_out() {
        let plan = MemoryPlan::of(&covnet(""), [256; 3], 8, 8, Precision::Float32, false).unwrap();
        let said = plan.refuse(MemoryLimit::Free(64 << 30)).unwrap_err().to_string();
        assert!(
            said.contains(&binary(plan.total)) && said.contains("64.0 GiB") && said.contains("takes"),
            "{said}"
        );
    }

    #[test]
    fn smaller_sizes_keep_the_shape_and_end() {
        let sizes: Vec<_> = smaller([128, 64, 64]).collect();
        assert_eq!(sizes[0], [112, 48, 48]);
        assert_eq!(sizes.last(), Some(&[16; 3]));
        assert_eq!(smaller([16, 8, 8]).count(), 0);
    }

    #[test]
    fn no_scans_make_no_step() {
        for (batch, part) in [(0, 0), (4, 0), (4, 5)] {
            let said = MemoryPlan::of(&covnet(""), [64; 3], batch, part, Precision::Float32, false).unwrap_err();
            assert_eq!(said, BaselineError::Scans { batch, part });
        }
    }

    #[test]
    fn memory_is_counted_by_1024() {
        assert_eq!(
            [0, 1023, 1024, 3 << 20, (1 << 30) - 1].map(binary),
            ["0 bytes", "1023 bytes", "1.0 KiB", "3.0 MiB", "1.0 GiB"]
        );
    }
}
