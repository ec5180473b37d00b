//! Where NVRTC comes from: the environment, the dynamic loader, Python's packages, or the package index by pip.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use crate::nvrtc::{NONE, Nvrtc, VARIABLE};
use crate::recipe::{ARCHITECTURES, capability};

/// The requirement that pip fetches, with the reason for its version.
const REQUIREMENT: &str = "build/nvrtc-wheel.txt";

/// An NVRTC, preferably one that knows every architecture, or why there is none. `target` is the workspace's target folder.
pub(crate) fn nvrtc(target: &Path) -> Result<Nvrtc, String> {
    if let Some(place) = env::var_os(VARIABLE).filter(|place| !place.is_empty()) {
        if place == NONE {
            return Err(format!("{VARIABLE}={NONE}"));
        }
        return Nvrtc::open_in(Path::new(&place)).map_err(|error| format!("{VARIABLE}: {error}"));
    }
    let mut partial = None;
    let mut reasons = Vec::new();
    let places: [&dyn Fn() -> Result<Nvrtc, String>; 3] =
        [&Nvrtc::open_installed, &in_python, &|| kept_or_fetched(&target.join("nvrtc"))];
    for open in places {
        match open() {
            Ok(nvrtc) if ARCHITECTURES.iter().all(|arch| supports(&nvrtc, arch)) => return Ok(nvrtc),
            Ok(nvrtc) => partial = partial.or(Some(nvrtc)),
            Err(reason) => reasons.push(reason),
        }
    }
    partial.ok_or_else(|| reasons.join("; "))
}

/// Whether this NVRTC compiles for `arch`.
pub(crate) fn supports(nvrtc: &Nvrtc, arch: &str) -> bool {
    capability(arch).is_some_and(|(major, minor, _)| nvrtc.targets().contains(&(major * 10 + minor)))
}

/// The wheel that somebody installed, PyTorch for instance.
fn in_python() -> Result<Nvrtc, String> {
    let paths = python(&["-c", "import sys; print('\\n'.join(sys.path))"])?;
    String::from_utf8_lossy(&paths.stdout)
        .lines()
        .filter(|path| !path.is_empty() && Path::new(path).is_dir())
        .find_map(|path| Nvrtc::open_in(Path::new(path)).ok())
        .ok_or_else(|| "no Python package holds it".into())
}

/// The wheel in `folder` from an earlier build, or fetched into it now.
fn kept_or_fetched(folder: &Path) -> Result<Nvrtc, String> {
    if !(cfg!(target_os = "linux") && cfg!(any(target_arch = "x86_64", target_arch = "aarch64"))) {
        return Err("there is no package of it for this system".into());
    }
    let version =
        include_str!("nvrtc-wheel.txt").split_once("==").and_then(|(_, rest)| rest.split_whitespace().next());
    let place = folder.join(version.unwrap_or("wheel"));
    if let Ok(nvrtc) = Nvrtc::open_in(&place) {
        return Ok(nvrtc);
    }
    let temporary = folder.join(format!(".unfinished-{}", std::process::id()));
    let fetched = fetch(&temporary, &place);
    let _ = fs::remove_dir_all(&temporary);
    fetched.and_then(|()| Nvrtc::open_in(&place))
}

/// Downloads and unpacks the wheel in `temporary`, then renames it to `place`: an interrupted fetch leaves nothing that
/// looks whole, and of two at once the first wins.
fn fetch(temporary: &Path, place: &Path) -> Result<(), String> {
    let io = |error: std::io::Error| format!("cannot unpack NVRTC into {}: {error}", place.display());
    if let Some(folder) = temporary.parent() {
        remove_unfinished(folder);
    }
    fs::create_dir_all(temporary).map_err(io)?;
    let text = |path: &Path| path.to_string_lossy().into_owned();
    let pip = ["-m", "pip", "download", "--quiet", "--no-input", "--disable-pip-version-check", "--no-deps"];
    let what =
        ["--only-binary=:all:", "--require-hashes", "--requirement", REQUIREMENT, "--dest", &text(temporary)];
    python(&[&pip[..], &what[..]].concat())?;
    let wheel = entries(temporary).find(|path| path.extension().is_some_and(|end| end == "whl"));
    let wheel = wheel.ok_or("pip downloaded no wheel")?;
    let unpacked = temporary.join("unpacked");
    python(&["-m", "zipfile", "-e", &text(&wheel), &text(&unpacked)])?;
    // A second build of the same library, for old processors, doubles the size.
    for path in entries(&unpacked.join("nvidia/cuda_nvrtc/lib")).filter(|path| text(path).contains(".alt.")) {
        fs::remove_file(path).map_err(io)?;
    }
    if fs::rename(&unpacked, place).is_err() && Nvrtc::open_in(place).is_err() {
        // What is there is neither ours nor another process's finished copy: it is damaged.
        fs::remove_dir_all(place).and_then(|()| fs::rename(&unpacked, place)).map_err(io)?;
    }
    Ok(())
}

/// Removes what killed builds left. One that still runs is younger than an hour.
fn remove_unfinished(folder: &Path) {
    let old = |path: &Path| fs::metadata(path).and_then(|data| data.modified()).ok()?.elapsed().ok();
    for path in entries(folder).filter(|path| path.to_string_lossy().contains(".unfinished-")) {
        if old(&path).is_some_and(|age| age.as_secs() > 3600) {
            let _ = fs::remove_dir_all(path);
        }
    }
}

fn entries(folder: &Path) -> impl Iterator<Item = PathBuf> + use<> {
    fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path())
}

/// Runs Python; the error is the last line that it printed.
fn python(arguments: &[&str]) -> Result<Output, String> {
    let run = Command::new("python3").args(arguments).output();
    let output = run.map_err(|error| format!("python3 cannot be run: {error}"))?;
    if output.status.success() {
        return Ok(output);
    }
    let stderr = String::from_utf8_lossy(&output.stderr);
    let last = stderr.lines().rfind(|line| !line.trim().is_empty()).unwrap_or("no message");
    Err(format!(
        "python3 {}: {}",
        arguments.first_chunk::<3>().map(|words| words.join(" ")).unwrap_or_default(),
        last.trim()
    ))
}
