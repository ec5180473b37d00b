use turbojpeg::{Colorspace, PixelFormat};

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
    assert_eq!(reason(b"<html>"), "not an image (it starts with 3c 68 74 6d 6c 3e), not a JPEG");
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
