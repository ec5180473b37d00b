use std::fs;
use std::sync::atomic::{AtomicUsize, Ordering};

use ilsvrc_diagnostics::{
    INTERNAL, INTERRUPTED, OUTPUT_BUSY, OUTPUT_DIFFERS, SOURCE_CHANGED, SOURCE_EMPTY, SOURCE_UNREADABLE,
    TOO_MANY_REJECTED,
};

use super::*;
use crate::dataset::{MANIFEST, MEAN, REJECTED};
use crate::samples::{SIZE, contents, folder_plan, item, jpeg, tar_plan};
use crate::{Dataset, Encoder, Fit, Resize, Squarer};

fn run(plan: &PrepPlan) -> Result<PrepSummary> {
    prep(plan, &AtomicBool::new(false), &|_| {})
}

fn code(plan: &PrepPlan) -> &'static str {
    run(plan).unwrap_err().code
}

#[test]
fn photos_become_shards() {
    let folder = tempfile::tempdir().unwrap();
    let plan = folder_plan(folder.path());
    let last = Mutex::new(PrepProgress::default());
    let summary = prep(&plan, &AtomicBool::new(false), &|event| {
        if let PrepEvent::Progress(progress) = event {
            *lock(&last) = progress;
        }
    })
    .unwrap();
    assert_eq!((summary.seen, summary.kept, summary.rejected, summary.ignored), (38, 33, 3, 2));
    assert_eq!(*lock(&last), PrepProgress { done: 36, total: 36, kept: 33, rejected: 3 });
    let names: Vec<String> = contents(&plan.out).into_iter().map(|(name, _)| name).collect();
    let shards = |split: &str, count: usize| {
        (0..count)
            .flat_map(|i| ["index.json", "tar"].map(|end| format!("{split}-{i:06}.{end}")))
            .collect::<Vec<_>>()
    };
    let mut expected = vec!["dataset.json".to_owned(), "mean.npy".to_owned(), REJECTED.to_owned()];
    expected.extend(shards("train", 4).into_iter().chain(shards("val", 2)));
    expected.sort();
    assert_eq!(names, expected, "and nothing else is left");

    let rejected = fs::read_to_string(plan.out.join(REJECTED)).unwrap();
    assert_eq!(rejected.lines().count(), 3);
    let empty = r#"{"split":"val","path":"class0/empty.jpg","reason":"an empty file (0 bytes)"}"#;
    assert!(rejected.contains(empty), "{rejected}");

    let dataset = Dataset::open(&plan.out).unwrap();
    let keys: Vec<&str> = dataset.images("train").unwrap().iter().map(|image| image.key.as_str()).collect();
    assert_eq!(keys.len(), 26);
    assert!(keys.is_sorted() && keys.iter().any(|key| key.ends_with("-photo-7")), "{keys:?}");
    // Shards can be read as plain WebDataset archives.
    let members = crate::tar::scan(&plan.out.join("train-000000.tar")).unwrap();
    assert_eq!(*members[0].name, *Path::new(&format!("{}.cls", keys[0])));
    assert_eq!(*members[1].name, *Path::new(&format!("{}.jpg", keys[0])));
    assert_eq!(members[1].offset, dataset.images("train").unwrap()[0].offset);
}

/// The pixels of the training photos as prepared, before they are compressed.
fn pixels(plan: &PrepPlan) -> Vec<Vec<u8>> {
    let fit = Fit { size: SIZE, resize: Resize::Crop, exif_rotate: false };
    let mut squarer = Squarer::new();
    let items = plan.splits[0].items.iter();
    let files = items.map(|item| fs::read(plan.about.sources[0].path.join(&item.path)).unwrap());
    files.filter_map(|file| squarer.square(&file, &fit).ok().map(|square| square.pixels.to_vec())).collect()
}

#[test]
fn statistics_are_exactly_those_of_the_prepared_pixels() {
    let folder = tempfile::tempdir().unwrap();
    let plan = folder_plan(folder.path());
    run(&plan).unwrap();
    let dataset = Dataset::open(&plan.out).unwrap();
    let images = pixels(&plan);
    let mean = dataset.mean();
    assert_eq!(mean.len(), SIZE * SIZE * 3);
    for (k, &value) in mean.iter().enumerate() {
        let sum: u64 = images.iter().map(|image| u64::from(image[k])).sum();
        assert_eq!(value, (sum as f64 / images.len() as f64) as f32);
    }
    let channel = |c: usize| {
        images.iter().flat_map(move |image| image.iter().skip(c).step_by(3)).map(|&x| f64::from(x))
    };
    let count = (images.len() * SIZE * SIZE) as f64;
    let manifest = dataset.manifest();
    let variances: f64 = (0..3)
        .map(|c| {
            let mean = channel(c).sum::<f64>() / count;
            assert!((mean - manifest.channel_mean[c]).abs() < 1e-9);
            channel(c).map(|x| (x - mean).powi(2)).sum::<f64>() / count
        })
        .sum();
    // The trace is the sum of the eigenvalues.
    let eigenvalues: f64 = manifest.pca.deviations.iter().map(|d| d * d).sum();
    assert!((variances - eigenvalues).abs() < 1e-6 * variances);
}

#[test]
fn an_image_of_the_size_is_stored_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let plan = folder_plan(folder.path());
    run(&plan).unwrap();
    let original = jpeg(SIZE, SIZE, 5);
    let shards = contents(&plan.out);
    assert!(shards.iter().any(|(_, bytes)| bytes.windows(original.len()).any(|window| window == original)));
}

/// Workers, source kind, interruptions: the bytes are the same. Archives name themselves in the manifest, folders too, so
/// only the shards are compared between the two.
#[test]
fn the_result_depends_on_the_photos_and_the_plan_alone() {
    let folder = tempfile::tempdir().unwrap();
    let mut plan = folder_plan(folder.path());
    run(&plan).unwrap();
    let expected = contents(&plan.out);
    for workers in [2, 3, 8] {
        plan.out = folder.path().join(format!("out{workers}"));
        plan.workers = workers;
        run(&plan).unwrap();
        assert!(contents(&plan.out) == expected, "{workers} workers");
    }
    let mut from_tar = tar_plan(folder.path());
    from_tar.out = folder.path().join("from-tar");
    from_tar.workers = 2;
    run(&from_tar).unwrap();
    for ((name, bytes), (_, from_tar)) in expected.iter().zip(contents(&from_tar.out)) {
        assert!(name == MANIFEST || *bytes == from_tar, "{name}");
    }
}

#[test]
fn an_interrupted_run_goes_on_to_the_same_bytes() {
    let folder = tempfile::tempdir().unwrap();
    let mut plan = folder_plan(folder.path());
    run(&plan).unwrap();
    let expected = contents(&plan.out);
    // Shards hold 7 images: with one worker it is known how many are finished at each point.
    for (stop_at, workers, finished) in [
        (0, 1, Some(0)),
        (3, 1, Some(0)),
        (9, 2, None),
        (20, 1, Some(2)),
        (25, 3, None),
        (30, 2, None),
        (36, 1, Some(6)),
    ] {
        plan.out = folder.path().join(format!("out-{stop_at}"));
        plan.workers = workers;
        let cancel = AtomicBool::new(stop_at == 0);
        let result = prep(&plan, &cancel, &|event| {
            if matches!(event, PrepEvent::Progress(progress) if progress.done >= stop_at) {
                cancel.store(true, Ordering::Relaxed);
            }
        });
        if stop_at < 36 {
            assert_eq!(result.unwrap_err().code, INTERRUPTED);
            assert!(!plan.out.join(MANIFEST).exists());
        }
        // What a killed process leaves.
        fs::write(plan.out.join(".train-000001.tar.77-0.ilsvrc-tmp"), b"half").unwrap();
        let summary = run(&plan).unwrap();
        assert!(contents(&plan.out) == expected, "stopped at {stop_at}");
        assert!(finished.is_none_or(|shards| summary.resumed_shards == shards), "{summary:?}");
    }
}

#[test]
fn running_again_changes_nothing_and_a_lost_shard_is_made_again() {
    let folder = tempfile::tempdir().unwrap();
    let plan = folder_plan(folder.path());
    let first = run(&plan).unwrap();
    let expected = contents(&plan.out);
    let again = run(&plan).unwrap();
    assert_eq!(
        (again.kept, again.rejected, again.warnings, again.bytes, again.resumed_shards),
        (first.kept, first.rejected, first.warnings, first.bytes, 6)
    );
    fs::remove_file(plan.out.join("val-000000.tar")).unwrap();
    run(&plan).unwrap();
    assert!(contents(&plan.out) == expected);
}

#[test]
fn a_folder_of_other_settings_is_not_touched_without_force() {
    let folder = tempfile::tempdir().unwrap();
    let mut plan = folder_plan(folder.path());
    run(&plan).unwrap();
    let before = contents(&plan.out);
    plan.about.settings.quality = 70;
    let error = run(&plan).unwrap_err();
    assert_eq!((error.code, error.info.as_deref()), (OUTPUT_DIFFERS, Some("--quality 85, now 70")));
    assert!(contents(&plan.out) == before);
    plan.force = true;
    fs::write(plan.out.join("notes.txt"), b"mine").unwrap();
    run(&plan).unwrap();
    assert_eq!(Dataset::open(&plan.out).unwrap().manifest().preprocessing.quality, 70);
    assert_eq!(fs::read(plan.out.join("notes.txt")).unwrap(), b"mine");

    // Unfinished ones too.
    plan.force = false;
    plan.out = folder.path().join("unfinished");
    let stop = AtomicBool::new(true);
    assert_eq!(prep(&plan, &stop, &|_| {}).unwrap_err().code, INTERRUPTED);
    plan.about.settings.seed = 99;
    assert_eq!(code(&plan), OUTPUT_DIFFERS);
}

#[test]
fn a_folder_of_someone_else_is_not_touched() {
    let folder = tempfile::tempdir().unwrap();
    let mut plan = folder_plan(folder.path());
    plan.out = folder.path().join("backups");
    fs::create_dir(&plan.out).unwrap();
    fs::write(plan.out.join("home-202401.tar"), b"precious").unwrap();
    assert_eq!(code(&plan), OUTPUT_DIFFERS);
    assert_eq!(contents(&plan.out).len(), 1);
    plan.force = true;
    run(&plan).unwrap();
    assert_eq!(fs::read(plan.out.join("home-202401.tar")).unwrap(), b"precious");
}

#[test]
fn too_many_rejected_fail_the_run_and_allowing_them_resumes_it() {
    let folder = tempfile::tempdir().unwrap();
    let mut plan = folder_plan(folder.path());
    plan.about.max_rejected = 0.01;
    let error = run(&plan).unwrap_err();
    assert_eq!(error.code, TOO_MANY_REJECTED);
    assert!(error.message.starts_with("3 of 36 images (8.3 %)"), "{error}");
    assert_eq!(fs::read_to_string(plan.out.join(REJECTED)).unwrap().lines().count(), 3);
    assert!(!plan.out.join(MANIFEST).exists());
    plan.about.max_rejected = 0.1;
    assert_eq!(run(&plan).unwrap().resumed_shards, 6);
}

#[test]
fn sources_that_are_not_there_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let mut plan = folder_plan(folder.path());
    plan.about.sources[0].path = folder.path().join("nowhere");
    assert_eq!(code(&plan), SOURCE_UNREADABLE);
    assert!(!plan.out.exists(), "nothing is written");
    let mut plan = folder_plan(folder.path());
    plan.splits.iter_mut().for_each(|split| split.items.clear());
    assert_eq!(code(&plan), SOURCE_EMPTY);
}

#[test]
fn a_file_that_went_away_is_rejected_and_an_archive_that_did_stops_the_run() {
    let folder = tempfile::tempdir().unwrap();
    let plan = folder_plan(folder.path());
    fs::remove_file(folder.path().join("photos/class0/photo 3.jpg")).unwrap();
    let mut plan = plan;
    plan.about.max_rejected = 0.5;
    assert_eq!(run(&plan).unwrap().rejected, 4);

    fs::remove_dir_all(folder.path().join("photos")).unwrap();
    plan = tar_plan(folder.path());
    plan.out = folder.path().join("from-tar");
    let archive = fs::File::options().write(true).open(&plan.about.sources[0].path).unwrap();
    archive.set_len(archive.metadata().unwrap().len() / 2).unwrap();
    assert_eq!(code(&plan), ilsvrc_diagnostics::TAR_MALFORMED);
}

#[test]
fn wrong_plans_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let good = folder_plan(folder.path());
    let refused = |change: &dyn Fn(&mut PrepPlan)| {
        let mut plan = good.clone();
        change(&mut plan);
        assert_eq!(code(&plan), INTERNAL);
    };
    refused(&|plan| plan.about.settings.size = 0);
    refused(&|plan| plan.workers = 0);
    refused(&|plan| plan.splits[0].items[0].class = 3);
    refused(&|plan| plan.splits[0].items[0].source = 1);
    refused(&|plan| plan.splits[0].items[0].path = Path::new("../x.jpg").into());
    refused(&|plan| plan.splits[1].name = "train".to_owned());
    refused(&|plan| plan.splits[1].name = "../train".to_owned());
    refused(&|plan| plan.part = Some(Part { index: 2, of: 2 }));
}

/// Progress never goes back, whatever the workers do.
#[test]
fn progress_is_monotone() {
    let folder = tempfile::tempdir().unwrap();
    let plan = PrepPlan { workers: 4, ..folder_plan(folder.path()) };
    let last = AtomicUsize::new(0);
    prep(&plan, &AtomicBool::new(false), &|event| {
        let PrepEvent::Progress(progress) = event else { panic!("{event:?}") };
        assert!(last.swap(progress.done, Ordering::Relaxed) <= progress.done);
    })
    .unwrap();
}

/// Parts in any order, each with its own number of workers, one killed and run again: the same data set.
#[test]
fn parts_make_the_same_data_set() {
    let folder = tempfile::tempdir().unwrap();
    let mut plan = folder_plan(folder.path());
    let whole = run(&plan).unwrap();
    let expected = contents(&plan.out);
    plan.out = folder.path().join("parts");
    let mut total = (0, 0, 0, 0);
    for index in [2, 0, 1] {
        plan.part = Some(Part { index, of: 3 });
        plan.workers = index + 1;
        let cancel = AtomicBool::new(false);
        let stopped = prep(&plan, &cancel, &|_| cancel.store(true, Ordering::Relaxed));
        assert_eq!(stopped.unwrap_err().code, INTERRUPTED);
        let error = merge(&plan.out).unwrap_err();
        assert_eq!(error.code, PARTS_MISSING);
        assert!(error.info.unwrap().contains(&format!("part {}/3 lacks ", index + 1)));
        // Another part's half-written files are its own.
        let other = [".train-000000.tar.7-0.ilsvrc-tmp", ".train-000001.tar.7-0.ilsvrc-tmp"];
        other.iter().for_each(|name| fs::write(plan.out.join(name), b"half").unwrap());
        let part = run(&plan).unwrap();
        let left = other.iter().filter(|name| plan.out.join(name).exists()).count();
        assert_eq!(left, if index == 2 { 2 } else { 1 });
        other.iter().for_each(|name| drop(fs::remove_file(plan.out.join(name))));
        assert_eq!(part.kept + part.rejected + part.ignored, part.seen);
        total.0 += part.seen;
        total.1 += part.kept;
        total.2 += part.rejected;
        total.3 += part.ignored;
    }
    let merged = merge(&plan.out).unwrap();
    assert_eq!(total, (whole.seen, whole.kept, whole.rejected, whole.ignored));
    assert_eq!((merged.seen, merged.kept, merged.bytes), (whole.seen, whole.kept, whole.bytes));
    assert!(contents(&plan.out) == expected);
    assert_eq!(merge(&plan.out).unwrap().kept, whole.kept, "merging again changes nothing");
    assert_eq!(merge(folder.path()).unwrap_err().code, ilsvrc_diagnostics::MANIFEST_INVALID);
}

#[test]
fn parts_must_see_the_same_photos() {
    let folder = tempfile::tempdir().unwrap();
    let mut plan = folder_plan(folder.path());
    plan.part = Some(Part { index: 0, of: 2 });
    run(&plan).unwrap();
    plan.part = Some(Part { index: 1, of: 2 });
    plan.splits[0].items.pop();
    let error = run(&plan).unwrap_err();
    assert_eq!(error.code, OUTPUT_DIFFERS);
    assert!(error.info.unwrap().contains("parts must see the same photos"));
}

/// The lock is the system's, so the second process may as well be a second call here.
#[test]
fn two_at_once_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let plan = folder_plan(folder.path());
    let second = Mutex::new(None);
    prep(&plan, &AtomicBool::new(false), &|_| {
        lock(&second).get_or_insert_with(|| run(&plan));
    })
    .unwrap();
    assert_eq!(lock(&second).take().unwrap().unwrap_err().code, OUTPUT_BUSY);
}

fn check(plan: &PrepPlan) -> Vec<String> {
    let report = Dataset::check(&plan.out, &AtomicBool::new(false), &mut |_| {}).unwrap();
    report.damaged.into_iter().map(|damaged| damaged.file).collect()
}

#[test]
fn what_is_damaged_is_found_and_made_again_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let plan = folder_plan(folder.path());
    run(&plan).unwrap();
    let expected = contents(&plan.out);
    let flip = |file: &str| {
        let mut bytes = fs::read(plan.out.join(file)).unwrap();
        bytes[700] ^= 1;
        fs::write(plan.out.join(file), bytes).unwrap();
    };
    let shorten = |file: &str| {
        let file = fs::File::options().write(true).open(plan.out.join(file)).unwrap();
        file.set_len(100).unwrap();
    };
    let lose = |file: &str| fs::remove_file(plan.out.join(file)).unwrap();
    type Harm<'a> = &'a dyn Fn(&str);
    let cases: [(Harm, &[&str], usize); 5] = [
        (&flip, &["train-000002.tar"], 1),
        (&shorten, &["train-000000.tar", "val-000001.index.json"], 2),
        (&lose, &["train-000000.tar", "train-000001.index.json", "val-000000.tar"], 3),
        (&flip, &[MEAN], 4),
        (&lose, &[MEAN, REJECTED], 4),
    ];
    let made = AtomicUsize::new(0);
    for (harm, files, shards) in cases {
        files.iter().for_each(|file| harm(file));
        let damaged = check(&plan);
        assert_eq!(
            damaged.iter().map(String::as_str).collect::<std::collections::BTreeSet<_>>(),
            files.iter().copied().collect()
        );
        let report = repair(&plan, &damaged, &AtomicBool::new(false), &|progress| {
            made.store(progress.total, Ordering::Relaxed);
        });
        assert_eq!(report.unwrap().shards, shards);
        assert!(made.load(Ordering::Relaxed) <= 7 * shards);
        assert!(contents(&plan.out) == expected, "{files:?}");
        assert_eq!(check(&plan), [""; 0]);
    }
    // `prep` itself mends what it sees without reading all.
    lose("train-000001.tar");
    run(&plan).unwrap();
    assert!(contents(&plan.out) == expected);
}

#[test]
fn a_repair_from_other_photos_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let mut plan = folder_plan(folder.path());
    run(&plan).unwrap();
    let photo = folder.path().join("photos/class0/photo 0.jpg");
    let length = fs::read(&photo).unwrap().len();
    // The same length, another picture: padding after the end of the image.
    let mut other = jpeg(16, 16, 9);
    assert!(other.len() <= length, "{} {length}", other.len());
    other.resize(length, 0);
    fs::write(&photo, other).unwrap();
    let damaged: Vec<String> = (0..4).map(|i| format!("train-{i:06}.tar")).collect();
    let error = repair(&plan, &damaged, &AtomicBool::new(false), &|_| {}).unwrap_err();
    assert_eq!(error.code, SOURCE_CHANGED);
    assert!(error.message.contains("is not what it was"), "{error}");
    plan.splits[0].items.pop();
    let error = repair(&plan, &damaged, &AtomicBool::new(false), &|_| {}).unwrap_err();
    assert!(error.message.contains("are not what they were"), "{error}");
}

#[test]
fn added_photos_are_told_and_what_stays_is_kept() {
    let folder = tempfile::tempdir().unwrap();
    let mut plan = folder_plan(folder.path());
    plan.about.max_rejected = 0.5;
    run(&plan).unwrap();
    let run = |plan: &PrepPlan| {
        let changes = Mutex::new(None);
        let summary = prep(plan, &AtomicBool::new(false), &|event| {
            if let PrepEvent::Changed(found) = event {
                *lock(&changes) = Some(found);
            }
        })
        .unwrap();
        (changes.into_inner().unwrap(), summary)
    };
    // For validation: the training shards and the mean stay.
    let file = jpeg(50, 60, 99);
    fs::write(folder.path().join("photos/class1/new.jpg"), &file).unwrap();
    plan.splits[1].items.push(item("class1/new.jpg".to_owned(), file.len(), 1));
    let (changes, summary) = run(&plan);
    // Ten photos are shuffled anew, and here the shard of the first seven happens to stay as it was.
    let expected = Changes { added: 1, removed: 0, changed: 0, kept_shards: 5, shards: 6 };
    assert_eq!((changes, summary.resumed_shards, summary.kept), (Some(expected), 5, 34));
    let fresh = |plan: &PrepPlan, name: &str| {
        let plan = PrepPlan { out: folder.path().join(name), ..plan.clone() };
        prep(&plan, &AtomicBool::new(false), &|_| {}).unwrap();
        contents(&plan.out)
    };
    assert!(contents(&plan.out) == fresh(&plan, "fresh"));
    // To learn from: their order is another, so all of them are made again; one is gone, one has another class.
    plan.splits[0].items.remove(4);
    plan.splits[0].items[0].class = 2;
    plan.splits[0].items.push(item("class1/new.jpg".to_owned(), file.len(), 1));
    let (changes, summary) = run(&plan);
    let expected = Changes { added: 1, removed: 1, changed: 1, kept_shards: 2, shards: 6 };
    assert_eq!((changes, summary.resumed_shards), (Some(expected), 2));
    assert!(contents(&plan.out) == fresh(&plan, "fresh again"));
    // Fewer shards than before: none is left over.
    plan.splits[0].items.truncate(7);
    run(&plan);
    assert!(contents(&plan.out) == fresh(&plan, "fewer"));
    assert_eq!(run(&plan).0, None);
}

#[test]
fn boxes_go_through_resize_and_crop() {
    let folder = tempfile::tempdir().unwrap();
    let mut plan = folder_plan(folder.path());
    let file = Encoder::new(90).encode(&crate::samples::photo(128, 64, 1)).unwrap();
    fs::write(folder.path().join("photos/class1/boxed.jpg"), &file).unwrap();
    let boxes: Box<[[f32; 4]]> = Box::new([[32.0, 0.0, 96.0, 64.0], [0.0, 16.0, 64.0, 32.0]]);
    plan.splits[1].items.push(crate::Item { boxes, ..item("class1/boxed.jpg".to_owned(), file.len(), 1) });
    run(&plan).unwrap();
    let rows = (0..2).flat_map(|number| {
        let files = shard::Files::new(&plan.out, "val", number);
        crate::ShardIndex::read_unverified(&files.index).unwrap().images
    });
    let row = rows.into_iter().find(|row| row.path == "class1/boxed.jpg").unwrap();
    // The middle half of the width is kept and halved in size; what was cut off is still known.
    assert_eq!(row.boxes, [[0.0, 0.0, 32.0, 32.0], [-16.0, 8.0, 16.0, 16.0]]);
    assert_eq!(row.size, file.len() as u64);
    let shards = contents(&plan.out);
    let text = br#"{"boxes":[[0.0,0.0,32.0,32.0],[-16.0,8.0,16.0,16.0]],"width":128,"height":64}"#;
    assert!(shards.iter().any(|(_, bytes)| bytes.windows(text.len()).any(|window| window == text)));
    let found = crate::image_rows(&plan.out, "val", None).unwrap();
    let sources = found.iter().filter_map(|image| Some((&*image.row.path, image.source?)));
    assert_eq!(sources.collect::<Vec<_>>(), [("class1/boxed.jpg", [128, 64])]);
}

#[test]
fn an_estimate_is_near_what_happens() {
    let folder = tempfile::tempdir().unwrap();
    let plan = folder_plan(folder.path());
    let expected = estimate(&plan).unwrap();
    let bytes = run(&plan).unwrap().bytes as f64;
    assert!((expected.bytes as f64 / bytes - 1.0).abs() < 0.1, "{expected:?} {bytes}");
    assert!(expected.seconds > 0.0 && expected.seconds < 60.0);
}
