//! Several replicas of a net that train and evaluate it together: sessions among ranks, here in threads of this process, and one
//! session with places for several.

mod common;

use common::{BATCH, Data, STEPS, options, request, weights};
use ilsvrc_collective::threads;
use ilsvrc_diagnostics::{RANKS_DIFFER, Result};
use ilsvrc_engine::{EvaluateRequest, Options, Purpose, Session, TrainStep, Views, WalkRequest};
use ilsvrc_images::Shuffle;
use ilsvrc_network::Layer;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

/// What each of `size` ranks makes of `work`.
fn ranks<T: Send>(size: usize, work: impl Fn(usize, Session) -> T + Sync) -> Vec<T> {
    let open = |_| options(1, &["cpu"]);
    ranks_with(size, open, |rank, session| work(rank, session.unwrap()))
}

fn ranks_with<T: Send>(
    size: usize,
    options: impl Fn(usize) -> Options + Sync,
    work: impl Fn(usize, Result<Session>) -> T + Sync,
) -> Vec<T> {
    let (options, work) = (&options, &work);
    thread::scope(|scope| {
        let ranks: Vec<_> = threads(size)
            .into_iter()
            .enumerate()
            .map(|(rank, end)| scope.spawn(move || work(rank, Session::open_among(options(rank), end))))
            .collect();
        ranks.into_iter().map(|rank| rank.join().unwrap()).collect()
    })
}

/// A session with a pair of places for each of `size` replicas.
fn replicas(size: usize) -> Options {
    options(1, &vec!["cpu"; 2 * size])
}

/// Steps of two epochs, bits of the weights after them, and the probabilities of the validation images.
fn learn(session: &mut Session, data: &Path, shuffle: Shuffle) -> (Vec<TrainStep>, Vec<u32>, Vec<f32>) {
    let mut steps = Vec::new();
    let go_on = AtomicBool::new(false);
    for epoch in 0..2 {
        let mut request = request(data, epoch, 0, STEPS);
        request.shuffle = shuffle;
        let report = session.train(&request, &go_on, &mut |step| steps.push(step)).unwrap();
        assert_eq!((report.steps, report.stopped, report.images), (STEPS, false, common::TRAIN));
    }
    let request = EvaluateRequest { dataset: data.into(), split: "val".into(), views: Views::Ten };
    let report = session.evaluate(&request, &go_on, &mut |_| {}).unwrap();
    assert_eq!(report.images, 9);
    (steps, weights(session), report.probabilities)
}

fn close(some: &[f32], same: &[f32], bound: f32) {
    let far = some.iter().zip(same).map(|(a, b)| (a - b).abs() / b.abs().max(1.0)).fold(0.0, f32::max);
    assert!(some.len() == same.len() && far <= bound, "{far} apart");
}

/// The last batch has four images: of seven ranks three have none of it.
#[test]
fn ranks_learn_what_one_process_learns() {
    let data = Data::new();
    for shuffle in [Shuffle::Full, Shuffle::Window(1)] {
        let mut alone = Session::open(options(1, &["cpu"])).unwrap();
        let (steps, values, probabilities) = learn(&mut alone, &data.path(), shuffle);
        let floats = |bits: &[u32]| bits.iter().map(|bits| f32::from_bits(*bits)).collect::<Vec<_>>();
        for size in [2, 3, 7] {
            let run = || ranks(size, |_, mut session| learn(&mut session, &data.path(), shuffle));
            let learned = run();
            for rank in &learned {
                // The same bits on every rank.
                assert_eq!((&rank.1, &rank.2), (&learned[0].1, &learned[0].2));
                let images = |steps: &[TrainStep]| steps.iter().map(|step| step.images).collect::<Vec<_>>();
                assert_eq!(images(&rank.0), images(&steps));
                let losses =
                    |steps: &[TrainStep]| steps.iter().map(|step| step.loss as f32).collect::<Vec<_>>();
                close(&losses(&rank.0), &losses(&steps), 2e-6);
                close(&floats(&rank.1), &floats(&values), 2e-6);
                close(&rank.2, &probabilities, 2e-6);
            }
            // And in every run.
            assert_eq!(run()[0].1, learned[0].1, "{size} ranks");
        }
    }
}

/// What does not depend on the clock.
fn untimed(step: &TrainStep) -> (u64, usize, usize, f64, usize) {
    (step.epoch, step.step, step.images, step.loss, step.global_step as usize)
}

#[test]
fn replicas_of_one_process_learn_the_bits_of_ranks() {
    let data = Data::new();
    for size in [2, 3, 7] {
        let (steps, values, probabilities) =
            ranks(size, |_, mut session| learn(&mut session, &data.path(), Shuffle::Full)).remove(0);
        let mut session = Session::open(replicas(size)).unwrap();
        let learned = learn(&mut session, &data.path(), Shuffle::Full);
        assert!(learned.0.iter().map(untimed).eq(steps.iter().map(untimed)), "{size} replicas");
        assert_eq!((&learned.1, &learned.2), (&values, &probabilities), "{size} replicas");
        let at = |replica, tower| (replica, vec![tower]);
        let places = session.layout().places.iter().map(|place| (place.replica, place.towers.clone()));
        assert!(places.eq((0..size).flat_map(|replica| [at(replica, 0), at(replica, 1)])));
    }
}

#[test]
fn a_net_of_one_tower_has_a_replica_a_place() {
    let data = Data::new();
    let text = serde_json::to_string(&common::net()).unwrap();
    let text = text.replace(r#""both""#, r#""own""#).replace(r#""towers":2"#, r#""towers":1"#);
    let open = |places: &[&str]| {
        let net = serde_json::from_str(&text).unwrap();
        Session::open(Options { net, ..options(1, places) }).unwrap()
    };
    let losses = |mut session: Session| {
        let mut losses = Vec::new();
        let request = request(&data.path(), 0, 0, STEPS);
        let report = session
            .train(&request, &AtomicBool::new(false), &mut |step| losses.push(step.loss as f32))
            .unwrap();
        (losses, report.traffic)
    };
    let (alone, none) = losses(open(&["cpu"]));
    let (together, traffic) = losses(open(&["cpu"; 3]));
    close(&together, &alone, 2e-6);
    assert_eq!(none, None);
    // Of each step the score, and all gradients in one bucket.
    let traffic = traffic.unwrap();
    assert!(traffic.calls >= 2 * STEPS as u64 && traffic.bytes > 0, "{traffic:?}");
}

#[test]
fn a_checkpoint_goes_on_with_another_number_of_replicas() {
    let data = Data::new();
    let go_on = AtomicBool::new(false);
    let train = |session: &mut Session, first: usize, steps: usize| {
        let mut losses = Vec::new();
        let request = request(&data.path(), 0, first, steps);
        session.train(&request, &go_on, &mut |step| losses.push(step.loss as f32)).unwrap();
        losses
    };
    let undisturbed = train(&mut Session::open(replicas(2)).unwrap(), 0, STEPS);
    for (before, after) in [(2, 1), (1, 2), (2, 2)] {
        let checkpoint = data.file("checkpoint");
        let mut session = Session::open(replicas(before)).unwrap();
        let mut losses = train(&mut session, 0, 2);
        session.save_checkpoint(&checkpoint, &Default::default()).unwrap();
        let mut session = Session::open(replicas(after)).unwrap();
        session.load_checkpoint(&checkpoint).unwrap();
        losses.extend(train(&mut session, 2, STEPS));
        // To the bit where nothing has changed: every replica has all that was read.
        let bound = if before == after { 0.0 } else { 2e-6 };
        assert_eq!(losses.len(), STEPS);
        close(&losses, &undisturbed, bound);
    }
}

#[test]
fn replicas_stop_between_two_steps_and_go_on() {
    let data = Data::new();
    let mut session = Session::open(replicas(2)).unwrap();
    let stop = AtomicBool::new(false);
    let report = session
        .train(&request(&data.path(), 0, 0, STEPS), &stop, &mut |step| {
            stop.store(step.step == 1, Ordering::Relaxed);
        })
        .unwrap();
    assert_eq!((report.steps, report.stopped), (2, true));
    let report =
        session.train(&request(&data.path(), 0, 2, STEPS), &AtomicBool::new(false), &mut |_| {}).unwrap();
    assert_eq!((report.steps, report.stopped), (STEPS - 2, false));
}

/// A learning rate that no net survives.
#[test]
fn replicas_that_diverge_say_so_together() {
    let data = Data::new();
    let mut session = Session::open(replicas(2)).unwrap();
    let mut request = request(&data.path(), 0, 0, STEPS);
    request.rule.rate = 1e30;
    let error = session.train(&request, &AtomicBool::new(false), &mut |_| {}).unwrap_err();
    assert_eq!(error.code, ilsvrc_diagnostics::DIVERGED);
    assert!(!error.message.contains("replica"), "{error}");
}

#[test]
fn a_rank_has_one_replica() {
    let four = |_| options(1, &["cpu"; 4]);
    let errors = ranks_with(2, four, |_, session| session.err().unwrap());
    for error in errors {
        assert_eq!(error.code, ilsvrc_diagnostics::DEVICE_UNUSABLE);
        assert!(error.message.contains("4 devices for one of several ranks"), "{error}");
    }
}

#[test]
fn when_one_is_asked_to_stop_all_stop_between_the_same_steps() {
    let data = Data::new();
    let made = ranks(3, |rank, mut session| {
        let stop = AtomicBool::new(false);
        let report = session
            .train(&request(&data.path(), 0, 0, STEPS), &stop, &mut |step| {
                stop.store(rank == 1 && step.step == 1, Ordering::Relaxed);
            })
            .unwrap();
        let checkpoint = data.file(&format!("checkpoint-{rank}"));
        session.save_checkpoint(&checkpoint, &Default::default()).unwrap();
        (report.steps, report.stopped, std::fs::read(checkpoint).unwrap())
    });
    assert_eq!((made[0].0, made[0].1), (2, true));
    assert!(made.iter().all(|other| *other == made[0]));
    // A checkpoint of three goes on with two, or alone, in the middle of the epoch.
    let rest = |mut session: Session| {
        session.load_checkpoint(&data.file("checkpoint-0")).unwrap();
        let mut losses = Vec::new();
        let request = request(&data.path(), 0, 2, STEPS);
        session.train(&request, &AtomicBool::new(false), &mut |step| losses.push(step.loss as f32)).unwrap();
        losses
    };
    let alone = rest(Session::open(options(1, &["cpu"])).unwrap());
    assert_eq!(alone.len(), STEPS - 2);
    for losses in ranks(2, |_, session| rest(session)) {
        close(&losses, &alone, 2e-6);
    }
}

#[test]
fn one_that_is_asked_to_stop_stops_the_evaluation_of_all() {
    let data = Data::new();
    let request = EvaluateRequest { dataset: data.path(), split: "val".into(), views: Views::Centre };
    let codes = ranks(2, |rank, mut session| {
        let stop = AtomicBool::new(rank == 1);
        session.evaluate(&request, &stop, &mut |_| {}).unwrap_err().code
    });
    assert_eq!(codes, [ilsvrc_diagnostics::INTERRUPTED; 2]);
}

/// What a walk tells its listener of a batch: its first image, labels, probabilities and features.
type Told = (usize, Vec<u32>, Vec<f32>, Vec<f32>);

/// All that a walk over the nine validation images tells.
fn walked(session: &mut Session, data: &Path, views: Views) -> Vec<Told> {
    let layer = session.net().layers.iter().rev().filter_map(Layer::name).nth(1).map(str::to_owned);
    let walk = WalkRequest { dataset: data.into(), split: "val".into(), views, layer };
    let mut calls = Vec::new();
    session
        .walk(&walk, &AtomicBool::new(false), &mut |rows, progress| {
            assert_eq!((rows.labels.len(), progress.done), (rows.images, rows.first + rows.images));
            let (probabilities, features) = (rows.probabilities.to_vec(), rows.features.to_vec());
            calls.push((rows.first, rows.labels.to_vec(), probabilities, features));
            Ok(())
        })
        .unwrap();
    calls
}

/// With four ranks some have no pass in the last round; with one view a pass has several images, with ten one image has several passes.
#[test]
fn a_walk_makes_the_same_calls_as_with_one_replica() {
    let data = Data::new();
    let inference = || Options { purpose: Purpose::Inference, ..options(1, &["cpu"]) };
    for views in [Views::Centre, Views::Ten] {
        let alone = walked(&mut Session::open(inference()).unwrap(), &data.path(), views);
        assert!(alone.len() > 1 && alone.iter().all(|call| !call.3.is_empty()));
        for size in [2, 4] {
            let walk = |_, session: Result<Session>| walked(&mut session.unwrap(), &data.path(), views);
            for calls in ranks_with(size, |_| inference(), walk) {
                assert_eq!(calls, alone, "{size} ranks");
            }
            let options = Options { purpose: Purpose::Inference, ..replicas(size) };
            let calls = walked(&mut Session::open(options).unwrap(), &data.path(), views);
            assert_eq!(calls, alone, "{size} replicas");
        }
    }
}

#[test]
fn one_that_is_asked_to_stop_stops_the_walk_of_all() {
    let data = Data::new();
    let walk = WalkRequest { dataset: data.path(), split: "val".into(), views: Views::Ten, layer: None };
    let stopped = ranks(3, |rank, mut session| {
        let (stop, mut calls) = (AtomicBool::new(false), 0);
        let error = session.walk(&walk, &stop, &mut |_, _| {
            calls += 1;
            stop.store(rank == 2, Ordering::Relaxed);
            Ok(())
        });
        (error.unwrap_err().code, calls)
    });
    // After the first round, in which each has made a pass.
    assert_eq!(stopped, [(ilsvrc_diagnostics::INTERRUPTED, 3); 3]);
}

#[test]
fn ranks_with_other_settings_are_refused() {
    let other_seed = |rank| Options { seed: rank as u64, ..options(1, &["cpu"]) };
    let other_batch = |rank| Options { batch: BATCH + rank, ..options(1, &["cpu"]) };
    for codes in [
        ranks_with(2, other_seed, |_, session| session.err().map(|error| error.code)),
        ranks_with(2, other_batch, |_, session| session.err().map(|error| error.code)),
    ] {
        assert_eq!(codes, [Some(RANKS_DIFFER); 2]);
    }
    let data = Data::new();
    let codes = ranks(2, |rank, mut session| {
        let mut request = request(&data.path(), 0, 0, STEPS);
        request.rule.rate *= 1.0 + rank as f32;
        session.train(&request, &AtomicBool::new(false), &mut |_| {}).unwrap_err().code
    });
    assert_eq!(codes, [RANKS_DIFFER; 2]);
}

#[test]
fn a_rank_that_fails_does_not_leave_the_others_waiting() {
    let data = Data::new();
    let failed = ranks(2, |rank, mut session| {
        // A net that diverges does so on all; one whose data set is gone fails alone.
        let path = if rank == 1 { data.file("nowhere") } else { data.path() };
        session.train(&request(&path, 0, 0, STEPS), &AtomicBool::new(false), &mut |_| {}).is_err()
    });
    assert_eq!(failed, [true; 2]);
}
