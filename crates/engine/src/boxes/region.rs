//! A box from a map: cells above a share of the largest value, and the largest connected part of them.

use super::Rect;

/// Share of the maximum that a cell must reach (Zhou et al. 2016, "Learning Deep Features for Discriminative Localization").
const SHARE: f32 = 0.2;

/// Columns and rows of the box around the largest connected region of a `side x side` map, as `[left, top, right, bottom]` in cells,
/// the last ones excluded; the whole map where no value is above zero.
pub(crate) fn largest_region(map: &[f32], side: usize) -> Rect {
    let most = map.iter().copied().fold(0.0, f32::max);
    let mut open: Vec<bool> = map.iter().map(|&value| value > 0.0 && value >= SHARE * most).collect();
    let (mut best, mut largest) = ([0, 0, side, side], 0);
    for start in 0..open.len() {
        if !std::mem::take(&mut open[start]) {
            continue;
        }
        let (mut size, mut rect, mut waiting) = (0, [side, side, 0, 0], vec![start]);
        while let Some(cell) = waiting.pop() {
            let (row, column) = (cell / side, cell % side);
            size += 1;
            rect = [rect[0].min(column), rect[1].min(row), rect[2].max(column + 1), rect[3].max(row + 1)];
            let neighbours = [
                (column > 0).then(|| cell - 1),
                (column + 1 < side).then(|| cell + 1),
                (row > 0).then(|| cell - side),
                (row + 1 < side).then(|| cell + side),
            ];
            for neighbour in neighbours.into_iter().flatten() {
                if std::mem::take(&mut open[neighbour]) {
                    waiting.push(neighbour);
                }
            }
        }
        if size > largest {
            (best, largest) = (rect, size);
        }
    }
    best.map(|edge| edge as f32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_part_above_a_fifth_of_the_maximum() {
        #[rustfmt::skip]
        let map = [
            9.0, 0.0, 0.0, 1.0, 0.0,
            0.0, 2.0, 2.0, 0.0, 0.0,
            0.0, 2.0, 0.0, 0.0, 0.0,
            0.0, 0.0, 0.0, 1.7, 0.0,
            0.0, 0.0, 0.0, 0.0, -9.0,
        ];
        // The single 9 is larger, but smaller a region; corners do not connect; 1.7 is below 1.8.
        assert_eq!(largest_region(&map, 5), [1.0, 1.0, 3.0, 3.0]);
    }

    #[test]
    fn a_map_without_anything_is_all_of_it() {
        assert_eq!(largest_region(&[0.0; 9], 3), [0.0, 0.0, 3.0, 3.0]);
        assert_eq!(largest_region(&[-1.0; 9], 3), [0.0, 0.0, 3.0, 3.0]);
        assert_eq!(largest_region(&[f32::NAN; 9], 3), [0.0, 0.0, 3.0, 3.0]);
        assert_eq!(largest_region(&[0.5; 9], 3), [0.0, 0.0, 3.0, 3.0]);
    }
}
