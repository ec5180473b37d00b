//! Nets for the tests of this and other crates. Users' presets live in `packages/config`.

use crate::{Layer, Learning, Net, Reads, Round};

/// N(0, `weight_std`), a constant bias, the recipe's rates and decay.
pub fn learning(weight_std: f32, bias: f32) -> Learning {
    Learning { weight_std, bias, weight_rate: 1.0, bias_rate: 1.0, decay: None }
}

/// A convolution that reads its own tower.
pub fn conv(name: &str, filters: usize, size: usize, stride: usize, pad: usize, bias: f32) -> Layer {
    let learning = learning(0.01, bias);
    let (name, reads, round) = (name.into(), Reads::Own, Round::Ceil);
    Layer::Conv { name, filters, size, stride, pad, reads, round, learning }
}

/// A locally connected layer that reads its own tower.
pub fn local(name: &str, filters: usize, size: usize, stride: usize, pad: usize, bias: f32) -> Layer {
    let learning = learning(0.04, bias);
    let (name, reads, round) = (name.into(), Reads::Own, Round::Ceil);
    Layer::Local { name, filters, size, stride, pad, reads, round, learning }
}

/// A dense layer that reads its own tower.
pub fn dense(name: &str, units: usize, bias: f32) -> Layer {
    Layer::Dense {
        name: name.into(),
        units,
        reads: Reads::Own,
        joined: false,
        learning: learning(0.01, bias),
    }
}

/// The same layer, reading both towers (a normalisation: across them).
pub fn both(mut layer: Layer) -> Layer {
    if let Layer::Conv { reads, .. }
    | Layer::Local { reads, .. }
    | Layer::Dense { reads, .. }
    | Layer::Lrn { reads, .. } = &mut layer
    {
        *reads = Reads::Both;
    }
    layer
}

/// The same dense layer, computed once from both towers.
pub fn joined(layer: Layer) -> Layer {
    let mut layer = both(layer);
    if let Layer::Dense { joined, .. } = &mut layer {
        *joined = true;
    }
    layer
}

/// The paper's normalisation.
pub fn lrn() -> Layer {
    Layer::Lrn { size: 5, k: 2.0, alpha: 1e-4, beta: 0.75, reads: Reads::Own }
}

/// The paper's overlapping pool.
pub fn max_pool() -> Layer {
    Layer::MaxPool { size: 3, stride: 2 }
}

fn dropout() -> Layer {
    Layer::Dropout { rate: 0.5 }
}

/// The paper's net, two towers.
pub fn alexnet() -> Net {
    use Layer::Relu;
    let layers = vec![
        conv("conv1", 48, 11, 4, 0, 0.0),
        Relu,
        lrn(),
        max_pool(),
        conv("conv2", 128, 5, 1, 2, 1.0),
        Relu,
        lrn(),
        max_pool(),
        both(conv("conv3", 192, 3, 1, 1, 0.0)),
        Relu,
        conv("conv4", 192, 3, 1, 1, 1.0),
        Relu,
        conv("conv5", 128, 3, 1, 1, 1.0),
        Relu,
        max_pool(),
        both(dense("fc6", 2048, 1.0)),
        Relu,
        dropout(),
        both(dense("fc7", 2048, 1.0)),
        Relu,
        dropout(),
        joined(dense("fc8", 1000, 0.0)),
    ];
    Net { name: "alexnet".into(), image: 256, crop: 224, towers: 2, layers }
}

/// The one-tower net that the paper compares with.
pub fn one_tower() -> Net {
    let mut net = alexnet();
    (net.name, net.towers) = ("one-tower".into(), 1);
    for layer in &mut net.layers {
        match layer {
            Layer::Conv { name, filters, reads, .. } => {
                *reads = Reads::Own;
                if name == "conv5" {
                    *filters = 256;
                }
            }
            Layer::Dense { units, reads, joined, .. } => {
                (*reads, *joined) = (Reads::Own, false);
                if *units == 2048 {
                    *units = 4096;
                }
            }
            _ => {}
        }
    }
    net
}

/// The authors' 80-second net for CIFAR-10.
pub fn cifar_80sec() -> Net {
    let mut layers = cifar_maps();
    layers.extend([dense("fc64", 64, 0.0), Layer::Relu, dense("fc10", 10, 0.0)]);
    Net { name: "cifar-80sec".into(), image: 32, crop: 32, towers: 1, layers }
}

/// The authors' 18 % net for CIFAR-10.
pub fn cifar_18pct() -> Net {
    let norm = || Layer::MapNorm { size: 3, k: 1.0, alpha: 5e-5, beta: 0.75 };
    let mut layers = cifar_maps();
    layers.insert(6, norm());
    layers.insert(3, norm());
    layers.push(dense("fc10", 10, 0.0));
    Net { name: "cifar-18pct".into(), image: 32, crop: 32, towers: 1, layers }
}

/// The authors' 11 % net for CIFAR-10, with locally connected layers.
pub fn cifar_11pct() -> Net {
    let norm = || Layer::Lrn { size: 9, k: 1.0, alpha: 0.001, beta: 0.75, reads: Reads::Own };
    let layers = vec![
        conv("conv1", 64, 5, 1, 2, 0.0),
        Layer::Relu,
        max_pool(),
        norm(),
        conv("conv2", 64, 5, 1, 2, 0.0),
        Layer::Relu,
        norm(),
        max_pool(),
        local("local3", 64, 3, 1, 1, 0.0),
        Layer::Relu,
        local("local4", 32, 3, 1, 1, 0.0),
        Layer::Relu,
        dense("fc10", 10, 0.0),
    ];
    Net { name: "cifar-11pct".into(), image: 32, crop: 24, towers: 1, layers }
}

fn cifar_maps() -> Vec<Layer> {
    let avg_pool = || Layer::AvgPool { size: 3, stride: 2 };
    vec![
        conv("conv1", 32, 5, 1, 2, 0.0),
        max_pool(),
        Layer::Relu,
        conv("conv2", 32, 5, 1, 2, 0.0),
        Layer::Relu,
        avg_pool(),
        conv("conv3", 64, 5, 1, 2, 0.0),
        Layer::Relu,
        avg_pool(),
    ]
}

/// A two-tower net of the paper's structure that runs in a blink: every kind of layer, odd sides, windows that hang
/// over the border.
pub fn miniature() -> Net {
    let strong = |mut layer: Layer| {
        if let Layer::Conv { learning, .. } | Layer::Dense { learning, .. } = &mut layer {
            learning.weight_std = 0.2;
        }
        layer
    };
    let layers = vec![
        strong(conv("conv1", 4, 5, 3, 0, 0.1)),
        Layer::Relu,
        Layer::Lrn { size: 3, k: 1.5, alpha: 0.3, beta: 0.75, reads: Reads::Own },
        max_pool(),
        strong(both(conv("conv2", 3, 3, 2, 1, 0.1))),
        Layer::Tanh,
        Layer::MapNorm { size: 3, k: 1.0, alpha: 0.5, beta: 0.75 },
        Layer::AvgPool { size: 2, stride: 1 },
        strong(conv("conv3", 5, 3, 1, 1, 0.2)),
        Layer::Relu,
        strong(both(dense("fc4", 6, 0.3))),
        Layer::Relu,
        Layer::Dropout { rate: 0.25 },
        strong(joined(dense("fc5", 4, 0.0))),
    ];
    Net { name: "miniature".into(), image: 31, crop: 28, towers: 2, layers }
}

/// The miniature with locally connected layers: one that reads both towers, one with a step, one of a single position.
pub fn miniature_local() -> Net {
    let mut net = miniature();
    net.name = "miniature-local".into();
    let strong = |mut layer: Layer| {
        if let Layer::Local { learning, .. } = &mut layer {
            learning.weight_std = 0.3;
        }
        layer
    };
    net.layers[4] = strong(both(local("local2", 3, 3, 2, 1, 0.1)));
    net.layers[8] = strong(local("local3", 5, 2, 1, 1, 0.2));
    net.layers.insert(10, strong(local("local4", 4, 3, 1, 0, 0.1)));
    net.layers.insert(11, Layer::Tanh);
    net
}

/// The miniature as Caffe would have it: windows end inside, and the normalisation runs across both towers' maps.
pub fn miniature_across() -> Net {
    let mut net = miniature();
    net.name = "miniature-across".into();
    for layer in &mut net.layers {
        match layer {
            Layer::Conv { round, .. } => *round = Round::Floor,
            Layer::Lrn { reads, .. } => *reads = Reads::Both,
            _ => {}
        }
    }
    net
}
