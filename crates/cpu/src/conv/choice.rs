//! Which way a convolution is computed.

use super::Shape;
use super::winograd::{Photos, TILE};

/// How convolutions are computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Convolution {
    /// The faster way for the shape and the batch.
    Automatic,
    /// Every product of a weight and an input.
    Direct,
    /// Transformed products wherever there are transforms: kernels of 3 x 3 and 5 x 5, of step 1. For tests.
    Winograd,
}

/// Maps that a kernel reads and writes, at least, for the transforms to be worth it.
const LEAST_MAPS: usize = 16;

/// Tiles of a batch, at least, for transforming the weights to be worth it where they are not kept.
const LEAST_TILES: usize = 64;

/// Kernels that have transforms.
#[derive(Clone, Copy)]
pub(super) enum Transformed {
    /// 3 x 3.
    Three,
    /// 5 x 5.
    Five,
}

impl Convolution {
    /// The transforms to use for a convolution, if any; `side` is that of the maps that are cut into tiles, `kept` whether
    /// transformed weights serve more than this pass. Does not look at threads, so that their number changes no result.
    pub(super) fn transformed(
        self,
        shape: &Shape,
        side: usize,
        batch: usize,
        kept: bool,
    ) -> Option<Transformed> {
        let transformed = match shape.window.size {
            3 => Transformed::Three,
            5 => Transformed::Five,
            _ => return None,
        };
        let worth = match self {
            Self::Automatic => {
                shape.in_maps.min(shape.out_maps) >= LEAST_MAPS
                    && (kept || batch * side.div_ceil(TILE).pow(2) >= LEAST_TILES)
            }
            Self::Direct => false,
            Self::Winograd => true,
        };
        (worth && shape.window.stride == 1).then_some(transformed)
    }

    /// The transforms of photos, if they are to be used for the forward pass of a convolution. Whatever the batch: there are few
    /// kernels to transform.
    pub(super) fn of_photos(self, shape: &Shape) -> Option<Photos> {
        let worth = match self {
            Self::Automatic => shape.out_maps >= LEAST_MAPS,
            Self::Direct => false,
            Self::Winograd => true,
        };
        Photos::of(shape).filter(|_| worth)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ilsvrc_network::Window;

    #[test]
    fn transforms_are_chosen_by_shape_and_batch() {
        let choose = |[side, size, stride, in_maps, out_maps]: [usize; 5], batch, kept| {
            let window = Window { input: side, output: side, size, stride, pad: size / 2 };
            let shape = Shape { window, in_maps, out_maps };
            Convolution::Automatic.transformed(&shape, side, batch, kept).is_some()
        };
        let chosen = |shape, batch| choose(shape, batch, false);
        assert!(!chosen([27, 5, 1, 48, 128], 1) && chosen([27, 5, 1, 48, 128], 2), "49 tiles an image");
        assert!(!chosen([13, 3, 1, 256, 192], 3) && chosen([13, 3, 1, 256, 192], 4), "16 tiles an image");
        assert!(choose([13, 3, 1, 256, 192], 1, true), "weights that are kept");
        assert!(!choose([55, 11, 4, 3, 48], 1, true) && !choose([13, 3, 1, 256, 8], 1, true), "kept or not");
        assert!(!chosen([55, 11, 4, 3, 48], 128), "no transforms");
        assert!(!chosen([27, 5, 2, 48, 128], 128), "a step of 2");
        assert!(!chosen([32, 5, 1, 3, 32], 128) && !chosen([13, 3, 1, 256, 8], 128), "few maps");
        let of_photos = |[side, size, stride, in_maps, out_maps]: [usize; 5]| {
            let window = Window { input: side, output: side, size, stride, pad: size / 2 };
            Convolution::Automatic.of_photos(&Shape { window, in_maps, out_maps }).is_some()
        };
        assert!(of_photos([32, 5, 1, 3, 32]));
        assert!(
            ![[32, 5, 2, 3, 32], [32, 3, 1, 3, 32], [32, 5, 1, 4, 32], [32, 5, 1, 3, 8]]
                .into_iter()
                .any(of_photos)
        );
    }
}
