//! Kernels that are not built in: compiled by this machine's NVRTC on the first use and kept on disk.

use std::env;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use crate::cubins::Image;
use crate::nvrtc::{NONE, Nvrtc, VARIABLE};
use crate::{recipe, store};

/// Text and name of a source or header.
type Texts = [(&'static str, &'static str)];

/// NVRTC of this machine and the architecture that it is to compile for, or why that cannot be.
pub(crate) fn compiler(major: i32, minor: i32) -> Result<(Nvrtc, String), String> {
    if major < 8 {
        return Err(format!(
            "the kernels need compute capability 8.0 (Ampere) or newer, this GPU has {major}.{minor}"
        ));
    }
    let nvrtc = match env::var_os(VARIABLE).filter(|place| !place.is_empty()) {
        Some(place) if place == NONE => Err(format!("{VARIABLE}={NONE}")),
        Some(place) => Nvrtc::open_in(Path::new(&place)).map_err(|error| format!("{VARIABLE}: {error}")),
        None => Nvrtc::open_installed(),
    }?;
    match target(major, minor, nvrtc.targets()) {
        Some(arch) => Ok((nvrtc, arch)),
        None => Err(format!("NVRTC {} does not know compute capability {major}.{minor}", nvrtc.version())),
    }
}

/// The architecture to compile for, of those that an NVRTC knows.
fn target(major: i32, minor: i32, known: &[i32]) -> Option<String> {
    let known: Vec<String> = known.iter().map(|number| format!("sm_{number}")).collect();
    let arch = recipe::choose(major, minor, known.iter().map(String::as_str))?;
    // The variant with all of this GPU's instructions, as in the build.
    let variant = recipe::ARCHITECTURES.into_iter().find(|it| it.strip_suffix('a') == Some(arch));
    Some(variant.filter(|it| recipe::choose(major, minor, [*it]).is_some()).unwrap_or(arch).to_owned())
}

/// The folder of kernels compiled here: `cubins` in `ILSVRC_CACHE`, else `ilsvrc/cubins` in the user's cache folder.
pub(crate) fn cache() -> Option<PathBuf> {
    cache_of(|name| env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from))
}

fn cache_of(variable: impl Fn(&str) -> Option<PathBuf>) -> Option<PathBuf> {
    let user = || variable("XDG_CACHE_HOME").or_else(|| Some(variable("HOME")?.join(".cache")));
    variable("ILSVRC_CACHE").or_else(|| Some(user()?.join("ilsvrc"))).map(|folder| folder.join("cubins"))
}

/// All `sources` for `arch`, from `folder` where it has them. What is compiled goes there; a folder that cannot be used
/// costs time only. The error is the compiler's.
pub(crate) fn all(
    nvrtc: &Nvrtc,
    arch: &str,
    sources: &Texts,
    headers: &Texts,
    folder: Option<&Path>,
) -> Result<Vec<Image>, String> {
    let next = AtomicUsize::new(0);
    let work = || {
        let mut done = Vec::new();
        while let Some(&(file, source)) = sources.get(next.fetch_add(1, Ordering::Relaxed)) {
            let cubin = one(nvrtc, arch, file, source, headers, folder)?;
            done.push(Image { file, cubin });
        }
        Ok::<_, String>(done)
    };
    let threads = thread::available_parallelism().map_or(1, usize::from).clamp(1, sources.len().max(1));
    let parts: Vec<Result<Vec<Image>, String>> = thread::scope(|scope| {
        let threads: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        let panicked = || Err("a compiling thread panicked".to_owned());
        threads.into_iter().map(|thread| thread.join().unwrap_or_else(|_| panicked())).collect()
    });
    let mut images = parts.into_iter().collect::<Result<Vec<_>, _>>()?.concat();
    images.sort_unstable_by_key(|image| image.file);
    Ok(images)
}

fn one(
    nvrtc: &Nvrtc,
    arch: &str,
    file: &str,
    source: &str,
    headers: &Texts,
    folder: Option<&Path>,
) -> Result<Vec<u8>, String> {
    let headers = recipe::included(source, headers);
    let key = recipe::key(file, source, &headers, arch, &nvrtc.version());
    if let Some(kept) = folder.and_then(|folder| store::load(folder, &key)) {
        return Ok(kept.cubin);
    }
    let compiled = nvrtc.compile(file, source, &headers, arch, &recipe::OPTIONS)?;
    if let Some(folder) = folder {
        // Kept or not, it can be used.
        let _ = store::save(folder, &key, &compiled);
    }
    Ok(compiled.cubin)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cache_lies_where_users_keep_caches() {
        let with = |set: &'static [(&str, &str)]| {
            let folder = cache_of(|name| set.iter().find(|it| it.0 == name).map(|it| PathBuf::from(it.1)));
            folder.map(|folder| folder.display().to_string())
        };
        assert_eq!(with(&[("HOME", "/h")]).as_deref(), Some("/h/.cache/ilsvrc/cubins"));
        assert_eq!(with(&[("HOME", "/h"), ("XDG_CACHE_HOME", "/x")]).as_deref(), Some("/x/ilsvrc/cubins"));
        assert_eq!(with(&[("HOME", "/h"), ("ILSVRC_CACHE", "/i")]).as_deref(), Some("/i/cubins"));
        assert_eq!(with(&[]), None);
    }

    #[test]
    fn the_target_is_what_the_gpu_and_the_compiler_both_know() {
        let known = [80, 86, 87, 89, 90, 100, 101, 103, 120, 121];
        let target = |major, minor| target(major, minor, &known);
        assert_eq!(target(8, 7).as_deref(), Some("sm_87"));
        assert_eq!(target(9, 0).as_deref(), Some("sm_90a"));
        assert_eq!(target(10, 3).as_deref(), Some("sm_103"));
        assert_eq!(target(12, 2).as_deref(), Some("sm_121"));
        assert_eq!(target(11, 0), None);
    }

    const SOURCES: &Texts = &[
        ("b.cu", "#include \"n.cuh\"\nextern \"C\" __global__ void b(int* x) { *x = N; }"),
        ("a.cu", "extern \"C\" __global__ void a(int* x) { *x = 1; }"),
    ];
    const HEADERS: &Texts = &[("n.cuh", "#define N 7")];

    /// The NVRTC that the build used, if it had one.
    fn nvrtc() -> Option<Nvrtc> {
        option_env!("ILSVRC_NVRTC_OF_BUILD").map(|path| Nvrtc::open(Path::new(path)).unwrap())
    }

    #[test]
    fn kernels_are_compiled_once_and_again_when_the_cache_is_damaged() {
        let Some(nvrtc) = nvrtc() else { return println!("this build has no NVRTC: nothing to check") };
        let folder = tempfile::tempdir().unwrap();
        let images = || all(&nvrtc, "sm_80", SOURCES, HEADERS, Some(folder.path())).unwrap();
        let fresh = images();
        assert_eq!([fresh[0].file, fresh[1].file], ["a.cu", "b.cu"]);
        assert!(fresh.iter().all(|image| image.cubin.starts_with(b"\x7fELF")));
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 2);

        // What lies there is used: proven by something else there.
        let key = recipe::key("b.cu", SOURCES[0].1, HEADERS, "sm_80", &nvrtc.version());
        let other = crate::nvrtc::Compiled { cubin: b"other".to_vec(), log: String::new() };
        store::save(folder.path(), &key, &other).unwrap();
        assert_eq!(images()[1].cubin, b"other");

        // Damaged, it is compiled again and mended.
        std::fs::write(store::path(folder.path(), &key), b"damaged").unwrap();
        assert_eq!(images(), fresh);
        assert_eq!(store::load(folder.path(), &key).unwrap().cubin, fresh[1].cubin);
    }

    #[test]
    fn without_a_usable_cache_folder_kernels_are_compiled_all_the_same() {
        let Some(nvrtc) = nvrtc() else { return println!("this build has no NVRTC: nothing to check") };
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        std::fs::write(&file, "").unwrap();
        for place in [None, Some(file.join("below"))] {
            let images = all(&nvrtc, "sm_90a", SOURCES, HEADERS, place.as_deref()).unwrap();
            assert_eq!(images.len(), 2);
        }
    }

    #[test]
    fn a_kernel_that_does_not_compile_is_an_error_with_its_log() {
        let Some(nvrtc) = nvrtc() else { return println!("this build has no NVRTC: nothing to check") };
        let error = all(&nvrtc, "sm_80", &[("bad.cu", "int x = y;")], HEADERS, None).unwrap_err();
        assert!(error.contains("bad.cu(1)"), "{error}");
    }

    #[test]
    fn a_missing_or_foreign_library_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        assert!(Nvrtc::open_in(folder.path()).unwrap_err().contains("holds no libnvrtc"));
        assert!(Nvrtc::open_in(&folder.path().join("absent.so")).is_err());
        std::fs::write(folder.path().join("libnvrtc.so.12"), "no library").unwrap();
        assert!(Nvrtc::open_in(folder.path()).is_err());
        // A library, but another one.
        if cfg!(target_os = "linux") {
            let error = Nvrtc::open(Path::new("libc.so.6")).unwrap_err();
            assert!(error.contains("is not an NVRTC"), "{error}");
        }
    }
}
