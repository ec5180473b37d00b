//! Where towers meet: copies and sums of maps between their arenas.

use crate::arena::views;
use crate::backend::{CpuBackend, CpuTower};
use ilsvrc_diagnostics::{Error, INTERNAL, Result};
use ilsvrc_network::{BufferId, Exchange};
use rayon::ThreadPool;
use rayon::prelude::*;

/// Runs an exchange over the first `batch` images.
pub(crate) fn exchange(
    backend: &CpuBackend,
    towers: &mut [CpuTower],
    exchange: &Exchange,
    batch: usize,
) -> Result<()> {
    match exchange {
        Exchange::Gather { positions, maps, own, gathered } => {
            let meeting = Meeting { backend, batch, positions: *positions, maps: *maps, towers: own.len() };
            for (t, gathered) in gathered.iter().enumerate() {
                let Some(gathered) = gathered else { continue };
                for (u, own) in own.iter().enumerate() {
                    meeting.gather(towers, (u, *own), (t, *gathered))?;
                }
            }
        }
        Exchange::GatherGradient { positions, maps, gathered_gradient, own_gradient } => {
            let meeting =
                Meeting { backend, batch, positions: *positions, maps: *maps, towers: own_gradient.len() };
            for (u, own) in own_gradient.iter().enumerate() {
                meeting.clear(towers, (u, *own))?;
                for (t, gathered) in gathered_gradient.iter().enumerate() {
                    let Some(gathered) = gathered else { continue };
                    meeting.add(towers, (t, *gathered), (u, *own))?;
                }
            }
        }
    }
    Ok(())
}

/// A buffer of one of the towers.
type Place = (usize, BufferId);

struct Meeting<'a> {
    backend: &'a CpuBackend,
    batch: usize,
    positions: usize,
    /// Maps of a tower.
    maps: usize,
    /// Towers that are gathered.
    towers: usize,
}

impl Meeting<'_> {
    /// Writes tower `own.0`'s maps to their place among the gathered ones.
    fn gather(&self, towers: &mut [CpuTower], own: Place, gathered: Place) -> Result<()> {
        let (maps, wide, first) = (self.maps, self.maps * self.towers, own.0 * self.maps);
        self.pair(towers, (own, maps), (gathered, wide), |from, to| {
            for (from, to) in from.chunks_exact(maps).zip(to.chunks_exact_mut(wide)) {
                to[first..first + maps].copy_from_slice(from);
            }
        })
    }

    /// Adds tower `own.0`'s part of a gathered gradient to its own.
    fn add(&self, towers: &mut [CpuTower], gathered: Place, own: Place) -> Result<()> {
        let (maps, wide, first) = (self.maps, self.maps * self.towers, own.0 * self.maps);
        self.pair(towers, (gathered, wide), (own, maps), |from, to| {
            for (from, to) in from.chunks_exact(wide).zip(to.chunks_exact_mut(maps)) {
                to.iter_mut().zip(&from[first..]).for_each(|(to, from)| *to += from);
            }
        })
    }

    /// Zeros.
    fn clear(&self, towers: &mut [CpuTower], own: Place) -> Result<()> {
        let tower = towers.get_mut(own.0).ok_or_else(missing)?;
        let range = tower.layout.range(own.1, self.positions * self.maps, self.batch)?;
        tower.arena[range].fill(0.0);
        Ok(())
    }

    /// Calls `work` for each image of two buffers with so many maps at a position, of one tower or of two.
    fn pair(
        &self,
        towers: &mut [CpuTower],
        ((t, from), from_maps): (Place, usize),
        ((u, to), to_maps): (Place, usize),
        work: impl Fn(&[f32], &mut [f32]) + Sync,
    ) -> Result<()> {
        let (from_image, to_image) = (self.positions * from_maps, self.positions * to_maps);
        let images = |pool: &ThreadPool, from: &[f32], to: &mut [f32]| {
            pool.install(|| {
                let sources = from.par_chunks_exact(from_image);
                to.par_chunks_exact_mut(to_image).zip(sources).for_each(|(to, from)| work(from, to));
            });
        };
        if t == u {
            let tower = towers.get_mut(t).ok_or_else(missing)?;
            let from = tower.layout.range(from, from_image, self.batch)?;
            let to = tower.layout.range(to, to_image, self.batch)?;
            let ([from], [to]) = views(&mut tower.arena, [from], [to])?;
            images(&self.backend.places[tower.place], from, to);
        } else {
            let [source, target] = towers.get_disjoint_mut([t, u]).map_err(|_| missing())?;
            let from = &source.arena[source.layout.range(from, from_image, self.batch)?];
            let to = &mut target.arena[target.layout.range(to, to_image, self.batch)?];
            images(&self.backend.places[target.place], from, to);
        }
        Ok(())
    }
}

fn missing() -> Error {
    Error::new(INTERNAL, "an exchange names a tower that does not exist")
}
