//! The library: found, its version asked, its thirteen functions by name, and its results as errors.

use ilsvrc_diagnostics::{Error, GPU_SHARED, NCCL_FAILED, NCCL_UNUSABLE, RANK_LOST, Result};
use libloading::Library;
use std::error::Error as _;
use std::ffi::{CStr, c_char, c_int, c_void};
use std::mem::ManuallyDrop;
use std::path::Path;
use std::ptr;
use std::sync::Arc;

/// The environment variable that names NCCL's library, or says [`NONE`].
pub const VARIABLE: &str = "ILSVRC_NCCL";

/// The value of [`VARIABLE`] that means: gradients go through the host, though NCCL be there.
pub const NONE: &str = "none";

/// What the dynamic loader knows it by.
const NAME: &str = "libnccl.so.2";

/// The oldest version that is used: the first that tells a rank's end from other failures (`ncclRemoteError`) and words what
/// went wrong (`ncclGetLastError`).
const OLDEST: c_int = 21_304;

/// `ncclComm_t`.
pub(super) type Handle = *mut c_void;
/// `ncclResult_t`; zero is success.
pub(super) type Status = c_int;

/// `ncclUnhandledCudaError` and the rest of `ncclResult_t` that are told apart.
const INVALID_USAGE: Status = 5;
const REMOTE_ERROR: Status = 6;

/// `ncclDataType_t`.
#[derive(Clone, Copy, Debug)]
pub(super) enum Type {
    F32 = 7,
    F64 = 8,
}

/// `ncclSum`.
pub(super) const SUM: c_int = 0;
/// `ncclScalarHostImmediate`.
const HOST_IMMEDIATE: c_int = 1;

/// `ncclUniqueId`: what the ends of one communicator know each other by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct UniqueId(pub [u8; 128]);

/// A loaded NCCL.
#[derive(Debug)]
pub struct Nccl {
    pub(super) functions: Functions,
    version: c_int,
    /// Never unloaded: it leaves threads behind.
    _library: ManuallyDrop<Library>,
}

macro_rules! functions {
    ($($name:ident = $symbol:literal ($($argument:ty),*) -> $result:ty;)*) => {
        #[derive(Clone, Copy, Debug)]
        pub(super) struct Functions {
            $(pub(super) $name: unsafe extern "C" fn($($argument),*) -> $result,)*
        }

        impl Functions {
            fn of(library: &Library) -> Result<Self, libloading::Error> {
                // SAFETY: the types are those of nccl.h since 2.11; the pointers are used only while the library is loaded,
                // which `Nccl` sees to.
                unsafe { Ok(Self { $($name: *library.get($symbol)?,)* }) }
            }
        }
    };
}

functions! {
    unique_id = b"ncclGetUniqueId\0" (*mut UniqueId) -> Status;
    join = b"ncclCommInitRank\0" (*mut Handle, c_int, UniqueId, c_int) -> Status;
    destroy = b"ncclCommDestroy\0" (Handle) -> Status;
    abort = b"ncclCommAbort\0" (Handle) -> Status;
    async_error = b"ncclCommGetAsyncError\0" (Handle, *mut Status) -> Status;
    error_string = b"ncclGetErrorString\0" (Status) -> *const c_char;
    last_error = b"ncclGetLastError\0" (Handle) -> *const c_char;
    all_reduce = b"ncclAllReduce\0"
        (u64, u64, usize, c_int, c_int, Handle, *mut c_void) -> Status;
    scaled_sum = b"ncclRedOpCreatePreMulSum\0" (*mut c_int, *mut c_void, c_int, c_int, Handle) -> Status;
    destroy_sum = b"ncclRedOpDestroy\0" (c_int, Handle) -> Status;
    group_start = b"ncclGroupStart\0" () -> Status;
    group_end = b"ncclGroupEnd\0" () -> Status;
}

impl Nccl {
    /// Loads what [`VARIABLE`] names, or what the dynamic loader finds.
    ///
    /// # Errors
    /// `NCCL_UNUSABLE` where there is none, it is too old, or the variable says that it is not to be used.
    pub fn open() -> Result<Arc<Self>> {
        match std::env::var_os(VARIABLE).filter(|named| !named.is_empty()) {
            Some(named) if named == NONE => {
                Err(Error::new(NCCL_UNUSABLE, format!("{VARIABLE}={NONE}")).hint(format!("unset {VARIABLE}")))
            }
            Some(named) => Self::open_at(Path::new(&named)),
            None => Self::open_at(Path::new(NAME)),
        }
    }

    /// Loads the library at `path`; a bare file name is looked for by the dynamic loader.
    ///
    /// # Errors
    /// As [`Nccl::open`].
    pub fn open_at(path: &Path) -> Result<Arc<Self>> {
        let shown = path.display();
        let hint = format!(
            "install NCCL {} or newer (package libnccl2 of NVIDIA's repository), or name that of `pip install nvidia-nccl-cu12` by {VARIABLE}=…/nvidia/nccl/lib/{NAME}",
            version_text(OLDEST)
        );
        // SAFETY: NCCL has no initialiser that asks anything of its caller. Whoever names another library as NCCL runs
        // that library's initialisers, as with LD_PRELOAD.
        let library = unsafe { Library::new(path) }.map_err(|error| {
            let reason = error.source().map_or_else(|| error.to_string(), ToString::to_string);
            Error::new(NCCL_UNUSABLE, format!("{shown} cannot be loaded")).info(reason).hint(hint.clone())
        })?;
        let foreign = |error: libloading::Error| {
            Error::new(NCCL_UNUSABLE, format!("{shown} is not an NCCL that can be used"))
                .info(error.to_string())
                .hint(hint.clone())
        };
        type GetVersion = unsafe extern "C" fn(*mut c_int) -> Status;
        let mut version = 0;
        // SAFETY: the type is that of nccl.h; it writes one integer. Asked first: an old version lacks functions.
        unsafe {
            let ask = library.get::<GetVersion>(b"ncclGetVersion\0").map_err(foreign)?;
            ask(&mut version);
        }
        if version < OLDEST {
            return Err(Error::new(NCCL_UNUSABLE, format!("NCCL {} is too old", version_text(version)))
                .info(format!("{} is the first that tells when another rank has ended", version_text(OLDEST)))
                .hint(hint));
        }
        let functions = Functions::of(&library).map_err(foreign)?;
        Ok(Arc::new(Self { functions, version, _library: ManuallyDrop::new(library) }))
    }

    /// As `2.27.3`.
    pub fn version(&self) -> String {
        version_text(self.version)
    }

    /// What the ends of a new communicator will know each other by: made by one of them and told to all. Where the environment says
    /// `NCCL_COMM_ID=HOST:PORT`, all that ask get the same one, and rank 0 listens there.
    ///
    /// # Errors
    /// `NCCL_FAILED` where it finds no network interface, or none that reaches the address of the environment.
    pub fn unique_id(&self) -> Result<UniqueId> {
        let mut id = UniqueId([0; 128]);
        // SAFETY: writes the id.
        self.check(unsafe { (self.functions.unique_id)(&mut id) }, "prepare the meeting of the ranks")?;
        Ok(id)
    }

    /// The sum of `share` times each rank's values: an operation of `communicator`.
    pub(super) fn scaled_sum(&self, share: f32, communicator: Handle) -> Result<c_int> {
        let (mut operation, mut share) = (0, share);
        let scalar = (&raw mut share).cast();
        let kind = Type::F32 as c_int;
        // SAFETY: reads the share before it returns, and writes the operation.
        let made = unsafe {
            (self.functions.scaled_sum)(&mut operation, scalar, kind, HOST_IMMEDIATE, communicator)
        };
        self.check(made, "prepare a sum")?;
        Ok(operation)
    }

    /// `what` completes the sentence "cannot …".
    pub(super) fn check(&self, status: Status, what: &str) -> Result<()> {
        if status == 0 {
            return Ok(());
        }
        // SAFETY: both give strings that end with zero; the first is static, the second is copied at once.
        let [name, last] = unsafe {
            [(self.functions.error_string)(status), (self.functions.last_error)(ptr::null_mut())].map(text)
        };
        let reason = if last.is_empty() { name } else { format!("{name}: {last}") };
        Err(match status {
            REMOTE_ERROR => Error::new(RANK_LOST, format!("NCCL lost another rank: cannot {what}"))
                .info(reason)
                .hint("start the same command with --resume when all hosts are well: any number of ranks goes on from the last checkpoint"),
            // In the words of NCCL before 2.30, and since.
            INVALID_USAGE if last.contains("Duplicate GPU") || last.contains("same GPU") => shared(reason),
            _ => Error::new(NCCL_FAILED, format!("NCCL failed: cannot {what}"))
                .info(reason)
                .hint("NCCL_DEBUG=WARN in the environment makes it say more"),
        })
    }
}

fn shared(reason: String) -> Error {
    Error::new(GPU_SHARED, "several ranks compute on one GPU").info(reason).hint(
        "start as many ranks a host as it has GPUs (or pairs of GPUs), and give each its own, as `--devices 0,1` for two ranks",
    )
}

/// `2.27.3` for 22703.
fn version_text(version: c_int) -> String {
    match version {
        ..10_000 => format!("{}.{}.{}", version / 1000, version % 1000 / 100, version % 100),
        _ => format!("{}.{}.{}", version / 10_000, version % 10_000 / 100, version % 100),
    }
}

fn text(pointer: *const c_char) -> String {
    if pointer.is_null() {
        return String::new();
    }
    // SAFETY: NCCL's strings end with zero.
    unsafe { CStr::from_ptr(pointer) }.to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_those_that_people_know() {
        assert_eq!([2804, 21_304, 22_703].map(version_text), ["2.8.4", "2.13.4", "2.27.3"]);
    }

    #[test]
    fn what_is_no_nccl_is_told() {
        let missing = Nccl::open_at(Path::new("libnccl-of-nobody.so.2")).unwrap_err();
        assert_eq!(missing.code, NCCL_UNUSABLE);
        assert_eq!(missing.message, "libnccl-of-nobody.so.2 cannot be loaded");
        assert!(missing.info.unwrap().contains("libnccl-of-nobody.so.2"));
        assert!(missing.hint.unwrap().starts_with("install NCCL 2.13.4 or newer"));
        let foreign = Nccl::open_at(Path::new("libc.so.6")).unwrap_err();
        assert_eq!(
            (foreign.code, &foreign.message[..]),
            (NCCL_UNUSABLE, "libc.so.6 is not an NCCL that can be used")
        );
    }
}
