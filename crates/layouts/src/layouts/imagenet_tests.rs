//! The official archives in small: 1,000 archives in one, a flat one, and a kit with a real `meta.mat`.

use std::collections::HashSet;
use std::path::Path;

use ilsvrc_diagnostics::LAYOUT_UNKNOWN;
use ilsvrc_images::PrepPlan;

use crate::formats::matlab::{Synset, synsets};
use crate::samples::{
    Place, archive, assert_all_are_photos, gzip, ignored, images, jpeg, planned, request, wnids,
};

const META: &[u8] = include_bytes!("../../tests/data/meta-2012.mat");

fn leaves() -> Vec<Synset> {
    synsets(META).unwrap().into_iter().filter(|synset| synset.num_children == 0).collect()
}

/// `<wnid>/<wnid>_0.JPEG` and, of every tenth class, a second one.
fn train(leaves: &[Synset]) -> Vec<String> {
    let photo = |wnid: &str, i: usize| format!("{wnid}/{wnid}_{i}.JPEG");
    let of = |(n, leaf): (usize, &Synset)| {
        (0..1 + usize::from(n.is_multiple_of(10))).map(move |i| photo(&leaf.wnid, i)).collect::<Vec<_>>()
    };
    leaves.iter().enumerate().flat_map(of).collect()
}

fn train_tar(leaves: &[Synset]) -> Vec<u8> {
    let paths = train(leaves);
    let inner = |leaf: &Synset| {
        let own = paths.iter().filter_map(|path| path.strip_prefix(&format!("{}/", leaf.wnid)));
        archive(&own.map(|name| (name, jpeg())).collect::<Vec<_>>())
    };
    let inner: Vec<(String, Vec<u8>)> =
        leaves.iter().map(|leaf| (format!("{}.tar", leaf.wnid), inner(leaf))).collect();
    archive(&inner.iter().map(|(name, bytes)| (name.as_str(), bytes.as_slice())).collect::<Vec<_>>())
}

/// The classes of the validation images, as IDs: in no order, and not every class.
const TRUTH: [u32; 6] = [490, 1, 1000, 171, 490, 2];

fn truth() -> String {
    TRUTH.iter().map(|id| format!("{id}\n")).collect()
}

fn val_names(folder: &str) -> Vec<String> {
    (1..=TRUTH.len()).map(|i| format!("{folder}ILSVRC2012_val_{i:08}.JPEG")).collect()
}

fn val_tar(folder: &str) -> Vec<u8> {
    archive(&val_names(folder).iter().map(|name| (name.as_str(), jpeg())).collect::<Vec<_>>())
}

fn kit() -> Vec<u8> {
    archive(&[
        ("ILSVRC2012_devkit_t12/data/meta.mat", META),
        ("ILSVRC2012_devkit_t12/data/ILSVRC2012_validation_ground_truth.txt", truth().as_bytes()),
        ("ILSVRC2012_devkit_t12/readme.txt", b"hello"),
        ("ILSVRC2012_devkit_t12/evaluation/demo.m", b"%"),
    ])
}

fn assert_is_imagenet(plan: &PrepPlan) {
    assert_eq!(plan.about.class_order, "ILSVRC2012_ID of the devkit");
    let leaves = leaves();
    let mut sorted: Vec<&str> = leaves.iter().map(|leaf| leaf.wnid.as_str()).collect();
    sorted.sort_unstable();
    assert_eq!(wnids(plan), sorted);
    for class in &plan.about.classes {
        let leaf = leaves.iter().find(|leaf| leaf.wnid == class.wnid).unwrap();
        assert_eq!(class.devkit_id, Some(leaf.id));
        assert_eq!(class.name, leaf.words.split(',').next().unwrap());
    }
    let train = images(plan, "train");
    assert_eq!(train.len(), 1100);
    assert!(train.iter().all(|(path, wnid)| path.contains(wnid.as_str())));
    let of_id = |id: u32| leaves.iter().find(|leaf| leaf.id == id).unwrap().wnid.clone();
    let val: Vec<String> = images(plan, "val").into_iter().map(|(_, wnid)| wnid).collect();
    assert_eq!(val, TRUTH.map(of_id));
    assert_all_are_photos(plan);
}

#[test]
fn archives_in_a_folder() {
    let place = Place::new();
    place.write("ILSVRC2012_img_train.tar", train_tar(&leaves()));
    place.write("ILSVRC2012_img_val.tar", val_tar(""));
    place.write("ILSVRC2012_devkit_t12.tar.gz", gzip(&kit()));
    place.write("ILSVRC2012_img_test.tar", archive(&[("test/ILSVRC2012_test_00000001.JPEG", jpeg())]));
    let plan = place.plan().unwrap();
    assert_is_imagenet(&plan);
    assert_eq!(plan.about.ignored["a test image: it has no label"], 1);
    assert_eq!(ignored(&plan), 1 + 4);
    // As in the archive, so the same archives give the same data set wherever they lie.
    assert_eq!(&*plan.splits[1].items[0].path, Path::new("ILSVRC2012_val_00000001.JPEG"));

    let apart = ["ILSVRC2012_img_val.tar", "ILSVRC2012_devkit_t12.tar.gz", "ILSVRC2012_img_train.tar"];
    let apart = apart.map(|name| place.join(name));
    let plan = planned(&request(&apart.each_ref().map(|path| path.as_path()))).unwrap();
    assert_is_imagenet(&plan);
    assert!(plan.splits[0].items.iter().all(|item| !item.path.starts_with("ILSVRC2012_img_train")));
}

#[test]
fn unpacked_with_the_kit_in_a_tar_and_with_boxes() {
    let place = Place::new();
    train(&leaves()).iter().for_each(|path| place.write(&format!("train/{path}"), jpeg()));
    place.write("ILSVRC2012_img_val.tar", val_tar("val/"));
    place.write("ILSVRC2012_devkit_t12.tar", kit());
    let first = &leaves()[0].wnid;
    let voc = format!(
        "<annotation><size><width>8</width><height>8</height></size><object><name>{first}</name>\
         <bndbox><xmin>1</xmin><ymin>2</ymin><xmax>5</xmax><ymax>6</ymax></bndbox></object></annotation>"
    );
    place.write(&format!("Annotation/{first}/{first}_0.xml"), voc);
    let plan = place.plan().unwrap();
    assert_is_imagenet(&plan);
    let boxed: Vec<_> = plan.splits[0].items.iter().filter(|item| !item.boxes.is_empty()).collect();
    assert!(boxed.len() == 1 && boxed[0].path.ends_with(format!("{first}_0.JPEG")));
    assert_eq!(*boxed[0].boxes, [[1.0, 2.0, 5.0, 6.0]]);
}

#[test]
fn validation_images_that_are_sorted_already_need_no_kit() {
    let place = Place::new();
    let leaves = &leaves()[..20];
    place.write("ILSVRC2012_img_train.tar", train_tar(leaves));
    place.write(&format!("val/{}/ILSVRC2012_val_00000001.JPEG", leaves[3].wnid), jpeg());
    let plan = place.plan().unwrap();
    assert_eq!(plan.about.class_order, "sorted WNID");
    assert_eq!(images(&plan, "val")[0].1, leaves[3].wnid);
}

#[test]
fn what_is_missing_is_named() {
    let leaves = &leaves()[..20];
    let all = [
        ("ILSVRC2012_img_train.tar", train_tar(leaves)),
        ("ILSVRC2012_img_val.tar", val_tar("")),
        ("kit/data/meta.mat", META.to_vec()),
        ("kit/data/ILSVRC2012_validation_ground_truth.txt", truth().into_bytes()),
    ];
    let messages: HashSet<String> = (0..all.len())
        .map(|without| {
            let place = Place::new();
            let rest = all.iter().enumerate().filter(|(i, _)| *i != without);
            rest.for_each(|(_, (name, bytes))| place.write(name, bytes));
            let error = place.refused();
            assert_eq!(error.code, LAYOUT_UNKNOWN);
            let file = all[without].0.trim_start_matches("kit/");
            assert!(file.ends_with(error.message.split("there is no ").nth(1).unwrap()), "{error}");
            error.hint.unwrap()
        })
        .collect();
    assert_eq!(messages.len(), 3);
}

#[test]
fn an_image_beyond_the_ground_truth_is_rejected() {
    let place = Place::new();
    place.write("ILSVRC2012_img_train.tar", train_tar(&leaves()));
    let extra = "ILSVRC2012_val_00000007.JPEG";
    place.write(
        "val.tar",
        archive(&[(extra, jpeg()), ("ILSVRC2012_val_00000000.JPEG", jpeg()), (&val_names("")[0], jpeg())]),
    );
    place.write("kit.tar", kit());
    let plan = place.plan().unwrap();
    assert_eq!(plan.about.rejected.len(), 2);
    assert_eq!(plan.about.rejected[1].path, format!("val/{extra}"));
    assert_eq!(plan.about.rejected[1].reason, "the development kit has no class for image 7");
    assert_eq!(plan.splits[1].items.len(), 1);
}

#[test]
fn the_archives_of_2010() {
    let place = Place::new();
    let meta = include_bytes!("../../tests/data/meta-2010.mat");
    let leaves: Vec<Synset> =
        synsets(meta).unwrap().into_iter().filter(|synset| synset.num_children == 0).collect();
    place.write("ILSVRC2010_images_train.tar", train_tar(&leaves));
    place.write("ILSVRC2010_images_val.tar", archive(&[("val/ILSVRC2010_val_00000001.JPEG", jpeg())]));
    let truth = format!("{}\n", leaves[1].id);
    let members: [(&str, &[u8]); 2] = [
        ("devkit-1.0/data/meta.mat", meta),
        ("devkit-1.0/data/ILSVRC2010_validation_ground_truth.txt", truth.as_bytes()),
    ];
    place.write("ILSVRC2010_devkit-1.0.tar.gz", gzip(&archive(&members)));
    let plan = place.plan().unwrap();
    assert_eq!(plan.about.class_order, "ILSVRC2010_ID of the devkit");
    assert_eq!(images(&plan, "val")[0].1, leaves[1].wnid);
}
