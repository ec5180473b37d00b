//! Where the outputs of tiles go.

use super::transform::Sink;
use super::vectors::{Maps, Span};
use crate::gemm::Vector;
use ilsvrc_network::Activation;

/// The outputs of a tile.
#[derive(Clone, Copy)]
pub(super) struct OutputTile {
    /// Its first position; nobody else uses the tile's.
    pub(super) to: *mut f32,
    /// Elements between rows of outputs, and between positions.
    pub(super) row: usize,
    pub(super) maps: usize,
    /// How many of its rows and columns there are.
    pub(super) rows: usize,
    pub(super) columns: usize,
    /// Of each map.
    pub(super) bias: Option<*const f32>,
    pub(super) activation: Activation,
}

impl OutputTile {
    /// Some of its maps, to be written.
    ///
    /// # Safety
    /// It has them, and the processor has `V`.
    #[inline(always)]
    pub(super) unsafe fn span<V: Vector, const WHOLE: bool>(
        &self,
        span: Span<WHOLE>,
    ) -> impl Sink<Maps<V>> + use<'_, V, WHOLE> {
        // SAFETY: the caller's promise; there is a bias for each map.
        let bias = unsafe { self.bias.map_or(V::splat(0.0), |bias| span.load::<V>(bias).0) };
        Finished { of: self, span, bias }
    }
}

/// Some maps of the outputs of a tile.
struct Finished<'a, V, const WHOLE: bool> {
    of: &'a OutputTile,
    span: Span<WHOLE>,
    bias: V,
}

impl<V: Vector, const WHOLE: bool> Sink<Maps<V>> for Finished<'_, V, WHOLE> {
    #[inline(always)]
    unsafe fn put(&mut self, y: usize, x: usize, Maps(value): Maps<V>) {
        let of = self.of;
        if y >= of.rows || x >= of.columns {
            return;
        }
        // SAFETY: the caller's promise, and those of the tile.
        unsafe {
            let mut value = value.add(self.bias);
            if of.activation == Activation::Relu {
                // In this order a NaN goes on instead of becoming 0.
                value = V::splat(0.0).max(value);
            }
            let to = of.to.add(y * of.row + x * of.maps);
            self.span.store(Maps(value), to);
            if of.activation == Activation::Tanh {
                self.span.of(to).iter_mut().for_each(|x| *x = x.tanh());
            }
        }
    }
}
