use turbojpeg::{Colorspace, PixelFormat, Subsamp};

use super::*;
use crate::samples::{PNG, flat, gray, jpeg, photo};

fn reason(file: &[u8]) -> String {
    let error = Decoder::new().decode(file).unwrap_err();
    assert_eq!(error.code, IMAGE_UNDECODABLE);
    error.message
}

/// All pixels are `expected`, but for what compression does.
fn assert_flat(decoded: &Decoded, expected: [u8; 3]) {
    for pixel in decoded.image.pixels.chunks_exact(3) {
        assert!(pixel.iter().zip(expected).all(|(a, b)| a.abs_diff(b) <= 3), "{pixel:?} {expected:?}");
    }
}

#[test]
fn what_is_encoded_is_decoded() {
    let original = photo(70, 45, 1);
    let file = Encoder::new(95).encode(&original).unwrap();
    let decoded = Decoder::new().decode(&file).unwrap();
    assert_eq!((decoded.image.width, decoded.image.height, decoded.warned), (70, 45, false));
    assert_eq!(read_header(&file).unwrap(), Header { width: 70, height: 45, colour: Colour::Rgb });
    let difference: u64 =
        decoded.image.pixels.iter().zip(&original.pixels).map(|(a, b)| u64::from(a.abs_diff(*b))).sum();
    assert!(difference / (original.pixels.len() as u64) < 6, "{difference}");
}

#[test]
fn gray_becomes_rgb() {
    let decoded = Decoder::new().decode(&gray(99)).unwrap();
    assert_eq!(decoded.header.colour, Colour::Gray);
    assert_flat(&decoded, [99; 3]);
}

/// 255 is no ink with the Adobe marker: light = ink * black / 255.
#[test]
fn cmyk_and_ycck_become_rgb() {
    for space in [Colorspace::CMYK, Colorspace::YCCK] {
        let decoded = Decoder::new().decode(&flat(PixelFormat::CMYK, space, &[200, 100, 50, 220])).unwrap();
        assert_eq!(decoded.header.colour, Colour::Cmyk);
        assert_flat(&decoded, [173, 86, 43]);
    }
}

#[test]
fn cmyk_without_the_adobe_marker_stores_ink() {
    let mut file = flat(PixelFormat::CMYK, Colorspace::CMYK, &[55, 155, 205, 35]);
    let marker = file.windows(9).position(|bytes| bytes == b"\xff\xee\x00\x0eAdobe").unwrap();
    file.drain(marker..marker + 16);
    assert_flat(&Decoder::new().decode(&file).unwrap(), [173, 86, 43]);
}

#[test]
fn other_formats_are_named() {
    assert_eq!(reason(PNG), "a PNG image, not a JPEG");
    assert_eq!(reason(b"GIF89a..."), "a GIF image, not a JPEG");
    assert_eq!(reason(b"RIFF\0\0\0\0WEBPVP8 "), "a WebP image, not a JPEG");
    assert_eq!(reason(b"BM\x36\0"), "a BMP image, not a JPEG");
    assert_eq!(reason(b"hello"), "not an image (it starts with 68 65 6c 6c 6f), not a JPEG");
    assert_eq!(reason(b""), "an empty file (0 bytes)");
}

#[test]
fn every_truncation_is_refused() {
    let file = jpeg(64, 48, 2);
    let mut decoder = Decoder::new();
    for length in 0..file.len() {
        assert!(decoder.decode(&file[..length]).is_err(), "{length} of {} bytes", file.len());
    }
    assert!(decoder.decode(&file).is_ok(), "the decoder works on after failures");
}

#[test]
fn a_tail_of_zeros_is_refused_and_one_after_the_end_is_not() {
    let mut file = jpeg(64, 48, 2);
    let length = file.len();
    file.extend([0; 100]);
    assert!(Decoder::new().decode(&file).is_ok());
    file[length / 2..].fill(0);
    assert!(reason(&file).starts_with("cut short"));
}

/// The thumbnail in an EXIF segment ends with the same marker as the image.
#[test]
fn the_end_of_a_thumbnail_is_not_the_end() {
    let file = jpeg(64, 48, 2);
    let segment = [&[0xff, 0xe1, 0x00, 0x08][..], b"Exif", &[0xff, 0xd9]].concat();
    let with_thumbnail = [&file[..2], &segment, &file[2..file.len() / 2]].concat();
    assert!(reason(&with_thumbnail).starts_with("cut short"));
    assert!(Decoder::new().decode(&with_thumbnail[..12]).is_err());
}

#[test]
fn a_giant_header_is_refused_before_memory_is_asked_for() {
    let mut file = jpeg(64, 48, 2);
    let frame = file.windows(2).position(|bytes| bytes == [0xff, 0xc0]).unwrap();
    file[frame + 5..frame + 9].copy_from_slice(&[0xfd, 0xe8, 0xfd, 0xe8]);
    assert!(reason(&file).starts_with("65000 x 65000 pixels; at most 16384"), "{}", reason(&file));
    file[frame + 5..frame + 9].fill(0xff);
    assert!(reason(&file).contains("65500"), "libjpeg's own limit");
    file[frame + 5..frame + 9].copy_from_slice(&[0x40, 0, 0x40, 0]);
    assert!(reason(&file).starts_with("16384 x 16384 pixels"));
}

#[test]
fn damage_that_libjpeg_bridges_is_a_warning() {
    let mut file = jpeg(64, 48, 2);
    let end = file.len() - 2;
    file.splice(end..end, [0x55; 40]);
    let decoded = Decoder::new().decode(&file).unwrap();
    assert!(decoded.warned);
    assert!(Decoder::new().decode_square(&jpeg(32, 32, 1), 32, &mut [0; 32 * 32 * 3]).is_ok());
}

/// A warning about the header must not hide the size, nor let that of an earlier file through.
#[test]
fn a_warning_in_the_header_is_kept_apart_from_an_error() {
    let mut decoder = Decoder::new();
    decoder.decode(&jpeg(200, 100, 1)).unwrap();
    let file = jpeg(64, 48, 2);
    // Bytes between two segments.
    let odd = [&file[..20], &[0x11, 0x22], &file[20..]].concat();
    let decoded = decoder.decode(&odd).unwrap();
    assert_eq!((decoded.image.width, decoded.image.height, decoded.warned), (64, 48, true));
    assert_eq!(decoded.image, decoder.decode(&file).unwrap().image);
    let header_only = [&file[..20], &[0x11, 0x22, 0xff, 0xd9]].concat();
    assert!(decoder.decode(&header_only).is_err());
    assert!(decoder.decode(b"\xff\xd8\xff\xd9").is_err());
    assert!(decoder.decode(&file).is_ok());
}

/// No input makes the decoder panic or read out of bounds; what decodes has the size of its header.
#[test]
fn flipped_bits_do_no_harm() {
    let file = jpeg(40, 30, 4);
    let mut decoder = Decoder::new();
    for at in 0..file.len() {
        let mut damaged = file.clone();
        damaged[at] ^= 1 << (at % 8);
        if let Ok(Decoded { image, .. }) = decoder.decode(&damaged) {
            assert_eq!(image.pixels.len(), image.width * image.height * 3);
        }
    }
}

/// `image` in another form than [`Encoder`] gives.
fn other(image: &Image, change: impl Fn(&mut turbojpeg::Compressor)) -> Vec<u8> {
    let mut compressor = turbojpeg::Compressor::new().unwrap();
    compressor.set_quality(85).unwrap();
    compressor.set_subsamp(Subsamp::Sub2x2).unwrap();
    change(&mut compressor);
    let (pixels, width, height) = (image.pixels.as_slice(), image.width, image.height);
    compressor
        .compress_to_vec(turbojpeg::Image {
            pixels,
            width,
            pitch: width * 3,
            height,
            format: PixelFormat::RGB,
        })
        .unwrap()
}

fn sampled(image: &Image, sampling: Subsamp) -> Vec<u8> {
    other(image, |compressor| compressor.set_subsamp(sampling).unwrap())
}

/// All forms in which an image may be stored.
fn forms(image: &Image) -> Vec<(&'static str, Vec<u8>)> {
    let cmyk: Vec<u8> = image.pixels.chunks_exact(3).flat_map(|p| [p[0], p[1], p[2], 200]).collect();
    let mut compressor = turbojpeg::Compressor::new().unwrap();
    compressor.set_colorspace(Colorspace::YCCK).unwrap();
    let (pixels, width, height) = (cmyk.as_slice(), image.width, image.height);
    let cmyk = turbojpeg::Image { pixels, width, pitch: width * 4, height, format: PixelFormat::CMYK };
    vec![
        ("4:2:0", sampled(image, Subsamp::Sub2x2)),
        ("4:2:2", sampled(image, Subsamp::Sub2x1)),
        ("4:4:0", sampled(image, Subsamp::Sub1x2)),
        ("4:1:1", sampled(image, Subsamp::Sub4x1)),
        ("4:4:4", sampled(image, Subsamp::None)),
        ("gray", sampled(image, Subsamp::Gray)),
        ("RGB", other(image, |it| it.set_colorspace(Colorspace::RGB).unwrap())),
        ("progressive", other(image, |it| it.set_progressive(true).unwrap())),
        ("arithmetic", other(image, |it| it.set_arithmetic(true).unwrap())),
        ("lossless", other(image, |it| it.set_lossless(true).unwrap())),
        ("YCCK", compressor.compress_to_vec(cmyk).unwrap()),
    ]
}

/// With detail in every pixel, so that a wrong neighbour shows.
fn grainy(width: usize, height: usize) -> Image {
    let mut image = photo(width, height, 3);
    let grain = |i: usize| (i as u32).wrapping_mul(2_654_435_761) >> 26;
    image.pixels.iter_mut().enumerate().for_each(|(i, value)| *value ^= grain(i) as u8);
    image
}

fn assert_crops(
    name: &str,
    file: &[u8],
    side: usize,
    crop: usize,
    offsets: impl Iterator<Item = [usize; 2]>,
) {
    let mut decoder = Decoder::new();
    let whole = decoder.decode(file).unwrap().image.pixels;
    let mut out = vec![0; crop * crop * 3];
    for [top, left] in offsets {
        out.fill(0x5a);
        decoder.decode_crop(file, side, [top, left], crop, &mut out).unwrap();
        for (row, line) in out.chunks_exact(crop * 3).enumerate() {
            let start = ((top + row) * side + left) * 3;
            assert!(line == &whole[start..start + crop * 3], "{name} {side} {crop} {top} {left} row {row}");
        }
    }
}

#[test]
fn a_crop_has_the_pixels_of_the_whole_image() {
    for (side, crop) in [(71, 40), (48, 1), (33, 32), (7, 3)] {
        let all = side - crop + 1;
        for (name, file) in forms(&grainy(side, side)) {
            assert_crops(name, &file, side, crop, (0..all * all).map(|i| [i / all, i % all]));
        }
    }
    for (name, file) in forms(&grainy(256, 256)) {
        let random = |i: u32| (i.wrapping_mul(2_654_435_761) >> 16) as usize % 33;
        assert_crops(name, &file, 256, 224, (0..60).map(|i| [random(i), random(i + 1000)]));
    }
}

/// The test above would pass if everything were decoded.
#[test]
fn no_more_is_decoded_than_a_crop_needs() {
    let wanted = Region { x: 20, y: 7, width: 224, height: 224 };
    let image = grainy(256, 256);
    for (name, file) in forms(&image) {
        let region = Jpeg::open(&mut Handle::new(), &file).unwrap().view(&wanted, 1).region;
        let columns = region.map(|it| (it.x, it.x + it.width, it.height));
        match name {
            "4:2:0" | "4:2:2" | "4:4:0" | "4:4:4" | "gray" | "RGB" => {
                assert_eq!(columns, Some((16, 246, 249)), "{name}");
            }
            "4:1:1" => assert_eq!(columns, Some((0, 246, 249))),
            _ => assert_eq!(columns, None, "{name}"),
        }
    }
}

/// Also damage below the crop is refused.
#[test]
fn damaged_files_give_no_crop() {
    let file = other(&grainy(64, 64), |_| {});
    let mut out = vec![0; 32 * 32 * 3];
    let mut decoder = Decoder::new();
    for length in 0..file.len() {
        assert!(decoder.decode_crop(&file[..length], 64, [0, 0], 32, &mut out).is_err(), "{length} bytes");
    }
    let scan = file.windows(2).position(|bytes| bytes == [0xff, 0xda]).unwrap() + 14;
    let refused = |decoder: &mut Decoder, at: usize, top: usize| {
        let mut damaged = file.clone();
        // A restart marker where none belongs.
        damaged[at..at + 2].copy_from_slice(&[0xff, 0xd0]);
        decoder.decode_crop(&damaged, 64, [top, 0], 32, &mut vec![0; 32 * 32 * 3]).is_err()
    };
    assert!(refused(&mut decoder, scan, 0) && refused(&mut decoder, scan, 32));
    assert!(refused(&mut decoder, file.len() - 8, 0) && refused(&mut decoder, file.len() - 8, 32));
    let error = decoder.decode_crop(&file, 65, [0, 0], 32, &mut out).unwrap_err();
    assert_eq!(error.message, "64 x 64 pixels instead of 65 x 65");
    assert!(decoder.decode_crop(&file, 64, [0, 0], 32, &mut out).is_ok(), "the decoder works on");
}

/// What a flipped bit does is seen by a crop wherever the whole image shows it.
#[test]
fn a_crop_refuses_what_the_whole_refuses() {
    let file = other(&grainy(96, 96), |_| {});
    let scan = file.windows(2).position(|bytes| bytes == [0xff, 0xda]).unwrap() + 14;
    let (mut whole, mut crop) = (vec![0; 96 * 96 * 3], vec![0; 48 * 48 * 3]);
    let mut decoder = Decoder::new();
    let mut refused = 0;
    for at in (scan..file.len() - 2).step_by(3) {
        let mut damaged = file.clone();
        damaged[at] ^= 1 << (at % 8);
        let expected = decoder.decode_square(&damaged, 96, &mut whole).is_err();
        refused += usize::from(expected);
        for top in [0, 16, 40] {
            let found = decoder.decode_crop(&damaged, 96, [top, 8], 48, &mut crop).is_err();
            assert!(found || !expected, "byte {at}, crop at row {top}");
        }
    }
    assert!(refused > 5, "{refused}");
}
