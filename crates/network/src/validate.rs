//! Whether a description is a net: names, numbers, towers. Geometry is `shapes`.

use crate::{Layer, Learning, Net, Reads, shapes};
use ilsvrc_diagnostics::{Error, NET_INVALID, Result};

/// Layers of a net; keeps two parameters a layer below the 1000 numbers that a tower has for its random streams.
const MOST_LAYERS: usize = 400;
/// Side of images, maps and windows.
const LARGEST_SIDE: usize = 4096;
/// Maps or units of a layer, per tower.
const MOST_MAPS: usize = 1 << 16;
/// Images of a pass.
const LARGEST_BATCH: usize = 1 << 14;
/// Characters of a layer's name.
const LONGEST_NAME: usize = 64;

impl Net {
    /// Checks everything that a plan relies on.
    ///
    /// # Errors
    /// `NET_INVALID`, naming the layer, the value seen and the values allowed.
    pub fn validate(&self) -> Result<()> {
        self.validate_frame()
            .map_err(|reason| Error::new(NET_INVALID, format!("net {}: {reason}", self.name)))?;
        for (index, layer) in self.layers.iter().enumerate() {
            self.validate_layer(index, layer).map_err(|reason| {
                Error::new(NET_INVALID, format!("layer {} ({}): {reason}", index + 1, self.label(index)))
            })?;
        }
        shapes::shapes(self).map(drop)
    }

    fn validate_frame(&self) -> Result<(), String> {
        within("image", self.image, 1, LARGEST_SIDE)?;
        within("crop", self.crop, 1, self.image)?;
        within("towers", self.towers, 1, 2)?;
        within("the number of layers", self.layers.len(), 1, MOST_LAYERS)?;
        match self.layers.last() {
            Some(Layer::Dense { units, joined, .. }) => {
                within("the number of classes (units of the last layer)", *units, 2, MOST_MAPS)?;
                if self.towers > 1 && !joined {
                    return Err(
                        "the last layer of a two-tower net must be joined (and read both towers)".into()
                    );
                }
                Ok(())
            }
            _ => Err("the last layer must be dense; its units are the classes".into()),
        }
    }

    fn validate_layer(&self, index: usize, layer: &Layer) -> Result<(), String> {
        self.validate_name(index, layer)?;
        self.validate_towers(index, layer)?;
        if let Some(learning) = layer.learning() {
            validate_learning(learning)?;
        }
        match *layer {
            Layer::Conv { filters, size, stride, pad, .. }
            | Layer::Local { filters, size, stride, pad, .. } => {
                within("filters", filters, 1, MOST_MAPS)?;
                within("size", size, 1, LARGEST_SIDE)?;
                within("stride", stride, 1, LARGEST_SIDE)?;
                within("pad", pad, 0, LARGEST_SIDE)
            }
            Layer::Dense { units, .. } => within("units", units, 1, MOST_MAPS),
            Layer::Relu | Layer::Tanh => Ok(()),
            Layer::Lrn { size, k, alpha, beta, .. } | Layer::MapNorm { size, k, alpha, beta } => {
                validate_norm(size, k, alpha, beta)
            }
            Layer::MaxPool { size, stride } | Layer::AvgPool { size, stride } => {
                within("size", size, 1, LARGEST_SIDE)?;
                within("stride", stride, 1, LARGEST_SIDE)
            }
            Layer::Dropout { rate } if (0.0..1.0).contains(&rate) => Ok(()),
            Layer::Dropout { rate } => Err(format!("rate is {rate}, must be at least 0 and below 1")),
        }
    }

    /// Names become parts of tensor names in files.
    fn validate_name(&self, index: usize, layer: &Layer) -> Result<(), String> {
        let Some(name) = layer.name() else { return Ok(()) };
        let good = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
        if name.is_empty() || name.len() > LONGEST_NAME || !name.chars().all(good) {
            return Err(format!("a name is 1 to {LONGEST_NAME} letters, digits, - or _, not {name:?}"));
        }
        if self.layers[..index].iter().any(|other| other.name() == Some(name)) {
            return Err(format!("an earlier layer is called {name} too"));
        }
        Ok(())
    }

    fn validate_towers(&self, index: usize, layer: &Layer) -> Result<(), String> {
        if layer.reads() == Reads::Both {
            if self.towers == 1 {
                return Err("reads both towers, but the net has one".into());
            }
            if !self.layers[..index].iter().any(|before| before.name().is_some()) {
                return Err("reads the image, which both towers have whole: reads must be \"own\"".into());
            }
        }
        if layer.joined() && self.towers > 1 {
            if index + 1 != self.layers.len() {
                return Err("only the last layer can be joined".into());
            }
            if layer.reads() != Reads::Both {
                return Err(
                    "a joined layer must read both towers, or what the second computes is lost".into()
                );
            }
        }
        Ok(())
    }
}

/// Whether a plan can be made for this many images.
pub(crate) fn batch(batch: usize) -> Result<()> {
    within("batch", batch, 1, LARGEST_BATCH).map_err(|reason| Error::new(NET_INVALID, reason))
}

fn validate_learning(learning: &Learning) -> Result<(), String> {
    not_negative("weight_std", learning.weight_std)?;
    finite("bias", learning.bias)?;
    not_negative("weight_rate", learning.weight_rate)?;
    not_negative("bias_rate", learning.bias_rate)?;
    learning.decay.map_or(Ok(()), |decay| not_negative("decay", decay))
}

fn validate_norm(size: usize, k: f32, alpha: f32, beta: f32) -> Result<(), String> {
    within("size", size, 1, LARGEST_SIDE)?;
    if size.is_multiple_of(2) {
        return Err(format!("size is {size}, must be odd so that the window has a middle"));
    }
    // Without it the quotient of an all-zero window has no value.
    if !(k.is_finite() && k > 0.0) {
        return Err(format!("k is {k}, must be above 0"));
    }
    not_negative("alpha", alpha)?;
    not_negative("beta", beta)
}

fn within(what: &str, value: usize, least: usize, most: usize) -> Result<(), String> {
    if (least..=most).contains(&value) {
        return Ok(());
    }
    Err(format!("{what} is {value}, must be {least} to {most}"))
}

fn finite(what: &str, value: f32) -> Result<(), String> {
    if value.is_finite() { Ok(()) } else { Err(format!("{what} is {value}, must be a finite number")) }
}

fn not_negative(what: &str, value: f32) -> Result<(), String> {
    finite(what, value)?;
    if value >= 0.0 { Ok(()) } else { Err(format!("{what} is {value}, must not be negative")) }
}

#[cfg(test)]
mod tests {
    use crate::{Layer, Net, Reads, examples};
    use ilsvrc_diagnostics::NET_INVALID;

    /// The miniature with its conv1 or another layer changed must be refused, naming what is wrong.
    fn refused(change: impl FnOnce(&mut Net), says: &str) {
        let mut net = examples::miniature();
        assert!(net.validate().is_ok());
        change(&mut net);
        let error = net.validate().expect_err(says);
        assert_eq!(error.code, NET_INVALID);
        let text = format!("{} {}", error.message, error.info.unwrap_or_default());
        assert!(text.contains(says), "{text}");
    }

    #[test]
    fn what_cannot_be_computed_is_refused() {
        refused(|net| net.towers = 3, "towers");
        refused(|net| net.crop = net.image + 1, "crop");
        refused(|net| net.layers.truncate(3), "dense");
        refused(|net| net.layers[11] = examples::conv("conv1", 1, 1, 1, 0, 0.0), "conv1");
        refused(|net| net.layers[3] = Layer::MaxPool { size: 500, stride: 2 }, "500");
        refused(
            |net| net.layers[2] = Layer::Lrn { size: 4, k: 1.0, alpha: 1.0, beta: 0.75, reads: Reads::Own },
            "odd",
        );
        refused(|net| net.layers[12] = Layer::Dropout { rate: 1.0 }, "rate");
        refused(
            |net| {
                net.towers = 1;
                if let Layer::Conv { reads, .. } = &mut net.layers[4] {
                    *reads = Reads::Both;
                }
            },
            "both",
        );
    }
}
