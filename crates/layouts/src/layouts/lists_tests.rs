//! Caffe's lists in all three class orders, with paths as people have them.

use ilsvrc_diagnostics::{ANNOTATION_MALFORMED, LAYOUT_UNKNOWN};

use crate::Request;
use crate::samples::{Place, archive, assert_all_are_photos, ignored, images, jpeg, planned, request, wnids};

const WNIDS: [&str; 3] = ["n00000001", "n00000002", "n00000003"];

/// Two photos a class to learn from, flat ones to validate.
fn photos(place: &Place) {
    for wnid in WNIDS {
        place.photos(&[&format!("train/{wnid}/{wnid}_1.JPEG"), &format!("train/{wnid}/{wnid}_2.JPEG")]);
    }
    place.photos(&["val/v1.JPEG", "val/v2.JPEG", "val/v3.JPEG", "val/unlisted.JPEG"]);
}

/// Lists in which class `c` has the number `label(c)`; `v<i>` is of class `3 - i`.
fn lists(place: &Place, label: impl Fn(usize) -> u32) {
    let mut train = String::new();
    for (class, wnid) in WNIDS.iter().enumerate() {
        for photo in 1..=2 {
            train += &format!("{wnid}/{wnid}_{photo}.JPEG {}\n", label(class));
        }
    }
    place.write("train.txt", train);
    place.write("val.txt", (1..=3).map(|i| format!("v{i}.JPEG {}\n", label(3 - i))).collect::<String>());
}

fn assert_mapped(place: &Place, order: &str) {
    let plan = place.plan().unwrap();
    assert_eq!(plan.about.class_order, order);
    assert_eq!(wnids(&plan), WNIDS);
    assert!(images(&plan, "train").iter().all(|(path, wnid)| path.contains(wnid.as_str())));
    let val: Vec<String> = images(&plan, "val").into_iter().map(|(_, wnid)| wnid).collect();
    assert_eq!(val, [WNIDS[2], WNIDS[1], WNIDS[0]]);
    assert_eq!(plan.about.ignored["not listed"], 1);
    assert_all_are_photos(&plan);
}

#[test]
fn all_three_orders_are_recognised() {
    let place = Place::new();
    photos(&place);
    lists(&place, |class| class as u32);
    assert_mapped(&place, "sorted WNID");
    lists(&place, |class| class as u32 + 1);
    assert_mapped(&place, "TF slim: sorted WNID from 1, 0 is background");
    place.write("synset_words.txt", "n00000001 tench, Tinca tinca\nn00000002 crane\nn00000003 crane\n");
    assert_mapped(&place, "TF slim: sorted WNID from 1, 0 is background");
    lists(&place, |class| class as u32);
    assert_mapped(&place, "sorted WNID");
    // Another order of the list of classes, and labels that follow it.
    place.write("synset_words.txt", "n00000003 a\nn00000001 b\nn00000002 c\n");
    lists(&place, |class| [1, 2, 0][class]);
    assert_mapped(&place, "order of synset_words.txt");
}

#[test]
fn the_numbers_of_the_devkit_are_recognised() {
    let place = Place::new();
    let meta = include_bytes!("../../tests/data/meta-2012.mat");
    place.write("data/meta.mat", meta);
    let synsets = crate::formats::matlab::synsets(meta).unwrap();
    let (mut train, mut val) = (String::new(), String::new());
    for synset in &synsets[..4] {
        place.photos(&[&format!("train/{0}/{0}_1.JPEG", synset.wnid), &format!("val/{}.JPEG", synset.id)]);
        train += &format!("{0}/{0}_1.JPEG {1}\n", synset.wnid, synset.id);
        val += &format!("{0}.JPEG {0}\n", synset.id);
    }
    place.write("train.txt", train);
    place.write("val.txt", val);
    let plan = place.plan().unwrap();
    assert_eq!(plan.about.class_order, "ILSVRC2012_ID of the devkit");
    for item in &plan.splits[1].items {
        let id: u32 = item.path.file_stem().unwrap().to_str().unwrap().parse().unwrap();
        assert_eq!(plan.about.classes[item.class as usize].devkit_id, Some(id));
    }
}

#[test]
fn numbers_that_contradict_the_paths_are_refused() {
    let place = Place::new();
    photos(&place);
    place.write("synset_words.txt", "n00000001 a\nn00000002 b\nn00000003 c\n");
    lists(&place, |class| [2, 0, 1][class]);
    let error = place.refused();
    assert_eq!(error.code, LAYOUT_UNKNOWN);
    assert!(error.info.unwrap().contains("by the paths 0 is n00000002"));
    // The validation list counts from 1, the other from 0.
    lists(&place, |class| class as u32);
    place.write("val.txt", "v1.JPEG 3\nv2.JPEG 2\n");
    assert_eq!(place.refused().code, LAYOUT_UNKNOWN);
    place.write("train.txt", "n00000001/n00000001_1.JPEG 0\nn00000002/n00000002_1.JPEG 0\n");
    assert!(place.refused().info.unwrap().contains("label 0 stands beside n00000001 and beside n00000002"));
}

#[test]
fn what_is_listed_and_not_there_or_twice_is_rejected() {
    let place = Place::new();
    photos(&place);
    lists(&place, |class| class as u32);
    place.write(
        "val.txt",
        "v1.JPEG 0\nv1.JPEG 0\ngone.JPEG 1\n../val/v2.JPEG 1\n/elsewhere/imagenet/val/v3.JPEG 2\n",
    );
    let plan = place.plan().unwrap();
    let reasons: Vec<&str> = plan.about.rejected.iter().map(|rejected| rejected.reason.as_str()).collect();
    assert_eq!(
        reasons,
        ["listed in val.txt but not there"; 2].into_iter().chain(["listed twice"]).collect::<Vec<_>>()
    );
    assert_eq!(images(&plan, "val").len(), 2);
    assert_eq!(ignored(&plan), 2 + 2);
}

#[test]
fn images_may_be_in_other_sources_and_in_archives() {
    let (lists_place, place) = (Place::new(), Place::new());
    photos(&place);
    lists(&lists_place, |class| class as u32);
    let plan = planned(&request(&[lists_place.path(), place.path()])).unwrap();
    assert_eq!(plan.images(), 9);
    let train: Vec<(String, &[u8])> =
        WNIDS.iter().map(|wnid| (format!("{wnid}/{wnid}_1.JPEG"), jpeg())).collect();
    let train: Vec<(&str, &[u8])> = train.iter().map(|(name, bytes)| (name.as_str(), *bytes)).collect();
    lists_place.write("ILSVRC2012_img_train.tar", archive(&train));
    lists_place.write("ILSVRC2012_img_val.tar", archive(&[("v1.JPEG", jpeg())]));
    let plan = planned(&Request { max_rejected: 1.0, ..lists_place.request() }).unwrap();
    assert_eq!((plan.images(), plan.about.rejected.len()), (4, 5));
    assert_all_are_photos(&plan);
}

#[test]
fn lists_without_wnids_take_the_names_in_their_order() {
    let place = Place::new();
    place.photos(&["images/a.jpg", "images/b.jpg", "images/c.jpg"]);
    place.write("train.txt", "a.jpg 0\nb.jpg 1\n");
    place.write("val.txt", "c.jpg 1\n");
    let plan = place.plan().unwrap();
    assert_eq!((wnids(&plan), plan.about.class_order.as_str()), (vec!["0", "1"], "numbers of the lists"));
    place.write("synset_words.txt", "n2 dog\nn1 cat\n");
    let plan = place.plan().unwrap();
    assert_eq!(images(&plan, "val"), [("images/c.jpg".to_owned(), "n1".to_owned())]);
    place.write("val.txt", "c.jpg 2\n");
    assert_eq!(place.refused().code, LAYOUT_UNKNOWN);
    place.write("val.txt", "c.jpg 1\nc.jpg one\n");
    let error = place.refused();
    assert_eq!(error.code, ANNOTATION_MALFORMED);
    assert!(error.message.starts_with("val.txt: line 2"), "{error}");
}
