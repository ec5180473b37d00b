//! What the writers of models have in common.

use ilsvrc_diagnostics::{EXPORT_UNSUPPORTED, Error, INTERNAL, Result};
use ilsvrc_network::{Layer, Net};
use std::collections::BTreeMap;

/// A model of ours that is written in another form.
pub struct Model<'a> {
    /// Its net.
    pub net: &'a Net,
    /// The strings of its file.
    pub metadata: &'a BTreeMap<String, String>,
    /// A tensor of its file by name, as `tower0.conv1.weight` or `mean`.
    pub read: &'a dyn Fn(&str) -> Result<Vec<f32>>,
}

/// Takes bytes in the order of the file.
pub type Sink<'a> = &'a mut dyn FnMut(&[u8]) -> Result<()>;

/// Values that are written together, so that a tensor's bytes are never all in memory beside its values.
const CHUNK: usize = 1 << 16;

impl Model<'_> {
    /// The mean of the centre crop as planes, `3 x crop x crop`.
    pub(crate) fn mean(&self) -> Result<Vec<f32>> {
        let (image, crop) = (self.net.image, self.net.crop);
        let mean = (self.read)("mean")?;
        if mean.len() != 3 * image * image {
            return Err(Error::new(INTERNAL, "the mean image has another size than the net's images"));
        }
        let corner = (image - crop) / 2;
        let at = |channel, row, column| mean[((corner + row) * image + corner + column) * 3 + channel];
        let rows = (0..3).flat_map(|channel| (0..crop).map(move |row| (channel, row)));
        Ok(rows.flat_map(|(channel, row)| (0..crop).map(move |column| at(channel, row, column))).collect())
    }

    /// Refuses nets that no other form has.
    pub(crate) fn expect_shared_weights(&self) -> Result<()> {
        let local = self.net.layers.iter().position(|layer| matches!(layer, Layer::Local { .. }));
        local.map_or(Ok(()), |index| {
            let name = self.net.label(index);
            Err(refused(format!("{name} is locally connected, which the other forms have no layer for"))
                .info("neither ONNX nor PyTorch has an operator whose weights differ from position to position")
                .hint("use the model file itself: `ilsvrc predict` and `ilsvrc eval` read it, docs/formats.md says how others may"))
        })
    }

    /// Writes tensors of the file one after the other, `factor` times their values.
    pub(crate) fn copy(&self, names: &[String], factor: f32, sink: Sink) -> Result<()> {
        names.iter().try_for_each(|name| {
            let mut values = (self.read)(name)?;
            if factor != 1.0 {
                values.iter_mut().for_each(|value| *value *= factor);
            }
            put(&values, sink)
        })
    }

    /// The strings that tell a reader what the net is, and what it wants to see.
    pub(crate) fn strings(&self) -> impl Iterator<Item = (&str, String)> {
        let crop = self.net.crop;
        let input = format!(
            "RGB, 0 to 255, the centre {crop} x {crop} of the prepared square of {0} x {0}; the mean is subtracted inside",
            self.net.image
        );
        let carried = ["net", "classes", "preprocessing", "source"];
        let carried = carried.into_iter().filter_map(|key| Some((key, self.metadata.get(key)?.clone())));
        carried.chain([("input", input)])
    }
}

/// Writes values, little endian.
pub(crate) fn put(values: &[f32], sink: Sink) -> Result<()> {
    let mut bytes = Vec::with_capacity(4 * CHUNK.min(values.len()));
    for chunk in values.chunks(CHUNK) {
        bytes.clear();
        bytes.extend(chunk.iter().flat_map(|value| value.to_le_bytes()));
        sink(&bytes)?;
    }
    Ok(())
}

pub(crate) fn refused(message: impl Into<String>) -> Error {
    Error::new(EXPORT_UNSUPPORTED, message)
}
