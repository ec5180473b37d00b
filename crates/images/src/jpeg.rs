//! JPEG files to RGB pixels and back. Everything that is not a whole, decodable JPEG is refused with the reason.

mod encoder;
mod markers;

use ilsvrc_diagnostics::{Error, IMAGE_UNDECODABLE, Result};
use turbojpeg::raw;

use crate::formats;
use crate::libjpeg::{Frame, Handle, Opened, Pixels, Region, View, WHOLE};
pub use encoder::Encoder;
use markers::Segments;

/// An RGB image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Image {
    /// Columns.
    pub width: usize,
    /// Rows.
    pub height: usize,
    /// `height x width x 3`, row by row, red first.
    pub pixels: Vec<u8>,
}

/// The colours that a file stores.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Colour {
    /// RGB or YCbCr.
    Rgb,
    /// One channel.
    Gray,
    /// CMYK or YCCK, from print.
    Cmyk,
}

/// What a file says about itself before any pixel is decoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// Columns.
    pub width: usize,
    /// Rows.
    pub height: usize,
    /// The colours stored.
    pub colour: Colour,
}

/// A decoded file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decoded {
    /// The pixels.
    pub image: Image,
    /// The header, for those who ask whether the file can be kept as it is.
    pub header: Header,
    /// libjpeg found damage that it could bridge.
    pub warned: bool,
}

/// The longest side decoded; what a header claims beyond it is refused before memory is asked for.
pub const MAX_SIDE: usize = 16_384;
/// The most pixels decoded.
pub const MAX_PIXELS: usize = 100_000_000;

/// The most bytes that a photo may take while it is decoded.
pub(crate) const MAX_MEMORY: usize = 256 << 20;

/// Columns that smooth upsampling looks at beyond a pixel: one sample of colour, which is two pixels wide.
const REACH: usize = 2;
/// Fewer columns than this are never decoded: libjpeg-turbo changes its upsampling in narrow images.
const NARROW: usize = 16;

/// Decodes one file after another; each thread needs its own.
pub struct Decoder {
    handle: Handle,
    cmyk: Vec<u8>,
    window: Vec<u8>,
}

impl Default for Decoder {
    fn default() -> Self {
        Self::new()
    }
}

impl Decoder {
    /// A decoder.
    pub fn new() -> Self {
        Self { handle: Handle::new(), cmyk: Vec::new(), window: Vec::new() }
    }

    /// Decodes `file` to RGB: grayscale is repeated, CMYK and YCCK are converted. A file that was cut short is refused.
    pub fn decode(&mut self, file: &[u8]) -> Result<Decoded> {
        let jpeg = Jpeg::open(&mut self.handle, file)?;
        let header = jpeg.header;
        let mut pixels = vec![0; header.width * header.height * 3];
        let warned = jpeg.decode(&WHOLE, header.width, &mut self.cmyk, &mut pixels)?;
        Ok(Decoded { image: Image { width: header.width, height: header.height, pixels }, header, warned })
    }

    /// Decodes the `crop` x `crop` pixels at `[top, left]` of a file of `side` x `side` pixels into `out`
    /// (`crop x crop x 3`): the very pixels of the whole image. Columns beside the crop are decoded as far as they are
    /// needed for that, rows below not at all. So damage below goes unnoticed, but for a file that was cut short.
    ///
    /// # Errors
    /// `IMAGE_UNDECODABLE`: what [`Decoder::decode`] refuses, another size, and what decodes with a warning.
    pub fn decode_crop(
        &mut self,
        file: &[u8],
        side: usize,
        [top, left]: [usize; 2],
        crop: usize,
        out: &mut [u8],
    ) -> Result<()> {
        assert!(
            top.max(left) + crop <= side && out.len() == crop * crop * 3,
            "the crop lies within the image"
        );
        let jpeg = Jpeg::open(&mut self.handle, file)?;
        let Header { width, height, .. } = jpeg.header;
        if (width, height) != (side, side) {
            return Err(undecodable(format!("{width} x {height} pixels instead of {side} x {side}")));
        }
        let wanted = Region { x: left, y: top, width: crop, height: crop };
        let view = jpeg.view(&wanted, 1);
        let region = view.region.unwrap_or(Region { x: 0, y: 0, width: side, height: side });
        let warned = if region == wanted {
            jpeg.decode(&view, crop, &mut self.cmyk, out)?
        } else {
            let size = region.width * region.height * 3;
            let window = grown(&mut self.window, size);
            let warned = jpeg.decode(&view, region.width, &mut self.cmyk, window)?;
            let rows = window.chunks_exact(region.width * 3).skip(top - region.y);
            for (line, row) in out.chunks_exact_mut(crop * 3).zip(rows) {
                line.copy_from_slice(&row[(left - region.x) * 3..][..crop * 3]);
            }
            warned
        };
        // What `prep` stores decodes without a warning.
        if warned { Err(undecodable("damaged: libjpeg warns")) } else { Ok(()) }
    }

    /// Decodes a file of `side` x `side` pixels into `out` (`side x side x 3`).
    pub(crate) fn decode_square(&mut self, file: &[u8], side: usize, out: &mut [u8]) -> Result<()> {
        self.decode_crop(file, side, [0, 0], side, out)
    }
}

/// The first `length` bytes of a buffer that only grows.
pub(crate) fn grown(buffer: &mut Vec<u8>, length: usize) -> &mut [u8] {
    if buffer.len() < length {
        buffer.resize(length, 0);
    }
    &mut buffer[..length]
}

/// The header of `file`, within the limits of [`MAX_SIDE`] and [`MAX_PIXELS`].
pub fn read_header(file: &[u8]) -> Result<Header> {
    Ok(Jpeg::open(&mut Handle::new(), file)?.header)
}

pub(crate) fn undecodable(reason: impl Into<String>) -> Error {
    Error::new(IMAGE_UNDECODABLE, reason)
}

/// Refuses sizes beyond [`MAX_SIDE`] and [`MAX_PIXELS`].
pub(crate) fn check_size(width: usize, height: usize) -> Result<()> {
    if width.max(height) > MAX_SIDE || width * height > MAX_PIXELS {
        return Err(undecodable(format!(
            "{width} x {height} pixels; at most {MAX_SIDE} a side and {} million in all are decoded",
            MAX_PIXELS / 1_000_000
        )));
    }
    Ok(())
}

/// A file whose header was read and lies within the limits.
pub(crate) struct Jpeg<'a> {
    pub(crate) header: Header,
    pub(crate) segments: Segments<'a>,
    file: &'a [u8],
    opened: Opened<'a>,
}

impl<'a> Jpeg<'a> {
    pub(crate) fn open(handle: &'a mut Handle, file: &'a [u8]) -> Result<Self> {
        if file.is_empty() {
            return Err(undecodable(formats::name(file)));
        }
        if !formats::is_jpeg(file) {
            return Err(
                undecodable(format!("{}, not a JPEG", formats::name(file))).hint("convert it to JPEG")
            );
        }
        let opened = handle.open(file).map_err(undecodable)?;
        let Frame { width, height, space, precision, .. } = opened.frame;
        check_size(width, height)?;
        if precision != 8 {
            return Err(undecodable(format!("a JPEG of {precision} bits a sample; only 8 are decoded")));
        }
        let segments = Segments::read(file);
        let coefficients = segments.coefficients(width, height);
        if coefficients > MAX_MEMORY {
            return Err(undecodable(format!(
                "{width} x {height} pixels in several scans need {} MB of memory; at most {} are given",
                coefficients >> 20,
                MAX_MEMORY >> 20
            )));
        }
        let colour = match space {
            raw::TJCS_TJCS_GRAY => Colour::Gray,
            raw::TJCS_TJCS_CMYK | raw::TJCS_TJCS_YCCK => Colour::Cmyk,
            _ => Colour::Rgb,
        };
        Ok(Self { header: Header { width, height, colour }, segments, file, opened })
    }

    /// Any program can read it: coded as nearly all files are, in colours or gray.
    pub(crate) fn is_common(&self) -> bool {
        let frame = &self.opened.frame;
        !frame.arithmetic && !frame.lossless && self.header.colour != Colour::Cmyk
    }

    /// Bytes that libjpeg and the conversion from CMYK take besides the RGB pixels, with both sides divided by `shrink`.
    pub(crate) fn memory(&self, shrink: usize) -> usize {
        let Header { width, height, colour } = self.header;
        let cmyk =
            if colour == Colour::Cmyk { width.div_ceil(shrink) * height.div_ceil(shrink) * 4 } else { 0 };
        self.segments.coefficients(width, height) + cmyk
    }

    /// Both sides can be divided by 2, 4 and 8 while decoding.
    pub(crate) fn shrinks(&self) -> bool {
        !self.opened.frame.lossless
    }

    /// What has to be decoded for the pixels of `wanted` to be those of the whole image, shrunk by `shrink`.
    pub(crate) fn view(&self, wanted: &Region, shrink: usize) -> View {
        View { shrink, region: self.region(wanted, shrink) }
    }

    /// Nothing where all has to be decoded: where libjpeg-turbo cannot do less, or where it would gain little. In files
    /// of several scans that lack the last ones, libjpeg smooths over block borders, in which parts differ from the whole.
    fn region(&self, wanted: &Region, shrink: usize) -> Option<Region> {
        let frame = &self.opened.frame;
        let mcu = self.segments.mcu_width();
        if self.segments.several_scans() || !self.is_common() || frame.mcu_width != Some(mcu) {
            return None;
        }
        let (columns, rows) = (frame.width.div_ceil(shrink), frame.height.div_ceil(shrink));
        let mcu = mcu.div_ceil(shrink);
        let start = wanted.x.saturating_sub(REACH).min(columns.saturating_sub(NARROW)) / mcu * mcu;
        let end = (wanted.x + wanted.width + REACH).max(start + NARROW).min(columns);
        // Down to the last row: what follows damage often looks sound until the end of the image, where libjpeg notices.
        let region = Region { x: start, y: wanted.y, width: end - start, height: rows - wanted.y };
        (region.width < columns || region.height < rows).then_some(region)
    }

    /// Decodes `view` to RGB, rows of `out` being `columns` pixels apart, and says whether libjpeg warned.
    pub(crate) fn decode(
        self,
        view: &View,
        columns: usize,
        cmyk: &mut Vec<u8>,
        out: &mut [u8],
    ) -> Result<bool> {
        let Self { header, segments, file, opened } = self;
        let warning = if header.colour == Colour::Cmyk {
            let inks = grown(cmyk, out.len() / 3 * 4);
            let warning = opened.decompress(Pixels::Cmyk, view, columns * 4, inks).map_err(undecodable)?;
            cmyk_to_rgb(inks, segments.adobe, out);
            warning
        } else {
            opened.decompress(Pixels::Rgb, view, columns * 3, out).map_err(undecodable)?
        };
        // libjpeg fills what is missing with gray and only warns.
        let cut = warning.as_deref().is_some_and(|text| text.starts_with("Premature end"));
        if cut || !markers::ended(file) {
            return Err(undecodable("cut short: the file stops before the end of the image"));
        }
        Ok(warning.is_some())
    }
}

/// The share of each light that the inks let through. Programs that write the Adobe marker store what is left of the
/// light (255 = no ink), others the ink.
fn cmyk_to_rgb(cmyk: &[u8], adobe: bool, rgb: &mut [u8]) {
    let light = |value: u8| u32::from(if adobe { value } else { 255 - value });
    for (pixel, out) in cmyk.chunks_exact(4).zip(rgb.chunks_exact_mut(3)) {
        let black = light(pixel[3]);
        for (channel, &ink) in out.iter_mut().zip(&pixel[..3]) {
            *channel = ((light(ink) * black + 127) / 255) as u8;
        }
    }
}

#[cfg(test)]
mod tests;
