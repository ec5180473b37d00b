//! Two stores of drawn vectors, to measure with: `FOLDER/base` of ROWS and `FOLDER/queries` of QUERIES.
//!
//!     cargo run --release -p ilsvrc-search --example drawn -- FOLDER ROWS QUERIES DIMENSION
use std::path::Path;

use ilsvrc_search::{About, Class, Id, Precision, StoreWriter, WriterOptions, drawn_vectors};

/// Vectors written at a time.
const SOME: usize = 1000;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [folder, rows, queries, dimension] = &arguments[..] else { return Err("four arguments".into()) };
    let dimension = dimension.parse()?;
    std::fs::create_dir_all(folder)?;
    // A seed for each thousand vectors, and others for the queries.
    for (name, count, seed) in [("base", rows.parse()?, 1), ("queries", queries.parse()?, 1 << 32)] {
        let class = Class { wnid: "drawn".into(), name: "drawn".into() };
        let about = About {
            layer: "drawn".into(),
            split: "train".into(),
            model: String::new(),
            data: name.into(),
            preprocessing: serde_json::Value::Null,
            classes: vec![class],
        };
        let options = WriterOptions { precision: Precision::F32, components: None };
        let mut writer = StoreWriter::create(&Path::new(folder).join(name), about, dimension, options)?;
        for first in (0..count).step_by(SOME) {
            let some = SOME.min(count - first);
            let id = |row: usize| Id { key: row.to_string(), path: row.to_string(), class: 0 };
            let ids: Vec<Id> = (first..first + some).map(id).collect();
            writer.append(&drawn_vectors(some, dimension, seed + (first / SOME) as u64), &ids)?;
        }
        writer.finish()?;
    }
    Ok(())
}
