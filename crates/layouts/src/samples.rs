//! Folders, archives and requests for the tests of this crate.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::sync::atomic::AtomicBool;

use ilsvrc_diagnostics::{Error, Result};
use ilsvrc_images::{Encoder, Image, PrepPlan, Resize, tar};

use crate::{Request, plan};

/// A small JPEG.
pub(crate) fn jpeg() -> &'static [u8] {
    static JPEG: OnceLock<Vec<u8>> = OnceLock::new();
    JPEG.get_or_init(|| {
        let pixels = (0..8 * 8 * 3).map(|i| (i * 37 % 256) as u8).collect();
        Encoder::new(85).encode(&Image { width: 8, height: 8, pixels }).unwrap()
    })
}

/// A folder of its own for a test.
pub(crate) struct Place(tempfile::TempDir);

impl Place {
    pub(crate) fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }

    pub(crate) fn join(&self, path: &str) -> PathBuf {
        self.path().join(path)
    }

    pub(crate) fn write(&self, path: &str, bytes: impl AsRef<[u8]>) {
        let path = self.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }

    /// Small JPEGs at `paths`.
    pub(crate) fn photos(&self, paths: &[&str]) {
        paths.iter().for_each(|path| self.write(path, jpeg()));
    }

    /// Forty of them in a folder: enough that a tenth of them is some.
    pub(crate) fn many(&self, folder: &str) {
        (0..40).for_each(|i| self.write(&format!("{folder}/{i}.jpg"), jpeg()));
    }

    pub(crate) fn request(&self) -> Request {
        request(&[self.path()])
    }

    pub(crate) fn plan(&self) -> Result<PrepPlan> {
        planned(&self.request())
    }

    /// The error of a plan of this folder.
    pub(crate) fn refused(&self) -> Error {
        self.plan().unwrap_err()
    }
}

pub(crate) fn archive(members: &[(&str, &[u8])]) -> Vec<u8> {
    let mut writer = tar::Writer::new(Vec::new());
    for (name, data) in members {
        writer.append(name, data).unwrap();
    }
    writer.finish().unwrap().0
}

pub(crate) fn gzip(bytes: &[u8]) -> Vec<u8> {
    use std::io::Write;
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

pub(crate) fn request(sources: &[&Path]) -> Request {
    Request {
        sources: sources.iter().map(|path| path.to_path_buf()).collect(),
        out: "out".into(),
        name: "test".to_owned(),
        size: 32,
        resize: Resize::Crop,
        quality: 85,
        exif_rotate: false,
        workers: 1,
        seed: 0,
        shard_images: 10,
        max_rejected: 0.01,
        force: false,
        part: None,
        layout: None,
        names: None,
        recipe: None,
    }
}

pub(crate) fn planned(request: &Request) -> Result<PrepPlan> {
    plan(request, &AtomicBool::new(false), &|_| ())
}

/// The images of a split: path and WNID.
pub(crate) fn images(plan: &PrepPlan, split: &str) -> Vec<(String, String)> {
    let items = plan.splits.iter().filter(|own| own.name == split).flat_map(|own| &own.items);
    let wnid = |class: u32| plan.about.classes[class as usize].wnid.clone();
    items.map(|item| (item.path.to_string_lossy().into_owned(), wnid(item.class))).collect()
}

/// The paths of a split.
pub(crate) fn paths(plan: &PrepPlan, split: &str) -> Vec<String> {
    images(plan, split).into_iter().map(|(path, _)| path).collect()
}

pub(crate) fn wnids(plan: &PrepPlan) -> Vec<&str> {
    plan.about.classes.iter().map(|class| class.wnid.as_str()).collect()
}

pub(crate) fn ignored(plan: &PrepPlan) -> u64 {
    plan.about.ignored.values().sum()
}

/// The bytes that the plan finds for every image are those of the photo.
pub(crate) fn assert_all_are_photos(plan: &PrepPlan) {
    for item in plan.splits.iter().flat_map(|split| &split.items) {
        let source = &plan.about.sources[item.source as usize].path;
        let bytes = match item.offset {
            None => fs::read(source.join(&item.path)).unwrap(),
            Some(offset) => fs::read(source).unwrap()[offset as usize..][..item.size as usize].to_vec(),
        };
        assert!(bytes == jpeg(), "{item:?}");
    }
}
