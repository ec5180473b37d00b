//! Memory that this process may still take: what the system has available, within the limit of its control group
//! (cgroup v2; containers and batch systems set one).

use std::fs;
use std::path::{Path, PathBuf};

/// Bytes that programs could still take, where the system tells (Linux).
pub fn available_memory() -> Option<u64> {
    let system = from_meminfo(&fs::read_to_string("/proc/meminfo").ok()?)?;
    let group = fs::read_to_string("/proc/self/cgroup").ok().and_then(|text| group_folder(&text));
    Some(group.map_or(system, |folder| system.min(left_in_groups(Path::new("/sys/fs/cgroup"), &folder))))
}

fn from_meminfo(text: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    let kilobytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kilobytes.checked_mul(1024)
}

/// The process's place in the unified hierarchy, below its root.
fn group_folder(text: &str) -> Option<PathBuf> {
    let path = text.lines().find_map(|line| line.strip_prefix("0::/"))?;
    Some(PathBuf::from(path))
}

/// The least that `group` or a group above it leaves; limits of parents bind too.
fn left_in_groups(root: &Path, group: &Path) -> u64 {
    group.ancestors().filter_map(|group| left_in(&root.join(group))).min().unwrap_or(u64::MAX)
}

/// What one group leaves. File pages that nothing has used lately are given up before anything is refused.
fn left_in(folder: &Path) -> Option<u64> {
    let number = |name: &str| fs::read_to_string(folder.join(name)).ok()?.trim().parse::<u64>().ok();
    let (limit, used) = (number("memory.max")?, number("memory.current")?);
    let stat = fs::read_to_string(folder.join("memory.stat")).unwrap_or_default();
    let idle = stat.lines().find_map(|line| line.strip_prefix("inactive_file ")?.trim().parse().ok());
    Some(limit.saturating_sub(used.saturating_sub(idle.unwrap_or(0))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_system_says_what_is_available() {
        assert_eq!(from_meminfo("MemTotal: 9 kB\nMemAvailable:   2048 kB\n"), Some(2 << 20));
        assert_eq!(from_meminfo("MemTotal: 9 kB\n"), None);
    }

    #[test]
    fn the_tightest_group_binds() {
        let root = tempfile::tempdir().unwrap();
        let inner = root.path().join("job/step");
        fs::create_dir_all(&inner).unwrap();
        let write = |folder: &Path, name: &str, text: &str| fs::write(folder.join(name), text).unwrap();
        let group = group_folder("1:cpu:/x\n0::/job/step\n").unwrap();
        assert_eq!(left_in_groups(root.path(), &group), u64::MAX);
        let job = root.path().join("job");
        write(&inner, "memory.max", "max\n");
        write(&inner, "memory.current", "70\n");
        write(&job, "memory.max", "1000\n");
        write(&job, "memory.current", "400\n");
        assert_eq!(left_in_groups(root.path(), &group), 600);
        write(&job, "memory.stat", "anon 50\ninactive_file 300\n");
        assert_eq!(left_in_groups(root.path(), &group), 900);
    }
}
