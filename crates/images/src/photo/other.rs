//! Photos that are no JPEG, whatever their names say: PNG, GIF (its first frame), BMP and WebP.

use std::io::Cursor;

use ilsvrc_diagnostics::{Error, Result};
use image::metadata::Orientation;
use image::{ColorType, ImageDecoder, ImageFormat, ImageReader, Limits};

use super::memory::Scratch;
use crate::formats;
use crate::jpeg::{MAX_MEMORY, check_size, grown, undecodable};

/// A file whose header was read and lies within the limits.
pub(super) struct Other<'a> {
    /// Columns and rows.
    pub(super) size: [usize; 2],
    format: ImageFormat,
    decoder: Box<dyn ImageDecoder + 'a>,
}

impl<'a> Other<'a> {
    pub(super) fn open(file: &'a [u8]) -> Result<Self> {
        let format = match image::guess_format(file) {
            Ok(format @ (ImageFormat::Png | ImageFormat::Gif | ImageFormat::Bmp | ImageFormat::WebP)) => {
                format
            }
            _ => {
                return Err(
                    undecodable(formats::name(file)).hint("convert it to JPEG, PNG, GIF, BMP or WebP")
                );
            }
        };
        let mut limits = Limits::default();
        limits.max_alloc = Some(MAX_MEMORY as u64);
        let mut reader = ImageReader::with_format(Cursor::new(file), format);
        reader.limits(limits);
        let decoder = reader.into_decoder().map_err(|error| failed(format, &error))?;
        let size = <[u32; 2]>::from(decoder.dimensions()).map(|side| side as usize);
        check_size(size[0], size[1])?;
        if size.contains(&0) {
            return Err(undecodable(format!("{} x {} pixels", size[0], size[1])));
        }
        Ok(Self { size, format, decoder: Box::new(decoder) })
    }

    /// How the photo is to be turned; upright where the file does not say.
    pub(super) fn orientation(&mut self) -> Orientation {
        self.decoder.orientation().unwrap_or(Orientation::NoTransforms)
    }

    /// Bytes that decoding takes: the samples, the decoder's own copy of them where it keeps one, and RGB.
    pub(super) fn memory(&self) -> usize {
        let pixels = self.size[0] * self.size[1];
        let samples = pixels * usize::from(self.decoder.color_type().bytes_per_pixel());
        let copy = if matches!(self.format, ImageFormat::Gif | ImageFormat::WebP) { samples } else { 0 };
        samples + copy + if self.is_rgb() { 0 } else { pixels * 3 }
    }

    /// The pixels in RGB: gray is repeated, 16 bits are rounded to 8, and what shines through is white.
    pub(super) fn decode(self, scratch: &mut Scratch) -> Result<&[u8]> {
        let (format, rgb, colour) = (self.format, self.is_rgb(), self.decoder.color_type());
        let pixels = self.size[0] * self.size[1];
        let length = pixels * usize::from(colour.bytes_per_pixel());
        let samples = grown(if rgb { &mut scratch.photo } else { &mut scratch.samples }, length);
        self.decoder.read_image(samples).map_err(|error| failed(format, &error))?;
        if rgb {
            return Ok(&scratch.photo[..length]);
        }
        let photo = grown(&mut scratch.photo, pixels * 3);
        to_rgb(&scratch.samples[..length], colour, photo);
        Ok(photo)
    }

    fn is_rgb(&self) -> bool {
        self.decoder.color_type() == ColorType::Rgb8
    }
}

fn failed(format: ImageFormat, error: &image::ImageError) -> Error {
    let name = format.extensions_str().first().unwrap_or(&"").to_uppercase();
    undecodable(format!("a {name} image that cannot be decoded: {error}"))
}

/// `samples` of 8 or 16 bits, with alpha or without, to RGB of 8 bits.
fn to_rgb(samples: &[u8], colour: ColorType, rgb: &mut [u8]) {
    const FULL: u64 = 65_535;
    let channels = usize::from(colour.channel_count());
    let bytes = usize::from(colour.bytes_per_pixel());
    let wide = bytes == 2 * channels;
    for (pixel, out) in samples.chunks_exact(bytes).zip(rgb.chunks_exact_mut(3)) {
        // All as 16 bits: 255 becomes 65,535.
        let sample = |channel: usize| {
            u64::from(if wide {
                u16::from_ne_bytes([pixel[2 * channel], pixel[2 * channel + 1]])
            } else {
                u16::from(pixel[channel]) * 257
            })
        };
        let cover = if colour.has_alpha() { sample(channels - 1) } else { FULL };
        for (channel, value) in out.iter_mut().enumerate() {
            let light = sample(if colour.has_color() { channel } else { 0 });
            let over = (light * cover + FULL * (FULL - cover) + FULL / 2) / FULL;
            *value = ((over + 128) / 257) as u8;
        }
    }
}

#[cfg(test)]
#[path = "other_tests.rs"]
mod tests;
