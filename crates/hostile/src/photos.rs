//! Photos: what decodes has its size, and a crop has the pixels of the whole image.

use ilsvrc_images::{Decoder, Fit, Image, Resize, Squarer, read_header};
use ilsvrc_random::philox;

/// Images of more pixels are only looked at: to decode them takes long and shows nothing that small ones do not.
const MOST_PIXELS: usize = 1 << 20;
const CROPS: u32 = 3;

/// A JPEG, whole and in parts.
pub fn jpeg(bytes: &[u8]) -> bool {
    let Ok(header) = read_header(bytes) else { return false };
    if header.width * header.height > MOST_PIXELS {
        return false;
    }
    let mut decoder = Decoder::new();
    let whole = decoder.decode(bytes);
    if let Ok(decoded) = &whole {
        assert_eq!(decoded.header, header);
        assert_size(&decoded.image, header.width, header.height);
    }
    if header.width == header.height {
        for draw in 0..CROPS {
            let (crop, [top, left]) = window(bytes, header.width, draw);
            let mut out = vec![0x5a; crop * crop * 3];
            let part = decoder.decode_crop(bytes, header.width, [top, left], crop, &mut out);
            let Ok(whole) = &whole else { continue };
            assert!(part.is_ok() || whole.warned, "a sound image has all crops: {part:?}");
            if part.is_ok() {
                assert_cut(&whole.image, &out, crop, [top, left]);
            }
        }
    }
    whole.is_ok()
}

/// Any image, to a square.
pub fn formats(bytes: &[u8]) -> bool {
    const SIZE: usize = 12;
    let [number, ..] = draws(bytes, 0);
    let resize = if number % 2 == 0 { Resize::Crop } else { Resize::Warp };
    let fit = Fit { size: SIZE, resize, exif_rotate: number % 4 < 2 };
    let mut squarer = Squarer::new();
    let Ok(square) = squarer.square(bytes, &fit) else { return false };
    assert_eq!(square.pixels.len(), SIZE * SIZE * 3);
    assert!(square.width > 0 && square.height > 0);
    let corner = square.mapping.apply([square.width as f64, square.height as f64]);
    assert!(corner.iter().all(|edge| edge.is_finite() && *edge >= SIZE as f64 - 0.01), "{corner:?}");
    assert!(!square.as_is || (square.width, square.height) == (SIZE, SIZE));
    true
}

/// A crop's side and its top and left within an image of `side` pixels, drawn by the file itself.
fn window(bytes: &[u8], side: usize, draw: u32) -> (usize, [usize; 2]) {
    let [a, b, c, _] = draws(bytes, draw).map(|number| number as usize);
    let crop = 1 + a % side;
    let places = side - crop + 1;
    (crop, [b % places, c % places])
}

fn draws(bytes: &[u8], draw: u32) -> [u32; 4] {
    let sum = bytes.iter().fold(0u32, |sum, &byte| sum.wrapping_mul(31).wrapping_add(u32::from(byte)));
    philox([sum, bytes.len() as u32], [draw, 0, 0, 0])
}

fn assert_size(image: &Image, width: usize, height: usize) {
    assert_eq!((image.width, image.height, image.pixels.len()), (width, height, width * height * 3));
}

fn assert_cut(whole: &Image, out: &[u8], crop: usize, [top, left]: [usize; 2]) {
    for (row, line) in out.chunks_exact(crop * 3).enumerate() {
        let start = ((top + row) * whole.width + left) * 3;
        let same = line == &whole.pixels[start..start + crop * 3];
        assert!(same, "row {row} of {crop} x {crop} at {top}, {left} of {} pixels", whole.width);
    }
}
