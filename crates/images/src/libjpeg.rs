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
    /// Bits of a sample.
    pub(crate) precision: usize,
    /// Columns of an MCU as libjpeg-turbo understands the sampling; nothing where it does not.
    pub(crate) mcu_width: Option<usize>,
    pub(crate) arithmetic: bool,
    pub(crate) lossless: bool,
}

/// What of an image is decoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct View {
    /// Both sides are divided by this (1, 2, 4 or 8) and rounded up, by smaller inverse transforms.
    pub(crate) shrink: usize,
    /// Pixels of the shrunk image; nothing for all. The first column is a multiple of the shrunk MCU's width.
    pub(crate) region: Option<Region>,
}

/// The whole image as it is.
pub(crate) const WHOLE: View = View { shrink: 1, region: None };

/// A rectangle of pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Region {
    pub(crate) x: usize,
    pub(crate) y: usize,
    pub(crate) width: usize,
    pub(crate) height: usize,
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

/// What libjpeg may ask for to keep the coefficients of several scans, in MiB.
const MEMORY_LIMIT: i32 = 256;

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
        for (parameter, value) in [
            (raw::TJPARAM_TJPARAM_SCANLIMIT, SCAN_LIMIT),
            (raw::TJPARAM_TJPARAM_MAXMEMORY, MEMORY_LIMIT),
            // Colour profiles are not used: no copy is made of them.
            (raw::TJPARAM_TJPARAM_SAVEMARKERS, 0),
        ] {
            // SAFETY: a live handle.
            unsafe { raw::tj3Set(handle, parameter as i32, value) };
        }
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
            precision: size(self.get(raw::TJPARAM_TJPARAM_PRECISION))?,
            mcu_width: self.mcu_width(),
            arithmetic: self.get(raw::TJPARAM_TJPARAM_ARITHMETIC) != 0,
            lossless: self.get(raw::TJPARAM_TJPARAM_LOSSLESS) != 0,
        };
        Ok(Opened { handle: self, data, frame, warning })
    }

    fn get(&self, parameter: raw::TJPARAM) -> i32 {
        // SAFETY: a live handle.
        unsafe { raw::tj3Get(self.0, parameter as i32) }
    }

    /// `tjMCUWidth` of `turbojpeg.h`, which no library exports.
    fn mcu_width(&self) -> Option<usize> {
        match self.get(raw::TJPARAM_TJPARAM_SUBSAMP) {
            raw::TJSAMP_TJSAMP_GRAY | raw::TJSAMP_TJSAMP_444 => Some(8),
            raw::TJSAMP_TJSAMP_440 | raw::TJSAMP_TJSAMP_441 => Some(8),
            raw::TJSAMP_TJSAMP_422 | raw::TJSAMP_TJSAMP_420 => Some(16),
            raw::TJSAMP_TJSAMP_411 => Some(32),
            _ => None,
        }
    }

    /// Sets what the next decompression makes of the file whose header was read.
    fn choose(&mut self, view: &View) -> Result<(), String> {
        let side = |value: usize| i32::try_from(value).unwrap_or(-1);
        let scale = raw::tjscalingfactor { num: 1, denom: side(view.shrink) };
        let region = match view.region {
            Some(Region { x, y, width, height }) => {
                raw::tjregion { x: side(x), y: side(y), w: side(width), h: side(height) }
            }
            None => raw::tjregion { x: 0, y: 0, w: 0, h: 0 },
        };
        // SAFETY: a live handle and plain numbers, which libjpeg-turbo checks against the header.
        let status =
            unsafe { raw::tj3SetScalingFactor(self.0, scale) | raw::tj3SetCroppingRegion(self.0, region) };
        if status == 0 { Ok(()) } else { Err(self.message()) }
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
    /// Decodes `view` to `out`, whose rows begin `pitch` bytes apart; libjpeg's warning where it had one.
    pub(crate) fn decompress(
        self,
        pixels: Pixels,
        view: &View,
        pitch: usize,
        out: &mut [u8],
    ) -> Result<Option<String>, String> {
        let (columns, rows) = match view.region {
            Some(region) => (region.width, region.height),
            None => (self.frame.width.div_ceil(view.shrink), self.frame.height.div_ceil(view.shrink)),
        };
        let row = columns * pixels.bytes();
        assert!(row <= pitch && rows > 0 && (rows - 1) * pitch + row <= out.len(), "the image does not fit");
        self.handle.choose(view)?;
        let format = match pixels {
            Pixels::Rgb => raw::TJPF_TJPF_RGB,
            Pixels::Cmyk => raw::TJPF_TJPF_CMYK,
        };
        // SAFETY: `data` is the very slice whose header gave `frame`, so libjpeg-turbo writes `rows` rows of `row` bytes,
        // `pitch` bytes apart, for which `out` was just checked.
        let status = unsafe {
            raw::tj3Decompress8(
                self.handle.0,
                self.data.as_ptr(),
                self.data.len() as raw::size_t,
                out.as_mut_ptr(),
                pitch as i32,
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
