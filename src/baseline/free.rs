//! How much memory this machine has left: what the system says is available, and what a container may take.

use std::{
    fs,
    path::{Path, PathBuf},
};

/// Bytes of main memory that this process can still take: what the kernel calls available, less where a control group sets a limit.
/// `None` where it can't be known, which is everywhere but on Linux.
pub fn free_memory() -> Option<u64> {
    free_below(Path::new("/"))
}

/// The same below another root than `/`.
fn free_below(root: &Path) -> Option<u64> {
    let read = |path: &Path| fs::read_to_string(path).ok();
    let available = available(&read(&root.join("proc/meminfo"))?)?;
    let groups = read(&root.join("proc/self/cgroup")).unwrap_or_default();
    let left = groups.lines().filter_map(|line| left_in_group(root, line)).min();
    Some(left.map_or(available, |left| available.min(left)))
}

/// `MemAvailable` of `/proc/meminfo`, in bytes: free memory and what the kernel can take back.
fn available(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kibibytes.checked_mul(1024)
}

/// What the control group of a line of `/proc/self/cgroup`, and those above it, leave; `None` where none of them sets a limit.
fn left_in_group(root: &Path, line: &str) -> Option<u64> {
    let mut fields = line.splitn(3, ':');
    let (_, controllers, group) = (fields.next()?, fields.next()?, fields.next()?);
    let (mount, files) = match controllers {
        "" => ("sys/fs/cgroup", VERSION_2),
        _ if controllers.split(',').any(|name| name == "memory") => ("sys/fs/cgroup/memory", VERSION_1),
        _ => return None,
    };
    let mount = root.join(mount);
    // A container sees its own group as `/` or as the path outside, which it has no folder of.
    let mut folder: PathBuf = mount.join(group.trim_start_matches('/'));
    let mut least: Option<u64> = None;
    loop {
        if let Some(left) = left_in_folder(&folder, files) {
            least = Some(least.map_or(left, |least| least.min(left)));
        }
        if folder == mount || !folder.pop() || !folder.starts_with(&mount) {
            return least;
        }
    }
}

/// Names of a group's files: its limit, what it uses, and the entry of `memory.stat` that counts files it can let go of.
type Files = [&'static str; 3];

/// <https://docs.kernel.org/admin-guide/cgroup-v2.html>
const VERSION_2: Files = ["memory.max", "memory.current", "inactive_file"];
/// <https://docs.kernel.org/admin-guide/cgroup-v1/memory.html>
const VERSION_1: Files = ["memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"];

fn left_in_folder(folder: &Path, [limit, used, cached]: Files) -> Option<u64> {
    let read = |name: &str| fs::read_to_string(folder.join(name)).ok();
    // `max` is no limit; version 1 writes a number that no machine has.
    let limit: u64 = read(limit)?.trim().parse().ok()?;
    let used: u64 = read(used)?.trim().parse().ok()?;
    let cached = read("memory.stat")
        .and_then(|stat| entry(&stat, cached))
        .unwrap_or_default();
    Some(limit.saturating_sub(used.saturating_sub(cached)))
}

fn entry(stat: &str, name: &str) -> Option<u64> {
    let lines = stat.lines().filter_map(|line| line.split_once(' '));
    lines.into_iter().find(|(key, _)| *key == name)?.1.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A machine with 8 GiB available and these files.
    fn machine(cgroup: &str, files: &[(&str, &str)]) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        let meminfo = "MemTotal:       16000000 kB\nMemFree:          100000 kB\nMemAvailable:    8388608 kB\n";
        for (path, text) in [("proc/meminfo", meminfo), ("proc/self/cgroup", cgroup)]
            .iter()
            .chain(files)
        {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        root
    }

    const GIB: u64 = 1 << 30;

    #[test]
    fn without_a_limit_it_is_what_the_kernel_can_give() {
        let machine = machine("0::/user.slice\n", &[("sys/fs/cgroup/user.slice/memory.max", "max\n")]);
        assert_eq!(free_below(machine.path()), Some(8 * GIB));
    }

    #[test]
    fn a_group_above_may_be_the_one_that_limits_and_cached_files_do_not_count() {
        let machine = machine(
            "0::/jobs/mine\n",
            &[
                ("sys/fs/cgroup/jobs/mine/memory.max", "max\n"),
                ("sys/fs/cgroup/jobs/memory.max", "4294967296\n"),
                ("sys/fs/cgroup/jobs/memory.current", "3221225472\n"),
                (
                    "sys/fs/cgroup/jobs/memory.stat",
                    "anon 1\ninactive_file 1073741824\nactive_file 5\n",
                ),
            ],
        );
        assert_eq!(free_below(machine.path()), Some(2 * GIB));
    }

    #[test]
    fn the_older_files_are_read_too_and_a_container_that_sees_itself_as_the_root() {
        let machine = machine(
            "5:cpu,cpuacct:/x\n4:memory:/docker/abc\n",
            &[
                ("sys/fs/cgroup/memory/memory.limit_in_bytes", "2147483648\n"),
                ("sys/fs/cgroup/memory/memory.usage_in_bytes", "3221225472\n"),
            ],
        );
        assert_eq!(free_below(machine.path()), Some(0), "more is used than is allowed");
    }

    #[test]
    fn what_is_not_understood_is_not_known() {
        let root = tempfile::tempdir().unwrap();
        assert_eq!(free_below(root.path()), None);
        assert_eq!(available("MemAvailable: many kB\n"), None);
        assert_eq!(available("MemFree: 3 kB\n"), None);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn this_machine_has_some() {
        assert!(free_memory().is_some_and(|bytes| bytes > 1 << 20));
    }
}
