//! What this machine computes with, for `ilsvrc doctor`.

use ilsvrc_cuda::cubins::{self, KernelSource};
use ilsvrc_cuda::nccl::Nccl;
use ilsvrc_cuda::nvrtc::Nvrtc;
use ilsvrc_cuda::{Device, devices, driver_version};
use ilsvrc_diagnostics::Error;
use serde::Serialize;

/// The CPU, the GPUs and the kernels of this build.
#[derive(Clone, Debug, Serialize)]
pub struct Machine {
    cpu: Cpu,
    /// NVIDIA's driver: its version is the newest CUDA that it supports.
    driver: Library,
    gpus: Vec<Gpu>,
    /// What sums over the GPUs of several processes; where there is a GPU.
    nccl: Option<Library>,
    cubins: Vec<Cubin>,
    nvrtc: Compiler,
    /// What decodes photos, and how.
    decoder: &'static str,
}

#[derive(Clone, Debug, Serialize)]
struct Cpu {
    instruction_set: &'static str,
    /// What the processor has, used or not.
    features: Vec<&'static str>,
    threads: usize,
    /// What programs could still take, within the limit of a container; unknown outside of Linux.
    available_bytes: Option<u64>,
}

/// What is found at run time, or why not.
#[derive(Clone, Debug, Serialize)]
struct Library {
    version: Option<String>,
    problem: Option<Problem>,
}

#[derive(Clone, Debug, Serialize)]
struct Gpu {
    ordinal: usize,
    name: String,
    compute_capability: String,
    memory_bytes: usize,
    free_bytes: Option<usize>,
    usable: bool,
    problem: Option<Problem>,
    /// Where its machine code comes from.
    kernels: String,
    /// GPUs whose memory it reaches.
    peers: Vec<usize>,
}

/// An [`Error`] as data.
#[derive(Clone, Debug, Serialize)]
struct Problem {
    code: &'static str,
    message: String,
    info: Option<String>,
    hint: Option<String>,
}

#[derive(Clone, Debug, Serialize)]
struct Cubin {
    arch: &'static str,
    bytes: usize,
}

/// NVIDIA's run-time compiler.
#[derive(Clone, Debug, Serialize)]
struct Compiler {
    /// The one that made the cubins.
    build: Option<&'static str>,
    /// The one on this machine.
    runtime: Option<String>,
}

impl From<Error> for Problem {
    fn from(Error { code, message, info, hint }: Error) -> Self {
        Self { code, message, info, hint }
    }
}

impl Machine {
    /// Looks at this machine. Nothing that is missing is an error: it is in the report.
    pub fn inspect() -> Self {
        let runtime = Nvrtc::open_installed().ok().map(|nvrtc| nvrtc.version().to_string());
        let (version, problem) = match driver_version() {
            Ok(version) => (Some(version), None),
            Err(error) => (None, Some(error)),
        };
        let (gpus, problem) = match devices() {
            Ok(devices) => (devices, problem),
            Err(error) => (Vec::new(), problem.or(Some(error))),
        };
        Self {
            cpu: Cpu {
                instruction_set: ilsvrc_cpu::instruction_set(),
                features: ilsvrc_cpu::features(),
                threads: std::thread::available_parallelism().map_or(1, usize::from),
                available_bytes: ilsvrc_images::available_memory(),
            },
            driver: Library { version, problem: problem.map(Problem::from) },
            nccl: (!gpus.is_empty()).then(nccl),
            gpus: gpus.into_iter().map(|device| gpu(device, runtime.as_deref())).collect(),
            cubins: cubins::embedded()
                .iter()
                .map(|info| Cubin { arch: info.arch, bytes: info.bytes })
                .collect(),
            nvrtc: Compiler { build: cubins::nvrtc_version_at_build(), runtime },
            decoder: ilsvrc_images::DECODER,
        }
    }
}

fn nccl() -> Library {
    match Nccl::open() {
        Ok(nccl) => Library { version: Some(nccl.version()), problem: None },
        Err(error) => Library { version: None, problem: Some(error.into()) },
    }
}

fn gpu(device: Device, nvrtc: Option<&str>) -> Gpu {
    let (major, minor) = device.compute_capability;
    let kernels = match cubins::status(major, minor) {
        KernelSource::Embedded(arch) => format!("embedded {arch}"),
        KernelSource::CompiledAtRunTime => format!("compiled at run time by NVRTC {}", nvrtc.unwrap_or("?")),
        KernelSource::Unavailable(_) => "none".into(),
    };
    Gpu {
        ordinal: device.ordinal,
        name: device.name,
        compute_capability: format!("{major}.{minor}"),
        memory_bytes: device.memory,
        free_bytes: device.free,
        usable: device.problem.is_none(),
        problem: device.problem.map(Problem::from),
        kernels,
        peers: device.peers,
    }
}
