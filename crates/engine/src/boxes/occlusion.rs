//! Where a class is, without boxes to learn from: a patch of the mean colour covers part of the crop, everywhere in turn, and a cell of
//! the map is the most that a patch over it costs the class's log odds (Zeiler and Fergus 2014, section 4.2, map probabilities,
//! which hardly move while a net is sure).

use super::Rect;
use super::region::largest_region;
use crate::walk::Outputs;
use crate::{Session, Views};
use ilsvrc_diagnostics::Result;

/// Cells of the map in a row, and the cells that a patch covers: a quarter of the crop.
const CELLS: usize = 16;
const PATCH: usize = 4;
/// A patch moves by this many cells.
const STEP: usize = 2;
/// Probabilities are kept this far from 0 and 1: the logarithm of rounding says nothing.
const SMALLEST: f32 = 1e-6;

impl Session {
    /// Boxes of `classes` in one square image (`image x image x 3`), in its pixels.
    ///
    /// # Errors
    /// Those of a pass.
    pub(crate) fn occlude(&mut self, image: &[u8], mean: &[f32], classes: &[usize]) -> Result<Vec<Rect>> {
        let (side, crop) = (self.net().image, self.net().crop);
        let count = self.executor.plan().classes;
        let view = Views::Centre.of(self.net());
        let [top, left] = view[0].crop.map(usize::from);
        // From patches that only touch the crop's first cells to those at its last ones: each cell is covered equally often,
        // so none has a better chance of a large cost.
        let starts: Vec<isize> = (0..)
            .map(|index| index * STEP as isize - (PATCH - STEP) as isize)
            .take_while(|&start| start < CELLS as isize)
            .collect();
        let patches: Vec<[isize; 2]> =
            starts.iter().flat_map(|&row| starts.iter().map(move |&column| [row, column])).collect();
        let edge = |cell: usize| cell * crop / CELLS;
        let cells =
            |start: isize| start.max(0) as usize..(start + PATCH as isize).min(CELLS as isize) as usize;

        let mut outputs = Outputs::default();
        self.see(image, &view, mean, None, &mut outputs)?;
        let odds = |row: &[f32], class: usize| {
            let probability = row[class].clamp(SMALLEST, 1.0 - SMALLEST);
            (probability / (1.0 - probability)).ln()
        };
        let before: Vec<f32> = classes.iter().map(|&class| odds(&outputs.probabilities, class)).collect();
        let mut maps = vec![vec![f32::MIN; CELLS * CELLS]; classes.len()];
        let mut copies = Vec::new();
        for patches in patches.chunks(self.at_once(view.len())) {
            copies.clear();
            for patch in patches {
                let first = copies.len();
                copies.extend_from_slice(image);
                let [rows, columns] = patch.map(cells);
                for y in top + edge(rows.start)..top + edge(rows.end) {
                    let line = (y * side + left + edge(columns.start)) * 3
                        ..(y * side + left + edge(columns.end)) * 3;
                    let covered = &mut copies[first..][line.clone()];
                    covered.iter_mut().zip(&mean[line]).for_each(|(to, mean)| *to = mean.round() as u8);
                }
            }
            self.see(&copies, &view, mean, None, &mut outputs)?;
            for (patch, probabilities) in patches.iter().zip(outputs.probabilities.chunks_exact(count)) {
                let [rows, columns] = patch.map(cells);
                for ((map, &class), before) in maps.iter_mut().zip(classes).zip(&before) {
                    let cost = before - odds(probabilities, class);
                    for row in rows.clone() {
                        map[row * CELLS..][columns.clone()]
                            .iter_mut()
                            .for_each(|most| *most = most.max(cost));
                    }
                }
            }
        }
        let pixel = |cell: f32, corner: usize| (edge(cell as usize) + corner) as f32;
        Ok(maps
            .iter()
            .map(|map| largest_region(map, CELLS))
            .map(|[l, t, r, b]| [pixel(l, left), pixel(t, top), pixel(r, left), pixel(b, top)])
            .collect())
    }
}
