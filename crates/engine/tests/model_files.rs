//! Model files and checkpoints: what is written is read, and what is damaged is refused and changes nothing.

mod common;

use common::{Data, STEPS, request, session, train, weights};
use ilsvrc_diagnostics::{MODEL_CORRUPT, MODEL_FOREIGN, MODEL_UNREADABLE, WRITE_FAILED};
use ilsvrc_engine::{Session, read_metadata};
use ilsvrc_network::Layer;
use safetensors::SafeTensors;
use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

/// A data set, a session trained on it, and its model file.
fn trained() -> (Data, Session, PathBuf) {
    let data = Data::new();
    let mut session = session();
    train(&mut session, &request(&data.path(), 0, 0, STEPS));
    let file = data.file("model.safetensors");
    let metadata = BTreeMap::from([("classes".into(), r#"[{"wnid":"a \"b\""}]"#.into())]);
    session.save_model(&file, &metadata).unwrap();
    (data, session, file)
}

#[test]
fn a_model_is_read_as_it_was_written() {
    let (data, session, file) = trained();
    let mut other = common::session();
    let metadata = other.load_model(&file).unwrap();
    assert_eq!(metadata["classes"], r#"[{"wnid":"a \"b\""}]"#);
    assert_eq!(metadata["ilsvrc.version"], "1");
    assert_eq!(metadata, read_metadata(&file).unwrap());
    assert_eq!(weights(&other), weights(&session));
    // The same content gives the same bytes, and no temporary file is left.
    let copy = data.file("copy.safetensors");
    let own: BTreeMap<_, _> = metadata.into_iter().filter(|(key, _)| !key.starts_with("ilsvrc.")).collect();
    other.save_model(&copy, &own).unwrap();
    assert_eq!(fs::read(&copy).unwrap(), fs::read(&file).unwrap());
    let hidden = fs::read_dir(copy.parent().unwrap())
        .unwrap()
        .filter(|entry| entry.as_ref().unwrap().file_name().to_string_lossy().starts_with('.'));
    assert_eq!(hidden.count(), 0);
}

#[test]
fn other_programs_can_read_it() {
    let (_data, _, file) = trained();
    let bytes = fs::read(&file).unwrap();
    let tensors = SafeTensors::deserialize(&bytes).unwrap();
    assert_eq!(tensors.tensor("tower1.conv2.weight").unwrap().shape(), [6, 8, 3, 3]);
    assert_eq!(tensors.tensor("mean").unwrap().shape(), [20, 20, 3]);
    assert_eq!(tensors.len(), 15);
}

#[test]
fn every_flipped_bit_and_every_cut_is_found() {
    let (data, _, file) = trained();
    let whole = fs::read(&file).unwrap();
    let damaged = data.file("damaged.safetensors");
    let mut session = common::session();
    let before = weights(&session);
    let mut code = |bytes: &[u8]| {
        fs::write(&damaged, bytes).unwrap();
        session.load_model(&damaged).unwrap_err().code
    };
    for cut in [0, 1, 7, 8, 9, 200, whole.len() / 2, whole.len() - 1] {
        assert_eq!(code(&whole[..cut]), MODEL_CORRUPT, "{cut} of {} bytes", whole.len());
    }
    let mut longer = whole.clone();
    longer.push(0);
    assert_eq!(code(&longer), MODEL_CORRUPT);
    for place in (0..whole.len()).step_by(61).chain([whole.len() - 1]) {
        let mut bytes = whole.clone();
        bytes[place] ^= 1 << (place % 8);
        let code = code(&bytes);
        // A flip in the first brace or in the version looks like a foreign file.
        assert!([MODEL_CORRUPT, MODEL_FOREIGN].contains(&code), "bit of byte {place}");
    }
    // A header of 4 GB is not believed.
    let mut huge = whole.clone();
    huge[..8].copy_from_slice(&(1u64 << 32).to_le_bytes());
    assert_eq!(code(&huge), MODEL_CORRUPT);
    assert_eq!(weights(&session), before);
}

#[test]
fn foreign_files_are_told_from_damaged_ones() {
    let (data, _, file) = trained();
    let foreign = data.file("foreign.safetensors");
    let code = |bytes: &[u8]| {
        fs::write(&foreign, bytes).unwrap();
        common::session().load_model(&foreign).unwrap_err().code
    };
    assert_eq!(code(b"\x89PNG\r\n\x1a\n and more than that"), MODEL_FOREIGN);
    let empty = br#"{"__metadata__":{"format":"pt"}}"#;
    assert_eq!(code(&[&(empty.len() as u64).to_le_bytes()[..], empty].concat()), MODEL_FOREIGN);
    let text = fs::read(&file).unwrap();
    let key = b"\"ilsvrc.version\":\"";
    let place = text.windows(key.len()).position(|window| window == key).unwrap() + key.len();
    let mut newer = text;
    newer[place] = b'2';
    assert_eq!(code(&newer), MODEL_FOREIGN);
}

#[test]
fn a_model_of_another_net_is_refused() {
    let (data, _, file) = trained();
    let mut options = common::options(1, &["cpu"]);
    let Layer::Conv { filters, .. } = &mut options.net.layers[0] else { unreachable!() };
    *filters = 5;
    let error = Session::open(options).unwrap().load_model(&file).unwrap_err();
    assert_eq!(error.code, MODEL_FOREIGN);
    assert!(error.message.contains("tower0.conv1.weight"), "{error}");
    // A model lacks what training needs to go on; a checkpoint has all that a model has.
    assert_eq!(session().load_checkpoint(&file).unwrap_err().code, MODEL_FOREIGN);
    let checkpoint = data.file("checkpoint.safetensors");
    let mut session = common::session();
    session.load_model(&file).unwrap();
    session.save_checkpoint(&checkpoint, &BTreeMap::new()).unwrap();
    common::session().load_model(&checkpoint).unwrap();
}

#[test]
fn files_that_cannot_be_read_or_written() {
    let (data, mut session, _) = trained();
    assert_eq!(session.load_model(&data.file("missing")).unwrap_err().code, MODEL_UNREADABLE);
    assert_eq!(session.load_model(&data.path()).unwrap_err().code, MODEL_UNREADABLE);
    let nowhere = data.file("no/such/folder/model.safetensors");
    assert_eq!(session.save_model(&nowhere, &BTreeMap::new()).unwrap_err().code, WRITE_FAILED);
}
