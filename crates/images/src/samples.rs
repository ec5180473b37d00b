//! Photos, folders and plans for the tests of this crate.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use turbojpeg::{Colorspace, Compressor, PixelFormat};

use crate::{
    About, Class, Dataset, Encoder, Image, Item, PrepPlan, Resize, Settings, Source, SourceKind, SplitPlan,
    prep, tar,
};

/// A smooth picture that differs with `seed`.
pub(crate) fn photo(width: usize, height: usize, seed: usize) -> Image {
    let wave = |a: usize, b: usize| {
        (127.0 + 90.0 * ((a * (seed % 5 + 1)) as f64 / 17.0 + b as f64 / 23.0).sin()) as u8
    };
    let pixels = (0..width * height)
        .flat_map(|i| {
            let (x, y) = (i % width, i / width);
            [wave(x, y), wave(y, seed * 7), wave(x + y, seed * 3)]
        })
        .collect();
    Image { width, height, pixels }
}

pub(crate) fn jpeg(width: usize, height: usize, seed: usize) -> Vec<u8> {
    Encoder::new(90).encode(&photo(width, height, seed)).unwrap()
}

/// A JPEG of 24 x 16 pixels that all have the value `pixel`, in another format than RGB.
pub(crate) fn flat(format: PixelFormat, space: Colorspace, pixel: &[u8]) -> Vec<u8> {
    let mut compressor = Compressor::new().unwrap();
    compressor.set_quality(98).unwrap();
    compressor.set_colorspace(space).unwrap();
    let pixels = pixel.repeat(24 * 16);
    let image = turbojpeg::Image {
        pixels: pixels.as_slice(),
        width: 24,
        pitch: 24 * pixel.len(),
        height: 16,
        format,
    };
    compressor.compress_to_vec(image).unwrap()
}

pub(crate) fn gray(value: u8) -> Vec<u8> {
    flat(PixelFormat::GRAY, Colorspace::Gray, &[value])
}

pub(crate) const PNG: &[u8] = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\x01\0\0\0\x01\x08\x02";

/// Writes 33 photos of three classes, among them gray and CMYK ones and one of the final size, and three bad files.
pub(crate) fn photo_folder(folder: &Path) -> Vec<Item> {
    let mut items = Vec::new();
    let mut add = |class: u32, name: &str, bytes: &[u8]| {
        let path = format!("class{class}/{name}");
        fs::create_dir_all(folder.join(&path).parent().unwrap()).unwrap();
        fs::write(folder.join(&path), bytes).unwrap();
        items.push(item(path, bytes.len(), class));
    };
    for i in 0..30 {
        add(i as u32 % 3, &format!("photo {i}.jpg"), &jpeg(33 + i * 5 % 41, 70 - i * 3 % 50, i));
    }
    add(0, "gray.jpg", &gray(99));
    add(1, "cmyk.jpg", &flat(PixelFormat::CMYK, Colorspace::YCCK, &[200, 100, 50, 220]));
    add(2, "exact.jpg", &jpeg(SIZE, SIZE, 5));
    add(0, "empty.jpg", b"");
    add(1, "really.png.jpg", PNG);
    let whole = jpeg(90, 60, 3);
    add(2, "cut.jpg", &whole[..whole.len() / 2]);
    items
}

/// An item of a folder.
pub(crate) fn item(path: String, size: usize, class: u32) -> Item {
    let path = PathBuf::from(path).into_boxed_path();
    Item { source: 0, path, offset: None, size: size as u64, class, boxes: Box::default() }
}

/// Side of the images that [`plan`] makes.
pub(crate) const SIZE: usize = 32;

/// A plan for the items of [`photo_folder`]: the first 26 to train, the rest to validate.
pub(crate) fn plan(source: Source, items: &[Item], out: PathBuf) -> PrepPlan {
    let class = |i| Class { wnid: format!("class{i}"), name: format!("class {i}"), devkit_id: None };
    let (train, val) = items.split_at(26);
    PrepPlan {
        out,
        workers: 1,
        force: false,
        part: None,
        about: About {
            name: "sample".to_owned(),
            settings: Settings {
                size: SIZE,
                resize: Resize::Crop,
                exif_rotate: false,
                quality: 85,
                seed: 3,
                shard_images: 7,
            },
            max_rejected: 0.1,
            layout: "image folder".to_owned(),
            class_order: "folder names".to_owned(),
            sources: vec![source],
            classes: (0..3).map(class).collect(),
            rejected: Vec::new(),
            ignored: [("not an image".to_owned(), 2)].into(),
            request: serde_json::Value::Null,
        },
        splits: vec![
            SplitPlan { name: "train".to_owned(), items: train.to_vec() },
            SplitPlan { name: "val".to_owned(), items: val.to_vec() },
        ],
    }
}

/// A folder `photos` with samples, and a plan that writes to `out`, both below `folder`.
pub(crate) fn folder_plan(folder: &Path) -> PrepPlan {
    let photos = folder.join("photos");
    let items = photo_folder(&photos);
    plan(Source { path: photos, kind: SourceKind::Folder }, &items, folder.join("out"))
}

/// The same photos in `photos.tar`.
pub(crate) fn tar_plan(folder: &Path) -> PrepPlan {
    let from_folder = folder_plan(folder);
    let items: Vec<Item> = from_folder.splits.iter().flat_map(|split| split.items.clone()).collect();
    let path = folder.join("photos.tar");
    let mut writer = tar::Writer::new(fs::File::create(&path).unwrap());
    for item in &items {
        writer
            .append(&item.path.to_string_lossy(), &fs::read(folder.join("photos").join(&item.path)).unwrap())
            .unwrap();
    }
    writer.finish().unwrap();
    let items: Vec<Item> = items
        .into_iter()
        .zip(tar::scan(&path).unwrap())
        .map(|(item, member)| {
            assert_eq!(item.path, member.name);
            Item { offset: Some(member.offset), ..item }
        })
        .collect();
    plan(Source { path, kind: SourceKind::Tar }, &items, folder.join("out"))
}

/// A prepared data set of 24 images to train and 9 to validate, in `folder/out`.
pub(crate) fn dataset(folder: &Path) -> Arc<Dataset> {
    let plan = folder_plan(folder);
    prep(&plan, &AtomicBool::new(false), &|_| {}).unwrap();
    Arc::new(Dataset::open(&plan.out).unwrap())
}

/// All files of a folder, by name.
pub(crate) fn contents(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let mut files: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .map(|path| (path.file_name().unwrap().to_string_lossy().into_owned(), fs::read(&path).unwrap()))
        .collect();
    files.sort();
    files
}

/// `file`, a JPEG, with another segment behind its first two bytes.
pub(crate) fn with_segment(file: &[u8], marker: u8, body: &[u8]) -> Vec<u8> {
    let [high, low] = (body.len() as u16 + 2).to_be_bytes();
    [&file[..2], &[0xff, marker, high, low], body, &file[2..]].concat()
}
