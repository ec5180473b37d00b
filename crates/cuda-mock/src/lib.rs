//! A CUDA driver without a GPU, for tests: `libcuda.so` with virtual devices, which runs the kernels of `crates/cuda`
//! on the CPU and checks how the host uses streams, events, memory and graphs. `README.md` says what it checks.
//!
//! ```no_run
//! use ilsvrc_cuda_mock::{Order, load};
//! let mock = load();                      // before anything else looks for a driver
//! mock.order(Order::Random(7));
//! // ... drive both GPUs ...
//! mock.assert_clean();
//! ```

pub mod building;
mod generating;

pub use building::build;

use libloading::os::unix::{Library, RTLD_GLOBAL, RTLD_NOW};
use std::collections::BTreeMap;
use std::ffi::{CString, c_char, c_int};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

/// The folder of `libcuda.so`, `libcuda.so.1` and `libnccl.so.2`, which are one library, for programs started with it in `LD_LIBRARY_PATH`.
pub const LIBRARY_FOLDER: &str = concat!(env!("OUT_DIR"), "/mock");

/// The order in which queued work runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// Only what a wait needs, as late as possible.
    Lazy,
    /// At once, in the order of issue: hides missing waits.
    Eager,
    /// Ready work of the newest stream first.
    Reverse,
    /// A random legal order.
    Random(u64),
}

/// The order in which the threads of a kernel run between two barriers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ThreadOrder {
    /// Warp 0 first.
    Forward,
    /// The last warp, thread and block first.
    Reverse,
    /// Any, drawn again at each switch.
    Random(u64),
}

/// A piece of work that ran.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ran {
    /// The stream's number in order of creation, from 1; 0 is a default stream.
    pub stream: u32,
    /// The device.
    pub device: u32,
    /// A kernel's name, or `copy H2D`, `copy D2H`, `copy D2D`, `copy peer`, `memset`, `alloc`, `free`.
    pub label: String,
}

/// The driver of this process, freshly reset, for one test at a time. Objects of the driver (contexts, streams,
/// memory) must be gone before this is: the next test's reset makes them void.
#[derive(Debug)]
pub struct Mock {
    library: &'static Library,
    path: &'static Path,
    _alone: MutexGuard<'static, ()>,
}

/// Loads the driver and waits until no other test of this process uses it. A later `dlopen("libcuda.so")` yields the
/// same library. The settings are those of the environment (`MOCK_CUDA_ORDER` and so on) or the defaults, and nothing
/// is printed unless `MOCK_CUDA_PRINT=1`. `MOCK_CUDA_LIBRARY` names another `libcuda.so`, made by [`build`].
///
/// # Panics
/// When the library cannot be loaded.
pub fn load() -> Mock {
    let path = std::env::var("MOCK_CUDA_LIBRARY").unwrap_or_else(|_| format!("{LIBRARY_FOLDER}/libcuda.so"));
    load_from(Path::new(&path))
}

/// As [`load`], from a library that [`build`] made. A process has one driver: all its tests load the same.
///
/// # Panics
/// When the library cannot be loaded, or another one was.
pub fn load_from(path: &Path) -> Mock {
    static ALONE: Mutex<()> = Mutex::new(());
    static LIBRARY: OnceLock<(PathBuf, Library)> = OnceLock::new();
    // A test that failed leaves the driver to be reset, no more.
    let alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let (loaded, library) = LIBRARY.get_or_init(|| {
        // SAFETY: the library's initialisers only fill its table of kernels.
        let library = unsafe { Library::open(Some(path), RTLD_NOW | RTLD_GLOBAL) };
        (path.to_path_buf(), library.unwrap_or_else(|e| panic!("{}: {e}", path.display())))
    });
    assert_eq!(loaded, path, "this process has a driver already");
    let mock = Mock { library, path: loaded, _alone: alone };
    mock.reset();
    mock
}

impl Mock {
    /// Back to the state of a new process: no devices until `cuInit`, nothing allocated, no reports, default settings.
    pub fn reset(&self) {
        type Reset = unsafe extern "C" fn() -> c_int;
        // SAFETY: the symbol has this type.
        let reset = unsafe { self.library.get::<Reset>(b"mock_reset\0") }.expect("the library is the mock");
        // SAFETY: it takes nothing and locks the driver.
        assert_eq!(unsafe { reset() }, 0, "an environment variable MOCK_CUDA_* has no valid value");
        if std::env::var_os("MOCK_CUDA_PRINT").is_none() {
            self.set("PRINT", "0");
        }
    }

    /// The library, which is NCCL too.
    pub fn nccl(&self) -> &'static Path {
        self.path
    }

    /// What `ncclGetVersion` says; the default is 22703.
    pub fn nccl_version(&self, version: u32) {
        self.set("NCCL", &version.to_string());
    }

    /// The order of queued work.
    pub fn order(&self, order: Order) {
        match order {
            Order::Lazy => self.set("ORDER", "lazy"),
            Order::Eager => self.set("ORDER", "eager"),
            Order::Reverse => self.set("ORDER", "reverse"),
            Order::Random(seed) => self.set("ORDER", &format!("random:{seed}")),
        }
    }

    /// The order of a kernel's threads.
    pub fn threads(&self, order: ThreadOrder) {
        match order {
            ThreadOrder::Forward => self.set("THREADS", "forward"),
            ThreadOrder::Reverse => self.set("THREADS", "reverse"),
            ThreadOrder::Random(seed) => self.set("THREADS", &format!("random:{seed}")),
        }
    }

    /// Memory of each device in MiB; the default is 1024.
    pub fn memory(&self, mebibytes: u64) {
        self.set("MEM_MB", &mebibytes.to_string());
    }

    /// Whether devices can reach each other's memory; by default they can, once the host enables it.
    pub fn peers(&self, possible: bool) {
        self.set("P2P", if possible { "1" } else { "0" });
    }

    /// The compute capability of all devices; the default is 9.0.
    pub fn capability(&self, major: u32, minor: u32) {
        self.set("CC", &format!("{major}.{minor}"));
    }

    /// The number of devices, 0 to 7; the default is 2. Only before `cuInit`.
    pub fn devices(&self, count: u32) {
        self.set("DEVICES", &count.to_string());
    }

    /// What `cuDriverGetVersion` says; the default is 13000.
    pub fn driver_version(&self, version: u32) {
        self.set("VERSION", &version.to_string());
    }

    /// Whether kernels run on copies of exactly what their extents name; by default they do.
    pub fn isolate(&self, on: bool) {
        self.set("ISOLATE", if on { "1" } else { "0" });
    }

    /// Errors to inject, such as `cuMemAlloc:3=2,exec:max_pool_f32:1=719,*:40+=719!`: the n-th call from now (`+`: and
    /// all later ones) of that function, or of any (`*`), returns the code; `!` leaves the current device unusable;
    /// `exec:` means the n-th run of that work, whose failure always does. Replaces what was set; counts start anew,
    /// those of [`Mock::calls`] too.
    pub fn fail(&self, what: &str) {
        self.set("FAIL", what);
    }

    /// Pairs of work that touch the same bytes without an event or a wait between them; each pair of names once.
    pub fn races(&self) -> Vec<String> {
        self.lines("races")
    }

    /// What the driver had to complain about, injected errors included.
    pub fn errors(&self) -> Vec<String> {
        self.lines("errors")
    }

    /// Fails the test when there were races or errors.
    ///
    /// # Panics
    /// When there were.
    pub fn assert_clean(&self) {
        let found: Vec<String> = self.races().into_iter().chain(self.errors()).collect();
        assert!(found.is_empty(), "{}", found.join("\n"));
    }

    /// Bytes allocated on a device, each allocation rounded up to 256.
    pub fn used(&self, device: u32) -> u64 {
        self.report(&format!("used:{device}")).parse().expect("a number")
    }

    /// The work that ran, in the order it ran.
    pub fn ran(&self) -> Vec<Ran> {
        let ran = |line: &String| {
            let mut parts = line.splitn(3, ' ');
            let mut number = || parts.next()?.parse().ok();
            Some(Ran { stream: number()?, device: number()?, label: parts.next()?.to_string() })
        };
        self.lines("ran").iter().filter_map(ran).collect()
    }

    /// How often each driver function was called (`cuMemAlloc_v2`), and each piece of work run (`exec:memset`).
    pub fn calls(&self) -> BTreeMap<String, u64> {
        let call = |line: &String| {
            let (count, name) = line.split_once(' ')?;
            Some((name.to_string(), count.parse().ok()?))
        };
        self.lines("calls").iter().filter_map(call).collect()
    }

    fn set(&self, key: &str, value: &str) {
        type Configure = unsafe extern "C" fn(*const c_char, *const c_char) -> c_int;
        // SAFETY: the symbol has this type.
        let set =
            unsafe { self.library.get::<Configure>(b"mock_configure\0") }.expect("the library is the mock");
        let text = |s: &str| CString::new(s).expect("no zero byte in a setting");
        let (key, value) = (text(key), text(value));
        // SAFETY: both are strings that end with zero, and the function keeps neither.
        let refused = unsafe { set(key.as_ptr(), value.as_ptr()) };
        assert_eq!(refused, 0, "{key:?} = {value:?} is no setting, or too late");
    }

    fn report(&self, what: &str) -> String {
        type Report = unsafe extern "C" fn(*const c_char, *mut u8, usize) -> usize;
        // SAFETY: the symbol has this type.
        let report =
            unsafe { self.library.get::<Report>(b"mock_report\0") }.expect("the library is the mock");
        let what = CString::new(what).expect("no zero byte in a name");
        let mut bytes = Vec::new();
        loop {
            // SAFETY: the function writes at most the given length, and keeps nothing.
            let length = unsafe { report(what.as_ptr(), bytes.as_mut_ptr(), bytes.len()) };
            // Another thread may add a line between the two calls.
            if length <= bytes.len() {
                bytes.truncate(length);
                return String::from_utf8_lossy(&bytes).into_owned();
            }
            bytes.resize(length + 256, 0);
        }
    }

    fn lines(&self, what: &str) -> Vec<String> {
        self.report(what).lines().map(String::from).collect()
    }
}
