//! What a file is, by its first bytes; names are not believed.

/// Beginnings of files that are often found among photos.
const BEGINNINGS: [(&[u8], &str); 16] = [
    (b"\x89PNG\r\n\x1a\n", "a PNG image"),
    (b"GIF8", "a GIF image"),
    (b"BM", "a BMP image"),
    (b"II*\0", "a TIFF image"),
    (b"MM\0*", "a TIFF image"),
    (b"\0\0\0\x0cJXL ", "a JPEG XL image"),
    (b"\xff\x0a", "a JPEG XL image"),
    (b"\0\0\0\x0cjP  ", "a JPEG 2000 image"),
    (b"\xff\x4f\xff\x51", "a JPEG 2000 image"),
    (b"8BPS", "a Photoshop image"),
    (b"%PDF", "a PDF document"),
    (b"PK\x03\x04", "a ZIP archive"),
    (b"\x1f\x8b", "a gzip archive"),
    (b"<?xml", "an XML document"),
    (b"<svg", "an SVG drawing"),
    (b"\0\x05\x16\x07", "an AppleDouble file, which holds no image"),
];

/// A file of JPEG's family begins so.
pub(crate) fn is_jpeg(file: &[u8]) -> bool {
    file.starts_with(&[0xff, 0xd8])
}

/// The name of what `file` is, with its article.
pub(crate) fn name(file: &[u8]) -> String {
    if file.is_empty() {
        return "an empty file (0 bytes)".to_owned();
    }
    if let Some((_, name)) = BEGINNINGS.iter().find(|(magic, _)| file.starts_with(magic)) {
        return (*name).to_owned();
    }
    match (file.get(..4), file.get(4..8), file.get(8..12)) {
        (Some(b"RIFF"), _, Some(b"WEBP")) => "a WebP image".to_owned(),
        (_, Some(b"ftyp"), Some(b"avif" | b"avis")) => "an AVIF image".to_owned(),
        (_, Some(b"ftyp"), Some(b"heic" | b"heix" | b"hevc" | b"mif1" | b"msf1")) => {
            "a HEIC image".to_owned()
        }
        _ if is_html(file) => "an HTML page".to_owned(),
        _ if file.iter().all(|&byte| byte == 0) => "nothing but zeros".to_owned(),
        _ => {
            let start: Vec<String> = file.iter().take(8).map(|byte| format!("{byte:02x}")).collect();
            format!("not an image (it starts with {})", start.join(" "))
        }
    }
}

/// What a server sent instead of the photo.
fn is_html(file: &[u8]) -> bool {
    let text = file.trim_ascii_start();
    ["<!doctype html", "<html", "<head"]
        .iter()
        .any(|tag| text.get(..tag.len()).is_some_and(|start| start.eq_ignore_ascii_case(tag.as_bytes())))
}
