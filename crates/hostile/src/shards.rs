//! Prepared data sets and archives: what is read lies where it says, and sizes are those of the files.

use std::fs;
use std::io::Cursor;
use std::path::{Component, Path, PathBuf};
use std::sync::atomic::AtomicBool;

use ilsvrc_images::index::{file_name, sha256};
use ilsvrc_images::tar::{Contents, scan_from};
use ilsvrc_images::{
    About, Class, Dataset, Encoder, Image, Item, Manifest, PrepPlan, Resize, Settings, ShardIndex, Source,
    SourceKind, SplitPlan, prep,
};
use tempfile::TempDir;

thread_local! {
    static SAMPLE: Sample = Sample::new().expect("a data set of two photos can be made");
}

/// A tar archive, as it is and with checksums that fit: hardly a fuzzer finds one.
pub fn tar(bytes: &[u8]) -> bool {
    let mut fitted = bytes.to_vec();
    for block in fitted.chunks_exact_mut(512).filter(|block| block[257..].starts_with(b"ustar")) {
        block[148..156].fill(b' ');
        let sum: u32 = block.iter().map(|&byte| u32::from(byte)).sum();
        block[148..155].copy_from_slice(format!("{sum:06o}\0").as_bytes());
    }
    members_fit(&fitted);
    members_fit(bytes)
}

fn members_fit(bytes: &[u8]) -> bool {
    let length = bytes.len() as u64;
    let name = Path::new("sample.tar");
    let contents = scan_from(Cursor::new(bytes), length, name, &AtomicBool::new(false), &|_| ());
    let Ok(Contents { members, .. }) = contents else { return false };
    for member in members {
        let end = member.offset.checked_add(member.size);
        assert!(end.is_some_and(|end| end <= length), "{member:?} lies in {length} bytes");
        let stays =
            member.name.components().all(|part| matches!(part, Component::Normal(_) | Component::CurDir));
        assert!(member.unsafe_name || stays, "{member:?} stays in the archive");
    }
    true
}

/// The manifest of a data set whose other files are whole. A checksum is made to fit: no fuzzer finds one.
pub fn manifest(bytes: &[u8]) -> bool {
    SAMPLE.with(|sample| sample.open(&signed(bytes)))
}

/// The index of a shard, vouched for by its manifest.
pub fn index(bytes: &[u8]) -> bool {
    SAMPLE.with(|sample| {
        let index = sample.folder().join(file_name(SHARD));
        let whole = fs::read(&index).expect("the sample is there");
        fs::write(&index, bytes).expect("the sample can be changed");
        let hash = sha256(bytes);
        let manifest = sample.manifest.replacen(&sample.index_sha256, &hash, 1);
        let accepted = sample.open(&signed(manifest.as_bytes()));
        if let Ok(index) = ShardIndex::read(&sample.folder(), SHARD, &hash) {
            let edges = index.images.iter().flat_map(|row| row.boxes.iter().flatten());
            assert!(edges.into_iter().all(|edge| edge.is_finite()), "boxes are finite");
        }
        fs::write(&index, whole).expect("the sample can be changed");
        accepted
    })
}

/// The manifest of the data set that [`manifest`] and [`index`] start from.
pub fn sample_manifest() -> Vec<u8> {
    SAMPLE.with(|sample| sample.manifest.as_bytes().to_vec())
}

/// The index of its shard.
pub fn sample_index() -> Vec<u8> {
    SAMPLE.with(|sample| fs::read(sample.folder().join(file_name(SHARD))).expect("the sample is there"))
}

const SHARD: &str = "train-000000.tar";
const CHECKSUM: &[u8] = b"\"checksum\": \"";
const NO_CHECKSUM: [u8; 64] = [b'0'; 64];

/// `manifest` with the checksum that it should have.
fn signed(manifest: &[u8]) -> Vec<u8> {
    let mut text = manifest.to_vec();
    let field = text.windows(CHECKSUM.len()).position(|window| window == CHECKSUM);
    let place = field.map(|at| at + CHECKSUM.len()..at + CHECKSUM.len() + NO_CHECKSUM.len());
    if let Some(place) = place.filter(|place| place.end <= text.len()) {
        text[place.clone()].copy_from_slice(&NO_CHECKSUM);
        let checksum = sha256(&text);
        text[place].copy_from_slice(checksum.as_bytes());
    }
    text
}

/// A prepared data set of two photos in one shard.
struct Sample {
    root: TempDir,
    manifest: String,
    index_sha256: String,
}

impl Sample {
    fn new() -> Result<Self, Box<dyn std::error::Error>> {
        let root = TempDir::new()?;
        let photos = root.path().join("photos");
        fs::create_dir(&photos)?;
        let mut items = Vec::new();
        for number in 0..2u8 {
            let image = Image { width: 9, height: 8, pixels: vec![90 * number; 9 * 8 * 3] };
            let (name, file) = (format!("{number}.jpg"), Encoder::new(90).encode(&image)?);
            fs::write(photos.join(&name), &file)?;
            let (path, size) = (Path::new(&name).into(), file.len() as u64);
            let boxes = [[1.0, 2.0, 7.5, 8.0]].into();
            items.push(Item { path, offset: None, size, source: 0, class: u32::from(number), boxes });
        }
        let plan = plan(&root, photos, items);
        prep(&plan, &AtomicBool::new(false), &|_| {}).map_err(|error| error.message)?;
        // Seeds must not depend on where they were made.
        let manifest = fs::read_to_string(plan.out.join("dataset.json"))?;
        let manifest = signed(manifest.replace(&*root.path().to_string_lossy(), "").as_bytes());
        let read = Manifest::read(&plan.out).map_err(|error| error.message)?;
        let index_sha256 = read.splits[0].shards[0].index_sha256.clone();
        Ok(Self { root, manifest: String::from_utf8(manifest)?, index_sha256 })
    }

    fn folder(&self) -> PathBuf {
        self.root.path().join("out")
    }

    /// Whether the data set is accepted with this manifest.
    fn open(&self, manifest: &[u8]) -> bool {
        let folder = self.folder();
        fs::write(folder.join("dataset.json"), manifest).expect("the sample can be changed");
        // A check is what one does where opening fails.
        let checked = Manifest::read(&folder)
            .and_then(|_| Dataset::check(&folder, &AtomicBool::new(false), &mut |_| {}));
        let Ok(dataset) = Dataset::open(&folder) else { return false };
        assert!(checked.is_ok(), "what can be opened can be checked");
        let manifest = dataset.manifest();
        assert_eq!(dataset.mean().len(), manifest.size * manifest.size * 3);
        for split in &manifest.splits {
            let Ok(images) = dataset.images(&split.name) else { continue };
            // Of two splits of one name, the first is meant.
            let first = manifest.splits.iter().find(|it| it.name == split.name).unwrap_or(split);
            for image in images {
                let shard = folder.join(&first.shards[image.shard as usize].file);
                let length = fs::metadata(shard).expect("an open data set has its shards").len();
                let end = image.offset.checked_add(image.length.into());
                assert!(end.is_some_and(|end| end <= length), "{image:?} lies in {length} bytes");
                assert!((image.class as usize) < manifest.classes.len());
            }
        }
        true
    }
}

fn plan(root: &TempDir, photos: PathBuf, items: Vec<Item>) -> PrepPlan {
    let class = |i| Class { wnid: format!("n{i}"), name: format!("class {i}"), devkit_id: Some(i) };
    PrepPlan {
        out: root.path().join("out"),
        workers: 1,
        force: false,
        part: None,
        about: About {
            name: "sample".to_owned(),
            settings: Settings {
                size: 8,
                resize: Resize::Crop,
                exif_rotate: false,
                quality: 85,
                seed: 1,
                shard_images: 4,
            },
            max_rejected: 0.0,
            layout: "image folder".to_owned(),
            class_order: "folder names".to_owned(),
            sources: vec![Source { path: photos, kind: SourceKind::Folder }],
            classes: (1..=2).map(class).collect(),
            rejected: Vec::new(),
            ignored: [("not an image".to_owned(), 1)].into(),
            request: serde_json::Value::Null,
        },
        splits: vec![SplitPlan { name: "train".to_owned(), items }],
    }
}
