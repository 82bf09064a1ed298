//! Progress on stderr: a bar on a terminal, plain lines elsewhere.

use std::{
    io::IsTerminal as _,
    sync::{
        Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

/// How far one piece of work has come. Cheap to tick from many threads.
#[derive(Debug)]
pub struct Progress {
    what: String,
    unit: Unit,
    total: AtomicU64,
    done: AtomicU64,
    started: Instant,
    shown: Shown,
}

/// What is counted.
#[derive(Debug, Clone, Copy)]
enum Unit {
    Of(&'static str),
    Bytes,
}

#[derive(Debug)]
enum Shown {
    Bar(indicatif::ProgressBar),
    Lines(Mutex<Instant>),
    Nothing,
}

static QUIET: AtomicBool = AtomicBool::new(false);

/// From now on no progress is shown; for `--quiet`.
pub fn silence() {
    QUIET.store(true, Ordering::Relaxed);
}

/// Without a terminal a line is printed at most this often.
const LINE_EVERY: Duration = Duration::from_secs(10);

impl Progress {
    /// Starts a piece of work of `total` steps, e.g. `Progress::new("extract", "slices", 3227)`.
    pub fn new(what: &str, unit: &'static str, total: u64) -> Self {
        let style = "{msg:>10} {wide_bar} {pos}/{len} ({per_sec}, {eta} left)";
        Self::start(what, Unit::Of(unit), total, style)
    }

    /// Starts a piece of work that is measured in bytes, such as a download; a `total` that is not known yet is 0.
    pub fn bytes(what: &str, total: u64) -> Self {
        let style = "{msg:>10} {wide_bar} {decimal_bytes}/{decimal_total_bytes} ({decimal_bytes_per_sec}, {eta} left)";
        Self::start(what, Unit::Bytes, total, style)
    }

    fn start(what: &str, unit: Unit, total: u64, style: &str) -> Self {
        let shown = if QUIET.load(Ordering::Relaxed) {
            Shown::Nothing
        } else if std::io::stderr().is_terminal() {
            let bar = indicatif::ProgressBar::new(total);
            bar.set_style(indicatif::ProgressStyle::with_template(style).expect("a constant template"));
            bar.set_message(what.to_owned());
            Shown::Bar(bar)
        } else {
            Shown::Lines(Mutex::new(Instant::now()))
        };
        Self::with(what, unit, total, shown)
    }

    /// Shows nothing; for tests and for callers who draw their own.
    pub fn hidden() -> Self {
        Self::with("", Unit::Bytes, 0, Shown::Nothing)
    }

    fn with(what: &str, unit: Unit, total: u64, shown: Shown) -> Self {
        Self {
            what: what.to_owned(),
            unit,
            total: AtomicU64::new(total),
            done: AtomicU64::new(0),
            started: Instant::now(),
            shown,
        }
    }

    /// A word on how it goes, e.g. a loss; shown on a bar only.
    pub fn note(&self, words: &str) {
        if let Shown::Bar(bar) = &self.shown {
            bar.set_message(format!("{}: {words}", self.what));
        }
    }

    /// How much it is in all, where that turned out only now.
    pub fn expect(&self, total: u64) {
        self.total.store(total, Ordering::Relaxed);
        if let Shown::Bar(bar) = &self.shown {
            bar.set_length(total);
        }
    }

    /// `n` steps were in vain and are to be done again.
    pub fn untick(&self, n: u64) {
        let before = self.done.fetch_sub(n, Ordering::Relaxed);
        if let Shown::Bar(bar) = &self.shown {
            bar.set_position(before.saturating_sub(n));
        }
    }

    /// `n` more steps are done.
    pub fn tick(&self, n: u64) {
        let done = self.done.fetch_add(n, Ordering::Relaxed) + n;
        match &self.shown {
            Shown::Bar(bar) => bar.inc(n),
            Shown::Lines(last) => {
                let mut last = last.lock().expect("no tick panics");
                if last.elapsed() >= LINE_EVERY {
                    *last = Instant::now();
                    eprintln!("{}", self.line(done));
                }
            }
            Shown::Nothing => {}
        }
    }

    /// The work is done, or given up: removes the bar, or says how long it took.
    pub fn finish(&self) {
        let done = self.done.load(Ordering::Relaxed);
        match &self.shown {
            Shown::Bar(bar) => bar.finish_and_clear(),
            Shown::Lines(_) if done > 0 => eprintln!("{}", self.line(done)),
            _ => {}
        }
    }

    fn line(&self, done: u64) -> String {
        let seconds = self.started.elapsed().as_secs_f64();
        let rate = done as f64 / seconds.max(1e-9);
        let total = self.total.load(Ordering::Relaxed);
        match self.unit {
            Unit::Of(unit) => format!("{}: {done}/{total} {unit} in {seconds:.1} s ({rate:.1}/s)", self.what),
            Unit::Bytes => format!(
                "{}: {} of {} in {seconds:.1} s ({}/s)",
                self.what,
                indicatif::DecimalBytes(done),
                indicatif::DecimalBytes(total.max(done)),
                indicatif::DecimalBytes(rate as u64)
            ),
        }
    }
}
