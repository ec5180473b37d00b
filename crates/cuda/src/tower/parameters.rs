//! A tower's weights and biases, their velocities and gradients.

use super::{CudaTower, read_f32, write_f32};
use crate::driver::DeviceMemory;
use crate::gpu::launch;
use crate::launch::{THREADS, blocks, element};
use ilsvrc_diagnostics::{Error, INTERNAL, Result};
use ilsvrc_network::{ParamId, Parameter, Slot};

/// The tensors of a parameter. Velocity and gradient are there when the plan trains, or once they are asked for.
pub(super) struct Tensors {
    pub(super) value: DeviceMemory,
    pub(super) velocity: Option<DeviceMemory>,
    pub(super) gradient: Option<DeviceMemory>,
    /// The values as products read them: in another element type, or with padded rows.
    pub(super) copy: Option<DeviceMemory>,
}

impl CudaTower {
    pub(crate) fn parameter_count(&self) -> usize {
        self.parameters.len()
    }

    fn parameter(&self, id: ParamId) -> Result<&Parameter> {
        self.plan.parameters.get(id.0).ok_or_else(|| Error::new(INTERNAL, format!("no parameter {}", id.0)))
    }

    /// Elements of a parameter.
    pub(crate) fn len(&self, id: ParamId) -> usize {
        self.plan.parameters[id.0].len()
    }

    /// Factor of the learning rate, and the layer's own decay (negative where it has none).
    pub(crate) fn learning(&self, id: ParamId) -> (f32, f32) {
        let parameter = &self.plan.parameters[id.0];
        let learning = parameter.learning;
        if parameter.bias {
            (learning.bias_rate, 0.0)
        } else {
            (learning.weight_rate, learning.decay.unwrap_or(-1.0))
        }
    }

    /// The address of the values, which must be `len`.
    pub(crate) fn values(&self, id: ParamId, len: usize) -> Result<u64> {
        let have = self.parameter(id)?.len();
        if have == len {
            return Ok(self.parameters[id.0].value.at);
        }
        Err(Error::new(
            INTERNAL,
            format!("an op takes {len} elements of parameter {}, which has {have}", id.0),
        ))
    }

    /// The address of the weights as products read them: `outputs` columns.
    pub(crate) fn weights(&self, id: ParamId, outputs: usize) -> Result<u64> {
        let parameter = self.parameter(id)?;
        let columns = parameter.outputs();
        if columns != outputs {
            let name = &parameter.name;
            return Err(Error::new(INTERNAL, format!("{name} has {columns} outputs, an op takes {outputs}")));
        }
        let tensors = &self.parameters[id.0];
        Ok(tensors.copy.as_ref().unwrap_or(&tensors.value).at)
    }

    /// The address of the copy that products read; 0 where they read the values.
    pub(crate) fn copy(&self, id: ParamId) -> u64 {
        self.parameters[id.0].copy.as_ref().map_or(0, |copy| copy.at)
    }

    /// The address of the gradient, which has `len` elements with its padding.
    pub(crate) fn gradient(&mut self, id: ParamId, len: usize) -> Result<u64> {
        let padded = self.layout.padded_len(&self.plan, id);
        if padded != len {
            return Err(Error::new(
                INTERNAL,
                format!("a gradient of {len} for parameter {} of {padded}", id.0),
            ));
        }
        self.slot(id, Slot::Gradient)
    }

    /// The address of a gradient and its elements, with the padding of its rows, which is the same on all ranks.
    pub(crate) fn whole_gradient(&mut self, id: ParamId) -> Result<(u64, usize)> {
        let elements = self.layout.padded_len(&self.plan, id);
        Ok((self.slot(id, Slot::Gradient)?, elements))
    }

    /// The address of a tensor; made now if the plan did not foresee it.
    pub(crate) fn slot(&mut self, id: ParamId, slot: Slot) -> Result<u64> {
        self.memory(id, slot).map(|memory| memory.at)
    }

    fn memory(&mut self, id: ParamId, slot: Slot) -> Result<&DeviceMemory> {
        let parameter = self.parameter(id)?;
        let (len, name) = (parameter.len(), parameter.name.clone());
        let padded = self.layout.padded_len(&self.plan, id);
        let context = &self.gpu.context;
        let tensors = &mut self.parameters[id.0];
        let (memory, elements) = match slot {
            Slot::Value => return Ok(&tensors.value),
            Slot::Velocity => (&mut tensors.velocity, len),
            Slot::Gradient => (&mut tensors.gradient, padded),
        };
        if memory.is_none() {
            *memory = Some(DeviceMemory::zeroed(context, elements * size_of::<f32>(), &name)?);
        }
        Ok(memory.as_ref().expect("just made"))
    }

    /// Whether training has diverged; kernels that change weights look there.
    pub(crate) fn read_diverged(&mut self) -> Result<u64> {
        let at = self.diverged.at;
        self.order.access(&self.compute, &(at..at + size_of::<u32>() as u64), false)?;
        Ok(at)
    }

    /// A parameter's tensor in memory order. A gradient is given without its padding.
    pub(crate) fn read_parameter(&self, id: ParamId, slot: Slot, out: &mut [f32]) -> Result<()> {
        self.synchronize()?;
        let len = self.parameter(id)?.len();
        if out.len() != len {
            return Err(Error::new(INTERNAL, format!("{} values of parameter {} of {len}", out.len(), id.0)));
        }
        let tensors = &self.parameters[id.0];
        let memory = match slot {
            Slot::Value => Some(&tensors.value),
            Slot::Velocity => tensors.velocity.as_ref(),
            Slot::Gradient => tensors.gradient.as_ref(),
        };
        let Some(memory) = memory else {
            out.fill(0.0);
            return Ok(());
        };
        let padding = self.layout.paddings[id.0];
        if slot != Slot::Gradient || padding.is_none() {
            return read_f32(memory, 0, out);
        }
        let mut padded = vec![0.0; self.layout.padded_len(&self.plan, id)];
        read_f32(memory, 0, &mut padded)?;
        let outputs = len / padding.rows();
        for (row, out) in out.chunks_exact_mut(outputs).enumerate() {
            out.copy_from_slice(&padded[padding.row(row) * outputs..][..outputs]);
        }
        Ok(())
    }

    /// Overwrites a parameter's tensor. Weights that are given anew may be trained, whatever the old ones came to.
    pub(crate) fn write_parameter(&mut self, id: ParamId, slot: Slot, data: &[f32]) -> Result<()> {
        self.synchronize()?;
        let len = self.parameter(id)?.len();
        if data.len() != len {
            return Err(Error::new(
                INTERNAL,
                format!("{} values for parameter {} of {len}", data.len(), id.0),
            ));
        }
        let padding = self.layout.paddings[id.0];
        let outputs = len / padding.rows();
        if slot == Slot::Gradient && !padding.is_none() {
            let mut padded = vec![0.0; self.layout.padded_len(&self.plan, id)];
            for (row, data) in data.chunks_exact(outputs).enumerate() {
                padded[padding.row(row) * outputs..][..outputs].copy_from_slice(data);
            }
            return write_f32(self.memory(id, slot)?, 0, &padded);
        }
        write_f32(self.memory(id, slot)?, 0, data)?;
        if slot != Slot::Value {
            return Ok(());
        }
        self.diverged.write(0, &[0; size_of::<u32>()])?;
        let copy = self.copy(id);
        if copy == 0 {
            return Ok(());
        }
        let w = self.parameters[id.0].value.at;
        let [rows, outputs, channels, pitch, taps, taps_x] =
            [padding.rows(), outputs, padding.channels, padding.pitch, padding.taps, padding.taps_x]
                .map(|n| n as i32);
        self.queue(element!(self.gpu.precision, "repack"), blocks(len), |gpu, stream, name, grid| {
            launch!(
                gpu, stream, name, grid, THREADS, 0, w, copy, rows, outputs, channels, pitch, taps, taps_x
            )
        })
    }
}
