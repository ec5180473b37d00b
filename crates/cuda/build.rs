//! Compiles the kernels to machine code of every architecture with NVRTC and packs it for embedding. Without an NVRTC the
//! crate is built all the same and compiles them at run time.

use std::collections::BTreeMap;
use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

#[allow(dead_code, unreachable_pub)]
#[path = "src/nvrtc.rs"]
mod nvrtc;
#[allow(dead_code)]
#[path = "src/recipe.rs"]
mod recipe;
#[allow(dead_code, unreachable_pub)]
#[path = "src/resources.rs"]
mod resources;
#[path = "src/store.rs"]
mod store;

#[path = "build/find.rs"]
mod find;
#[path = "build/generate.rs"]
mod generate;

use nvrtc::{Compiled, Nvrtc};

/// The kernels' texts by file name.
struct Sources {
    folder: PathBuf,
    /// `*.cu`: compiled one by one.
    files: BTreeMap<String, String>,
    /// `*.cuh`: included by them.
    headers: BTreeMap<String, String>,
}

/// One file for one architecture.
struct Cubin {
    file: String,
    arch: &'static str,
    compiled: Compiled,
}

fn main() -> ExitCode {
    for path in
        ["build.rs", "build", "kernels", "src/nvrtc.rs", "src/recipe.rs", "src/resources.rs", "src/store.rs"]
    {
        println!("cargo:rerun-if-changed={path}");
    }
    println!("cargo:rerun-if-env-changed={}", nvrtc::VARIABLE);
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("{message}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), String> {
    let sources = read_sources()?;
    let out = PathBuf::from(env::var_os("OUT_DIR").ok_or("cargo sets no OUT_DIR")?);
    let target = target_folder(&out).ok_or("OUT_DIR does not lie in a target folder")?;
    match find::nvrtc(&target) {
        Ok(nvrtc) => {
            // For the tests, which compile bad kernels.
            println!("cargo:rustc-env=ILSVRC_NVRTC_OF_BUILD={}", nvrtc.path().display());
            let archs = archs(&nvrtc);
            let cubins = compile_all(&nvrtc, &sources, &archs, &target.join("cubins"))?;
            generate::write(&out, &sources, Some(&nvrtc.version()), &archs, &cubins)
        }
        Err(reason) => {
            warn_without(&reason);
            generate::write(&out, &sources, None, &[], &[])
        }
    }
}

/// The architectures that this NVRTC knows; of others a warning says so.
fn archs(nvrtc: &Nvrtc) -> Vec<&'static str> {
    let (known, unknown): (Vec<_>, Vec<_>) =
        recipe::ARCHITECTURES.into_iter().partition(|arch| find::supports(nvrtc, arch));
    if !unknown.is_empty() {
        println!(
            "cargo:warning=NVRTC {} ({}) does not know {}: for these GPUs the kernels are compiled at run time",
            nvrtc.version(),
            nvrtc.path().display(),
            unknown.join(", ")
        );
    }
    known
}

fn warn_without(reason: &str) {
    // Only there CUDA runs on a GPU; whoever asked for none knows.
    let cuda = env::var("CARGO_CFG_TARGET_OS").is_ok_and(|os| os == "linux");
    if cuda && env::var_os(nvrtc::VARIABLE).is_none_or(|place| place != nvrtc::NONE) {
        println!(
            "cargo:warning=no NVRTC, so no GPU kernels are built in ({}). They are compiled on the first use of a GPU, on \
             machines where NVRTC is installed. To build them in: python3 -m pip install nvidia-cuda-nvrtc-cu12, or set \
             {} to NVRTC's folder, or to `{}` to hide this warning",
            reason.replace('\n', " "),
            nvrtc::VARIABLE,
            nvrtc::NONE
        );
    }
}

fn read_sources() -> Result<Sources, String> {
    let manifest = env::var_os("CARGO_MANIFEST_DIR").ok_or("cargo sets no CARGO_MANIFEST_DIR")?;
    let folder = Path::new(&manifest).join("kernels");
    let io = |error: std::io::Error| format!("cannot read {}: {error}", folder.display());
    let (mut files, mut headers) = (BTreeMap::new(), BTreeMap::new());
    for entry in fs::read_dir(&folder).map_err(io)? {
        let path = entry.map_err(io)?.path();
        let texts = match path.extension().and_then(|end| end.to_str()) {
            Some("cu") => &mut files,
            Some("cuh") => &mut headers,
            _ => continue,
        };
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        texts.insert(name, fs::read_to_string(&path).map_err(io)?);
    }
    Ok(Sources { folder, files, headers })
}

/// The workspace's target folder, the same for every profile and for `--target`: the cache lies there.
fn target_folder(out: &Path) -> Option<PathBuf> {
    let profile = out.ancestors().find(|folder| folder.ends_with("build"))?.parent()?;
    let folder = profile.parent()?;
    let triple = env::var_os("TARGET").is_some_and(|triple| folder.ends_with(triple));
    if triple { folder.parent() } else { Some(folder) }.map(Path::to_owned)
}

/// Every file for every architecture, on as many threads as cargo grants.
fn compile_all(
    nvrtc: &Nvrtc,
    sources: &Sources,
    archs: &[&'static str],
    cache: &Path,
) -> Result<Vec<Cubin>, String> {
    let jobs: Vec<(&String, &String, &'static str)> = sources
        .files
        .iter()
        .flat_map(|(file, text)| archs.iter().map(move |arch| (file, text, *arch)))
        .collect();
    let headers: Vec<(&str, &str)> =
        sources.headers.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect();
    let next = AtomicUsize::new(0);
    let work = || {
        let mut done = Vec::new();
        while let Some(&(file, text, arch)) = jobs.get(next.fetch_add(1, Ordering::Relaxed)) {
            done.push(compile(nvrtc, file, text, &headers, arch, cache));
        }
        done
    };
    let granted = env::var("NUM_JOBS")
        .ok()
        .and_then(|count| count.parse().ok())
        .unwrap_or(1)
        .clamp(1, jobs.len().max(1));
    let results: Vec<Result<Cubin, Failure>> = thread::scope(|scope| {
        let threads: Vec<_> = (0..granted).map(|_| scope.spawn(work)).collect();
        threads.into_iter().flat_map(|thread| thread.join().unwrap_or_default()).collect()
    });
    if results.len() != jobs.len() {
        return Err("a compiling thread panicked".into());
    }
    let mut failures: Vec<&Failure> = results.iter().filter_map(|result| result.as_ref().err()).collect();
    if failures.is_empty() {
        return Ok(results.into_iter().flatten().collect());
    }
    let count = failures.len();
    failures.sort();
    // The same mistake fails for every architecture: one log of each file.
    failures.dedup_by_key(|failure| &failure.0);
    let logs: Vec<&str> = failures.iter().map(|failure| failure.1.as_str()).collect();
    Err(format!("{count} of {} compilations of kernels failed.\n\n{}", jobs.len(), logs.join("\n\n")))
}

/// The file that does not compile, and the compiler's log.
type Failure = (String, String);

fn compile(
    nvrtc: &Nvrtc,
    file: &str,
    text: &str,
    headers: &[(&str, &str)],
    arch: &'static str,
    cache: &Path,
) -> Result<Cubin, Failure> {
    let headers = recipe::included(text, headers);
    let key = recipe::key(file, text, &headers, arch, &nvrtc.version());
    let compiled = match store::load(cache, &key) {
        Some(compiled) => compiled,
        None => {
            let compiled = nvrtc
                .compile(file, text, &headers, arch, &recipe::OPTIONS)
                .map_err(|log| (file.to_owned(), log))?;
            // Without a cache the next build takes longer, no more.
            let _ = store::save(cache, &key, &compiled);
            compiled
        }
    };
    for line in resources::complaints(&compiled.log) {
        println!("cargo:warning={file} for {arch}: {}", line.trim());
    }
    Ok(Cubin { file: file.to_owned(), arch, compiled })
}
