//! The nets that are trained and timed, those of `packages/config`.

use ilsvrc_network::examples::{both, conv, dense, joined, lrn, max_pool};
use ilsvrc_network::{Layer, Net};

/// The preset `alexnet-64`: a small two-tower net for crops of 64 pixels.
pub(crate) fn alexnet_64(classes: usize) -> Net {
    let he = |layer: Layer, fan_in: usize| with_std(layer, (2.0 / fan_in as f32).sqrt());
    let dropout = || Layer::Dropout { rate: 0.5 };
    let layers = vec![
        conv("conv1", 32, 5, 2, 2, 0.0),
        Layer::Relu,
        lrn(),
        max_pool(),
        he(conv("conv2", 64, 5, 1, 2, 0.0), 5 * 5 * 32),
        Layer::Relu,
        lrn(),
        max_pool(),
        he(both(conv("conv3", 96, 3, 1, 1, 0.0)), 3 * 3 * 128),
        Layer::Relu,
        he(conv("conv4", 96, 3, 1, 1, 0.0), 3 * 3 * 96),
        Layer::Relu,
        he(conv("conv5", 64, 3, 1, 1, 0.0), 3 * 3 * 96),
        Layer::Relu,
        max_pool(),
        he(both(dense("fc6", 256, 0.0)), 4 * 4 * 128),
        Layer::Relu,
        dropout(),
        he(both(dense("fc7", 256, 0.0)), 512),
        Layer::Relu,
        dropout(),
        joined(dense("fc8", classes, 0.0)),
    ];
    Net { name: "alexnet-64".into(), image: 72, crop: 64, towers: 2, layers }
}

/// The layer with another standard deviation of its first weights.
fn with_std(mut layer: Layer, std: f32) -> Layer {
    if let Layer::Conv { learning, .. } | Layer::Dense { learning, .. } = &mut layer {
        learning.weight_std = std;
    }
    layer
}
