use ilsvrc_diagnostics::IMAGE_UNDECODABLE;
use turbojpeg::{Colorspace, PixelFormat};

use super::*;
use crate::libjpeg::View;
use crate::samples::{flat, gray, jpeg, photo, with_segment};
use crate::{Decoder, Encoder, Image};

const MODES: [Resize; 2] = [Resize::Crop, Resize::Warp];

fn fit(size: usize, resize: Resize) -> Fit {
    Fit { size, resize, exif_rotate: false }
}

fn reason(file: &[u8]) -> String {
    let error = Squarer::new().square(file, &fit(32, Resize::Crop)).unwrap_err();
    assert_eq!(error.code, IMAGE_UNDECODABLE);
    error.message
}

/// `file` with the EXIF orientation `value`, little-endian.
fn oriented(file: &[u8], value: u8) -> Vec<u8> {
    let entry = [0x12, 1, 3, 0, 1, 0, 0, 0, value, 0, 0, 0];
    with_segment(file, 0xe1, &[&b"Exif\0\0II*\0\x08\0\0\0\x01\0"[..], &entry, &[0; 4]].concat())
}

/// One and the same squarer for all: what earlier photos left behind does not show.
#[test]
fn a_square_has_the_pixels_that_decoding_everything_gives() {
    let mut squarer = Squarer::new();
    for (i, (width, height)) in
        [(500, 375), (375, 500), (90, 41), (41, 90), (300, 16), (16, 300), (64, 64), (65, 64), (127, 127)]
            .into_iter()
            .enumerate()
    {
        let original = photo(width, height, i);
        let pixels = original.pixels.iter().enumerate();
        let pixels = pixels.map(|(i, &value)| value ^ ((i as u32).wrapping_mul(2_654_435_761) >> 26) as u8);
        let file = Encoder::new(90).encode(&Image { pixels: pixels.collect(), ..original }).unwrap();
        let whole = Decoder::new().decode(&file).unwrap().image;
        for (size, resize) in [(64, MODES[0]), (64, MODES[1]), (200, MODES[0]), (31, MODES[1])] {
            if shrink([width, height], size) == 1 {
                let square = squarer.square(&file, &fit(size, resize)).unwrap();
                let expected = Resizer::default().resize(&whole, size, resize);
                assert!(square.pixels == expected.pixels, "{width} x {height} to {size}, {resize:?}");
            }
        }
    }
}

#[test]
fn large_photos_are_shrunk_while_they_are_decoded() {
    let mut squarer = Squarer::new();
    for (width, height, size, by) in [
        (300, 199, 50, 1),
        (300, 200, 50, 2),
        (203, 301, 50, 2),
        (415, 403, 50, 4),
        (807, 903, 50, 8),
        (2000, 1800, 50, 8),
    ] {
        assert_eq!(shrink([width, height], size), by);
        let file = jpeg(width, height, 1);
        let whole = Decoder::new().decode(&file).unwrap().image;
        let columns = [width, height].map(|side| side.div_ceil(by));
        for resize in MODES {
            let square = squarer.square(&file, &fit(size, resize)).unwrap();
            assert_eq!((square.width, square.height), (width, height));
            // The same bits as from the whole photo, shrunk.
            let mut handle = Handle::new();
            let mut shrunk = vec![0; columns[0] * columns[1] * 3];
            let view = View { shrink: by, region: None };
            Jpeg::open(&mut handle, &file)
                .unwrap()
                .decode(&view, columns[0], &mut Vec::new(), &mut shrunk)
                .unwrap();
            let window = resize.window([width, height]).shrunk(by);
            let mut expected = vec![0; size * size * 3];
            Resizer::default().resize_into(&shrunk, columns, &window, size, &mut expected);
            assert!(square.pixels == expected, "{width} x {height}");
            // And the same picture in the same place as without shrinking.
            let plain = Resizer::default().resize(&whole, size, resize);
            let far = square.pixels.iter().zip(&plain.pixels).map(|(a, b)| a.abs_diff(*b)).max();
            assert!(far <= Some(12), "{far:?} {width} x {height} {resize:?}");
        }
    }
}

#[test]
fn thin_photos_work() {
    for (width, height) in [(1, 1), (1, 900), (900, 1), (3, 2000)] {
        let file = jpeg(width, height, 2);
        for resize in MODES {
            let mut squarer = Squarer::new();
            let square = squarer.square(&file, &fit(48, resize)).unwrap();
            assert_eq!((square.pixels.len(), square.width, square.height), (48 * 48 * 3, width, height));
        }
    }
}

#[test]
fn places_are_mapped_as_pixels_are() {
    let file = jpeg(400, 200, 1);
    let mut squarer = Squarer::new();
    let crop = squarer.square(&file, &fit(100, Resize::Crop)).unwrap().mapping;
    assert_eq!(crop, Mapping { offset: [100.0, 0.0], scale: [0.5, 0.5] });
    assert_eq!(crop.apply([300.0, 50.0]), [100.0, 25.0]);
    let warp = squarer.square(&file, &fit(100, Resize::Warp)).unwrap().mapping;
    assert_eq!(warp, Mapping { offset: [0.0, 0.0], scale: [0.25, 0.5] });
    // Shrinking and turning are not the caller's concern.
    let turned = Fit { exif_rotate: true, ..fit(10, Resize::Crop) };
    let file = oriented(&file, 6);
    let square = squarer.square(&file, &turned).unwrap();
    assert_eq!((square.width, square.height), (200, 400));
    assert_eq!(square.mapping, Mapping { offset: [0.0, 100.0], scale: [0.05, 0.05] });
}

#[test]
fn a_sound_jpeg_of_the_size_is_kept_as_it_is() {
    let how = fit(64, Resize::Crop);
    let as_is = |file: &[u8], how: &Fit| Squarer::new().square(file, how).unwrap().as_is;
    let file = jpeg(64, 64, 1);
    let mut squarer = Squarer::new();
    let square = squarer.square(&file, &how).unwrap();
    assert!(square.as_is && !square.warned && !square.rotation);
    assert_eq!(square.pixels, Decoder::new().decode(&file).unwrap().image.pixels);
    assert!(!as_is(&jpeg(64, 63, 1), &how));
    assert!(!as_is(&jpeg(128, 128, 1), &how));
    // Orientation: ignored, and obeyed.
    let rotated = oriented(&file, 3);
    assert!(as_is(&rotated, &how) && squarer.square(&rotated, &how).unwrap().rotation);
    assert!(!as_is(&rotated, &Fit { exif_rotate: true, ..how }));
    assert!(as_is(&oriented(&file, 1), &Fit { exif_rotate: true, ..how }));
    // Damage, and forms that few programs read.
    let mut damaged = file.clone();
    damaged.splice(file.len() - 2..file.len() - 2, [0x55; 40]);
    let square = squarer.square(&damaged, &how).unwrap();
    assert!(square.warned && !square.as_is);
    let mut compressor = turbojpeg::Compressor::new().unwrap();
    compressor.set_arithmetic(true).unwrap();
    let Image { width, height, pixels } = photo(64, 64, 1);
    let pixels = pixels.as_slice();
    let image = turbojpeg::Image { pixels, width, pitch: width * 3, height, format: PixelFormat::RGB };
    assert!(!as_is(&compressor.compress_to_vec(image).unwrap(), &how));
}

#[test]
fn colours_of_all_kinds_become_rgb() {
    let mut squarer = Squarer::new();
    let ycck = flat(PixelFormat::CMYK, Colorspace::YCCK, &[200, 100, 50, 220]);
    for (file, expected) in [(&gray(99), [99; 3]), (&ycck, [173, 86, 43])] {
        for size in [4, 40] {
            let square = squarer.square(file, &fit(size, Resize::Crop)).unwrap();
            for pixel in square.pixels.chunks_exact(3) {
                assert!(pixel.iter().zip(expected).all(|(a, b)| a.abs_diff(b) <= 3), "{pixel:?}");
            }
        }
    }
    // A colour profile changes nothing.
    let file = jpeg(64, 48, 1);
    let profiled = with_segment(&file, 0xe2, &[&b"ICC_PROFILE\0\x01\x01"[..], &[7; 500]].concat());
    let plain = squarer.square(&file, &fit(32, Resize::Crop)).unwrap().pixels.to_vec();
    let square = squarer.square(&profiled, &fit(32, Resize::Crop)).unwrap();
    assert!(square.pixels == plain && !square.warned);
}

/// Which visual side the first row and the first column of a file are (EXIF 2.32, tag 0x112): rows run down, up, right or
/// left.
#[test]
fn all_orientations_are_ignored_or_obeyed() {
    let upright = photo(60, 90, 3);
    let expected = Resizer::default().resize(&upright, 30, Resize::Crop);
    for value in 1..=8u8 {
        let sideways = value >= 5;
        let (width, height) = if sideways { (90, 60) } else { (60, 90) };
        // From the right and from below.
        let right = [2, 3, 6, 7].contains(&value);
        let below = [3, 4, 7, 8].contains(&value);
        let pixels = (0..width * height).flat_map(|i| {
            let (row, column) = (i / width, i % width);
            let (x, y) = if sideways { (row, column) } else { (column, row) };
            let (x, y) = (if right { 59 - x } else { x }, if below { 89 - y } else { y });
            let at = (y * 60 + x) * 3;
            [upright.pixels[at], upright.pixels[at + 1], upright.pixels[at + 2]]
        });
        let stored = Image { width, height, pixels: pixels.collect() };
        let file = oriented(&Encoder::new(98).encode(&stored).unwrap(), value);
        let mut squarer = Squarer::new();
        let how = Fit { exif_rotate: true, ..fit(30, Resize::Crop) };
        let square = squarer.square(&file, &how).unwrap();
        assert_eq!((square.width, square.height, square.rotation), (60, 90, value != 1));
        let far = square.pixels.iter().zip(&expected.pixels).map(|(a, b)| a.abs_diff(*b)).max();
        assert!(far <= Some(12), "{value}: {far:?}");
        let ignored = squarer.square(&file, &fit(30, Resize::Crop)).unwrap();
        assert_eq!((ignored.width, ignored.height, ignored.rotation), (width, height, value != 1));
        let as_stored = Resizer::default().resize(&stored, 30, Resize::Crop);
        let far = ignored.pixels.iter().zip(&as_stored.pixels).map(|(a, b)| a.abs_diff(*b)).max();
        assert!(far <= Some(12), "{value}: {far:?}");
    }
    // What makes no sense is upright.
    for value in [0, 9, 255] {
        assert!(
            !Squarer::new().square(&oriented(&jpeg(9, 9, 1), value), &fit(9, MODES[0])).unwrap().rotation
        );
    }
}

#[test]
fn what_is_no_photo_is_named() {
    assert_eq!(reason(b""), "an empty file (0 bytes)");
    assert_eq!(reason(b" \n<!DOCTYPE HTML><html>404"), "an HTML page");
    assert_eq!(reason(b"II*\0\x08\0\0\0"), "a TIFF image");
    assert_eq!(reason(b"\0\0\0\x18ftypheic\0\0\0\0mif1"), "a HEIC image");
    assert_eq!(reason(b"\0\0\0\x1cftypavif\0\0\0\0"), "an AVIF image");
    assert_eq!(reason(b"\0\0\0\x0cJXL \r\n\x87\n"), "a JPEG XL image");
    assert_eq!(reason(b"\0\0\0\x0cjP  \r\n\x87\n"), "a JPEG 2000 image");
    assert_eq!(reason(b"%PDF-1.7"), "a PDF document");
    assert_eq!(reason(&[0; 4096]), "nothing but zeros");
    assert_eq!(reason(b"garbage"), "not an image (it starts with 67 61 72 62 61 67 65)");
}

#[test]
fn headers_that_claim_much_are_refused_before_memory_is_asked_for() {
    let claim = |file: &[u8], marker: u8, height: u16, width: u16| {
        let mut file = file.to_vec();
        let frame = file.windows(2).position(|bytes| bytes == [0xff, marker]).unwrap();
        file[frame + 5..frame + 7].copy_from_slice(&height.to_be_bytes());
        file[frame + 7..frame + 9].copy_from_slice(&width.to_be_bytes());
        reason(&file)
    };
    let baseline = jpeg(64, 48, 2);
    assert!(claim(&baseline, 0xc0, 16_384, 16_384).starts_with("16384 x 16384 pixels; at most 16384 a side"));
    assert!(claim(&baseline, 0xc0, 65_500, 65_500).starts_with("65500 x 65500 pixels"));
    // Decoded to what there is, with a warning.
    let mut short = baseline.clone();
    let frame = short.windows(2).position(|bytes| bytes == [0xff, 0xc0]).unwrap();
    short[frame + 5..frame + 7].copy_from_slice(&[4, 0]);
    assert!(Squarer::new().square(&short, &fit(32, Resize::Crop)).unwrap().warned);
    let mut compressor = turbojpeg::Compressor::new().unwrap();
    compressor.set_progressive(true).unwrap();
    let pixels = &[9; 64 * 64 * 3][..];
    let image = turbojpeg::Image { pixels, width: 64, pitch: 192, height: 64, format: PixelFormat::RGB };
    let progressive = compressor.compress_to_vec(image).unwrap();
    assert_eq!(
        claim(&progressive, 0xc2, 8_000, 12_000),
        "12000 x 8000 pixels in several scans need 549 MB of memory; at most 256 are given"
    );
    let mut bits = baseline.clone();
    let frame = bits.windows(2).position(|bytes| bytes == [0xff, 0xc0]).unwrap();
    bits[frame + 4] = 12;
    assert_eq!(reason(&bits), "a JPEG of 12 bits a sample; only 8 are decoded");
}

#[test]
fn every_truncation_is_refused() {
    let file = jpeg(64, 48, 2);
    let mut squarer = Squarer::new();
    for resize in MODES {
        for length in 0..file.len() {
            assert!(squarer.square(&file[..length], &fit(16, resize)).is_err(), "{length} of {}", file.len());
        }
        assert!(squarer.square(&file, &fit(16, resize)).is_ok(), "it works on after failures");
    }
}
