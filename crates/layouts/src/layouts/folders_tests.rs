//! What the layouts by folders do with real trees; the rules are those that data sets were prepared by before.

use std::fs;

use ilsvrc_diagnostics::{LAYOUT_UNKNOWN, ONE_CLASS, SOURCE_UNREADABLE};

use crate::Request;
use crate::describe;
use crate::samples::{
    Place, archive, assert_all_are_photos, ignored, images, jpeg, paths, planned, request, wnids,
};

#[test]
fn train_and_val_are_taken_as_they_are() {
    let place = Place::new();
    let kept = ["train/b/2.jpg", "train/b/1.JPEG", "train/a/x.png", "val/a/y.webp"];
    place.photos(&kept);
    place.photos(&["test/a/z.jpg"]);
    place.write("train/readme.md", "");
    let plan = place.plan().unwrap();
    assert_eq!(plan.about.layout, "image folder: train/<class>/, val/<class>/");
    assert_eq!(plan.about.class_order, "folder names");
    assert_eq!(wnids(&plan), ["a", "b"]);
    assert_eq!(paths(&plan, "train"), ["train/a/x.png", "train/b/1.JPEG", "train/b/2.jpg"]);
    assert_eq!(paths(&plan, "val"), ["val/a/y.webp"]);
    assert_eq!(plan.splits[0].items.iter().map(|item| item.class).collect::<Vec<_>>(), [0, 1, 1]);
    assert_eq!(ignored(&plan), 2);
    assert_all_are_photos(&plan);
    let told = describe(&plan);
    assert_eq!((told.classes, told.splits[0].images, told.source_bytes), (2, 3, 4 * jpeg().len() as u64));
}

#[test]
fn test_is_for_validation_without_val_also_in_a_wrapper() {
    let place = Place::new();
    place.photos(&["set/train/a/1.jpg", "set/train/b/1.jpg", "set/test/b/2.jpg"]);
    assert_eq!(paths(&place.plan().unwrap(), "val"), ["set/test/b/2.jpg"]);
}

#[test]
fn each_image_keeps_its_side_when_others_are_added() {
    let place = Place::new();
    place.many("cat");
    place.many("dog");
    let before = paths(&place.plan().unwrap(), "val");
    let expected = ["cat/0.jpg", "cat/10.jpg", "cat/22.jpg", "cat/5.jpg"];
    assert_eq!(before[..4], expected);
    place.many("emu");
    let after: Vec<String> =
        paths(&place.plan().unwrap(), "val").into_iter().filter(|path| !path.starts_with("emu")).collect();
    assert_eq!(after, before);
    let other = planned(&Request { seed: 1, ..place.request() }).unwrap();
    assert_ne!(paths(&other, "val"), before);
}

#[test]
fn names_come_from_a_mapping_or_from_a_file() {
    let place = Place::new();
    place.photos(&["train/n01/1.jpg", "train/n02/1.jpg", "val/n01/1.jpg"]);
    place.write("LOC_synset_mapping.txt", "n01 tench, Tinca tinca\r\nn02 crane\n\n");
    let names = |request: &Request| {
        planned(request)
            .map(|plan| plan.about.classes.into_iter().map(|class| class.name).collect::<Vec<_>>())
    };
    assert_eq!(names(&place.request()).unwrap(), ["tench", "crane"]);
    place.write("own.txt", "n02 bird");
    let own = |file: &str| names(&Request { names: Some(place.join(file)), ..place.request() });
    assert_eq!(own("own.txt").unwrap(), ["n01", "bird"]);
    assert_eq!(own("none.txt").unwrap_err().code, SOURCE_UNREADABLE);
}

#[test]
fn a_tar_is_planned_as_the_folder_is() {
    let place = Place::new();
    let members = ["./set/train/a/1.jpg", "./set/train/b/1.jpg", "./set/val/a/2.jpg"];
    place.write("set.tar", archive(&members.map(|name| (name, jpeg()))));
    let plan = planned(&request(&[&place.join("set.tar")])).unwrap();
    assert_eq!(images(&plan, "val"), [("set/val/a/2.jpg".to_owned(), "a".to_owned())]);
    assert_all_are_photos(&plan);
}

#[test]
fn several_sources_become_one_data_set() {
    let place = Place::new();
    place.photos(&["one/cat/1.jpg", "two/cat/9.jpg", "three/train/fox/1.jpg", "three/val/fox/1.jpg"]);
    place.many("one/dog");
    place.many("two/emu");
    let plan = planned(&request(&[&place.join("one"), &place.join("two"), &place.join("three")])).unwrap();
    assert_eq!(wnids(&plan), ["cat", "dog", "emu", "fox"]);
    assert!(plan.about.layout.contains("; "));
    assert_eq!(plan.images(), 84);
    assert_all_are_photos(&plan);
}

#[test]
fn boxes_are_those_of_the_class() {
    let place = Place::new();
    place.photos(&["train/cat/1.jpg", "train/cat/2.jpg", "train/dog/1.jpg", "val/cat/1.jpg"]);
    let object = |name: &str, x: u32| {
        format!(
            "<object><name>{name}</name><bndbox><xmin>{x}</xmin><ymin>1</ymin><xmax>9</xmax><ymax>8</ymax></bndbox></object>"
        )
    };
    let voc = |objects: String| {
        format!("<annotation><size><width>10</width><height>10</height></size>{objects}</annotation>")
    };
    place.write("train/cat/1.xml", voc(object("dog", 1) + &object("cat", 2)));
    place.write("Annotations/train/dog/1.xml", voc(object("puppy", 3)));
    place.write("train/cat/2.xml", "<broken");
    let plan = place.plan().unwrap();
    let boxes: Vec<_> = plan.splits[0].items.iter().map(|item| item.boxes.to_vec()).collect();
    assert_eq!(boxes, [vec![[2.0, 1.0, 9.0, 8.0]], vec![], vec![[3.0, 1.0, 9.0, 8.0]]]);
    assert_eq!(plan.about.rejected[0].path, "train/cat/2.xml");
    assert_eq!(plan.images() as u64 + ignored(&plan) + 1, 7);
}

/// All VOC files in one folder: a name that two images have tells nothing.
#[test]
fn boxes_find_their_images_by_name() {
    let place = Place::new();
    place.photos(&["train/cat/a.jpg", "train/cat/b.jpg", "train/dog/b.jpg", "val/cat/c.jpg"]);
    let bounds = "<bndbox><xmin>1</xmin><ymin>2</ymin><xmax>8</xmax><ymax>9</ymax></bndbox>";
    let size = "<size><width>10</width><height>10</height></size>";
    let voc = format!("<annotation>{size}<object><name>cat</name>{bounds}</object></annotation>");
    for name in ["a", "b", "c"] {
        place.write(&format!("annotations/{name}.xml"), voc.clone());
    }
    let plan = place.plan().unwrap();
    let boxes = plan.splits.iter().flat_map(|split| &split.items).map(|item| item.boxes.len());
    assert_eq!(boxes.collect::<Vec<_>>(), [1, 0, 0, 1]);
}

/// Images of ImageNet among a user's photos do not make them ImageNet.
#[test]
fn some_names_of_imagenet_do_not_matter() {
    let place = Place::new();
    place.photos(&["train/cat/1.jpg", "train/dog/ILSVRC2012_val_00000007.JPEG", "val/cat/2.jpg"]);
    assert!(place.plan().unwrap().about.layout.starts_with("image folder"));
}

#[cfg(unix)]
#[test]
fn names_that_are_no_text() {
    use std::os::unix::ffi::OsStrExt;
    let place = Place::new();
    place.photos(&["train/a/1.jpg", "train/b/1.jpg", "val/a/1.jpg"]);
    let odd = std::ffi::OsStr::from_bytes(b"\xe9");
    fs::create_dir(place.join("train").join(odd)).unwrap();
    fs::write(place.join("train").join(odd).join("1.jpg"), jpeg()).unwrap();
    fs::write(place.join("train/a").join(odd).with_extension("jpg"), jpeg()).unwrap();
    let plan = place.plan().unwrap();
    assert_eq!(plan.splits[0].items.len(), 3);
    assert_eq!(plan.about.rejected[0].reason, "the name of its class's folder is not UTF-8");
}

#[test]
fn sources_that_cannot_be_learned_from_are_refused() {
    let place = Place::new();
    place.photos(&["1.jpg", "2.jpg"]);
    assert_eq!(place.refused().code, LAYOUT_UNKNOWN);
    place.many("cat");
    assert_eq!(place.refused().code, ONE_CLASS);
    place.photos(&["train/a/1.jpg", "train/b/1.jpg", "val/c/1.jpg"]);
    let error = place.refused();
    assert_eq!(error.code, LAYOUT_UNKNOWN);
    assert!(error.message.ends_with(": c"), "{error}");
    let forced = |layout: &str| planned(&Request { layout: Some(layout.to_owned()), ..place.request() });
    assert_eq!(wnids(&forced("classes").unwrap()), ["cat", "train", "val"]);
    assert!(forced("nonsense").unwrap_err().info.unwrap().contains("classes"));
}

#[test]
fn a_request_is_kept_without_what_concerns_one_run() {
    let place = Place::new();
    place.photos(&["train/a/1.jpg", "train/b/1.jpg", "val/a/1.jpg"]);
    let plan = planned(&Request { force: true, workers: 7, ..place.request() }).unwrap();
    let kept = plan.about.request;
    for field in ["out", "workers", "force", "part"] {
        assert!(kept.get(field).is_none(), "{field}");
    }
    let again: Request = serde_json::from_value(kept).unwrap();
    assert_eq!(again, Request { out: "".into(), workers: 0, ..place.request() });
}
