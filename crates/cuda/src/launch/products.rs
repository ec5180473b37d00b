//! The three products of convolutions and dense layers: which kernel, how many blocks, and into how many parts a long sum
//! is split so that small results fill the GPU too. The kernels are in `kernels/conv_*.cu`.

use crate::geometry::{Geometry, Padding};
use crate::precision::Precision;
use ilsvrc_network::Window;

/// Rows of a block's tile.
const TILE_ROWS: usize = 128;
/// Blocks that fill a large GPU twice. A constant and not the GPU's own number: so sums are split, and rounded, alike on
/// every GPU.
const BLOCKS_WANTED: usize = 264;
/// Fewer blocks than this and the sum is split.
const BLOCKS_ENOUGH: usize = 132;
/// Steps that a part of a sum has at least: shorter ones spend their time on beginning and ending.
const STEPS_OF_A_PART: usize = 4;
/// Parts of sums may take this much memory.
const MOST_PARTIAL_BYTES: usize = 32 << 20;

/// Which of the products.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// `y = x w`
    Forward,
    /// `dx = dy w^T`
    InputGradient,
    /// `dw = x^T dy`
    WeightGradient,
    /// The same, and the learning rule with it.
    WeightUpdate,
}

/// A product, ready to be launched.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Product {
    pub(crate) kernel: &'static str,
    pub(crate) grid: [u32; 3],
    pub(crate) shared: u32,
    pub(crate) geometry: Geometry,
    /// Parts of the sum.
    pub(crate) splits: usize,
    pub(crate) steps_per_split: usize,
    /// Of the result.
    pub(crate) rows: usize,
    pub(crate) cols: usize,
}

impl Product {
    /// The product `kind` of a layer over `images`. `padding` is that of its weights' rows.
    pub(crate) fn new(
        kind: Kind,
        precision: Precision,
        images: usize,
        window: &Window,
        padding: &Padding,
        out_maps: usize,
    ) -> Self {
        let inputs = images * window.input * window.input;
        let outputs = images * window.output * window.output;
        let weight_rows = padding.padded_rows();
        let (rows, cols, terms) = match kind {
            Kind::Forward => (outputs, out_maps, weight_rows),
            Kind::InputGradient => (inputs, padding.pitch, window.size * window.size * out_maps),
            Kind::WeightGradient | Kind::WeightUpdate => (weight_rows, out_maps, outputs),
        };
        let tile = Tile::choose(kind, precision, padding, out_maps, cols);
        let blocks = rows.div_ceil(TILE_ROWS) * cols.div_ceil(tile.cols());
        let steps = terms.div_ceil(step(precision));
        let splits = if kind == Kind::WeightUpdate { 1 } else { splits(blocks, steps, rows * cols) };
        let steps_per_split = steps.div_ceil(splits);
        let splits = steps.div_ceil(steps_per_split);
        let grid = [rows.div_ceil(TILE_ROWS) as u32, cols.div_ceil(tile.cols()) as u32, splits as u32];
        Self {
            kernel: kind.name(precision, tile),
            grid,
            shared: tile.shared_bytes(),
            geometry: Geometry::new(images, window, padding, out_maps),
            splits,
            steps_per_split,
            rows,
            cols,
        }
    }

    /// Memory for the parts of the sum; none where there is only one.
    pub(crate) fn partial_bytes(&self) -> usize {
        if self.splits > 1 { self.splits * self.rows * self.cols * size_of::<f32>() } else { 0 }
    }
}

/// Terms of the sum that a block adds between two barriers.
fn step(precision: Precision) -> usize {
    match precision {
        Precision::Bf16 => 32,
        Precision::Tf32 | Precision::F32 => 16,
    }
}

fn splits(blocks: usize, steps: usize, results: usize) -> usize {
    if blocks >= BLOCKS_ENOUGH {
        return 1;
    }
    (BLOCKS_WANTED / blocks)
        .min(steps / STEPS_OF_A_PART)
        .min(MOST_PARTIAL_BYTES / size_of::<f32>() / results)
        .max(1)
}

/// The variant of a kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Tile {
    /// 128 x 128, 16-byte accesses.
    Wide,
    /// 128 x 64, 16-byte accesses.
    Narrow,
    /// 128 x 64, any number of maps.
    Any,
}

impl Tile {
    fn cols(self) -> usize {
        match self {
            Self::Wide => 128,
            Self::Narrow | Self::Any => 64,
        }
    }

    /// Dynamic shared memory of a block.
    fn shared_bytes(self) -> u32 {
        match self {
            Self::Wide => 64 << 10,
            Self::Narrow => 48 << 10,
            Self::Any => 32 << 10,
        }
    }

    fn choose(kind: Kind, precision: Precision, padding: &Padding, out_maps: usize, cols: usize) -> Self {
        let vector = precision.vector();
        // The image's positions may come in pairs: then `Padding::of_image` saw to it that they can.
        let inputs = padding.pitch.is_multiple_of(vector) || !padding.is_none();
        let aligned = out_maps.is_multiple_of(vector) && (inputs || kind == Kind::InputGradient);
        if !aligned || precision == Precision::F32 {
            return Self::Any;
        }
        // A narrow tile where a wide one would be at least half empty.
        let narrow = (1..=64).contains(&(cols % 128));
        if narrow && precision == Precision::Bf16 { Self::Narrow } else { Self::Wide }
    }
}

/// The kernels of a product by precision, each with its tile: the narrow ones and those for any maps behind the wide.
macro_rules! variants {
    ($base:literal) => {
        [
            (Precision::Bf16, Tile::Wide, concat!($base, "_bf16")),
            (Precision::Bf16, Tile::Narrow, concat!($base, "_bf16_n64")),
            (Precision::Bf16, Tile::Any, concat!($base, "_bf16_any")),
            (Precision::Tf32, Tile::Wide, concat!($base, "_tf32")),
            (Precision::Tf32, Tile::Any, concat!($base, "_tf32_any")),
            (Precision::F32, Tile::Any, concat!($base, "_f32_any")),
        ]
    };
}

type Variant = (Precision, Tile, &'static str);

const FORWARD: [Variant; 6] = variants!("conv_forward");
const INPUT_GRADIENT: [Variant; 6] = variants!("conv_input_gradient");
const WEIGHT_GRADIENT: [Variant; 6] = variants!("conv_weight_gradient");
const WEIGHT_UPDATE: [Variant; 6] = variants!("weight_gradient_update");

impl Kind {
    fn variants(self) -> &'static [Variant; 6] {
        match self {
            Self::Forward => &FORWARD,
            Self::InputGradient => &INPUT_GRADIENT,
            Self::WeightGradient => &WEIGHT_GRADIENT,
            Self::WeightUpdate => &WEIGHT_UPDATE,
        }
    }

    /// Names and dynamic shared memory of the kernels for a precision.
    pub(crate) fn kernels(self, precision: Precision) -> impl Iterator<Item = (&'static str, u32)> {
        let of = move |variant: &&Variant| variant.0 == precision;
        self.variants().iter().filter(of).map(|(_, tile, name)| (*name, tile.shared_bytes()))
    }

    fn name(self, precision: Precision, tile: Tile) -> &'static str {
        let of = |variant: &&Variant| (variant.0, variant.1) == (precision, tile);
        self.variants().iter().find(of).expect("`Tile::choose` takes tiles that there are").2
    }
}
