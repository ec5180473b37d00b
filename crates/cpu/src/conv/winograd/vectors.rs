//! Vectors of neighbouring maps as numbers of the transforms.

use super::transform::Number;
use crate::gemm::Vector;

/// A vector of maps. Made only where the processor has `V`.
#[derive(Clone, Copy)]
pub(super) struct Maps<V>(pub(super) V);

impl<V: Vector> Number for Maps<V> {
    #[inline(always)]
    fn times(self, x: f32) -> Self {
        // SAFETY: the processor has `V`, or there were no `self`.
        unsafe { Self(V::splat(0.0).add_product(self.0, V::splat(x))) }
    }

    #[inline(always)]
    fn plus(self, x: f32, other: Self) -> Self {
        // SAFETY: as above.
        unsafe { Self(self.0.add_product(V::splat(x), other.0)) }
    }
}

/// Neighbouring maps that are worked on together: a vector of them if `WHOLE`, otherwise fewer.
#[derive(Clone, Copy)]
pub(super) struct Span<const WHOLE: bool> {
    /// The first.
    pub(super) first: usize,
    count: usize,
}

impl<const WHOLE: bool> Span<WHOLE> {
    /// These maps of a position.
    #[inline(always)]
    pub(super) fn of(self, position: &mut [f32]) -> &mut [f32] {
        &mut position[self.first..][..self.count]
    }

    /// Loads these maps of a position.
    ///
    /// # Safety
    /// On a processor that has `V`.
    #[inline(always)]
    pub(super) unsafe fn load<V: Vector>(self, position: &[f32]) -> Maps<V> {
        let from = &position[self.first..][..self.count];
        // SAFETY: `count` elements, which are a vector if `WHOLE`.
        unsafe { Maps(if WHOLE { V::load(from.as_ptr()) } else { V::load_first(from.as_ptr(), self.count) }) }
    }

    /// Stores these maps of a position.
    ///
    /// # Safety
    /// On a processor that has `V`.
    #[inline(always)]
    pub(super) unsafe fn store<V: Vector>(self, maps: Maps<V>, position: &mut [f32]) {
        let to = self.of(position);
        // SAFETY: as in `load`.
        unsafe {
            if WHOLE {
                maps.0.store(to.as_mut_ptr());
            } else {
                maps.0.store_first(to.as_mut_ptr(), self.count);
            }
        }
    }
}

/// Work that treats all maps alike. Methods must be `#[inline(always)]`.
pub(super) trait EachSpan: Sized {
    /// The work on some maps.
    ///
    /// # Safety
    /// On a processor that has `V`.
    unsafe fn span<V: Vector, const WHOLE: bool>(&mut self, span: Span<WHOLE>);

    /// The work on all of `maps` maps.
    ///
    /// # Safety
    /// On a processor that has `V`.
    #[inline(always)]
    unsafe fn spans<V: Vector>(&mut self, maps: usize) {
        let whole = maps / V::LANES * V::LANES;
        // SAFETY: the caller's promise.
        unsafe {
            for first in (0..whole).step_by(V::LANES) {
                self.span::<V, true>(Span { first, count: V::LANES });
            }
            if whole < maps {
                self.span::<V, false>(Span { first: whole, count: maps - whole });
            }
        }
    }
}
