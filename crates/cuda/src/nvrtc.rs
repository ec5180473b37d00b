//! NVRTC, NVIDIA's compiler library, loaded when it is needed: CUDA C++ in, machine code of one architecture out.
//!
//! No toolkit header and no link-time dependency: the eleven functions used are found by name. The build script includes
//! this file too, so it depends on `libloading` alone.

use std::error::Error as _;
use std::ffi::{CString, c_char, c_int, c_void};
use std::mem::ManuallyDrop;
use std::path::{Path, PathBuf};
use std::ptr;

use libloading::Library;

/// The environment variable that names NVRTC: a library, a folder that holds it, or [`NONE`].
pub const VARIABLE: &str = "ILSVRC_NVRTC";

/// The value of [`VARIABLE`] that means: do without NVRTC.
pub const NONE: &str = "none";

/// What the library is called, newest first. Version 12.0 is the first that knows `sm_90a`.
const NAMES: [&str; 3] = ["libnvrtc.so.13", "libnvrtc.so.12", "libnvrtc.so"];

/// `nvrtcProgram`, an opaque handle.
type Program = *mut c_void;
/// `nvrtcResult`; zero is success.
type Status = c_int;

/// A loaded NVRTC.
#[derive(Debug)]
pub struct Nvrtc {
    functions: Functions,
    version: (c_int, c_int),
    targets: Vec<c_int>,
    path: PathBuf,
    /// Never unloaded: compilers leave threads and exit handlers behind.
    _library: ManuallyDrop<Library>,
}

/// What a successful compilation gives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Compiled {
    /// An ELF file of machine code.
    pub cubin: Vec<u8>,
    /// Warnings, and what ptxas says about registers and spills.
    pub log: String,
}

macro_rules! functions {
    ($($name:ident = $symbol:literal ($($argument:ty),*);)*) => {
        #[derive(Debug, Clone, Copy)]
        struct Functions {
            $($name: unsafe extern "C" fn($($argument),*) -> Status,)*
        }

        impl Functions {
            fn of(library: &Library) -> Result<Self, libloading::Error> {
                // SAFETY: the types are those of nvrtc.h, unchanged since CUDA 11.2; the pointers are used only while the
                // library is loaded, which `Nvrtc` sees to.
                unsafe { Ok(Self { $($name: *library.get($symbol)?,)* }) }
            }
        }
    };
}

functions! {
    version = b"nvrtcVersion\0" (*mut c_int, *mut c_int);
    target_count = b"nvrtcGetNumSupportedArchs\0" (*mut c_int);
    targets = b"nvrtcGetSupportedArchs\0" (*mut c_int);
    create = b"nvrtcCreateProgram\0"
        (*mut Program, *const c_char, *const c_char, c_int, *const *const c_char, *const *const c_char);
    compile = b"nvrtcCompileProgram\0" (Program, c_int, *const *const c_char);
    destroy = b"nvrtcDestroyProgram\0" (*mut Program);
    log_size = b"nvrtcGetProgramLogSize\0" (Program, *mut usize);
    log = b"nvrtcGetProgramLog\0" (Program, *mut c_char);
    cubin_size = b"nvrtcGetCUBINSize\0" (Program, *mut usize);
    cubin = b"nvrtcGetCUBIN\0" (Program, *mut c_char);
}

impl Nvrtc {
    /// Loads the library at `path`; a bare file name is looked for by the dynamic loader.
    pub fn open(path: &Path) -> Result<Self, String> {
        let shown = path.display();
        // SAFETY: NVRTC has no initialiser that asks anything of its caller. Whoever names another library as NVRTC runs
        // that library's initialisers, as with LD_PRELOAD.
        let library = unsafe { Library::new(path) }.map_err(|error| {
            let reason = error.source().map_or_else(|| error.to_string(), ToString::to_string);
            format!("{shown} cannot be loaded: {reason}")
        })?;
        let functions =
            Functions::of(&library).map_err(|error| format!("{shown} is not an NVRTC: {error}"))?;
        let (mut major, mut minor, mut count) = (0, 0, 0);
        // SAFETY: both pointers are to live integers.
        check(unsafe { (functions.version)(&mut major, &mut minor) }, "nvrtcVersion")?;
        // SAFETY: as above.
        check(unsafe { (functions.target_count)(&mut count) }, "nvrtcGetNumSupportedArchs")?;
        let mut targets = vec![0; usize::try_from(count).unwrap_or(0)];
        // SAFETY: the function writes as many integers as the one before counted.
        check(unsafe { (functions.targets)(targets.as_mut_ptr()) }, "nvrtcGetSupportedArchs")?;
        let library = ManuallyDrop::new(library);
        Ok(Self { functions, version: (major, minor), targets, path: path.to_owned(), _library: library })
    }

    /// Loads what `place` names, as the value of [`VARIABLE`] does: the library itself or a folder with it, directly, in
    /// `lib` or `lib64`, or as a Python wheel lays it out.
    pub fn open_in(place: &Path) -> Result<Self, String> {
        if !place.is_dir() {
            return Self::open(place);
        }
        let mut last = None;
        for path in libraries_in(place) {
            match Self::open(&path) {
                Ok(nvrtc) => return Ok(nvrtc),
                Err(error) => last = Some(error),
            }
        }
        Err(last.unwrap_or_else(|| format!("{} holds no {}", place.display(), NAMES[1])))
    }

    /// The NVRTC that the dynamic loader finds, or the one of the CUDA toolkit in its usual place.
    pub fn open_installed() -> Result<Self, String> {
        let toolkits = ["CUDA_HOME", "CUDA_PATH"].into_iter().filter_map(std::env::var_os).map(PathBuf::from);
        let toolkits = toolkits.chain([PathBuf::from("/usr/local/cuda")]).filter(|folder| folder.is_dir());
        let paths =
            NAMES.into_iter().map(PathBuf::from).chain(toolkits.flat_map(|folder| libraries_in(&folder)));
        paths
            .into_iter()
            .find_map(|path| Self::open(&path).ok())
            .ok_or_else(|| format!("the dynamic loader finds neither {} nor {}", NAMES[0], NAMES[1]))
    }

    /// The version, for example `12.9`.
    pub fn version(&self) -> String {
        format!("{}.{}", self.version.0, self.version.1)
    }

    /// What was loaded: the path, or the name that the dynamic loader resolved.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The base targets that it compiles for, such as 80 for `sm_80`. Variants (`sm_90a`) are not listed.
    pub fn targets(&self) -> &[i32] {
        &self.targets
    }

    /// Compiles `source`, whose `#include "name"` are served from `headers` (name, text), to machine code of `arch`
    /// (`sm_80`). `name` stands in messages. The error is the compiler's log. Threads may compile at the same time.
    pub fn compile(
        &self,
        name: &str,
        source: &str,
        headers: &[(&str, &str)],
        arch: &str,
        options: &[&str],
    ) -> Result<Compiled, String> {
        let target = format!("--gpu-architecture={arch}");
        let options = Strings::new([target.as_str()].into_iter().chain(options.iter().copied()))?;
        let program = self.program(name, source, headers)?;
        // SAFETY: the program lives until the end of this function, the options are terminated strings.
        let status =
            unsafe { (self.functions.compile)(program.handle, options.count(), options.pointers.as_ptr()) };
        let log = program.text(self.functions.log_size, self.functions.log);
        if status != 0 {
            return Err(format!(
                "NVRTC {} refuses {name} for {arch} (result {status}):\n{log}",
                self.version()
            ));
        }
        let cubin = program.bytes(self.functions.cubin_size, self.functions.cubin)?;
        if cubin.is_empty() {
            return Err(format!(
                "NVRTC {} gave no machine code of {name} for {arch}:\n{log}",
                self.version()
            ));
        }
        Ok(Compiled { cubin, log })
    }

    fn program(&self, name: &str, source: &str, headers: &[(&str, &str)]) -> Result<Handle, String> {
        let (name, source) = (terminated(name)?, terminated(source)?);
        let names = Strings::new(headers.iter().map(|header| header.0))?;
        let texts = Strings::new(headers.iter().map(|header| header.1))?;
        let mut handle = ptr::null_mut();
        // SAFETY: all strings are terminated and outlive the call, which copies them; both lists have `count` entries.
        let status = unsafe {
            (self.functions.create)(
                &mut handle,
                source.as_ptr(),
                name.as_ptr(),
                names.count(),
                texts.pointers.as_ptr(),
                names.pointers.as_ptr(),
            )
        };
        check(status, "nvrtcCreateProgram")?;
        Ok(Handle { handle, destroy: self.functions.destroy })
    }
}

/// A program, destroyed on every way out.
struct Handle {
    handle: Program,
    destroy: unsafe extern "C" fn(*mut Program) -> Status,
}

type SizeOf = unsafe extern "C" fn(Program, *mut usize) -> Status;
type Fill = unsafe extern "C" fn(Program, *mut c_char) -> Status;

impl Handle {
    fn bytes(&self, size_of: SizeOf, fill: Fill) -> Result<Vec<u8>, String> {
        let mut size = 0;
        // SAFETY: the program is alive, the pointer is to a live integer.
        check(unsafe { size_of(self.handle, &mut size) }, "the size of a result")?;
        let mut bytes = vec![0u8; size];
        // SAFETY: the function writes the number of bytes that the one before gave.
        check(unsafe { fill(self.handle, bytes.as_mut_ptr().cast()) }, "a result")?;
        Ok(bytes)
    }

    /// A log is an explanation: where even that fails, it is empty.
    fn text(&self, size_of: SizeOf, fill: Fill) -> String {
        let bytes = self.bytes(size_of, fill).unwrap_or_default();
        String::from_utf8_lossy(&bytes).trim_end_matches('\0').to_owned()
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        // SAFETY: the handle came from `nvrtcCreateProgram` and is destroyed once.
        unsafe { (self.destroy)(&mut self.handle) };
    }
}

/// Terminated strings and the array of pointers to them that C wants.
struct Strings {
    pointers: Vec<*const c_char>,
    _owners: Vec<CString>,
}

impl Strings {
    fn new<'a>(strings: impl Iterator<Item = &'a str>) -> Result<Self, String> {
        let owners = strings.map(terminated).collect::<Result<Vec<_>, _>>()?;
        Ok(Self { pointers: owners.iter().map(|owner| owner.as_ptr()).collect(), _owners: owners })
    }

    fn count(&self) -> c_int {
        c_int::try_from(self.pointers.len()).unwrap_or(c_int::MAX)
    }
}

fn terminated(text: &str) -> Result<CString, String> {
    CString::new(text).map_err(|error| format!("a text for NVRTC holds a zero byte: {error}"))
}

fn check(status: Status, what: &str) -> Result<(), String> {
    if status == 0 { Ok(()) } else { Err(format!("NVRTC fails to give {what} (result {status})")) }
}

/// Where the library may lie in `folder`, existing files only.
fn libraries_in(folder: &Path) -> Vec<PathBuf> {
    ["", "lib", "lib64", "nvidia/cuda_nvrtc/lib", "nvidia/cu13/lib", "cuda_nvrtc/lib", "cu13/lib"]
        .iter()
        .flat_map(|inside| NAMES.map(|name| folder.join(inside).join(name)))
        .filter(|path| path.is_file())
        .collect()
}
