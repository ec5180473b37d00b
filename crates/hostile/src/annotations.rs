//! Annotations: what is read keeps what its type promises.

use std::collections::HashSet;

use ilsvrc_layouts::formats::{self, MAX_CLASSES, Rect, lists as list, matlab as mat, sample, tiny};

/// `meta.mat` of a development kit.
pub fn matlab(bytes: &[u8]) -> bool {
    let Ok(synsets) = mat::synsets(bytes) else { return false };
    let ids: HashSet<u32> = synsets.iter().map(|synset| synset.id).collect();
    let wnids: HashSet<&str> = synsets.iter().map(|synset| synset.wnid.as_str()).collect();
    assert_eq!((ids.len(), wnids.len()), (synsets.len(), synsets.len()), "IDs and WNIDs are unique");
    assert!(!ids.contains(&0) && !wnids.contains(""));
    true
}

/// A PASCAL VOC annotation.
pub fn voc(bytes: &[u8]) -> bool {
    let Ok(annotation) = formats::voc::annotation(bytes) else { return false };
    assert!(annotation.width > 0 && annotation.height > 0);
    for object in annotation.objects {
        assert!(!object.name.is_empty());
        check_box(&[object.left, object.top, object.right, object.bottom]);
    }
    true
}

/// Kaggle's CSV.
pub fn csv(bytes: &[u8]) -> bool {
    formats::csv::solution(bytes, |image, wnid, boxes| {
        assert!(!image.is_empty() && !wnid.is_empty());
        boxes.iter().for_each(check_box);
        Ok(())
    })
    .is_ok()
}

/// Text files of one line an image or class, and the labels of WebDataset samples: accepted where one of them reads it.
pub fn lists(bytes: &[u8]) -> bool {
    let accepted = [caffe(bytes), classes(bytes), boxes(bytes), labels(bytes)];
    accepted.contains(&true)
}

fn caffe(bytes: &[u8]) -> bool {
    list::caffe(bytes).all(|entry| {
        entry.is_ok_and(|(path, label)| {
            assert!(!path.is_empty() && label < MAX_CLASSES);
            true
        })
    })
}

fn classes(bytes: &[u8]) -> bool {
    let names = list::names(bytes).is_ok_and(|names| {
        assert!(names.iter().all(|(wnid, _)| !wnid.is_empty()));
        true
    });
    let truth = list::ground_truth(bytes, 1000).is_ok_and(|truth| {
        assert!(truth.iter().all(|class| (1..=1000).contains(class)));
        true
    });
    let wnids = tiny::wnids(bytes).is_ok_and(|wnids| {
        assert_eq!(wnids.iter().collect::<HashSet<_>>().len(), wnids.len());
        true
    });
    names || truth || wnids
}

fn boxes(bytes: &[u8]) -> bool {
    let annotations = tiny::annotations(bytes).is_ok_and(|images| {
        images.iter().filter_map(|image| image.bounds.as_ref()).for_each(check_box);
        true
    });
    let boxes = tiny::boxes(bytes).is_ok_and(|images| {
        images.iter().filter_map(|(_, bounds)| bounds.as_ref()).for_each(check_box);
        true
    });
    annotations || boxes
}

fn labels(bytes: &[u8]) -> bool {
    let number = sample::cls(bytes).is_ok_and(|class| {
        assert!(class < MAX_CLASSES);
        true
    });
    let json = sample::json(bytes).is_ok_and(|sample| {
        sample.boxes.iter().for_each(check_box);
        assert_ne!(sample.label, sample::Label::Name(String::new()));
        true
    });
    let boxes = sample::json_boxes(bytes).is_ok_and(|boxes| {
        boxes.iter().for_each(check_box);
        true
    });
    number || json || boxes
}

fn check_box(rect: &Rect) {
    let [left, top, right, bottom] = *rect;
    assert!(rect.iter().all(|edge| edge.is_finite()), "{rect:?} is finite");
    assert!(left < right && top < bottom, "{rect:?} has an area");
}
