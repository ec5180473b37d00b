use super::*;
use crate::samples::dataset;

#[test]
fn images_come_in_the_order_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let whole = dataset(folder.path());
    let out = folder.path().join("out");
    let images = whole.images("train").unwrap();
    let last = images.len() as u64 - 1;
    let rows = image_rows(&out, "train", Some(&[last, 0, 3, 0])).unwrap();
    assert_eq!(rows.iter().map(|row| row.number).collect::<Vec<_>>(), [last, 0, 3, 0]);
    for row in &rows {
        let image = &images[row.number as usize];
        assert_eq!((&row.row.key, row.row.offset, row.row.class), (&image.key, image.offset, image.class));
        assert_eq!(row.source, None);
    }
    let all = image_rows(&out, "train", None).unwrap();
    assert!(all.iter().map(|row| &row.row.key).eq(images.iter().map(|image| &image.key)));
    assert_eq!(image_rows(&out, "train", Some(&[last + 1])).unwrap_err().code, SPLIT_EMPTY);
    assert_eq!(image_rows(&out, "test", None).unwrap_err().code, SPLIT_EMPTY);
}
