//! How `libcuda.so` is made from the driver, the shim and a folder of kernels. The build script makes the plain one;
//! tests make variants, of changed kernels or with sanitizers.

use super::generating;
use std::collections::hash_map::DefaultHasher;
use std::fs;
use std::hash::{Hash, Hasher};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;

/// Whether the driver can be built here: the shim switches fibers in assembly of x86-64, and Linux loads the library.
pub const SUPPORTED: bool = cfg!(all(target_os = "linux", target_arch = "x86_64"));

/// What to build and where.
#[derive(Clone, Debug)]
pub struct Options {
    /// The folder with the `.cu` and `.cuh` files.
    pub kernels: PathBuf,
    /// Gets `libcuda.so`, the same as `libcuda.so.1` and `libnccl.so.2`, and what a later build can use again. One build at a time may use it.
    pub output: PathBuf,
    /// With AddressSanitizer and UndefinedBehaviorSanitizer. A program that loads such a library needs
    /// `LD_PRELOAD` of [`sanitizer_libraries`] and `ASAN_OPTIONS=detect_leaks=0`.
    pub sanitizers: bool,
}

/// Builds the library and returns its path. Compiles only what changed since the last build into the same folder.
pub fn build(options: &Options) -> Result<PathBuf, String> {
    if !SUPPORTED {
        return Err("the mock CUDA driver needs Linux on x86-64".to_string());
    }
    let objects = options.output.join("objects");
    fs::create_dir_all(&objects).map_err(|e| format!("{}: {e}", objects.display()))?;
    let mut jobs = Vec::new();
    for source in files(&crate_folder().join("driver"), "cpp")? {
        jobs.push(Job { object: objects.join(name_of(&source, "driver_")), source });
    }
    for kernel in files(&options.kernels, "cu")? {
        let generated = objects.join(name_of(&kernel, "kernels_")).with_extension("cpp");
        write_if_changed(&generated, &generating::table(&kernel)?)?;
        jobs.push(Job { object: generated.with_extension("o"), source: generated });
    }
    let library = options.output.join("libcuda.so");
    compile_all(options, &jobs)?;
    link(options, &jobs, &library)?;
    for name in ["libcuda.so.1", "libnccl.so.2"] {
        let other = options.output.join(name);
        if !other.exists() {
            std::os::unix::fs::symlink("libcuda.so", &other)
                .map_err(|e| format!("{}: {e}", other.display()))?;
        }
    }
    Ok(library)
}

/// The value of `LD_PRELOAD` for programs that load a library built with sanitizers.
pub fn sanitizer_libraries() -> Result<String, String> {
    let find = |name: &str| run(Command::new("g++").arg(format!("-print-file-name={name}")));
    Ok(format!("{} {}", find("libasan.so")?.trim(), find("libubsan.so")?.trim()))
}

/// The flags of every compilation, without optimisation and search paths.
pub fn flags(sanitizers: bool) -> Vec<&'static str> {
    // Results must not depend on what the compiler fuses.
    let mut flags = vec!["-std=c++17", "-ffp-contract=off", "-fPIC", "-fvisibility=hidden"];
    flags.extend(["-Wall", "-Wextra", "-Werror", "-Wno-unknown-pragmas"]);
    // Extents may need a parameter that the kernel does not.
    flags.push("-Wno-unused-parameter");
    #[cfg(target_arch = "x86_64")]
    if std::is_x86_feature_detected!("avx2") && std::is_x86_feature_detected!("fma") {
        flags.extend(["-mavx2", "-mfma"]);
    }
    if sanitizers {
        flags.extend(["-O1", "-g", "-fsanitize=address,undefined", "-fno-sanitize-recover=undefined"]);
        flags.push("-fno-omit-frame-pointer");
    } else {
        flags.push("-O2");
    }
    flags
}

/// This crate's folder.
pub fn crate_folder() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

struct Job {
    source: PathBuf,
    object: PathBuf,
}

fn compiler(options: &Options) -> Command {
    let mut command = Command::new("g++");
    command.args(flags(options.sanitizers));
    for folder in [crate_folder().join("shim"), crate_folder().join("driver"), options.kernels.clone()] {
        command.arg("-I").arg(folder);
    }
    command
}

/// Compiles what is not up to date, on all processors.
fn compile_all(options: &Options, jobs: &[Job]) -> Result<(), String> {
    let setting = format!("{:?} {}", compiler(options), run(Command::new("g++").arg("--version"))?);
    let mut todo: Vec<&Job> = jobs.iter().filter(|job| !up_to_date(job, &setting)).collect();
    // The largest first: the processors finish at about the same time.
    todo.sort_by_key(|job| fs::metadata(&job.source).map_or(0, |m| m.len()));
    let todo = Mutex::new(todo);
    let failures = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(|| {
                loop {
                    let Some(job) = todo.lock().expect("no compilation panics").pop() else { break };
                    if let Err(reason) = compile(options, job, &setting) {
                        failures.lock().expect("no compilation panics").push(reason);
                    }
                }
            });
        }
    });
    let failures = failures.into_inner().expect("no compilation panics");
    if failures.is_empty() { Ok(()) } else { Err(failures.join("\n")) }
}

fn compile(options: &Options, job: &Job, setting: &str) -> Result<(), String> {
    let depends = job.object.with_extension("d");
    let mut command = compiler(options);
    command.args(["-MMD", "-MF"]).arg(&depends).arg("-c").arg(&job.source).arg("-o").arg(&job.object);
    run(&mut command)?;
    let text = fs::read_to_string(&depends).map_err(|e| format!("{}: {e}", depends.display()))?;
    // "object: source header header \", spaces in names escaped.
    let (_, list) = text.split_once(": ").ok_or_else(|| format!("{}: not a list", depends.display()))?;
    let list = list.replace("\\\n", " ").replace("\\ ", "\0");
    let inputs: Vec<String> =
        list.split_whitespace().filter(|f| !f.starts_with("/usr/")).map(|f| f.replace('\0', " ")).collect();
    let print = fingerprint(&inputs, setting).ok_or("a header vanished during the build")?;
    let stamp = job.object.with_extension("stamp");
    fs::write(&stamp, format!("{print}\n{}\n", inputs.join("\n")))
        .map_err(|e| format!("{}: {e}", stamp.display()))
}

fn up_to_date(job: &Job, setting: &str) -> bool {
    let Ok(stamp) = fs::read_to_string(job.object.with_extension("stamp")) else { return false };
    let mut lines = stamp.lines();
    let print = lines.next().unwrap_or_default().to_string();
    let inputs: Vec<String> = lines.map(String::from).collect();
    job.object.exists() && fingerprint(&inputs, setting).is_some_and(|now| now.to_string() == print)
}

/// A hash of all that an object depends on; none when a file is missing.
fn fingerprint(inputs: &[String], setting: &str) -> Option<u64> {
    let mut hasher = DefaultHasher::new();
    setting.hash(&mut hasher);
    for input in inputs {
        fs::read(input).ok()?.hash(&mut hasher);
    }
    Some(hasher.finish())
}

/// Links when the list of objects or one of their stamps differs from what was linked.
fn link(options: &Options, jobs: &[Job], library: &Path) -> Result<(), String> {
    let stamps = jobs.iter().map(|job| {
        let stamp = fs::read_to_string(job.object.with_extension("stamp")).unwrap_or_default();
        format!("{} {}\n", job.object.display(), stamp.lines().next().unwrap_or_default())
    });
    let linked = options.output.join("objects/linked");
    let now: String = stamps.collect();
    if library.exists() && fs::read_to_string(&linked).is_ok_and(|before| before == now) {
        return Ok(());
    }
    // Written beside and renamed: a program that runs with the old one keeps it.
    let fresh = library.with_extension("new");
    let mut command = compiler(options);
    command.args(["-shared", "-Wl,-soname,libcuda.so", "-o"]).arg(&fresh);
    command.args(jobs.iter().map(|job| &job.object));
    run(&mut command)?;
    fs::rename(&fresh, library).map_err(|e| format!("{}: {e}", library.display()))?;
    write_if_changed(&linked, &now)
}

fn run(command: &mut Command) -> Result<String, String> {
    let output =
        command.output().map_err(|e| format!("{:?} cannot be started: {e}", command.get_program()))?;
    if !output.status.success() {
        return Err(format!("{command:?}\n{}", String::from_utf8_lossy(&output.stderr)));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// The files of a folder with an extension, in order of their names.
fn files(folder: &Path, extension: &str) -> Result<Vec<PathBuf>, String> {
    let entries = fs::read_dir(folder).map_err(|e| format!("{}: {e}", folder.display()))?;
    let mut files: Vec<PathBuf> = entries
        .filter_map(|entry| entry.ok().map(|entry| entry.path()))
        .filter(|path| path.extension().is_some_and(|e| e == extension))
        .collect();
    files.sort();
    Ok(files)
}

fn name_of(source: &Path, prefix: &str) -> String {
    let stem = source.file_stem().unwrap_or_default().to_string_lossy();
    format!("{prefix}{stem}.o")
}

fn write_if_changed(path: &Path, text: &str) -> Result<(), String> {
    if fs::read_to_string(path).is_ok_and(|old| old == text) {
        return Ok(());
    }
    fs::write(path, text).map_err(|e| format!("{}: {e}", path.display()))
}
