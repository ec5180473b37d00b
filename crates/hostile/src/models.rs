//! Models of other programs: what is accepted is a net that can be computed, and every tensor has the size that it needs.

use ilsvrc_interchange::{Imported, mean_image};

/// A `.caffemodel`.
pub fn caffemodel(bytes: &[u8]) -> bool {
    ilsvrc_interchange::caffemodel(bytes, None).is_ok_and(|imported| check(&imported, bytes.len()))
}

/// A state dict of torchvision's alexnet.
pub fn torchvision(bytes: &[u8]) -> bool {
    ilsvrc_interchange::torchvision(bytes).is_ok_and(|imported| check(&imported, bytes.len()))
}

/// Caffe's mean image.
pub fn binaryproto(bytes: &[u8]) -> bool {
    mean_image(bytes).is_ok_and(|(mean, side)| {
        assert_eq!(mean.len(), 3 * side * side);
        assert!(mean.len() * 4 <= bytes.len() && mean.iter().all(|value| value.is_finite()));
        true
    })
}

fn check(Imported { net, parameters, mean, .. }: &Imported, length: usize) -> bool {
    let shapes = net.layer_shapes().expect("an imported net is valid");
    let named: usize = shapes
        .iter()
        .zip(&net.layers)
        .filter(|(_, layer)| layer.name().is_some())
        .map(|(shape, _)| 2 * shape.towers)
        .sum();
    assert_eq!((named, 3 * net.image * net.image), (parameters.len(), mean.len()));
    let mut weights = 0;
    for parameter in parameters {
        // Weights that are not finite are found when they are read.
        let Ok(values) = parameter.read() else { return false };
        assert_eq!(values.len(), parameter.shape.iter().product::<usize>(), "{}", parameter.name);
        assert!(values.iter().all(|value| value.is_finite()));
        weights += if parameter.name.ends_with(".weight") { 4 * values.len() } else { 0 };
    }
    assert!(weights <= length, "weights are all in the file");
    true
}
