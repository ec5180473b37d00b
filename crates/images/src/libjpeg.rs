//! The one place that calls libjpeg-turbo's C interface for decoding.
//!
//! The safe wrapper reports a warning as a failure and keeps no way to tell the two apart; photos that decode with a
//! warning are to be kept, so the handle is driven here.

use std::ffi::CStr;

use turbojpeg::raw;

/// What the frame header says.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Frame {
    pub(crate) width: usize,
    pub(crate) height: usize,
    pub(crate) space: raw::TJCS,
}

/// Layout of the decoded pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pixels {
    Rgb,
    Cmyk,
}

impl Pixels {
    /// Bytes of a pixel.
    pub(crate) fn bytes(self) -> usize {
        match self {
            Self::Rgb => 3,
            Self::Cmyk => 4,
        }
    }
}

/// Progressive files with more scans than this only exist to burn time: encoders write about ten.
const SCAN_LIMIT: i32 = 100;

/// Beginnings of libjpeg's warnings (its `jerror.h`, the `JWRN` group).
const WARNINGS: [&str; 7] = [
    "Corrupt JPEG data",
    "Premature end of JPEG file",
    "Inconsistent progression sequence",
    "Unknown Adobe color transform code",
    "Warning: unknown JFIF revision",
    "Invalid SOS parameters for sequential JPEG",
    "Application transferred too many scanlines",
];

/// A decompressor of libjpeg-turbo.
pub(crate) struct Handle(raw::tjhandle);

// SAFETY: the handle owns its memory and has no ties to the thread that made it.
unsafe impl Send for Handle {}

impl Drop for Handle {
    fn drop(&mut self) {
        // SAFETY: made by `tj3Init`, destroyed once.
        unsafe { raw::tj3Destroy(self.0) };
    }
}

impl Handle {
    pub(crate) fn new() -> Self {
        // SAFETY: takes a number, returns null or a handle that is ours.
        let handle = unsafe { raw::tj3Init(raw::TJINIT_TJINIT_DECOMPRESS as i32) };
        assert!(!handle.is_null(), "out of memory for a JPEG decoder");
        // SAFETY: a live handle.
        unsafe { raw::tj3Set(handle, raw::TJPARAM_TJPARAM_SCANLIMIT as i32, SCAN_LIMIT) };
        Self(handle)
    }

    /// Reads the header of `data`; the reason when there is none.
    pub(crate) fn open<'a>(&'a mut self, data: &'a [u8]) -> Result<Opened<'a>, String> {
        let mut warning = None;
        if let Err(message) = self.read_header(data) {
            // After a failure the handle is in the middle of a file and holds the size of an earlier one. A new one tells
            // a warning (it learns this file's size) from an error (it does not).
            *self = Self::new();
            let again = self.read_header(data);
            if self.get(raw::TJPARAM_TJPARAM_JPEGWIDTH) <= 0 {
                *self = Self::new();
                return Err(message);
            }
            warning = again.err();
        }
        let size = |value: i32| usize::try_from(value).map_err(|_| "no frame header".to_owned());
        let frame = Frame {
            width: size(self.get(raw::TJPARAM_TJPARAM_JPEGWIDTH))?,
            height: size(self.get(raw::TJPARAM_TJPARAM_JPEGHEIGHT))?,
            space: self.get(raw::TJPARAM_TJPARAM_COLORSPACE) as raw::TJCS,
        };
        Ok(Opened { handle: self, data, frame, warning })
    }

    fn get(&self, parameter: raw::TJPARAM) -> i32 {
        // SAFETY: a live handle.
        unsafe { raw::tj3Get(self.0, parameter as i32) }
    }

    fn read_header(&mut self, data: &[u8]) -> Result<(), String> {
        // SAFETY: the pointer and the length are of one slice that outlives the call.
        let status = unsafe { raw::tj3DecompressHeader(self.0, data.as_ptr(), data.len() as raw::size_t) };
        if status == 0 { Ok(()) } else { Err(self.message()) }
    }

    fn message(&self) -> String {
        // SAFETY: a live handle; the text is libjpeg-turbo's, terminated, and copied at once.
        unsafe { CStr::from_ptr(raw::tj3GetErrorStr(self.0)) }.to_string_lossy().into_owned()
    }

    fn warned(&self) -> bool {
        // SAFETY: a live handle.
        unsafe { raw::tj3GetErrorCode(self.0) == raw::TJERR_TJERR_WARNING as i32 }
    }
}

/// A file whose header was read.
pub(crate) struct Opened<'a> {
    handle: &'a mut Handle,
    data: &'a [u8],
    pub(crate) frame: Frame,
    warning: Option<String>,
}

impl Opened<'_> {
    /// Decodes the whole image to `out`, rows without gaps; libjpeg's warning where it had one.
    /// `out` must hold `width * height` pixels.
    pub(crate) fn decompress(self, pixels: Pixels, out: &mut [u8]) -> Result<Option<String>, String> {
        let row = self.frame.width * pixels.bytes();
        assert_eq!(out.len(), row * self.frame.height, "the buffer does not fit the image");
        let format = match pixels {
            Pixels::Rgb => raw::TJPF_TJPF_RGB,
            Pixels::Cmyk => raw::TJPF_TJPF_CMYK,
        };
        // SAFETY: `data` is the very slice whose header gave `frame`, so libjpeg-turbo writes `height` rows of `row`
        // bytes, for which `out` was just checked.
        let status = unsafe {
            raw::tj3Decompress8(
                self.handle.0,
                self.data.as_ptr(),
                self.data.len() as raw::size_t,
                out.as_mut_ptr(),
                row as i32,
                format,
            )
        };
        if status == 0 {
            return Ok(self.warning);
        }
        let message = self.handle.message();
        // An error after a warning has the code of a warning; only the text tells.
        let only_warned = self.handle.warned() && WARNINGS.iter().any(|start| message.starts_with(start));
        *self.handle = Handle::new();
        if only_warned { Ok(Some(message)) } else { Err(message) }
    }
}
