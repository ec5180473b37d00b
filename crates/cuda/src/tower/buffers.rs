//! Maps on their way to and from the host, for tests and results.

use super::{CudaTower, read_f32, write_f32};
use crate::bf16;
use crate::driver::DeviceMemory;
use crate::layout::{CHANNELS, Place, Store};
use crate::precision::Precision;
use ilsvrc_diagnostics::{Error, INTERNAL, Result};
use ilsvrc_network::BufferId;

impl CudaTower {
    /// The first elements of a buffer.
    pub(crate) fn read_buffer(&self, id: BufferId, out: &mut [f32]) -> Result<()> {
        self.synchronize()?;
        let place = self.prefix(id, out.len())?;
        let region = self.region(place.store);
        match place.store {
            Store::Exact => read_f32(region, place.offset, out),
            Store::Element => self.read_elements(region, place.offset, out),
            Store::Image(padding) => {
                let mut spread = vec![0.0; out.len() / CHANNELS * padding.pitch];
                self.read_elements(region, place.offset, &mut spread)?;
                for (out, spread) in out.chunks_exact_mut(CHANNELS).zip(spread.chunks_exact(padding.pitch)) {
                    out.copy_from_slice(&spread[..CHANNELS]);
                }
                Ok(())
            }
        }
    }

    /// Overwrites the first elements of a buffer.
    pub(crate) fn write_buffer(&mut self, id: BufferId, data: &[f32]) -> Result<()> {
        self.synchronize()?;
        let place = self.prefix(id, data.len())?;
        let region = self.region(place.store);
        match place.store {
            Store::Exact => write_f32(region, place.offset, data),
            Store::Element => self.write_elements(region, place.offset, data),
            Store::Image(padding) => {
                let mut spread = vec![0.0; data.len() / CHANNELS * padding.pitch];
                for (data, spread) in data.chunks_exact(CHANNELS).zip(spread.chunks_exact_mut(padding.pitch))
                {
                    spread[..CHANNELS].copy_from_slice(data);
                }
                self.write_elements(region, place.offset, &spread)
            }
        }
    }

    fn prefix(&self, id: BufferId, length: usize) -> Result<&Place> {
        let place = self.place(id)?;
        if length <= place.elements * self.layout.batch {
            return Ok(place);
        }
        Err(Error::new(INTERNAL, format!("buffer '{}' has no {length} elements", place.name())))
    }

    fn read_elements(&self, region: &DeviceMemory, offset: usize, out: &mut [f32]) -> Result<()> {
        if self.gpu.precision != Precision::Bf16 {
            return read_f32(region, offset, out);
        }
        let mut bytes = vec![0; 2 * out.len()];
        region.read(offset, &mut bytes)?;
        for (out, bytes) in out.iter_mut().zip(bytes.as_chunks::<2>().0) {
            *out = bf16::widen(u16::from_ne_bytes(*bytes));
        }
        Ok(())
    }

    fn write_elements(&self, region: &DeviceMemory, offset: usize, data: &[f32]) -> Result<()> {
        if self.gpu.precision != Precision::Bf16 {
            return write_f32(region, offset, data);
        }
        let bytes: Vec<u8> = data.iter().flat_map(|value| bf16::narrow(*value).to_ne_bytes()).collect();
        region.write(offset, &bytes)
    }
}
