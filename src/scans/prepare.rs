//! All scans onto the network's grid: those that were prepared before are mapped, the others are made.

use std::{
    fs, io,
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
    thread,
};

use super::{
    CachedScan, ScanError, ScanSource, Scans,
    cache::{self, Flaw, Name},
};
use crate::{
    index::{Places, READER},
    progress::Progress,
    tables::write_error,
    transforms::ScanInput,
    words::counted,
};

/// Files of a scan that together have fewer bytes need no place among the large ones: inflated and on their way to the grid they
/// take some 200 MB, a scan of 512 x 512 x 1000 takes three gigabytes.
const SMALL: u64 = 8 << 20;
/// No more threads than this read scans, so that eight small ones are in memory at once.
const THREADS: usize = 8;

/// What threads that prepare scans share.
struct Work<'a> {
    input: &'a ScanInput,
    /// Of this input's prepared scans.
    folder: PathBuf,
    large: Places,
    stop: &'a AtomicBool,
    made: AtomicUsize,
}

impl Scans {
    /// All scans on the grid of `input`, mapped from `cache/KEY/`, in the order of the rows. What is not there yet is made; what is
    /// damaged is made again. Trainings that run at the same time may share a cache: both make what neither has, the same bytes.
    ///
    /// A scan that can't be had is a sentence that says why, without a path. At most two scans are in memory at once, or eight whose files
    /// are small.
    ///
    /// # Errors
    ///
    /// An input that can't be made, a cache that can't be written to, as on a full disk, and [`ScanError::Interrupted`] when `stop` was
    /// set; scans that were prepared stay prepared.
    pub fn prepare(
        &self,
        input: &ScanInput,
        cache: &Path,
        progress: &Progress,
        stop: &AtomicBool,
    ) -> Result<Vec<Result<CachedScan, String>>, ScanError> {
        input.check()?;
        let folder = cache.join(&input.key()[..16]);
        fs::create_dir_all(&folder).map_err(|source| write_error(source, &folder))?;
        progress.expect(self.len() as u64);
        let work = Work {
            input,
            folder,
            large: Places::for_volumes(),
            stop,
            made: AtomicUsize::new(0),
        };
        let prepared = all(&self.sources, &work, progress)?;
        let made = work.made.into_inner();
        tracing::info!(
            "scans: {} prepared anew, {} found in the cache",
            made,
            prepared.iter().flatten().count().saturating_sub(made)
        );
        let odd = prepared.iter().flatten().filter(|scan| scan.not_numbers() > 0).count();
        if odd > 0 {
            let most = prepared
                .iter()
                .flatten()
                .map(CachedScan::not_numbers)
                .max()
                .unwrap_or(0);
            tracing::warn!(
                "{} with voxels that are no finite numbers, up to {most}, which were taken as air",
                counted(odd, "scan")
            );
        }
        Ok(prepared)
    }
}

/// Prepares all, each thread taking the next one.
fn all(
    sources: &[ScanSource],
    work: &Work<'_>,
    progress: &Progress,
) -> Result<Vec<Result<CachedScan, String>>, ScanError> {
    let next = AtomicUsize::new(0);
    // Set where no scan can be prepared any more; the user's own is not ours to set.
    let over = AtomicBool::new(false);
    let run = || {
        let mut done = Vec::new();
        while !over.load(Ordering::Relaxed) && !work.stop.load(Ordering::Relaxed) {
            let at = next.fetch_add(1, Ordering::Relaxed);
            let Some(source) = sources.get(at) else { break };
            // What a panic leaves behind is dropped, and places are given back.
            let scan = catch_unwind(AssertUnwindSafe(|| work.scan(source))).unwrap_or(Err(ScanError::Panicked));
            if scan.as_ref().is_err_and(ScanError::is_of_the_machine) {
                over.store(true, Ordering::Relaxed);
            }
            done.push((at, scan));
            progress.tick(1);
        }
        done
    };
    let threads = thread::available_parallelism().map_or(1, usize::from).min(THREADS);
    let mut done = thread::scope(|scope| -> Result<Vec<_>, ScanError> {
        let start = |_| thread::Builder::new().name(READER.to_owned()).spawn_scoped(scope, run);
        let threads = (0..threads.min(sources.len()))
            .map(start)
            .collect::<io::Result<Vec<_>>>();
        let mut done = Vec::with_capacity(sources.len());
        for thread in threads.map_err(|source| ScanError::Threads { source })? {
            // What may panic is caught a scan at a time.
            done.extend(thread.join().expect("a reader does not panic"));
        }
        Ok(done)
    })?;
    done.sort_unstable_by_key(|(at, _)| *at);
    let mut prepared = Vec::with_capacity(done.len());
    for (_, scan) in done {
        match scan {
            Err(error) if error.is_of_the_machine() => return Err(error),
            scan => prepared.push(scan.map_err(|error| error.without_path())),
        }
    }
    match prepared.len() == sources.len() {
        true => Ok(prepared),
        false => Err(ScanError::Interrupted),
    }
}

impl Work<'_> {
    fn scan(&self, source: &ScanSource) -> Result<CachedScan, ScanError> {
        let (name, bytes) = Name::of(source)?;
        let path = cache::place(&self.folder, &name);
        match cache::open(&path, self.input, &name) {
            Ok(scan) => return Ok(scan),
            Err(Flaw::Io(error)) if error.kind() == io::ErrorKind::NotFound => {}
            Err(flaw) => tracing::warn!("a prepared scan is made again, {flaw}: {}", path.display()),
        }
        let _place = (bytes >= SMALL).then(|| self.large.take());
        if self.stop.load(Ordering::Relaxed) {
            return Err(ScanError::Interrupted);
        }
        let scan = CachedScan::of(source, self.input)?;
        // Under the old name would stand what is new, or half of it.
        if Name::of(source)?.0 != name {
            return Err(ScanError::Changed);
        }
        cache::write(&path, &scan, self.input, &name)?;
        self.made.fetch_add(1, Ordering::Relaxed);
        drop(scan);
        cache::open(&path, self.input, &name).map_err(|flaw| ScanError::Unmapped { flaw, path })
    }
}
