//! Which kernels are in which file: what a GPU loads when it is opened.

use super::{local, products::Kind};
use crate::precision::Precision;

/// The kernels that a file has for each element type.
macro_rules! both {
    ($($base:literal),+) => {
        (&[$(concat!($base, "_bf16")),+], &[$(concat!($base, "_f32")),+])
    };
}

type Names = (&'static [&'static str], &'static [&'static str]);

const ELEMENTWISE: [(&str, Names); 12] = [
    ("activation.cu", both!("activate", "activation_gradient")),
    ("bias_gradient.cu", both!("bias_gradient")),
    ("dropout.cu", both!("dropout", "dropout_scale")),
    ("exchange.cu", both!("gather", "scatter")),
    ("load.cu", both!("load")),
    ("lrn.cu", both!("lrn", "lrn_gradient")),
    ("lrn_pool.cu", both!("lrn_pool", "lrn_pool_gradient")),
    ("map_norm.cu", both!("map_norm", "map_norm_terms", "map_norm_gradient")),
    ("pool.cu", both!("max_pool", "max_pool_gradient", "avg_pool", "avg_pool_gradient")),
    ("softmax.cu", (&["softmax_bf16", "judge"], &["softmax_f32", "judge"])),
    ("split_sum.cu", both!("split_sum")),
    ("update.cu", both!("update", "repack")),
];

/// Names and dynamic shared memory of the kernels of `file` that a net of this precision uses.
pub(crate) fn kernels_of(file: &str, precision: Precision) -> Vec<(&'static str, u32)> {
    let products: &[Kind] = match file {
        "conv_forward.cu" => &[Kind::Forward],
        "conv_input_gradient.cu" => &[Kind::InputGradient],
        "conv_weight_gradient.cu" => &[Kind::WeightGradient, Kind::WeightUpdate],
        _ => &[],
    };
    let elementwise = ELEMENTWISE.iter().filter(|(name, _)| *name == file).flat_map(|(_, (bf16, f32))| {
        let names = if precision == Precision::Bf16 { bf16 } else { f32 };
        names.iter().map(|name| (*name, 0))
    });
    let locals = local::kernels_of(file, precision);
    products.iter().flat_map(|kind| kind.kernels(precision)).chain(locals).chain(elementwise).collect()
}
