//! Writes what the crate includes: the sources (for compilation at run time), the compressed machine code and the report.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use crate::resources::{complaints, parse_log};
use crate::{Cubin, Sources};

/// Strength of compression. The strongest gains two percent in several times the time.
const LEVEL: u8 = 6;

/// Writes `cubins.rs` and a file of machine code for each of `archs` to `out`.
pub(crate) fn write(
    out: &Path,
    sources: &Sources,
    version: Option<&str>,
    archs: &[&str],
    cubins: &[Cubin],
) -> Result<(), String> {
    let mut text = format!("pub(super) const NVRTC_VERSION: Option<&str> = {version:?};\n");
    for (name, texts) in [("SOURCES", &sources.files), ("HEADERS", &sources.headers)] {
        let _ = writeln!(text, "pub(super) const {name}: &[(&str, &str)] = &[");
        for file in texts.keys() {
            let _ = writeln!(text, "    ({file:?}, include_str!({:?})),", sources.folder.join(file));
        }
        text.push_str("];\n");
    }
    text.push_str("pub(super) const EMBEDDED: &[Embedded] = &[\n");
    for arch in archs {
        embed(&mut text, out, arch, cubins)?;
    }
    text.push_str("];\npub(super) const REPORT: &[Usage] = &[\n");
    let mut warnings = String::new();
    for Cubin { file, arch, compiled } in cubins {
        for (kernel, resources) in parse_log(&compiled.log) {
            let usage = format!(
                "file: {file:?}, arch: {arch:?}, kernel: {kernel:?}, resources: crate::resources::{resources:?}"
            );
            let _ = writeln!(text, "    Usage {{ {usage} }},");
        }
        for line in complaints(&compiled.log) {
            let _ = writeln!(warnings, "    {:?},", format!("{file} {arch}: {line}"));
        }
    }
    let _ = write!(text, "];\npub(super) const WARNINGS: &[&str] = &[\n{warnings}];\n");
    save(&out.join("cubins.rs"), text.as_bytes())
}

/// All files of one architecture in one compressed piece: what they have in common is stored once.
fn embed(text: &mut String, out: &Path, arch: &str, cubins: &[Cubin]) -> Result<(), String> {
    let mut files: Vec<(&str, &[u8])> = cubins
        .iter()
        .filter(|cubin| cubin.arch == arch)
        .map(|cubin| (cubin.file.as_str(), cubin.compiled.cubin.as_slice()))
        .collect();
    files.sort_unstable();
    let plain: Vec<u8> = files.iter().flat_map(|file| file.1).copied().collect();
    let path = out.join(format!("{arch}.deflate"));
    save(&path, &miniz_oxide::deflate::compress_to_vec(&plain, LEVEL))?;
    let parts: Vec<(&str, usize)> = files.iter().map(|(name, cubin)| (*name, cubin.len())).collect();
    let _ = writeln!(
        text,
        "    Embedded {{ arch: {arch:?}, compressed: include_bytes!({path:?}), files: &{parts:?} }},"
    );
    Ok(())
}

fn save(path: &Path, bytes: &[u8]) -> Result<(), String> {
    fs::write(path, bytes).map_err(|error| format!("cannot write {}: {error}", path.display()))
}
