//! Vectors of neighbouring maps as numbers of the transforms.

use super::transform::{Number, Sink, Source};
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
    /// Loads these maps of a position.
    ///
    /// # Safety
    /// `position` has them, and the processor has `V`.
    #[inline(always)]
    pub(super) unsafe fn load<V: Vector>(self, position: *const f32) -> Maps<V> {
        // SAFETY: the caller's promise; `count` elements are a vector if `WHOLE`.
        unsafe {
            let from = position.add(self.first);
            Maps(if WHOLE { V::load(from) } else { V::load_first(from, self.count) })
        }
    }

    /// Stores these maps of a position.
    ///
    /// # Safety
    /// As for `load`; nobody else uses them.
    #[inline(always)]
    pub(super) unsafe fn store<V: Vector>(self, maps: Maps<V>, position: *mut f32) {
        // SAFETY: as in `load`.
        unsafe {
            let to = position.add(self.first);
            if WHOLE { maps.0.store(to) } else { maps.0.store_first(to, self.count) }
        }
    }

    /// These maps of a position.
    ///
    /// # Safety
    /// As for `store`, while the slice lives.
    #[inline(always)]
    pub(super) unsafe fn of<'a>(self, position: *mut f32) -> &'a mut [f32] {
        // SAFETY: the caller's promise.
        unsafe { std::slice::from_raw_parts_mut(position.add(self.first), self.count) }
    }
}

/// A square of `SIDE x SIDE` positions that lie `step` elements apart, row by row.
pub(super) struct Spread<P, const SIDE: usize, const WHOLE: bool> {
    /// The first position: its maps are there, and those of all others.
    pub(super) first: P,
    pub(super) step: usize,
    pub(super) span: Span<WHOLE>,
}

impl<V: Vector, const SIDE: usize, const WHOLE: bool> Source<Maps<V>> for Spread<*const f32, SIDE, WHOLE> {
    #[inline(always)]
    unsafe fn get(&self, y: usize, x: usize) -> Maps<V> {
        // SAFETY: the caller's promise, and that of whoever made this.
        unsafe { self.span.load(self.first.add((y * SIDE + x) * self.step)) }
    }
}

impl<V: Vector, const SIDE: usize, const WHOLE: bool> Sink<Maps<V>> for Spread<*mut f32, SIDE, WHOLE> {
    #[inline(always)]
    unsafe fn put(&mut self, y: usize, x: usize, maps: Maps<V>) {
        // SAFETY: as in `get`.
        unsafe { self.span.store(maps, self.first.add((y * SIDE + x) * self.step)) }
    }
}

/// A square of positions that lie anywhere.
pub(super) struct Scattered<'a, const SIDE: usize, const WHOLE: bool> {
    /// They have the maps.
    pub(super) positions: &'a [[*const f32; SIDE]; SIDE],
    pub(super) span: Span<WHOLE>,
}

impl<V: Vector, const SIDE: usize, const WHOLE: bool> Source<Maps<V>> for Scattered<'_, SIDE, WHOLE> {
    #[inline(always)]
    unsafe fn get(&self, y: usize, x: usize) -> Maps<V> {
        // SAFETY: the caller's promise, and that of whoever made this.
        unsafe { self.span.load(*self.positions.get_unchecked(y).get_unchecked(x)) }
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
