//! Images that are made here: noise, and a small set whose classes can be learned.

use ilsvrc_network::{Input, Net, View};
use ilsvrc_random::{Purpose, Stream};

/// Images with their labels and how the net sees them.
pub(crate) struct Batch {
    pixels: Vec<u8>,
    views: Vec<View>,
    mean: Vec<f32>,
    labels: Vec<u32>,
    side: usize,
}

/// Each image as it is.
fn whole(images: usize) -> Vec<View> {
    (0..images as u32).map(|image| View { image, ..View::default() }).collect()
}

impl Batch {
    /// Noise: images of the net's crop, seen whole.
    pub(crate) fn noise(net: &Net, images: usize, classes: usize) -> Self {
        let bytes = net.crop * net.crop * 3;
        // One image's worth is drawn; the others are the same bytes from another place on.
        let one: Vec<u8> = draws(0, bytes).collect();
        let pixel = |i: usize| one[(i + i / bytes * 7919) % bytes];
        Self {
            pixels: (0..images * bytes).map(pixel).collect(),
            views: whole(images),
            mean: vec![120.0; bytes],
            labels: (0..images).map(|image| (image * 5 % classes) as u32).collect(),
            side: net.crop,
        }
    }

    /// Noise with everything that a view can have: crops, mirrors and colours. `number` tells batches apart.
    pub(crate) fn varied(net: &Net, images: usize, classes: usize, number: usize) -> Self {
        let side = net.image;
        let corner = |image: usize| ((image * 7) % (side - net.crop + 1)) as u16;
        let view = |image: usize| View {
            image: image as u32,
            crop: [corner(image), corner(image + 1)],
            mean: [corner(image), corner(image + 1)],
            mirror: image % 2 == 1,
            colour: [image as f32, -1.5, 0.25],
        };
        Self {
            pixels: draws(number, images * side * side * 3).collect(),
            views: (0..images).map(view).collect(),
            mean: (0..side * side * 3).map(|i| 100.0 + (i % 50) as f32).collect(),
            labels: (0..images).map(|image| ((image * 5 + number) % classes) as u32).collect(),
            side,
        }
    }

    /// Gratings: the class is their direction, everything else (place, width, colours, noise) is drawn for each image.
    pub(crate) fn gratings(net: &Net, images: usize, classes: usize, number: usize) -> Self {
        let side = net.crop;
        let mut pixels = Vec::with_capacity(images * side * side * 3);
        let labels: Vec<u32> = (0..images).map(|image| ((image * 5 + number) % classes) as u32).collect();
        for (image, label) in labels.iter().enumerate() {
            let stream = Stream::new(3, Purpose::Drawing, number as u64, image as u32);
            let [a, b, c, d] = stream.block(0).map(|bits| bits as f32 / 2f32.powi(32));
            let angle = std::f32::consts::PI * (*label as f32 + 0.3 * (a - 0.5)) / classes as f32;
            let (sin, cos) = angle.sin_cos();
            let wave = std::f32::consts::TAU / (6.0 + 6.0 * b);
            let noise: Vec<u8> = draws(1 + image + number * images, side * side).collect();
            for (position, noise) in noise.iter().enumerate() {
                let (y, x) = ((position / side) as f32, (position % side) as f32);
                let bright = 60.0 * ((x * cos + y * sin) * wave + 6.3 * c).sin();
                for channel in 0..3 {
                    let tint = 30.0 * (6.3 * d + 2.1 * channel as f32).sin();
                    pixels.push((120.0 + bright + tint + f32::from(*noise) / 8.0).clamp(0.0, 255.0) as u8);
                }
            }
        }
        Self { pixels, views: whole(images), mean: vec![136.0; side * side * 3], labels, side }
    }

    /// The images `first..end`.
    pub(crate) fn part(&self, first: usize, end: usize) -> Self {
        let image = self.side * self.side * 3;
        let renumbered = |view: &View| View { image: view.image - first as u32, ..*view };
        Self {
            pixels: self.pixels[first * image..end * image].to_vec(),
            views: self.views[first..end].iter().map(renumbered).collect(),
            mean: self.mean.clone(),
            labels: self.labels[first..end].to_vec(),
            side: self.side,
        }
    }

    /// As backends take it.
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

/// Random bytes; `number` tells sequences apart.
fn draws(number: usize, count: usize) -> impl Iterator<Item = u8> {
    let stream = Stream::new(11, Purpose::Drawing, 0, number as u32);
    let blocks = count.div_ceil(16) as u32;
    (0..blocks).flat_map(move |block| stream.block(block)).flat_map(u32::to_le_bytes).take(count)
}
