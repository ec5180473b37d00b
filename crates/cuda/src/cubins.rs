//! The kernels as machine code for the GPU at hand: built in, or compiled here by NVRTC and kept on disk.

use std::sync::OnceLock;

use ilsvrc_diagnostics::{Error, NO_KERNELS, Result};
use miniz_oxide::inflate::decompress_to_vec_with_limit;

use crate::resources::Usage;
use crate::{compile, recipe};

mod built {
    use super::{Embedded, Usage};

    include!(concat!(env!("OUT_DIR"), "/cubins.rs"));
}

/// The machine code of one architecture as the build script packed it.
struct Embedded {
    arch: &'static str,
    /// All cubins, one after the other.
    compressed: &'static [u8],
    /// Their files and lengths.
    files: &'static [(&'static str, usize)],
}

/// The machine code of one source file; the driver loads it as a module.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Image {
    /// The source, such as `conv_forward.cu`.
    pub file: &'static str,
    /// An ELF file.
    pub cubin: Vec<u8>,
}

/// What the build embeds of one architecture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ArchInfo {
    /// Such as `sm_80`.
    pub arch: &'static str,
    /// Size in the program, compressed.
    pub bytes: usize,
}

/// Where the kernels of a GPU come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KernelSource {
    /// Built in, for this architecture.
    Embedded(&'static str),
    /// NVRTC of this machine compiles them on the first use; later uses find them on disk.
    CompiledAtRunTime,
    /// From nowhere, for this reason.
    Unavailable(String),
}

/// The architectures that are built in; empty for a build without NVRTC.
pub fn embedded() -> &'static [ArchInfo] {
    static INFO: OnceLock<Vec<ArchInfo>> = OnceLock::new();
    INFO.get_or_init(|| {
        built::EMBEDDED.iter().map(|it| ArchInfo { arch: it.arch, bytes: it.compressed.len() }).collect()
    })
}

/// The version of the NVRTC that compiled what is built in.
pub fn nvrtc_version_at_build() -> Option<&'static str> {
    built::NVRTC_VERSION
}

/// The kernels' sources (file, text), those of `#include "..."` not among them.
pub fn sources() -> &'static [(&'static str, &'static str)] {
    built::SOURCES
}

/// The headers of the kernels (file, text).
pub fn headers() -> &'static [(&'static str, &'static str)] {
    built::HEADERS
}

/// What every built-in kernel takes on each architecture, as the compiler reported it.
pub fn report() -> &'static [Usage] {
    built::REPORT
}

/// What the compiler complained about in the build.
pub fn warnings() -> &'static [&'static str] {
    built::WARNINGS
}

/// Where the kernels of a GPU of this compute capability come from. Loads NVRTC where nothing built in fits.
pub fn status(major: i32, minor: i32) -> KernelSource {
    match choose_embedded(major, minor) {
        Some(embedded) => KernelSource::Embedded(embedded.arch),
        None => match compile::compiler(major, minor) {
            Ok(_) => KernelSource::CompiledAtRunTime,
            Err(reason) => KernelSource::Unavailable(reason),
        },
    }
}

/// Whether a GPU of this compute capability can have kernels at all. Fails with [`NO_KERNELS`].
pub(crate) fn check(major: i32, minor: i32) -> Result<()> {
    match status(major, minor) {
        KernelSource::Unavailable(reason) => Err(no_kernels(major, minor, reason)),
        _ => Ok(()),
    }
}

/// The machine code of all source files for a GPU of this compute capability. What is not built in is compiled, which
/// takes up to minutes the first time. Fails with [`NO_KERNELS`].
pub fn images(major: i32, minor: i32) -> Result<Vec<Image>> {
    match choose_embedded(major, minor) {
        Some(embedded) => unpack(embedded),
        None => compile::compiler(major, minor)
            .and_then(|(nvrtc, arch)| {
                compile::all(&nvrtc, &arch, built::SOURCES, built::HEADERS, compile::cache().as_deref())
            })
            .map_err(|reason| no_kernels(major, minor, reason)),
    }
}

fn choose_embedded(major: i32, minor: i32) -> Option<&'static Embedded> {
    let arch = recipe::choose(major, minor, built::EMBEDDED.iter().map(|it| it.arch))?;
    built::EMBEDDED.iter().find(|it| it.arch == arch)
}

fn unpack(embedded: &Embedded) -> Result<Vec<Image>> {
    let damaged = || Error::new(ilsvrc_diagnostics::INTERNAL, "the built-in GPU kernels are damaged");
    let size = embedded.files.iter().map(|file| file.1).sum();
    let plain = decompress_to_vec_with_limit(embedded.compressed, size).map_err(|_| damaged())?;
    let mut rest = plain.as_slice();
    let mut images = Vec::with_capacity(embedded.files.len());
    for &(file, length) in embedded.files {
        let (cubin, others) = rest.split_at_checked(length).ok_or_else(damaged)?;
        images.push(Image { file, cubin: cubin.to_vec() });
        rest = others;
    }
    Ok(images)
}

fn no_kernels(major: i32, minor: i32, reason: String) -> Error {
    let hint = "use a build of ilsvrc with kernels for this GPU, or install NVRTC (the CUDA toolkit, or `python3 -m pip \
                install nvidia-cuda-nvrtc-cu12` and ILSVRC_NVRTC=<its folder nvidia/cuda_nvrtc/lib>), or use the CPU";
    Error::new(NO_KERNELS, format!("no machine code for a GPU of compute capability {major}.{minor}"))
        .info(reason)
        .hint(hint)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn built_in_kernels_are_unpacked_for_every_architecture() {
        for info in embedded() {
            let (major, minor, _) = recipe::capability(info.arch).unwrap();
            assert_eq!(status(major, minor), KernelSource::Embedded(info.arch));
            let images = images(major, minor).unwrap();
            let files: Vec<_> = images.iter().map(|image| image.file).collect();
            assert_eq!(files, sources().iter().map(|source| source.0).collect::<Vec<_>>());
            assert!(images.iter().all(|image| image.cubin.starts_with(b"\x7fELF")));
        }
    }

    #[test]
    fn an_old_gpu_is_refused_with_reason_and_remedy() {
        let KernelSource::Unavailable(reason) = status(7, 5) else { panic!("sm_75 has no bf16") };
        assert!(reason.contains("8.0"), "{reason}");
        let error = images(7, 5).unwrap_err();
        assert_eq!(error.code, NO_KERNELS);
        assert!(
            error.message.contains("7.5") && error.info == Some(reason) && error.hint.is_some(),
            "{error:?}"
        );
    }

    #[test]
    fn damaged_built_in_kernels_are_an_error() {
        let damaged = Embedded { arch: "sm_80", compressed: b"no deflate", files: &[("a.cu", 5)] };
        assert_eq!(unpack(&damaged).unwrap_err().code, ilsvrc_diagnostics::INTERNAL);
        let short = Embedded { arch: "sm_80", compressed: &[1, 1, 0, 254, 255, b'x'], files: &[("a.cu", 5)] };
        assert_eq!(unpack(&short).unwrap_err().code, ilsvrc_diagnostics::INTERNAL);
    }
}
