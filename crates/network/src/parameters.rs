//! Parameters between files (OIHW) and memory (HWIO); of locally connected layers, for each output position.

use crate::Parameter;

/// Dimensions of a locally connected layer's weights: row and column of the output before OIHW.
const UNSHARED: usize = 6;

/// One cache line of f32: the outputs that are moved together, so that no line is visited twice far apart.
const LINE: usize = 16;

impl Parameter {
    /// Number of f32 elements.
    #[allow(clippy::len_without_is_empty)] // no parameter is empty
    pub fn len(&self) -> usize {
        self.shape.iter().product()
    }

    /// Columns of the weights in memory: the output maps or units that a row of products adds to.
    pub fn outputs(&self) -> usize {
        self.shape[self.output_axes()]
    }

    /// Leading dimensions that are rows and columns of the output.
    fn output_axes(&self) -> usize {
        if self.shape.len() == UNSHARED { 2 } else { 0 }
    }

    /// `file` (OIHW) as kernels want it (HWIO); biases are the same in both.
    ///
    /// # Panics
    /// When `file` does not have [`Parameter::len`] elements.
    pub fn to_memory_order(&self, file: &[f32]) -> Vec<f32> {
        self.reorder(file, |from, to, file_at, memory_at| to[memory_at] = from[file_at])
    }

    /// The reverse of [`Parameter::to_memory_order`].
    ///
    /// # Panics
    /// When `memory` does not have [`Parameter::len`] elements.
    pub fn to_file_order(&self, memory: &[f32]) -> Vec<f32> {
        self.reorder(memory, |from, to, file_at, memory_at| to[file_at] = from[memory_at])
    }

    /// Calls `move_one(from, to, index in the file, index in memory)` for every element.
    fn reorder(&self, from: &[f32], move_one: impl Fn(&[f32], &mut [f32], usize, usize)) -> Vec<f32> {
        assert_eq!(from.len(), self.len(), "{} has another size", self.name);
        if self.bias {
            return from.to_vec();
        }
        let (kernels, shape) = self.shape.split_at(self.output_axes());
        let (kernels, length) = (kernels.iter().product::<usize>(), shape.iter().product::<usize>());
        let mut to = vec![0.0; from.len()];
        for start in (0..kernels).map(|kernel| kernel * length) {
            reorder_kernel(shape, |file_at, memory_at| {
                move_one(from, &mut to, start + file_at, start + memory_at);
            });
        }
        to
    }
}

/// Calls `move_one(index in the file, index in memory)` for every element of one layer's, or position's, weights.
fn reorder_kernel(shape: &[usize], mut move_one: impl FnMut(usize, usize)) {
    let (outputs, inputs) = (shape[0], shape[1]);
    let positions: usize = shape[2..].iter().product();
    for first in (0..outputs).step_by(LINE) {
        let line = first..(first + LINE).min(outputs);
        for input in 0..inputs {
            for position in 0..positions {
                for output in line.clone() {
                    let file_at = (output * inputs + input) * positions + position;
                    let memory_at = (position * inputs + input) * outputs + output;
                    move_one(file_at, memory_at);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::{Learning, Parameter};

    fn weight(shape: &[usize]) -> Parameter {
        let learning = Learning { weight_std: 0.0, bias: 0.0, weight_rate: 1.0, bias_rate: 1.0, decay: None };
        Parameter { name: "w".into(), layer: 0, shape: shape.to_vec(), bias: shape.len() % 2 == 1, learning }
    }

    #[test]
    fn oihw_becomes_hwio() {
        let w = weight(&[2, 3, 1, 2]);
        let file: Vec<f32> = (0..12).map(|i| i as f32).collect();
        // Row w of the kernel, then input maps, then the two outputs.
        let expected = [0., 6., 2., 8., 4., 10., 1., 7., 3., 9., 5., 11.];
        assert_eq!(w.to_memory_order(&file), expected);
    }

    #[test]
    fn unshared_weights_are_reordered_position_by_position() {
        let (shared, unshared) = (weight(&[2, 3, 1, 2]), weight(&[1, 2, 2, 3, 1, 2]));
        let file: Vec<f32> = (0..24).map(|i| i as f32).collect();
        let expected = [shared.to_memory_order(&file[..12]), shared.to_memory_order(&file[12..])].concat();
        assert_eq!(unshared.to_memory_order(&file), expected);
        assert_eq!((shared.outputs(), unshared.outputs(), unshared.len()), (2, 2, 24));
    }

    #[test]
    fn there_and_back() {
        for shape in [&[33, 5, 3, 3][..], &[16, 7], &[1, 1], &[20], &[17, 2, 1, 1], &[2, 3, 5, 4, 3, 3]] {
            let w = weight(shape);
            let file: Vec<f32> = (0..w.len()).map(|i| i as f32).collect();
            assert_eq!(w.to_file_order(&w.to_memory_order(&file)), file, "{shape:?}");
        }
    }
}
