use std::fs;
use std::sync::atomic::AtomicUsize;

use ilsvrc_diagnostics::{INTERRUPTED, OUTPUT_DIFFERS, SOURCE_EMPTY, SOURCE_UNREADABLE};

use super::*;
use crate::samples::{SIZE, contents, folder_plan, jpeg, tar_plan};
use crate::{Dataset, Decoder};

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
    let summary = prep(&plan, &AtomicBool::new(false), &|progress| *lock(&last) = progress).unwrap();
    assert_eq!((summary.seen, summary.kept, summary.rejected, summary.ignored), (36, 33, 3, 2));
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
    assert!(
        rejected
            .contains(r#"{"split":"val","path":"class1/really.png.jpg","reason":"a PNG image, not a JPEG"}"#)
    );

    let dataset = Dataset::open(&plan.out).unwrap();
    let keys: Vec<&str> = dataset.images("train").unwrap().iter().map(|image| image.key.as_str()).collect();
    assert_eq!(keys.len(), 26);
    assert!(keys.is_sorted() && keys.iter().any(|key| key.ends_with("-photo-7")), "{keys:?}");
    // Shards can be read as plain WebDataset archives.
    let members = crate::tar::scan(&plan.out.join("train-000000.tar")).unwrap();
    assert_eq!(members[0].name, format!("{}.cls", keys[0]));
    assert_eq!(members[1].name, format!("{}.jpg", keys[0]));
    assert_eq!(members[1].offset, dataset.images("train").unwrap()[0].offset);
}

/// Reads all images of a split as training would.
fn pixels(dataset: &Dataset, split: &str) -> Vec<Vec<u8>> {
    let shards: Vec<Vec<u8>> =
        dataset.shard_paths(split).iter().map(|path| fs::read(path).unwrap()).collect();
    let images = dataset.images(split).unwrap().iter();
    let decode = |image: &crate::ImageRef| {
        let (start, length) = (image.offset as usize, image.length as usize);
        Decoder::new().decode(&shards[image.shard as usize][start..start + length]).unwrap().image.pixels
    };
    images.map(decode).collect()
}

#[test]
fn statistics_are_exactly_those_of_the_stored_images() {
    let folder = tempfile::tempdir().unwrap();
    let plan = folder_plan(folder.path());
    run(&plan).unwrap();
    let dataset = Dataset::open(&plan.out).unwrap();
    let images = pixels(&dataset, "train");
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
        (35, 2, None),
        (36, 1, Some(6)),
    ] {
        plan.out = folder.path().join(format!("out-{stop_at}"));
        plan.workers = workers;
        let cancel = AtomicBool::new(stop_at == 0);
        let result = prep(&plan, &cancel, &|progress| {
            if progress.done >= stop_at {
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
    plan.quality = 70;
    assert_eq!(code(&plan), OUTPUT_DIFFERS);
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
    plan.seed = 99;
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
    plan.max_rejected = 0.01;
    let error = run(&plan).unwrap_err();
    assert_eq!(error.code, TOO_MANY_REJECTED);
    assert!(error.message.starts_with("3 of 36 images (8.3 %)"), "{error}");
    assert_eq!(fs::read_to_string(plan.out.join(REJECTED)).unwrap().lines().count(), 3);
    assert!(!plan.out.join(MANIFEST).exists());
    plan.max_rejected = 0.1;
    assert_eq!(run(&plan).unwrap().resumed_shards, 6);
}

#[test]
fn sources_that_are_not_there_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let mut plan = folder_plan(folder.path());
    plan.sources[0].path = folder.path().join("nowhere");
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
    let mut plan = PrepPlan { max_rejected: 0.5, ..plan };
    assert_eq!(run(&plan).unwrap().rejected, 4);

    fs::remove_dir_all(folder.path().join("photos")).unwrap();
    plan = tar_plan(folder.path());
    plan.out = folder.path().join("from-tar");
    let archive = fs::File::options().write(true).open(&plan.sources[0].path).unwrap();
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
    refused(&|plan| plan.size = 0);
    refused(&|plan| plan.workers = 0);
    refused(&|plan| plan.splits[0].items[0].class = 3);
    refused(&|plan| plan.splits[0].items[0].source = 1);
    refused(&|plan| plan.splits[0].items[0].path = "../x.jpg".to_owned());
    refused(&|plan| plan.splits[1].name = "train".to_owned());
    refused(&|plan| plan.splits[1].name = "../train".to_owned());
}

/// Progress never goes back, whatever the workers do.
#[test]
fn progress_is_monotone() {
    let folder = tempfile::tempdir().unwrap();
    let plan = PrepPlan { workers: 4, ..folder_plan(folder.path()) };
    let last = AtomicUsize::new(0);
    prep(&plan, &AtomicBool::new(false), &|progress| {
        assert!(last.swap(progress.done, Ordering::Relaxed) <= progress.done);
    })
    .unwrap();
}
