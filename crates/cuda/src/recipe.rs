//! What decides the machine code of a kernel: sources, options, architectures and the key under which results are kept.
//! Shared by the build script and by compilation at run time.

use sha2::{Digest, Sha256};

/// What the build embeds. One cubin serves its own architecture and later minor versions of the same major one; `sm_90a`
/// serves compute capability 9.0 only.
pub(crate) const ARCHITECTURES: [&str; 6] = ["sm_80", "sm_86", "sm_89", "sm_90a", "sm_100", "sm_120"];

/// Options of NVRTC besides the architecture. `-v` of ptxas puts registers and spills into the log.
pub(crate) const OPTIONS: [&str; 4] = ["--std=c++17", "--fmad=true", "-default-device", "-Xptxas=-v"];

/// The compute capability (major, minor) of an architecture's name, and whether it is bound to exactly that.
pub(crate) fn capability(arch: &str) -> Option<(i32, i32, bool)> {
    let number = arch.strip_prefix("sm_")?;
    let digits = number.trim_end_matches('a');
    let value: i32 = digits.parse().ok()?;
    Some((value / 10, value % 10, digits != number))
}

/// Of `available`, the architecture whose machine code fits a GPU best: its own, else the nearest lower minor version of
/// its major one.
pub(crate) fn choose<'a>(
    major: i32,
    minor: i32,
    available: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    let fits = |arch: &&str| {
        capability(arch).is_some_and(|(of, least, bound)| {
            of == major && if bound { least == minor } else { least <= minor }
        })
    };
    available.into_iter().filter(fits).max_by_key(|arch| capability(arch))
}

/// The headers (name, text) that `source` includes, directly or through others. A name without a header is left to the
/// compiler, which knows whether that line is alive.
pub(crate) fn included<'a>(source: &str, headers: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
    let mut found: Vec<(&str, &str)> = Vec::new();
    let mut waiting: Vec<&str> = names(source).filter_map(|name| find(name, headers, &mut found)).collect();
    while let Some(text) = waiting.pop() {
        waiting.extend(names(text).filter_map(|name| find(name, headers, &mut found)).collect::<Vec<_>>());
    }
    found.sort_unstable();
    found
}

/// The names in `#include "name"`.
fn names(text: &str) -> impl Iterator<Item = &str> {
    text.lines().filter_map(|line| {
        line.trim_start().strip_prefix('#')?.trim_start().strip_prefix("include")?.split('"').nth(1)
    })
}

/// The text of a header that is not yet in `found`, where it is put.
fn find<'a>(
    name: &str,
    headers: &[(&'a str, &'a str)],
    found: &mut Vec<(&'a str, &'a str)>,
) -> Option<&'a str> {
    let header = headers.iter().find(|header| header.0 == name && !found.contains(header))?;
    found.push(*header);
    Some(header.1)
}

/// Names one result of the compiler: a hash of everything that decides it.
pub(crate) fn key(name: &str, source: &str, headers: &[(&str, &str)], arch: &str, version: &str) -> String {
    let mut hash = Sha256::new();
    let texts = [name, source, arch, version].into_iter().chain(OPTIONS);
    for text in texts.chain(headers.iter().flat_map(|header| [header.0, header.1])) {
        // The length keeps neighbours apart.
        hash.update((text.len() as u64).to_le_bytes());
        hash.update(text);
    }
    hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_best_architecture_is_chosen() {
        let choose = |major, minor| choose(major, minor, ARCHITECTURES);
        for (gpu, expected) in [
            ((8, 0), Some("sm_80")),
            ((8, 6), Some("sm_86")),
            ((8, 7), Some("sm_86")),
            ((8, 9), Some("sm_89")),
            ((9, 0), Some("sm_90a")),
            ((9, 1), None), // bound to 9.0
            ((10, 0), Some("sm_100")),
            ((10, 3), Some("sm_100")),
            ((11, 0), None),
            ((12, 0), Some("sm_120")),
            ((12, 1), Some("sm_120")),
            ((7, 5), None),
            ((13, 0), None),
        ] {
            assert_eq!(choose(gpu.0, gpu.1), expected, "{gpu:?}");
        }
        assert_eq!(super::choose(8, 0, ["sm_86", "nonsense", "sm_"]), None);
    }

    const HEADERS: [(&str, &str); 3] =
        [("a.cuh", "#pragma once\n# include \"b.cuh\"\n"), ("b.cuh", "#include \"a.cuh\""), ("c.cuh", "")];

    #[test]
    fn only_included_headers_count() {
        assert_eq!(included("#include \"a.cuh\"\n#include \"of_the_cpu.h\"", &HEADERS), HEADERS[..2]);
        assert_eq!(included("int x;", &HEADERS), []);
    }

    #[test]
    fn everything_that_decides_the_code_changes_the_key() {
        let plain = key("f.cu", "text", &HEADERS, "sm_80", "12.9");
        assert_eq!(plain.len(), 64);
        assert_eq!(plain, key("f.cu", "text", &HEADERS, "sm_80", "12.9"));
        for other in [
            key("f.cut", "ext", &HEADERS, "sm_80", "12.9"),
            key("f.cu", "text2", &HEADERS, "sm_80", "12.9"),
            key("f.cu", "text", &HEADERS[..2], "sm_80", "12.9"),
            key("f.cu", "text", &HEADERS, "sm_86", "12.9"),
            key("f.cu", "text", &HEADERS, "sm_80", "13.0"),
        ] {
            assert_ne!(plain, other);
        }
    }
}
