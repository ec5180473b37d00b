use super::*;
use std::sync::atomic::{AtomicUsize, Ordering};

fn ends(size: usize) -> Vec<End> {
    let end = |(rank, thread): (usize, Arc<ThreadRank>)| End {
        ranks: Ranks::new(thread.clone(), (rank, size)),
        thread,
        name: format!("replica {rank} on GPU {}", 2 * rank),
    };
    threads(size).into_iter().enumerate().map(end).collect()
}

fn broken() -> Error {
    Error::new(ilsvrc_diagnostics::OUT_OF_MEMORY, "no memory").hint("buy some")
}

/// What comes of a sum that replica 1 is not there for because of `fault`.
fn without_one(fault: impl Fn() -> Result<()> + Sync) -> (Error, usize) {
    let waited = AtomicUsize::new(0);
    let failed = each(&ends(3), 0..3, |end, replica| {
        if replica == 1 {
            fault()?;
        }
        let sum = end.ranks.together(vec![1.0]);
        waited.fetch_add(usize::from(sum.is_err()), Ordering::Relaxed);
        sum
    });
    (failed.unwrap_err(), waited.into_inner())
}

#[test]
fn one_that_fails_ends_the_waits_of_the_others_and_is_the_one_that_is_told() {
    let (error, waited) = without_one(|| Err(broken()));
    assert_eq!((error.code, &error.message[..]), (broken().code, "replica 1 on GPU 2: no memory"));
    assert_eq!((error.hint, waited), (broken().hint, 2));
}

#[test]
fn one_that_panics_does_not_leave_the_others_waiting() {
    let (error, waited) = without_one(|| panic!("on purpose"));
    assert_eq!((error.code, waited), (INTERNAL, 2));
    assert!(error.message.starts_with("replica 1 on GPU 2: "), "{error}");
}

#[test]
fn what_all_meet_is_of_none_of_them() {
    let error = each(&ends(2), 0..2, |_, _| Err::<(), _>(broken())).unwrap_err();
    assert_eq!(error, broken());
}

#[test]
fn nothing_is_summed_after_a_failure() {
    let ends = ends(2);
    let work = |end: &End, fails| if fails { Err(broken()) } else { end.ranks.together(vec![1.0]) };
    assert_eq!(each(&ends, [false, false], work).unwrap(), [[2.0], [2.0]]);
    assert_eq!(each(&ends, [true, false], work).unwrap_err().code, broken().code);
    let error = each(&ends, [false, false], work).unwrap_err();
    assert_eq!((error.code, &error.message[..]), (RANK_LOST, "another replica of this process has stopped"));
}

#[test]
fn a_part_of_a_batch_has_its_images_only() {
    let pixels: Vec<u8> = (0..4 * 12).collect();
    let view = |image| View { image, mirror: image == 2, ..View::default() };
    let views: Vec<View> = (0..4).map(view).collect();
    let whole = Input {
        pixels: &pixels,
        side: 2,
        views: &views,
        mean: &[0.0; 12],
        mean_side: 2,
        labels: &[5, 6, 7, 8],
    };
    let mut own = Vec::new();
    let input = part_of(&whole, &(1..3), &mut own).unwrap();
    assert_eq!((input.pixels, input.labels), (&pixels[12..36], &[6, 7][..]));
    assert_eq!(input.views, [View { image: 0, ..view(1) }, View { image: 1, ..view(2) }]);
    // Of a short batch some have none.
    let mut own = Vec::new();
    let input = part_of(&whole, &(2..2), &mut own).unwrap();
    assert!(input.pixels.is_empty() && input.views.is_empty() && input.labels.is_empty());
    assert_eq!(part_of(&whole, &(3..5), &mut Vec::new()).unwrap_err().code, INTERNAL);
    let pass = Pass { batch: 5, mode: Mode::Train { seed: 1, step: 2, first: 10 } };
    let expected = Pass { batch: 2, mode: Mode::Train { seed: 1, step: 2, first: 13 } };
    assert_eq!(part_of_pass(&pass, &(3..5)), expected);
}
