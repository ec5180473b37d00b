//! Feature stores: what opens fits its files, and can be searched.

use std::fs;

use ilsvrc_search::{About, Class, Id, Precision, Store, StoreWriter, WriterOptions};
use tempfile::TempDir;

const ROWS: usize = 5;
const DIMENSION: usize = 8;

thread_local! {
    static SAMPLE: TempDir = sample().expect("a store of five vectors can be made");
}

/// `meta.json` of a store whose other files are whole, and behind a zero byte its `ids.jsonl`.
pub fn store(bytes: &[u8]) -> bool {
    SAMPLE.with(|folder| {
        let end = bytes.iter().position(|&byte| byte == 0);
        let (meta, ids) = bytes.split_at(end.unwrap_or(bytes.len()));
        let write = |name: &str, bytes: &[u8]| {
            fs::write(folder.path().join(name), bytes).expect("the sample can be changed");
        };
        write("meta.json", meta);
        if let Some(ids) = ids.get(1..) {
            write("ids.jsonl", ids);
        }
        let opened = Store::open(folder.path());
        let accepted = opened.is_ok();
        if let Ok(store) = opened {
            let meta = store.meta();
            assert_eq!(store.vectors(0..meta.count).len(), meta.count * meta.dimension);
            if meta.source_dimension == DIMENSION {
                let found = store.search(&[0.5; DIMENSION], 3).expect("the query fits");
                assert!(found[0].iter().all(|near| near.row < meta.count), "{found:?}");
            }
            for row in 0..meta.count {
                let is_known = |id: Id| (id.class as usize) < meta.about.classes.len();
                assert!(store.id(row).map_or(true, is_known), "classes are known");
            }
        }
        if end.is_some() {
            write("ids.jsonl", &sample_ids());
        }
        accepted
    })
}

/// The description that [`store`] starts from.
pub fn sample_store() -> Vec<u8> {
    let folder = sample().expect("a store of five vectors can be made");
    fs::read(folder.path().join("meta.json")).expect("the sample is there")
}

/// The same with the list of images behind it.
pub fn sample_store_and_ids() -> Vec<u8> {
    [sample_store(), vec![0], sample_ids()].concat()
}

fn sample_ids() -> Vec<u8> {
    let folder = sample().expect("a store of five vectors can be made");
    fs::read(folder.path().join("ids.jsonl")).expect("the sample is there")
}

fn sample() -> Result<TempDir, Box<dyn std::error::Error>> {
    let folder = TempDir::new()?;
    let class = |name: &str| Class { wnid: name.into(), name: name.into() };
    let about = About {
        layer: "fc7".into(),
        split: "train".into(),
        model: "1".into(),
        data: "2".into(),
        preprocessing: serde_json::json!({ "resize": "crop" }),
        classes: vec![class("cat"), class("dog")],
    };
    let options = WriterOptions { precision: Precision::F32, components: None };
    let mut writer = StoreWriter::create(folder.path(), about, DIMENSION, options)?;
    let vectors: Vec<f32> = (0..ROWS * DIMENSION).map(|i| (i % 11) as f32).collect();
    let id = |row| Id { key: format!("{row:08}"), path: format!("cat/{row}.jpg"), class: row as u32 % 2 };
    writer.append(&vectors, &(0..ROWS).map(id).collect::<Vec<_>>())?;
    writer.finish()?;
    Ok(folder)
}
