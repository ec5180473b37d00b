//! Both towers as one net, as other programs have it: their maps lie side by side, tower 0's first. A layer that reads both
//! towers is then an ordinary one, and one that reads its own is a layer of two groups.

use ilsvrc_network::{LayerShape, Net, Reads};

/// A layer with weights.
pub(crate) struct Product {
    /// Names of the weights in the model file, tower by tower: their rows follow each other.
    pub(crate) weights: Vec<String>,
    /// Likewise.
    pub(crate) biases: Vec<String>,
    /// Rows of both towers.
    pub(crate) rows: usize,
    /// Shape of one row: input maps of its group, and the sides of a kernel unless it reads units.
    pub(crate) row: Vec<usize>,
    pub(crate) groups: usize,
}

/// Layer `index` of `net`, where it has weights. `shape` is its own.
pub(crate) fn product(net: &Net, index: usize, shape: &LayerShape) -> Option<Product> {
    let layer = &net.layers[index];
    let name = layer.name()?;
    let names = |what: &str| (0..shape.towers).map(|tower| format!("tower{tower}.{name}.{what}")).collect();
    Some(Product {
        weights: names("weight"),
        biases: names("bias"),
        rows: shape.towers * shape.output.maps,
        row: shape.weights()[1..].to_vec(),
        groups: if layer.reads() == Reads::Own { halves(net, index) } else { 1 },
    })
}

/// How many towers' maps lie side by side where layer `index` reads them. The image is there once, for both.
pub(crate) fn halves(net: &Net, index: usize) -> usize {
    if net.layers[..index].iter().any(|layer| layer.name().is_some()) { net.towers } else { 1 }
}
