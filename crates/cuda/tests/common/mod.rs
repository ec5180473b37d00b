//! What the tests on virtual GPUs share.
#![allow(dead_code)] // each test file uses a part

use ilsvrc_conformance::{BF16, F32, Subject, Tolerance};
use ilsvrc_cuda::{CudaBackend, Precision};
use ilsvrc_cuda_mock::{Mock, ThreadOrder};
use ilsvrc_network::{Input, View};
use ilsvrc_random::{Purpose, Stream};

/// All precisions, with the tolerance of each. TensorFloat-32 holds the problems' numbers exactly, so it must be as near
/// as f32 is.
pub(crate) const PRECISIONS: [(Precision, Tolerance); 3] =
    [(Precision::Bf16, BF16), (Precision::Tf32, F32), (Precision::F32, F32)];

/// Orders in which a kernel's threads run.
pub(crate) const THREAD_ORDERS: [ThreadOrder; 3] =
    [ThreadOrder::Forward, ThreadOrder::Reverse, ThreadOrder::Random(7)];

/// One backend in every order of threads, which may not change a bit.
pub(crate) fn subjects<'a>(
    mock: &'a Mock,
    backend: &'a CudaBackend,
    (precision, tolerance): (Precision, Tolerance),
    orders: &'a [ThreadOrder],
) -> Vec<Subject<'a, CudaBackend>> {
    orders
        .iter()
        .map(|order| Subject {
            name: format!("{} with threads {order:?}", precision.name()),
            group: 0,
            backend,
            tolerance,
            prepare: Box::new(move || mock.threads(*order)),
        })
        .collect()
}

/// A batch of noise.
pub(crate) struct Batch {
    pixels: Vec<u8>,
    views: Vec<View>,
    pub(crate) mean: Vec<f32>,
    pub(crate) labels: Vec<u32>,
    side: usize,
}

impl Batch {
    /// `images` images of `side` pixels, views that are mirrored every second time, labels below `classes`.
    pub(crate) fn new(images: usize, side: usize, crop: usize, classes: usize, number: u32) -> Self {
        let stream = Stream::new(11, Purpose::Drawing, 0, number);
        let bytes = images * side * side * 3;
        let blocks = bytes.div_ceil(16) as u32;
        let mut pixels: Vec<u8> =
            (0..blocks).flat_map(|block| stream.block(block)).flat_map(u32::to_le_bytes).collect();
        pixels.truncate(bytes);
        let corner = |image: usize| ((image * 7) % (side - crop + 1)) as u16;
        let view = |image: usize| View {
            image: image as u32,
            crop: [corner(image), corner(image + 1)],
            mean: [corner(image), corner(image + 1)],
            mirror: image % 2 == 1,
            colour: [image as f32, -1.5, 0.25],
        };
        Self {
            pixels,
            views: (0..images).map(view).collect(),
            mean: (0..side * side * 3).map(|i| 100.0 + (i % 50) as f32).collect(),
            labels: (0..images as u32).map(|image| (image * 5 + number) % classes as u32).collect(),
            side,
        }
    }

    pub(crate) fn input(&self) -> Input<'_> {
        Input {
            pixels: &self.pixels,
            side: self.side,
            views: &self.views,
            mean: &self.mean,
            mean_side: self.side,
            labels: &self.labels,
        }
    }
}

/// `|a - b| / |b|`, norms over the whole tensors.
pub(crate) fn distance(a: &[f32], b: &[f32]) -> f64 {
    assert_eq!(a.len(), b.len());
    let norm = |values: &mut dyn Iterator<Item = f64>| values.map(|x| x * x).sum::<f64>().sqrt();
    let off = norm(&mut a.iter().zip(b).map(|(a, b)| f64::from(*a) - f64::from(*b)));
    let size = norm(&mut b.iter().map(|b| f64::from(*b)));
    if size == 0.0 { off } else { off / size }
}
