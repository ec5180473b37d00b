use image::{DynamicImage, ImageBuffer, Luma, LumaA, Rgb, Rgba};

use super::*;
use crate::photo::{Fit, Squarer};
use crate::samples::photo;
use crate::{Resize, Resizer};

const HOW: Fit = Fit { size: 8, resize: Resize::Crop, exif_rotate: false };

fn written(image: &DynamicImage, format: ImageFormat) -> Vec<u8> {
    let mut file = Cursor::new(Vec::new());
    image.write_to(&mut file, format).unwrap();
    file.into_inner()
}

fn reason(file: &[u8]) -> String {
    Squarer::new().square(file, &HOW).unwrap_err().message
}

/// Every pixel of the square of `file` is `expected`.
fn assert_flat(file: &[u8], expected: [u8; 3]) {
    let mut squarer = Squarer::new();
    let square = squarer.square(file, &HOW).unwrap();
    assert!(!square.as_is && !square.warned && !square.rotation);
    for pixel in square.pixels.chunks_exact(3) {
        assert_eq!(pixel, expected);
    }
}

fn crc(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0, |sum, &byte| {
        (0..8).fold(sum ^ u32::from(byte), |sum, _| (sum >> 1) ^ (0xedb8_8320 * (sum & 1)))
    })
}

/// A PNG file by hand: forms that `image` reads and does not write. `rows` are stored without compression.
fn png(width: u32, height: u32, depth: u8, colour: u8, extra: &[(&[u8; 4], &[u8])], rows: &[u8]) -> Vec<u8> {
    let mut file = b"\x89PNG\r\n\x1a\n".to_vec();
    let mut chunk = |name: &[u8; 4], body: &[u8]| {
        let named = [name, body].concat();
        file.extend((body.len() as u32).to_be_bytes());
        file.extend(&named);
        file.extend(crc(&named).to_be_bytes());
    };
    let size = [width.to_be_bytes(), height.to_be_bytes()].concat();
    chunk(b"IHDR", &[&size[..], &[depth, colour, 0, 0, 0]].concat());
    extra.iter().for_each(|(name, body)| chunk(name, body));
    let length = rows.len() as u16;
    let (a, b) = rows.iter().fold((1u32, 0u32), |(a, b), &byte| {
        let a = (a + u32::from(byte)) % 65_521;
        (a, (b + a) % 65_521)
    });
    let stored = [&[0x78, 1, 1][..], &length.to_le_bytes(), &(!length).to_le_bytes(), rows].concat();
    chunk(b"IDAT", &[&stored[..], &(b << 16 | a).to_be_bytes()].concat());
    chunk(b"IEND", b"");
    file
}

#[test]
fn the_four_formats_give_the_photo() {
    let original = photo(40, 30, 2);
    let buffer = ImageBuffer::<Rgb<u8>, _>::from_raw(40, 30, original.pixels.clone()).unwrap();
    let image = DynamicImage::from(buffer);
    let expected = Resizer::default().resize(&original, 8, Resize::Crop);
    for (format, tolerance) in
        [(ImageFormat::Png, 0), (ImageFormat::Bmp, 0), (ImageFormat::WebP, 0), (ImageFormat::Gif, 24)]
    {
        let file = written(&image, format);
        let mut squarer = Squarer::new();
        let square = squarer.square(&file, &HOW).unwrap();
        assert_eq!((square.width, square.height, square.as_is), (40, 30, false));
        let far = square.pixels.iter().zip(&expected.pixels).map(|(a, b)| a.abs_diff(*b)).max();
        assert!(far <= Some(tolerance), "{format:?}: {far:?}");
    }
}

#[test]
fn gray_wide_and_transparent_pixels_become_rgb() {
    let write = |image: DynamicImage| written(&image, ImageFormat::Png);
    assert_flat(&write(ImageBuffer::from_pixel(9, 5, Luma([77u8])).into()), [77; 3]);
    // 300 / 257 is 1.17, 30,000 / 257 is 116.7.
    assert_flat(&write(ImageBuffer::from_pixel(9, 5, Luma([30_000u16])).into()), [117; 3]);
    assert_flat(&write(ImageBuffer::from_pixel(9, 5, Rgb([300u16, 30_000, 65_535])).into()), [1, 117, 255]);
    // A third of black over white.
    assert_flat(&write(ImageBuffer::from_pixel(9, 5, Rgba([0u8, 0, 0, 85])).into()), [170; 3]);
    assert_flat(&write(ImageBuffer::from_pixel(9, 5, Rgba([9u8, 8, 7, 0])).into()), [255; 3]);
    assert_flat(&write(ImageBuffer::from_pixel(9, 5, LumaA([100u8, 255])).into()), [100; 3]);
    assert_flat(&write(ImageBuffer::from_pixel(9, 5, Rgba([0u16, 0, 0, 21_845])).into()), [170; 3]);
    let gif = ImageBuffer::from_pixel(9, 5, Rgba([9u8, 8, 7, 0])).into();
    assert_flat(&written(&gif, ImageFormat::Gif), [255; 3]);
}

#[test]
fn palettes_and_few_bits_become_rgb() {
    let palette: (&[u8; 4], &[u8]) = (b"PLTE", &[1, 2, 3, 200, 100, 50]);
    assert_flat(&png(2, 2, 8, 3, &[palette], &[0, 1, 1, 0, 1, 1]), [200, 100, 50]);
    assert_flat(&png(2, 2, 1, 3, &[palette], &[0, 0, 0, 0]), [1, 2, 3]);
    assert_flat(&png(2, 2, 8, 3, &[palette, (b"tRNS", &[0, 255])], &[0, 0, 0, 0, 0, 0]), [255; 3]);
    // Gray of two bits: 0, 85, 170, 255.
    assert_flat(&png(2, 2, 2, 0, &[], &[0, 0x50, 0, 0x50]), [85; 3]);
}

#[test]
fn an_orientation_in_a_png_is_obeyed() {
    let exif = b"MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0";
    // Black left of white: turned clockwise, black is on top.
    let file = png(2, 1, 8, 0, &[(b"eXIf", exif)], &[0, 0, 255]);
    let mut squarer = Squarer::new();
    let how = Fit { size: 2, resize: Resize::Warp, exif_rotate: true };
    let square = squarer.square(&file, &how).unwrap();
    assert_eq!(square.pixels, [0, 0, 0, 0, 0, 0, 255, 255, 255, 255, 255, 255]);
    assert_eq!((square.width, square.height, square.rotation), (1, 2, true));
}

#[test]
fn files_cut_short_are_refused() {
    let buffer = ImageBuffer::<Rgb<u8>, _>::from_raw(40, 30, photo(40, 30, 2).pixels).unwrap();
    let image = DynamicImage::from(buffer);
    for format in [ImageFormat::Png, ImageFormat::Bmp, ImageFormat::WebP, ImageFormat::Gif] {
        let file = written(&image, format);
        let mut squarer = Squarer::new();
        for length in (0..file.len() * 9 / 10).step_by(7) {
            assert!(squarer.square(&file[..length], &HOW).is_err(), "{format:?}, {length} of {}", file.len());
        }
        assert!(squarer.square(&file, &HOW).is_ok());
    }
}

/// No damage makes a decoder panic.
#[test]
fn flipped_bits_do_no_harm() {
    let buffer = ImageBuffer::<Rgb<u8>, _>::from_raw(12, 9, photo(12, 9, 2).pixels).unwrap();
    let image = DynamicImage::from(buffer);
    let mut squarer = Squarer::new();
    for format in [ImageFormat::Png, ImageFormat::Bmp, ImageFormat::WebP, ImageFormat::Gif] {
        let file = written(&image, format);
        for at in 0..file.len() {
            let mut damaged = file.clone();
            damaged[at] ^= 1 << (at % 8);
            // Either is right; what counts is that it comes back.
            let _ = squarer.square(&damaged, &HOW);
        }
    }
}

#[test]
fn headers_that_claim_much_are_refused_before_memory_is_asked_for() {
    let pixel = DynamicImage::from(ImageBuffer::from_pixel(1, 1, Rgb([1u8, 2, 3])));
    let claims = |format: ImageFormat, at: usize, size: &[u8]| {
        let mut file = written(&pixel, format);
        file[at..at + size.len()].copy_from_slice(size);
        reason(&file)
    };
    let many = "65535 x 65535 pixels; at most 16384";
    assert!(reason(&png(65_535, 65_535, 8, 2, &[], &[])).starts_with(many));
    assert!(claims(ImageFormat::Gif, 6, &[0xff; 4]).starts_with(many));
    let bmp = [0xff, 0xff, 0, 0, 0xff, 0xff, 0, 0];
    assert!(claims(ImageFormat::Bmp, 18, &bmp).starts_with(many));
    // 14 bits each, of the sides less one; the decoder of `image` takes the largest for none.
    let webp = claims(ImageFormat::WebP, 21, &[0xfe, 0xbf, 0xff, 0x0f]);
    assert!(webp.starts_with("16383 x 16383 pixels; at most 16384"), "{webp}");
    assert_eq!(claims(ImageFormat::WebP, 21, &[0xff, 0xff, 0xff, 0x0f]), "0 x 0 pixels");
    assert_eq!(
        reason(&png(9_000, 9_000, 8, 6, &[], &[])),
        "decoding it needs 540 MB of memory; at most 256 are given"
    );
    // Within the limits, but not there.
    assert!(reason(&png(5_000, 5_000, 8, 2, &[], &[0])).starts_with("a PNG image that cannot be decoded"));
}
