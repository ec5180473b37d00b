//! RGB pixels to JPEG files.

use ilsvrc_diagnostics::{Error, INTERNAL, Result};

use super::Image;

/// Encodes with 4:2:0 chroma, as most photos have.
pub struct Encoder {
    quality: u8,
    compressor: Option<turbojpeg::Compressor>,
    /// Room for the largest file that an image can become.
    room: Vec<u8>,
}

impl Encoder {
    /// An encoder of `quality` 1 to 100; each thread needs its own.
    pub fn new(quality: u8) -> Self {
        Self { quality: quality.clamp(1, 100), compressor: None, room: Vec::new() }
    }

    /// The JPEG file of `image`.
    pub fn encode(&mut self, image: &Image) -> Result<Vec<u8>> {
        let mut file = Vec::new();
        self.encode_into(&image.pixels, image.width, image.height, &mut file)?;
        Ok(file)
    }

    /// Puts the JPEG file of `pixels` (`height x width x 3`) into `file`, whose memory is used again.
    pub fn encode_into(
        &mut self,
        pixels: &[u8],
        width: usize,
        height: usize,
        file: &mut Vec<u8>,
    ) -> Result<()> {
        let failed = |error: turbojpeg::Error| {
            Error::new(INTERNAL, format!("cannot encode {width} x {height} pixels")).info(error.to_string())
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
        let room = compressor.buf_len(width, height).map_err(failed)?;
        if self.room.len() < room {
            self.room.resize(room, 0);
        }
        let format = turbojpeg::PixelFormat::RGB;
        let view = turbojpeg::Image { pixels, width, pitch: width * 3, height, format };
        let length = compressor.compress_to_slice(view, &mut self.room).map_err(failed)?;
        file.clear();
        file.extend_from_slice(&self.room[..length]);
        Ok(())
    }
}
