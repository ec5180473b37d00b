//! Writes `fuzz/seeds`: small files of each format, which fuzzing starts from.
//!
//!     cargo run -p ilsvrc-hostile --example seeds
use std::fs;
use std::io::Cursor;
use std::path::Path;

use ilsvrc_images::Encoder;
use ilsvrc_images::Image;
use ilsvrc_images::tar::Writer;
use image::{DynamicImage, ImageFormat, RgbImage};
use turbojpeg::{Colorspace, Compressor, PixelFormat, Subsamp};

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;
type Seeds = Vec<(&'static str, Vec<u8>)>;

fn main() -> Result<()> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let data = root.join("crates/layouts/tests/data");
    let matlab = [("plain.mat", "meta-plain.mat"), ("kit-2010.mat", "meta-2010.mat")]
        .into_iter()
        .map(|(name, from)| Ok((name, fs::read(data.join(from))?)))
        .collect::<Result<Seeds>>()?;
    let models = |names: &[&'static str]| {
        let data = root.join("crates/interchange/tests/data");
        names.iter().map(|name| Ok((*name, fs::read(data.join(name))?))).collect::<Result<Seeds>>()
    };
    let index = vec![("train.index.json", ilsvrc_hostile::sample_index())];
    let manifest = vec![("dataset.json", ilsvrc_hostile::sample_manifest())];
    let store = vec![
        ("meta.json", ilsvrc_hostile::sample_store()),
        ("meta-and-ids", ilsvrc_hostile::sample_store_and_ids()),
    ];
    let sets = [
        ("binaryproto", vec![("mean.binaryproto", BINARYPROTO.to_vec())]),
        ("caffemodel", models(&["bvlc_alexnet.caffemodel", "caffenet.caffemodel"])?),
        ("csv", text(&CSV)),
        ("formats", formats()?),
        ("index", index),
        ("jpeg", jpeg()?),
        ("lists", text(&LISTS)),
        ("manifest", manifest),
        ("matlab", matlab),
        ("store", store),
        ("tar", tar()?),
        ("torchvision", models(&["alexnet.safetensors"])?),
        ("voc", text(&VOC)),
    ];
    for (target, seeds) in sets {
        let folder = root.join("fuzz/seeds").join(target);
        fs::create_dir_all(&folder)?;
        for (name, bytes) in seeds {
            fs::write(folder.join(name), bytes)?;
        }
    }
    Ok(())
}

/// A blob of 1 x 3 x 1 x 1: four sides, then three numbers.
const BINARYPROTO: [u8; 22] =
    [8, 1, 16, 3, 24, 1, 32, 1, 42, 12, 0, 0, 208, 66, 0, 0, 234, 66, 0, 0, 246, 66];

const CSV: [(&str, &str); 2] = [
    (
        "train.csv",
        "ImageId,PredictionString\nn02017213_7894,n02017213 115 49 448 294 \n\
         \"n1_2\",\"n1 4 1.5 2 3 n1 -3 0 7e1 9\"\r\n",
    ),
    ("class.csv", "\u{feff}ImageId,PredictionString\r\nval_1,n03995372\n"),
];

const LISTS: [(&str, &str); 10] = [
    ("train.txt", "n01440764/n01440764_18.JPEG 0\nmy photos/b c.jpg  12\r\n"),
    ("synset_words.txt", "n01440764 tench, Tinca tinca\nn02012849 crane\n"),
    ("mapping.txt", "n01440764 : tench\nn1\n"),
    ("ground_truth.txt", "490\r\n361\n 171 \n1000\n\n"),
    ("val_annotations.txt", "val_0.JPEG\tn03444034\t0\t32\t44\t62\nval_1.JPEG\tn04067472\t5\t0\t5\t9\n"),
    ("boxes.txt", "n01443537_0.JPEG\t0\t10\t63\t58\n"),
    ("wnids.txt", "n02124075\nn04067472\n"),
    ("label.cls", "999\n"),
    ("label.json", "{\"class\": \"n01440764\", \"boxes\": [[1, 2, 3.5, 4], [9, 9, 8, 8]], \"url\": {}}"),
    ("number.json", "{\"label\": 7}"),
];

const VOC: [(&str, &str); 2] = [
    (
        "tench.xml",
        "<annotation>\n<folder>n01440764</folder><filename>n01440764_18</filename>\
         <size><width>500</width><height>334</height><depth>3</depth></size>\
         <object><name>n01440764</name><pose>Unspecified</pose><difficult>0</difficult>\
         <bndbox><xmin>82</xmin><ymin>46.5</ymin><xmax>447</xmax><ymax>220</ymax></bndbox></object>\
         </annotation>\n",
    ),
    (
        "odd.xml",
        "<?xml version=\"1.0\"?><!-- a comment --><annotation><size><width>9</width><height>9</height></size>\
         <filename>&lt;%s&#x41;</filename><object><name><![CDATA[dog]]></name><difficult>1</difficult>\
         <bndbox><xmax>1</xmax><ymax>2</ymax><xmin>8e0</xmin><ymin>-2</ymin></bndbox></object></annotation>",
    ),
];

fn text(files: &[(&'static str, &str)]) -> Seeds {
    files.iter().map(|&(name, text)| (name, text.as_bytes().to_vec())).collect()
}

fn tar() -> Result<Seeds> {
    let pack = |members: &[(&str, &[u8])]| -> Result<Vec<u8>> {
        let mut writer = Writer::new(Vec::new());
        for (name, data) in members {
            writer.append(name, data)?;
        }
        Ok(writer.finish()?.0)
    };
    let flat = pack(&[("00000000-cat.cls", b"3"), ("00000000-cat.jpg", &[7; 600])])?;
    let nested = pack(&[("n01440764.tar", &flat), ("readme.txt", b"two archives")])?;
    let long = pack(&[(&format!("photos/{}.jpg", "long ".repeat(25)), b"a")])?;
    let mut pax = pack(&[("pax", b"16 path=a/b.jpg\n10 size=1\n"), ("short", b"a")])?;
    // The kind of the first member's header; checksums are made to fit by the fuzz target, and here by hand.
    pax[156] = b'x';
    let sum = pax[..148].iter().chain(&pax[156..512]).map(|&byte| u32::from(byte)).sum::<u32>() + 8 * 32;
    pax[148..155].copy_from_slice(format!("{sum:06o}\0").as_bytes());
    Ok(vec![("flat.tar", flat), ("nested.tar", nested), ("long-name.tar", long), ("pax.tar", pax)])
}

/// Waves with detail in every pixel.
fn picture(side: usize) -> Image {
    let value = |i: usize| {
        let (x, y) = (i / 3 % side, i / 3 / side);
        (x * 5 + y * 3 + i % 3 * 40) as u8 ^ ((i as u32).wrapping_mul(2_654_435_761) >> 27) as u8
    };
    Image { width: side, height: side, pixels: (0..side * side * 3).map(value).collect() }
}

fn compressed(side: usize, change: impl Fn(&mut Compressor) -> turbojpeg::Result<()>) -> Result<Vec<u8>> {
    let mut compressor = Compressor::new()?;
    compressor.set_quality(50)?;
    compressor.set_subsamp(Subsamp::Sub2x2)?;
    change(&mut compressor)?;
    let image = picture(side);
    let view = turbojpeg::Image {
        pixels: image.pixels.as_slice(),
        width: side,
        pitch: side * 3,
        height: side,
        format: PixelFormat::RGB,
    };
    Ok(compressor.compress_to_vec(view)?)
}

fn ycck(side: usize) -> Result<Vec<u8>> {
    let mut compressor = Compressor::new()?;
    compressor.set_colorspace(Colorspace::YCCK)?;
    let pixels: Vec<u8> = picture(side).pixels.chunks(3).flat_map(|p| [p[0], p[1], p[2], 200]).collect();
    let format = PixelFormat::CMYK;
    let view =
        turbojpeg::Image { pixels: pixels.as_slice(), width: side, pitch: side * 4, height: side, format };
    Ok(compressor.compress_to_vec(view)?)
}

/// `file` with an EXIF block that says to turn it by a quarter.
fn turned(file: &[u8]) -> Vec<u8> {
    let tiff = b"II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0\0\0\0\0";
    let segment = [b"\xff\xe1\0\x22Exif\0\0", &tiff[..]].concat();
    [&file[..2], &segment, &file[2..]].concat()
}

fn jpeg() -> Result<Seeds> {
    Ok(vec![
        ("420.jpg", Encoder::new(60).encode(&picture(40))?),
        ("422.jpg", compressed(24, |it| it.set_subsamp(Subsamp::Sub2x1))?),
        ("411.jpg", compressed(37, |it| it.set_subsamp(Subsamp::Sub4x1))?),
        ("444.jpg", compressed(20, |it| it.set_subsamp(Subsamp::None))?),
        ("gray.jpg", compressed(33, |it| it.set_subsamp(Subsamp::Gray))?),
        ("rgb.jpg", compressed(17, |it| it.set_colorspace(Colorspace::RGB))?),
        ("progressive.jpg", compressed(32, |it| it.set_progressive(true))?),
        ("arithmetic.jpg", compressed(32, |it| it.set_arithmetic(true))?),
        ("lossless.jpg", compressed(8, |it| it.set_lossless(true))?),
        ("ycck.jpg", ycck(16)?),
    ])
}

fn formats() -> Result<Seeds> {
    let Image { pixels, .. } = picture(6);
    let image = RgbImage::from_raw(6, 6, pixels).ok_or("6 x 6 pixels")?;
    let image = DynamicImage::from(image);
    let write = |image: &DynamicImage, format| -> Result<Vec<u8>> {
        let mut file = Cursor::new(Vec::new());
        image.write_to(&mut file, format)?;
        Ok(file.into_inner())
    };
    Ok(vec![
        ("rgb.png", write(&image, ImageFormat::Png)?),
        ("gray16.png", write(&image.to_luma16().into(), ImageFormat::Png)?),
        ("alpha.png", write(&image.to_rgba8().into(), ImageFormat::Png)?),
        ("a.gif", write(&image, ImageFormat::Gif)?),
        ("a.bmp", write(&image, ImageFormat::Bmp)?),
        ("lossless.webp", write(&image, ImageFormat::WebP)?),
        ("turned.jpg", turned(&compressed(16, |_| Ok(()))?)),
        ("large.jpg", compressed(64, |_| Ok(()))?),
    ])
}
