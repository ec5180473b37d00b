//! Shards as others and as we write them.

use std::path::Path;

use crate::Request;
use crate::samples::{
    Place, archive, assert_all_are_photos, ignored, images, jpeg, paths, planned, request, wnids,
};

/// A shard of samples `<key>.jpg` and `<key>.<ending>`.
fn shard(samples: &[(&str, &str, &str)]) -> Vec<u8> {
    let mut members: Vec<(String, &[u8])> = Vec::new();
    for (key, ending, label) in samples {
        members.push((format!("{key}.jpg"), jpeg()));
        members.push((format!("{key}.{ending}"), label.as_bytes()));
    }
    archive(&members.iter().map(|(name, bytes)| (name.as_str(), *bytes)).collect::<Vec<_>>())
}

#[test]
fn numbers_keep_their_order_and_names_come_from_a_file() {
    let place = Place::new();
    let samples: Vec<(String, String)> = (0..12).map(|i| (format!("{i:04}"), i.to_string())).collect();
    let samples: Vec<_> = samples.iter().map(|(key, label)| (key.as_str(), "cls", label.as_str())).collect();
    place.write("train-000000.tar", shard(&samples));
    place.write("val-000000.tar", shard(&[("9999", "cls", "10\n")]));
    place.write("test-000000.tar", shard(&[("8888", "cls", "1")]));
    let plan = place.plan().unwrap();
    assert_eq!(plan.about.class_order, "numbers of the labels");
    assert_eq!(plan.splits[0].items.iter().map(|item| item.class).collect::<Vec<_>>(), Vec::from_iter(0..12));
    let class = &plan.about.classes[plan.splits[1].items[0].class as usize];
    assert_eq!((class.wnid.as_str(), class.name.as_str()), ("10", "10"));
    assert_eq!((plan.about.classes[1].wnid.as_str(), plan.about.classes[1].name.as_str()), ("01", "1"));
    assert_eq!(plan.about.ignored["in a shard that is neither for training nor for validation"], 1);
    assert_eq!(plan.images() as u64 + ignored(&plan), 28);
    assert_eq!(&*plan.splits[1].items[0].path, Path::new("9999.jpg"));
    assert_all_are_photos(&plan);

    // Listed in another order than sorted: label 0 is the last class.
    let lines: String = (0..12).map(|i| format!("n{:08} class {i}, other\n", 99 - i)).collect();
    place.write("names", lines);
    let plan = planned(&Request { names: Some(place.join("names")), ..place.request() }).unwrap();
    assert_eq!(plan.splits[0].items[0].class, 11);
    assert_eq!(plan.about.classes[11].name, "class 0");
    assert_eq!(plan.about.class_order, "lines of the file of names");
}

#[test]
fn a_shard_alone_is_split_by_key() {
    let place = Place::new();
    let keys: Vec<String> = (0..40).map(|i| format!("x/{i}")).collect();
    let samples: Vec<_> = keys
        .iter()
        .enumerate()
        .map(|(i, key)| (key.as_str(), "json", [r#"{"label": "cat"}"#, r#"{"class": "dog"}"#][i % 2]))
        .collect();
    place.write("photos.tar", shard(&samples));
    let plan = planned(&request(&[&place.join("photos.tar")])).unwrap();
    assert_eq!((wnids(&plan), plan.about.class_order.as_str()), (vec!["cat", "dog"], "names of the labels"));
    assert_eq!(images(&plan, "val").len() + images(&plan, "train").len(), 40);
    assert!(!images(&plan, "val").is_empty());
    let again = Request { seed: 1, ..request(&[&place.join("photos.tar")]) };
    assert_ne!(paths(&planned(&again).unwrap(), "val"), paths(&plan, "val"));
}

#[test]
fn our_own_shards_have_boxes_beside_their_labels() {
    let place = Place::new();
    let json = br#"{"boxes": [[1, 2, 3, 4]], "width": 8, "height": 8}"#;
    let ours =
        archive(&[("a.cls", b"0"), ("a.jpg", jpeg()), ("a.json", json), ("b.cls", b"1"), ("b.jpg", jpeg())]);
    place.write("train-000000.tar", ours);
    place.write("val-000000.tar", shard(&[("c", "cls", "1")]));
    let plan = place.plan().unwrap();
    let boxes: Vec<_> = plan.splits[0].items.iter().map(|item| item.boxes.to_vec()).collect();
    assert_eq!(boxes, [vec![[1.0, 2.0, 3.0, 4.0]], vec![]]);
}

#[test]
fn a_sample_without_a_usable_label_is_rejected_alone() {
    let place = Place::new();
    let mut samples = vec![("a", "cls", "0"), ("b", "cls", "1"), ("c", "cls", "cat"), ("d", "json", "{}")];
    samples.push(("e", "txt", "a caption"));
    place.write("train.tar", shard(&samples));
    let odd: [(&str, &[u8]); 4] =
        [("a.x.jpg", jpeg()), ("a.cls", b"0"), ("a.y.jpg", jpeg()), ("f.cls", b"1")];
    place.write("val.tar", archive(&odd));
    let plan = place.plan().unwrap();
    let reasons: Vec<&str> = plan.about.rejected.iter().map(|rejected| rejected.reason.as_str()).collect();
    assert_eq!(reasons.len(), 4);
    assert!(reasons[0].contains("c.cls: the .cls is \"cat\""), "{reasons:?}");
    assert!(reasons[1].contains("d.json: no label"), "{reasons:?}");
    assert_eq!(reasons[2..], ["no label beside it: neither .cls nor .json", "a second image of its sample"]);
    assert_eq!(plan.images() as u64 + ignored(&plan) + 4, 14);
}
