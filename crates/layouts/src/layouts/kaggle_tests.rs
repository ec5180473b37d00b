//! Kaggle's tree in small.

use ilsvrc_diagnostics::{ANNOTATION_MALFORMED, LAYOUT_UNKNOWN};

use crate::samples::{Place, assert_all_are_photos, ignored, images, planned, request, wnids};

const DATA: &str = "ILSVRC/Data/CLS-LOC";

fn place() -> Place {
    let place = Place::new();
    let photos = [
        "train/n00000002/n00000002_1.JPEG",
        "train/n00000002/n00000002_2.JPEG",
        "train/n00000001/n00000001_5.JPEG",
        "val/ILSVRC2012_val_00000001.JPEG",
        "val/ILSVRC2012_val_00000002.JPEG",
        "val/ILSVRC2012_val_00000003.JPEG",
        "test/ILSVRC2012_test_00000001.JPEG",
    ];
    photos.iter().for_each(|photo| place.photos(&[&format!("{DATA}/{photo}")]));
    place.write("LOC_synset_mapping.txt", "n00000001 tench, Tinca tinca\nn00000002 crane\n");
    place.write(
        "LOC_val_solution.csv",
        "ImageId,PredictionString\nILSVRC2012_val_00000002,n00000001 1 2 3 4 n00000001 2 2 4 4 \n\
         ILSVRC2012_val_00000001,n00000002\n",
    );
    place.write(
        "LOC_train_solution.csv",
        "ImageId,PredictionString\nn00000002_2,n00000002 1 1 7 7 \nn00000009_1,n00000009 1 1 2 2\n",
    );
    let voc = |wnid: &str| {
        format!(
            "<annotation><size><width>8</width><height>8</height></size><object><name>{wnid}</name>\
             <bndbox><xmin>0</xmin><ymin>0</ymin><xmax>5</xmax><ymax>6</ymax></bndbox></object></annotation>"
        )
    };
    let annotations = "ILSVRC/Annotations/CLS-LOC";
    place.write(&format!("{annotations}/train/n00000002/n00000002_1.xml"), voc("n00000002"));
    place.write(&format!("{annotations}/train/n00000002/n00000002_2.xml"), voc("n00000002"));
    place.write(&format!("{annotations}/val/ILSVRC2012_val_00000001.xml"), voc("n00000002"));
    place.write("ILSVRC/ImageSets/CLS-LOC/val.txt", "ILSVRC2012_val_00000001 1\n");
    place
}

#[test]
fn labels_and_boxes_from_csv_and_xml() {
    let place = place();
    let plan = place.plan().unwrap();
    assert_eq!(plan.about.layout, "Kaggle's ImageNet: ILSVRC/Data/CLS-LOC/, LOC_val_solution.csv");
    assert_eq!(
        (wnids(&plan), plan.about.class_order.as_str()),
        (vec!["n00000001", "n00000002"], "sorted WNID")
    );
    assert_eq!(plan.about.classes[0].name, "tench");
    let val: Vec<String> = images(&plan, "val").into_iter().map(|(_, wnid)| wnid).collect();
    assert_eq!(val, ["n00000002", "n00000001"]);
    let boxes = |split: usize| -> Vec<Vec<[f32; 4]>> {
        plan.splits[split].items.iter().map(|item| item.boxes.to_vec()).collect()
    };
    let voc = vec![[0.0, 0.0, 5.0, 6.0]];
    assert_eq!(boxes(0), [vec![], voc.clone(), vec![[1.0, 1.0, 7.0, 7.0]]]);
    assert_eq!(boxes(1), [voc, vec![[1.0, 2.0, 3.0, 4.0], [2.0, 2.0, 4.0, 4.0]]]);
    assert_eq!(plan.about.rejected[0].reason, "it is not in LOC_val_solution.csv");
    // 7 photos and 7 texts.
    assert_eq!(plan.images() as u64 + ignored(&plan) + plan.about.rejected.len() as u64, 14);
    assert_all_are_photos(&plan);
}

#[test]
fn a_missing_or_broken_file_of_classes_is_named() {
    let place = place();
    place.write("LOC_val_solution.csv", "ImageId,PredictionString\nx\n");
    let error = place.refused();
    assert_eq!(error.code, ANNOTATION_MALFORMED);
    assert!(error.message.starts_with("LOC_val_solution.csv: line 2"), "{error}");
    let error = planned(&request(&[&place.join("ILSVRC")])).unwrap_err();
    assert_eq!(error.code, LAYOUT_UNKNOWN);
    assert!(error.message.contains("there is no LOC_val_solution.csv"), "{error}");
}
