//! JPEG files to RGB pixels and back. Everything that is not a whole, decodable JPEG is refused with the reason.

use ilsvrc_diagnostics::{Error, IMAGE_UNDECODABLE, INTERNAL, Result};
use turbojpeg::raw;

use crate::libjpeg::{Frame, Handle, Opened, Pixels};

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

/// Decodes one file after another.
pub struct Decoder {
    handle: Handle,
    cmyk: Vec<u8>,
}

impl Default for Decoder {
    fn default() -> Self {
        Self::new()
    }
}

impl Decoder {
    /// A decoder; each thread needs its own.
    pub fn new() -> Self {
        Self { handle: Handle::new(), cmyk: Vec::new() }
    }

    /// Decodes `file` to RGB: grayscale is repeated, CMYK and YCCK are converted. A file that was cut short is refused.
    pub fn decode(&mut self, file: &[u8]) -> Result<Decoded> {
        let opened = open(&mut self.handle, file)?;
        let header = header(&opened.frame)?;
        let mut pixels = vec![0; header.width * header.height * 3];
        let warned = decompress(opened, file, header.colour, &mut self.cmyk, &mut pixels)?;
        Ok(Decoded { image: Image { width: header.width, height: header.height, pixels }, header, warned })
    }

    /// Decodes a file of `side` x `side` pixels into `out` (`side x side x 3`).
    pub(crate) fn decode_square(&mut self, file: &[u8], side: usize, out: &mut [u8]) -> Result<()> {
        let opened = open(&mut self.handle, file)?;
        let header = header(&opened.frame)?;
        if (header.width, header.height) != (side, side) {
            return Err(undecodable(format!(
                "{} x {} pixels instead of {side} x {side}",
                header.width, header.height
            )));
        }
        // What `prep` stores decodes without a warning.
        if decompress(opened, file, header.colour, &mut self.cmyk, out)? {
            return Err(undecodable("damaged: libjpeg warns"));
        }
        Ok(())
    }
}

/// The header of `file`, within the limits of [`MAX_SIDE`] and [`MAX_PIXELS`].
pub fn read_header(file: &[u8]) -> Result<Header> {
    header(&open(&mut Handle::new(), file)?.frame)
}

fn undecodable(reason: impl Into<String>) -> Error {
    Error::new(IMAGE_UNDECODABLE, reason)
}

/// Files that are no JPEG but often bear its name, by their first bytes.
const OTHER_FORMATS: [(&[u8], &str); 8] = [
    (b"\x89PNG\r\n\x1a\n", "a PNG image"),
    (b"GIF8", "a GIF image"),
    (b"BM", "a BMP image"),
    (b"II*\0", "a TIFF image"),
    (b"MM\0*", "a TIFF image"),
    (b"\0\0\0\x0cJXL ", "a JPEG XL image"),
    (b"%PDF", "a PDF document"),
    (b"\0\0\0\x0cjP  ", "a JPEG 2000 image"),
];

fn open<'a>(handle: &'a mut Handle, file: &'a [u8]) -> Result<Opened<'a>> {
    if file.is_empty() {
        return Err(undecodable("an empty file (0 bytes)"));
    }
    if !file.starts_with(&[0xff, 0xd8]) {
        return Err(undecodable(format!("{}, not a JPEG", what_it_is(file))).hint("convert it to JPEG"));
    }
    handle.open(file).map_err(undecodable)
}

fn what_it_is(file: &[u8]) -> String {
    if let Some((_, name)) = OTHER_FORMATS.iter().find(|(magic, _)| file.starts_with(magic)) {
        return (*name).to_owned();
    }
    match (file.get(..4), file.get(4..8), file.get(8..12)) {
        (Some(b"RIFF"), _, Some(b"WEBP")) => "a WebP image".to_owned(),
        (_, Some(b"ftyp"), Some(b"avif")) => "an AVIF image".to_owned(),
        (_, Some(b"ftyp"), Some(b"heic" | b"mif1")) => "a HEIC image".to_owned(),
        _ => {
            let start: Vec<String> = file.iter().take(8).map(|byte| format!("{byte:02x}")).collect();
            format!("not an image (it starts with {})", start.join(" "))
        }
    }
}

fn header(frame: &Frame) -> Result<Header> {
    let (width, height) = (frame.width, frame.height);
    if width.max(height) > MAX_SIDE || width * height > MAX_PIXELS {
        return Err(undecodable(format!(
            "{width} x {height} pixels; at most {MAX_SIDE} a side and {} million in all are decoded",
            MAX_PIXELS / 1_000_000
        )));
    }
    let colour = match frame.space {
        raw::TJCS_TJCS_GRAY => Colour::Gray,
        raw::TJCS_TJCS_CMYK | raw::TJCS_TJCS_YCCK => Colour::Cmyk,
        _ => Colour::Rgb,
    };
    Ok(Header { width, height, colour })
}

/// Decodes to RGB and says whether libjpeg warned.
fn decompress(
    opened: Opened,
    file: &[u8],
    colour: Colour,
    cmyk: &mut Vec<u8>,
    out: &mut [u8],
) -> Result<bool> {
    let warning = if colour == Colour::Cmyk {
        cmyk.resize(out.len() / 3 * 4, 0);
        let warning = opened.decompress(Pixels::Cmyk, cmyk).map_err(undecodable)?;
        cmyk_to_rgb(cmyk, markers(file).adobe, out);
        warning
    } else {
        opened.decompress(Pixels::Rgb, out).map_err(undecodable)?
    };
    // libjpeg fills what is missing with gray and only warns.
    let cut = warning.as_deref().is_some_and(|text| text.starts_with("Premature end"));
    if cut || !(file.ends_with(&[0xff, 0xd9]) || markers(file).ended) {
        return Err(undecodable("cut short: the file stops before the end of the image"));
    }
    Ok(warning.is_some())
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

/// What the sequence of markers shows.
struct Markers {
    /// An Adobe segment (APP14) is there.
    adobe: bool,
    /// The end-of-image marker is there, outside of any segment.
    ended: bool,
}

/// Walks from marker to marker (ITU-T T.81, annex B). Entropy-coded data hold 0xff only before 0 or a restart marker.
fn markers(file: &[u8]) -> Markers {
    let mut adobe = false;
    let mut at = 2;
    while let Some(skipped) = file.get(at..).and_then(|rest| rest.iter().position(|&byte| byte == 0xff)) {
        at += skipped + 1;
        let Some(&marker) = file.get(at) else { break };
        match marker {
            // The next round takes this 0xff for the start of a marker, which is what fill bytes mean.
            0xff => continue,
            0x00 | 0x01 | 0xd0..=0xd8 => at += 1,
            0xd9 => return Markers { adobe, ended: true },
            _ => {
                let Some(&[high, low]) = file.get(at + 1..at + 3) else { break };
                adobe |= marker == 0xee && file[at + 3..].starts_with(b"Adobe");
                at += 1 + usize::from(u16::from_be_bytes([high, low]));
            }
        }
    }
    Markers { adobe, ended: false }
}

/// Encodes with 4:2:0 chroma, as most photos have.
pub struct Encoder {
    quality: u8,
    compressor: Option<turbojpeg::Compressor>,
}

impl Encoder {
    /// An encoder of `quality` 1 to 100; each thread needs its own.
    pub fn new(quality: u8) -> Self {
        Self { quality: quality.clamp(1, 100), compressor: None }
    }

    /// The JPEG file of `image`.
    pub fn encode(&mut self, image: &Image) -> Result<Vec<u8>> {
        let failed = |error: turbojpeg::Error| {
            Error::new(INTERNAL, format!("cannot encode {} x {} pixels", image.width, image.height))
                .info(error.to_string())
        };
        let compressor = match &mut self.compressor {
            Some(compressor) => compressor,
            empty => {
                let mut compressor = turbojpeg::Compressor::new().map_err(failed)?;
                compressor.set_quality(i32::from(self.quality)).map_err(failed)?;
                compressor.set_subsamp(turbojpeg::Subsamp::Sub2x2).map_err(failed)?;
                empty.insert(compressor)
            }
        };
        let view = turbojpeg::Image {
            pixels: image.pixels.as_slice(),
            width: image.width,
            pitch: image.width * 3,
            height: image.height,
            format: turbojpeg::PixelFormat::RGB,
        };
        compressor.compress_to_vec(view).map_err(failed)
    }
}

#[cfg(test)]
#[path = "jpeg_tests.rs"]
mod tests;
