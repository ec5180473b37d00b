//! The GPUs of this machine: which there are, which can be used, and why not.

use crate::cubins;
use crate::driver::{self, Explain, guarded};
use cudarc::driver::{result, sys};
use ilsvrc_diagnostics::{DEVICE_UNUSABLE, Error, GPU_TOO_OLD, Result};

/// The oldest GPUs that have bf16 tensor cores and asynchronous copies: Ampere.
const OLDEST: (i32, i32) = (8, 0);

/// A GPU.
#[derive(Clone, Debug)]
pub struct Device {
    /// Its number, as `--devices` takes it.
    pub ordinal: usize,
    /// What tells it from all other GPUs, on any host.
    pub uuid: [u8; 16],
    /// As `NVIDIA H100 80GB HBM3`.
    pub name: String,
    /// Major and minor.
    pub compute_capability: (i32, i32),
    /// Bytes.
    pub memory: usize,
    /// Bytes that nobody uses; unknown where the GPU cannot be opened.
    pub free: Option<usize>,
    /// Why it cannot be used.
    pub problem: Option<Error>,
    /// Numbers of the GPUs whose memory it reaches.
    pub peers: Vec<usize>,
}

/// The driver's version as `12.4`, or why it cannot be used.
///
/// # Errors
/// `DRIVER_ABSENT`, `DRIVER_TOO_OLD`.
pub fn driver_version() -> Result<String> {
    driver::load().map(driver::version_text)
}

/// All GPUs, usable or not.
///
/// # Errors
/// As [`driver_version`], and what keeps the driver from starting.
pub fn devices() -> Result<Vec<Device>> {
    match driver::start() {
        Err(error) if error.code == DEVICE_UNUSABLE => return Ok(Vec::new()),
        started => started?,
    }
    guarded(|| {
        let count = count()?;
        (0..count).map(|ordinal| device(ordinal, count)).collect()
    })
}

fn count() -> Result<usize> {
    result::device::get_count().when("count the GPUs").map(|count| count as usize)
}

fn device(ordinal: usize, count: usize) -> Result<Device> {
    let raw = result::device::get(ordinal as i32).when("find a GPU")?;
    let compute_capability = capability(raw)?;
    // Only a GPU that can be opened tells how much of its memory is free.
    let opened = driver::Context::open(ordinal).and_then(|context| context.memory());
    let problem = too_old(ordinal, compute_capability)
        .err()
        .or_else(|| opened.as_ref().err().cloned())
        .or_else(|| cubins::check(compute_capability.0, compute_capability.1).err());
    let mut peers = Vec::new();
    for other in (0..count).filter(|other| *other != ordinal) {
        if driver::can_reach(raw, result::device::get(other as i32).when("find a GPU")?)? {
            peers.push(other);
        }
    }
    Ok(Device {
        ordinal,
        uuid: result::device::get_uuid(raw).when("ask a GPU for its UUID")?.bytes.map(|byte| byte as u8),
        name: result::device::get_name(raw).when("ask a GPU for its name")?,
        compute_capability,
        // SAFETY: the device is valid.
        memory: unsafe { result::device::total_mem(raw) }.when("ask a GPU for its memory")?,
        free: opened.ok().map(|(free, _)| free),
        problem,
        peers,
    })
}

fn capability(device: sys::CUdevice) -> Result<(i32, i32)> {
    use sys::CUdevice_attribute as Attribute;
    // SAFETY: the device is valid.
    let attribute = |attribute| unsafe { result::device::get_attribute(device, attribute) };
    let major = attribute(Attribute::CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR);
    let minor = attribute(Attribute::CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR);
    let what = "ask a GPU for its compute capability";
    Ok((major.when(what)?, minor.when(what)?))
}

fn too_old(ordinal: usize, capability: (i32, i32)) -> Result<()> {
    if capability >= OLDEST {
        return Ok(());
    }
    let (major, minor) = capability;
    Err(Error::new(
        GPU_TOO_OLD,
        format!("GPU {ordinal} has compute capability {major}.{minor}; 8.0 is the oldest that works"),
    )
    .info("the kernels need the tensor cores and asynchronous copies of Ampere (A100, RTX 30) and newer GPUs")
    .hint("use another GPU, or `--devices cpu`"))
}

/// The compute capability of a GPU that can be used.
///
/// # Errors
/// As [`driver_version`]; `DEVICE_UNUSABLE` where there is no such GPU; `GPU_TOO_OLD`.
pub(crate) fn usable(ordinal: usize) -> Result<(i32, i32)> {
    driver::start()?;
    let count = count()?;
    if ordinal >= count {
        let there = match count {
            0 => "the driver sees no GPU".to_string(),
            1 => "the only GPU here is 0".to_string(),
            _ => format!("the GPUs here are 0 to {}", count - 1),
        };
        return Err(Error::new(DEVICE_UNUSABLE, format!("there is no GPU {ordinal}"))
            .info(there)
            .hint("`ilsvrc doctor` lists them; CUDA_VISIBLE_DEVICES may hide some"));
    }
    let capability = capability(result::device::get(ordinal as i32).when("find a GPU")?)?;
    too_old(ordinal, capability)?;
    Ok(capability)
}
