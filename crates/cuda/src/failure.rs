//! From the driver's codes to errors that say what to do.

use cudarc::driver::DriverError;
use cudarc::driver::sys::CUresult as Code;
use ilsvrc_diagnostics::{
    DEVICE_UNUSABLE, DRIVER_TOO_OLD, Error, GPU_FAILED, GPU_LOST, NO_KERNELS, OUT_OF_MEMORY,
};

/// The driver's failure of `gpu` at `what`, which completes the sentence "cannot …".
pub(crate) fn failure(error: DriverError, gpu: &str, what: &str) -> Error {
    let reason = reason(&error);
    let (code, message, hint) = match error.0 {
        Code::CUDA_ERROR_OUT_OF_MEMORY => (
            OUT_OF_MEMORY,
            format!("{gpu} is out of memory: cannot {what}"),
            "use a smaller --batch, or stop what else uses the GPU (`nvidia-smi` lists it)",
        ),
        Code::CUDA_ERROR_NO_DEVICE
        | Code::CUDA_ERROR_INVALID_DEVICE
        | Code::CUDA_ERROR_DEVICE_NOT_LICENSED
        | Code::CUDA_ERROR_NOT_PERMITTED => (
            DEVICE_UNUSABLE,
            format!("{gpu} cannot be used: cannot {what}"),
            "`nvidia-smi` must list it, and CUDA_VISIBLE_DEVICES must not hide it",
        ),
        Code::CUDA_ERROR_SYSTEM_DRIVER_MISMATCH | Code::CUDA_ERROR_COMPAT_NOT_SUPPORTED_ON_DEVICE => (
            DRIVER_TOO_OLD,
            format!("the parts of the GPU driver do not fit each other: cannot {what}"),
            "restart the machine after a driver update",
        ),
        Code::CUDA_ERROR_NO_BINARY_FOR_GPU | Code::CUDA_ERROR_INVALID_IMAGE => (
            NO_KERNELS,
            format!("our machine code does not run on this GPU: cannot {what}"),
            "update NVIDIA's driver; `ilsvrc doctor` shows what this build has",
        ),
        Code::CUDA_ERROR_DEVICE_UNAVAILABLE
        | Code::CUDA_ERROR_ECC_UNCORRECTABLE
        | Code::CUDA_ERROR_NVLINK_UNCORRECTABLE
        | Code::CUDA_ERROR_CONTEXT_IS_DESTROYED
        | Code::CUDA_ERROR_DEINITIALIZED
        | Code::CUDA_ERROR_SYSTEM_NOT_READY
        | Code::CUDA_ERROR_UNKNOWN => (
            GPU_LOST,
            format!("{gpu} was lost: cannot {what}"),
            "checkpoints are safe: when `nvidia-smi` shows the GPU again, go on with `ilsvrc train --resume`",
        ),
        _ => (
            GPU_FAILED,
            format!("{gpu} failed: cannot {what}"),
            "checkpoints are safe: go on with `ilsvrc train --resume`; if it happens again, please report it",
        ),
    };
    Error::new(code, message).info(reason).hint(hint)
}

fn reason(error: &DriverError) -> String {
    let name =
        error.error_name().map_or_else(|_| "unknown".into(), |name| name.to_string_lossy().into_owned());
    format!("{name} ({})", error.0 as u32)
}
