//! Pooling over windows clipped at the right and bottom border. The gradient of a maximum goes to the first of equals in
//! row order.

use ilsvrc_network::{PoolKind, Window};

/// For every output its index and the indices of its window, in row order.
fn windows(window: &Window, maps: usize, batch: usize) -> impl Iterator<Item = (usize, Vec<usize>)> {
    let Window { input, output, size, stride, .. } = *window;
    (0..batch * output * output * maps).map(move |o| {
        let (map, x, y, n) =
            (o % maps, o / maps % output, o / maps / output % output, o / maps / output / output);
        let span = |at: usize| at * stride..(at * stride + size).min(input);
        let cells = span(y)
            .flat_map(|iy| span(x).map(move |ix| ((n * input + iy) * input + ix) * maps + map))
            .collect();
        (o, cells)
    })
}

fn first_largest(cells: &[usize], input: &[f64]) -> usize {
    cells
        .iter()
        .copied()
        .reduce(|best, cell| if input[cell] > input[best] { cell } else { best })
        .expect("no empty window")
}

pub(crate) fn forward(kind: PoolKind, window: &Window, maps: usize, batch: usize, input: &[f64]) -> Vec<f64> {
    windows(window, maps, batch)
        .map(|(_, cells)| match kind {
            PoolKind::Max => input[first_largest(&cells, input)],
            PoolKind::Avg => cells.iter().map(|cell| input[*cell]).sum::<f64>() / cells.len() as f64,
        })
        .collect()
}

pub(crate) fn gradient(
    kind: PoolKind,
    window: &Window,
    maps: usize,
    batch: usize,
    input: &[f64],
    output_gradient: &[f64],
) -> Vec<f64> {
    let mut gradient = vec![0.0; batch * window.input * window.input * maps];
    for (o, cells) in windows(window, maps, batch) {
        match kind {
            PoolKind::Max => gradient[first_largest(&cells, input)] += output_gradient[o],
            PoolKind::Avg => {
                cells.iter().for_each(|cell| gradient[*cell] += output_gradient[o] / cells.len() as f64);
            }
        }
    }
    gradient
}
