//! Stores as they are written, searched, exported, refused.

use std::fs;
use std::path::Path;

use ilsvrc_diagnostics::*;
use ilsvrc_random::{Purpose, Stream};
use serde_json::{Value, json};

use super::*;

fn about() -> About {
    let class = |name: &str| Class { wnid: name.into(), name: name.into() };
    About {
        layer: "fc7".into(),
        split: "train".into(),
        model: "abc".into(),
        data: "def".into(),
        preprocessing: json!({ "resize": "crop" }),
        classes: vec![class("cat"), class("dog")],
    }
}

const PLAIN: WriterOptions = WriterOptions { precision: Precision::F32, components: None };

fn ids(rows: std::ops::Range<usize>) -> Vec<Id> {
    let id =
        |row| Id { key: format!("{row:08}"), path: format!("cat/{row} \"ä\"\n.jpg"), class: row as u32 % 2 };
    rows.map(id).collect()
}

/// Mixtures of a few directions plus noise, as features are; cut at 0 (as after a ReLU) or not.
fn features(rows: usize, dimension: usize, relu: bool, seed: u64) -> Vec<f32> {
    const RANK: usize = 12;
    let direction = Stream::new(0, Purpose::Drawing, 1, 0);
    let directions: Vec<f32> = (0..RANK * dimension).map(|i| direction.normal_pair(i as u32)[0]).collect();
    let mut values = vec![0.0; rows * dimension];
    for (row, vector) in values.chunks_exact_mut(dimension).enumerate() {
        let stream = Stream::new(seed, Purpose::Drawing, 2, row as u32);
        for (rank, direction) in directions.chunks_exact(dimension).enumerate() {
            let weight = stream.normal_pair(rank as u32)[0];
            vector.iter_mut().zip(direction).for_each(|(x, d)| *x += weight * d);
        }
        for (element, x) in vector.iter_mut().enumerate() {
            *x += 0.3 * stream.normal_pair((RANK + element) as u32)[0];
            if relu {
                *x = (*x - 1.0).max(0.0);
            }
        }
    }
    values
}

fn write(folder: &Path, vectors: &[f32], dimension: usize, options: WriterOptions) -> Meta {
    let mut writer = StoreWriter::create(folder, about(), dimension, options).unwrap();
    let count = vectors.len() / dimension;
    for start in (0..count).step_by(100) {
        let rows = start..count.min(start + 100);
        writer.append(&vectors[rows.start * dimension..rows.end * dimension], &ids(rows)).unwrap();
    }
    writer.finish().unwrap()
}

/// Rows by exact distance, ties by number: plain loops.
fn brute_force(vectors: &[f32], query: &[f32], k: usize) -> Vec<usize> {
    let distance = |row: &[f32]| -> f64 {
        row.iter().zip(query).map(|(&a, &b)| (f64::from(a) - f64::from(b)).powi(2)).sum()
    };
    let mut rows: Vec<(f64, usize)> =
        vectors.chunks_exact(query.len()).enumerate().map(|(row, vector)| (distance(vector), row)).collect();
    rows.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
    rows.truncate(k);
    rows.into_iter().map(|(_, row)| row).collect()
}

fn rows(found: &[Neighbour]) -> Vec<usize> {
    found.iter().map(|neighbour| neighbour.row).collect()
}

#[test]
fn the_nearest_are_those_of_brute_force() {
    let place = tempfile::tempdir().unwrap();
    for (relu, dimension) in [(true, 200), (false, 200), (true, 1), (false, 67)] {
        let vectors = features(3000, dimension, relu, 1);
        write(&place.path().join("s"), &vectors, dimension, PLAIN);
        let store = Store::open(&place.path().join("s")).unwrap();
        // More than a pass, and one of the store's own rows.
        let mut queries = features(40, dimension, relu, 2);
        queries.extend_from_slice(&vectors[7 * dimension..8 * dimension]);
        let found = store.search(&queries, 10).unwrap();
        assert_eq!(found.len(), 41);
        for (query, found) in queries.chunks_exact(dimension).zip(&found) {
            assert_eq!(rows(found), brute_force(&vectors, query, 10), "dimension {dimension}");
        }
        assert!(found[40][0].distance == 0.0);
    }
}

/// All vectors alike but for the last digits: bytes tell nothing, so all rows are candidates in the end.
#[test]
fn rows_that_bytes_cannot_tell_apart_are_told_apart() {
    let place = tempfile::tempdir().unwrap();
    let stream = Stream::new(3, Purpose::Drawing, 0, 0);
    let vectors: Vec<f32> =
        (0..2000 * 16).map(|i| if i % 16 == 0 { 1000.0 } else { 1e-3 * stream.uniform(i) }).collect();
    write(&place.path().join("s"), &vectors, 16, PLAIN);
    let store = Store::open(&place.path().join("s")).unwrap();
    let query = &vectors[16 * 1234..][..16];
    assert_eq!(rows(&store.search(query, 10).unwrap()[0]), brute_force(&vectors, query, 10));
}

#[test]
fn ties_are_in_the_order_of_rows_for_any_number_of_threads() {
    let place = tempfile::tempdir().unwrap();
    // 9,000 rows, three tasks, of seven different vectors.
    let vectors: Vec<f32> = (0..9000 * 4).map(|i| ((i / 4 % 7) * (i % 4)) as f32).collect();
    write(&place.path().join("s"), &vectors, 4, PLAIN);
    let store = Store::open(&place.path().join("s")).unwrap();
    let of = |threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| store.search(&[0.0, 2.0, 4.0, 6.0], 1500).unwrap())
    };
    let found = of(1);
    assert_eq!(rows(&found[0][..3]), [2, 9, 16]);
    assert_eq!(rows(&found[0]), brute_force(&vectors, &[0.0, 2.0, 4.0, 6.0], 1500));
    assert_eq!(found, of(3));
}

/// Of the parts one is empty, one has fewer rows than are asked for, and equal vectors lie in several.
#[test]
fn what_parts_of_a_store_find_is_merged_to_what_all_of_it_finds() {
    let place = tempfile::tempdir().unwrap();
    let mut vectors = features(5000, 24, true, 1);
    vectors.copy_within(0..100 * 24, 4800 * 24);
    write(&place.path().join("s"), &vectors, 24, PLAIN);
    let store = Store::open(&place.path().join("s")).unwrap();
    let queries = features(40, 24, true, 2);
    for k in [0, 1, 10, 300, 6000] {
        let parts = [0..3, 3..4500, 4500..4500, 4500..5000];
        let found = parts.map(|rows| store.search_rows(&queries, k, rows).unwrap());
        assert_eq!(merge(found.to_vec(), k), store.search(&queries, k).unwrap(), "{k} neighbours");
    }
}

#[test]
fn more_neighbours_than_rows_are_all_rows() {
    let place = tempfile::tempdir().unwrap();
    write(&place.path().join("s"), &features(5, 8, true, 1), 8, PLAIN);
    let store = Store::open(&place.path().join("s")).unwrap();
    assert_eq!(store.search(&[1.0; 8], 100).unwrap()[0].len(), 5);
    assert_eq!(store.search(&[1.0; 8], 0).unwrap()[0].len(), 0);
    assert!(store.search(&[], 3).unwrap().is_empty());
    assert_eq!(store.search(&[1.0; 9], 3).unwrap_err().code, FEATURES_UNUSABLE);
    assert_eq!(store.search(&[f32::NAN; 8], 3).unwrap_err().code, FEATURES_UNUSABLE);
    // Its square is no number in f32: all bounds would be the same.
    assert_eq!(store.search(&[1e20; 8], 3).unwrap_err().code, FEATURES_UNUSABLE);
}

#[test]
fn a_store_gives_back_what_was_written() {
    let place = tempfile::tempdir().unwrap();
    let folder = place.path().join("deep/er");
    fs::create_dir(place.path().join("deep")).unwrap();
    let vectors = features(250, 70, false, 1);
    let meta = write(&folder, &vectors, 70, PLAIN);
    let store = Store::open(&folder).unwrap();
    assert_eq!((store.meta(), meta.count, meta.stride), (&meta, 250, 128));
    assert_eq!(store.vectors(0..250), vectors);
    assert_eq!(store.id(249).unwrap(), ids(249..250)[0]);
    assert_eq!(fs::read_dir(place.path().join("deep")).unwrap().count(), 1, "nothing is left beside it");

    let half = WriterOptions { precision: Precision::F16, components: None };
    write(&folder, &vectors, 70, half);
    let store = Store::open(&folder).unwrap();
    let kept = store.vectors(0..250);
    assert!(kept.iter().zip(&vectors).all(|(a, b)| (a - b).abs() <= b.abs() / 2048.0 + 1e-7));
    let query = features(1, 70, false, 2);
    assert_eq!(rows(&store.search(&query, 10).unwrap()[0]), brute_force(&kept, &query, 10));
}

#[test]
fn components_are_applied_to_rows_and_to_queries() {
    let place = tempfile::tempdir().unwrap();
    let vectors = features(400, 64, true, 1);
    let options = WriterOptions { precision: Precision::F32, components: Some(40) };
    let meta = write(&place.path().join("s"), &vectors, 64, options);
    assert_eq!((meta.dimension, meta.source_dimension), (40, 64));
    assert!(meta.pca.as_ref().unwrap().explained > 0.9, "{meta:?}");
    let store = Store::open(&place.path().join("s")).unwrap();
    let found = store.search(&vectors[64 * 9..64 * 10], 3).unwrap();
    assert!(found[0][0].row == 9 && found[0][0].distance < 1e-6, "{found:?}");
    let again = place.path().join("again");
    write(&again, &vectors, 64, options);
    assert_eq!(fs::read(again.join("pca.f32")).unwrap(), fs::read(place.path().join("s/pca.f32")).unwrap());

    let too_many = WriterOptions { precision: Precision::F32, components: Some(64) };
    let mut writer = StoreWriter::create(&again, about(), 64, too_many).unwrap();
    writer.append(&vectors[..64 * 30], &ids(0..30)).unwrap();
    assert_eq!(writer.finish().unwrap_err().code, FEATURES_UNUSABLE);
    assert_eq!(Store::open(&again).unwrap().meta().dimension, 40, "the old store is still there");
}

#[test]
fn a_writer_that_stops_leaves_what_was_there() {
    let place = tempfile::tempdir().unwrap();
    let folder = place.path().join("s");
    let mut writer = StoreWriter::create(&folder, about(), 2, PLAIN).unwrap();
    writer.append(&[1.0, 2.0], &ids(0..1)).unwrap();
    assert_eq!(StoreWriter::create(&folder, about(), 2, PLAIN).err().unwrap().code, STORE_BUSY);
    assert!(Store::find(&folder).unwrap().is_none());
    drop(writer);
    assert_eq!(fs::read_dir(place.path()).unwrap().count(), 0);

    // What a killed one leaves: the next one takes its place.
    let left = place.path().join(".s.ilsvrc-tmp");
    fs::create_dir(&left).unwrap();
    fs::write(left.join("vectors.u8"), "half").unwrap();
    fs::write(left.join("lock"), "").unwrap();
    write(&folder, &[1.0, 2.0], 2, PLAIN);
    assert_eq!(Store::open(&folder).unwrap().meta().count, 1);
    assert!(!left.exists());
}

#[test]
fn vectors_that_are_too_large_or_none_are_refused() {
    let place = tempfile::tempdir().unwrap();
    let folder = place.path().join("s");
    let mut writer = StoreWriter::create(&folder, about(), 2, PLAIN).unwrap();
    for large in [f32::INFINITY, f32::NAN, -1e17] {
        let error = writer.append(&[1.0, 2.0, large, 0.0], &ids(0..2)).unwrap_err();
        assert!(error.code == FEATURES_UNUSABLE && error.message.contains("cat/1"), "{error}");
    }
    assert_eq!(writer.finish().unwrap_err().code, FEATURES_UNUSABLE);
    let create = |dimension, components| {
        let options = WriterOptions { precision: Precision::F32, components };
        StoreWriter::create(&folder, about(), dimension, options).err().map(|error| error.code)
    };
    assert_eq!(create(0, None), Some(FEATURES_UNUSABLE));
    assert_eq!(create(1 << 17, None), Some(FEATURES_UNUSABLE));
    assert_eq!(create(8, Some(9)), Some(FEATURES_UNUSABLE));
}

#[test]
fn a_folder_with_other_things_is_not_replaced() {
    let place = tempfile::tempdir().unwrap();
    fs::write(place.path().join("thesis.tex"), "all of it").unwrap();
    assert_eq!(StoreWriter::create(place.path(), about(), 2, PLAIN).err().unwrap().code, OUTPUT_DIFFERS);
    assert!(place.path().join("thesis.tex").exists());
}

#[test]
fn a_store_of_something_else_is_stale() {
    let place = tempfile::tempdir().unwrap();
    write(place.path(), &[1.0, 2.0], 2, PLAIN);
    let store = Store::open(place.path()).unwrap();
    store.expect(&about()).unwrap();
    let changes: [fn(&mut About); 5] = [
        |it| it.model.push('x'),
        |it| it.data.push('x'),
        |it| it.layer = "conv5".into(),
        |it| it.split = "val".into(),
        |it| it.preprocessing = Value::Null,
    ];
    for change in changes {
        let mut other = about();
        change(&mut other);
        assert_eq!(store.expect(&other).unwrap_err().code, STORE_STALE);
    }
}

#[test]
fn damaged_and_foreign_stores_are_refused_before_anything_is_mapped() {
    let place = tempfile::tempdir().unwrap();
    let folder = place.path().join("s");
    let code = || Store::open(&folder).err().map(|error| error.code);
    assert_eq!(code(), Some(STORE_UNREADABLE));
    let fresh = || write(&folder, &features(20, 8, true, 1), 8, PLAIN);
    for name in ["vectors.u8", "rows.f32", "vectors.f32", "ids.jsonl"] {
        fresh();
        let length = fs::metadata(folder.join(name)).unwrap().len();
        let file = fs::OpenOptions::new().write(true).open(folder.join(name)).unwrap();
        file.set_len(length - 1).unwrap();
        assert_eq!(code(), Some(STORE_CORRUPT), "{name} cut");
        fs::remove_file(folder.join(name)).unwrap();
        assert_eq!(code(), Some(STORE_UNREADABLE), "{name} gone");
    }
    fresh();
    let text = fs::read_to_string(folder.join("meta.json")).unwrap();
    let changed = |from: &str, to: &str| {
        assert!(text.contains(from));
        fs::write(folder.join("meta.json"), text.replace(from, to)).unwrap();
        Store::open(&folder).err().map(|error| error.code)
    };
    assert_eq!(changed("\"version\": 1", "\"version\": 2"), Some(STORE_FOREIGN));
    assert_eq!(changed("\"version\": 1,", ""), Some(STORE_FOREIGN));
    assert_eq!(changed("\"layer\"", "\"level\""), Some(STORE_FOREIGN));
    assert_eq!(changed("\"count\": 20", "\"count\": 19"), Some(STORE_CORRUPT));
    assert_eq!(changed("\"count\": 20", "\"count\": 0"), Some(STORE_CORRUPT));
    assert_eq!(changed("\"count\": 20", "\"count\": 99999999999999"), Some(STORE_CORRUPT));
    assert_eq!(changed("\"dimension\": 8", "\"dimension\": 999999999"), Some(STORE_CORRUPT));
    assert_eq!(changed("\"stride\": 64", "\"stride\": 0"), Some(STORE_CORRUPT));
    assert_eq!(changed("{", "["), Some(STORE_CORRUPT));
    fresh();
    // As many bytes, one line less.
    let ids = fs::read_to_string(folder.join("ids.jsonl")).unwrap();
    fs::write(folder.join("ids.jsonl"), ids.replacen('\n', " ", 1)).unwrap();
    assert_eq!(code(), Some(STORE_CORRUPT));
    fs::write(folder.join("ids.jsonl"), ids.replacen("\"class\":1", "\"class\":7", 1)).unwrap();
    assert_eq!(Store::open(&folder).unwrap().id(1).unwrap_err().code, STORE_CORRUPT);
}

/// Lengths say nothing of numbers: with these a search would never end, or find distances that are none.
#[test]
fn stores_whose_numbers_are_not_finite_are_refused() {
    let place = tempfile::tempdir().unwrap();
    let folder = place.path().join("s");
    // More rows than the candidates of a search's first try.
    let spoil = |name: &str, number: f32| {
        write(&folder, &features(200, 8, true, 1), 8, PLAIN);
        let length = fs::metadata(folder.join(name)).unwrap().len() as usize;
        fs::write(folder.join(name), number.to_le_bytes().repeat(length / 4)).unwrap();
        Store::open(&folder).and_then(|store| store.search(&[1.0; 8], 3)).unwrap_err().code
    };
    for number in [f32::NAN, f32::INFINITY] {
        assert_eq!(spoil("rows.f32", number), STORE_CORRUPT);
        assert_eq!(spoil("vectors.f32", number), STORE_CORRUPT);
    }
}

#[test]
fn exports_hold_the_vectors_behind_their_headers() {
    let place = tempfile::tempdir().unwrap();
    let vectors = features(3, 5, false, 1);
    write(&place.path().join("s"), &vectors, 5, PLAIN);
    let store = Store::open(&place.path().join("s")).unwrap();
    let bytes: Vec<u8> = vectors.iter().flat_map(|x| x.to_le_bytes()).collect();

    let path = place.path().join("a.npy");
    export(&store, Format::Npy, &path).unwrap();
    let npy = fs::read(&path).unwrap();
    assert_eq!(&npy[..10], b"\x93NUMPY\x01\x00\x76\x00");
    let header = std::str::from_utf8(&npy[10..128]).unwrap();
    assert_eq!(header.trim_end(), "{'descr': '<f4', 'fortran_order': False, 'shape': (3, 5), }");
    assert!(header.ends_with('\n') && npy[128..] == bytes);

    let path = place.path().join("a.safetensors");
    export(&store, Format::Safetensors, &path).unwrap();
    let file = fs::read(&path).unwrap();
    let length = u64::from_le_bytes(*file.first_chunk().unwrap()) as usize;
    let header: Value = serde_json::from_slice(&file[8..8 + length]).unwrap();
    assert_eq!(header["features"], json!({ "dtype": "F32", "shape": [3, 5], "data_offsets": [0, 60] }));
    assert_eq!(file[8 + length..8 + length + 60], bytes);
    assert_eq!(file[8 + length + 60..], [0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0]);
}
