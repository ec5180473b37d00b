//! Tiny ImageNet in small, as a folder and as a tar.

use crate::samples::{Place, archive, assert_all_are_photos, ignored, images, jpeg, planned, request, wnids};

#[test]
fn tiny_imagenet_with_its_boxes() {
    let texts = [
        ("wnids.txt", "n00000002\nn00000001\n"),
        ("words.txt", "n00000001\ttench, Tinca tinca\nn00000002\tcrane\nn00000003\tother\n"),
        ("train/n00000001/n00000001_boxes.txt", "n00000001_0.JPEG\t0\t1\t7\t8\n"),
        ("train/n00000002/n00000002_boxes.txt", "n00000002_0.JPEG\t1\t1\t3\t3\n"),
        ("val/val_annotations.txt", "val_1.JPEG\tn00000001\t2\t2\t5\t5\nval_0.JPEG\tn00000002\t1\t1\t1\t1\n"),
    ];
    let photos = [
        "train/n00000001/images/n00000001_0.JPEG",
        "train/n00000002/images/n00000002_0.JPEG",
        "val/images/val_0.JPEG",
        "val/images/val_1.JPEG",
        "val/images/val_2.JPEG",
        "test/images/test_0.JPEG",
    ];
    let place = Place::new();
    let mut members: Vec<(String, &[u8])> = Vec::new();
    members.extend(texts.map(|(name, text)| (format!("tiny-imagenet-200/{name}"), text.as_bytes())));
    members.extend(photos.map(|name| (format!("tiny-imagenet-200/{name}"), jpeg())));
    members.iter().for_each(|(name, bytes)| place.write(name, bytes));
    let tar = Place::new();
    let members: Vec<(&str, &[u8])> = members.iter().map(|(name, bytes)| (name.as_str(), *bytes)).collect();
    tar.write("tiny.tar", archive(&members));

    for plan in [place.plan().unwrap(), planned(&request(&[&tar.join("tiny.tar")])).unwrap()] {
        assert_eq!(plan.about.layout, "Tiny ImageNet: train/<wnid>/images/, val/val_annotations.txt");
        assert_eq!(wnids(&plan), ["n00000001", "n00000002"]);
        assert_eq!(
            plan.about.classes.iter().map(|class| class.name.as_str()).collect::<Vec<_>>(),
            ["tench", "crane"]
        );
        let val: Vec<String> = images(&plan, "val").into_iter().map(|(_, wnid)| wnid).collect();
        assert_eq!(val, ["n00000002", "n00000001"]);
        let boxes: Vec<_> = plan
            .splits
            .iter()
            .flat_map(|split| &split.items)
            .map(|item| item.boxes.first().copied())
            .collect();
        let expected =
            [Some([0.0, 1.0, 7.0, 8.0]), Some([1.0, 1.0, 3.0, 3.0]), None, Some([2.0, 2.0, 5.0, 5.0])];
        assert_eq!(boxes, expected);
        assert_eq!(plan.about.rejected[0].reason, "it is not in val_annotations.txt");
        assert_eq!(plan.images() as u64 + ignored(&plan) + 1, 11);
        assert_all_are_photos(&plan);
    }
}
