use super::*;

/// An epoch of `steps` batches of 100 images on 2 decoders.
fn limit(steps: usize, (copy, train): (f64, f64), seconds: f64, loader: StageTimes) -> Limit {
    let mut meter = Meter::default();
    for _ in 0..steps {
        meter.add_step(100, copy / steps as f64, train / steps as f64);
    }
    meter.add_time(seconds);
    meter.limit(&StageTimes { threads: 2, ..loader })
}

fn loader(images: usize, read: f64, decode: f64, waited: f64) -> StageTimes {
    StageTimes { read, images_read: images, decode, images_decoded: images, waited, ..StageTimes::default() }
}

#[test]
fn the_trainer_limits_unless_it_waits() {
    let of = |read, decode, waited| limit(10, (1.0, 4.0), 10.0, loader(1000, read, decode, waited)).stage;
    assert_eq!(of(9.0, 9.0, 0.1), Stage::Train);
    assert_eq!(of(9.0, 9.0, 5.0), Stage::Read);
    assert_eq!(of(1.0, 19.0, 5.0), Stage::Decode);
}

#[test]
fn the_ceiling_is_what_the_stage_does_when_it_works() {
    let decode = limit(10, (0.0, 4.0), 10.0, loader(1000, 1.0, 18.0, 5.0));
    assert_eq!(decode.stage, Stage::Decode);
    assert!((decode.ceiling - 1000.0 / 9.0).abs() < 1e-9);
    let train = limit(10, (1.0, 8.0), 10.0, loader(1000, 1.0, 9.0, 0.0));
    assert!((train.ceiling - 1000.0 / 9.0).abs() < 1e-9);
    // Decoders that worked before the time began seem slower than what was reached.
    assert!((limit(10, (0.0, 4.0), 10.0, loader(500, 1.0, 18.0, 5.0)).ceiling - 100.0).abs() < 1e-9);
    // Nothing was trained: there is no rate, and no infinity.
    assert!(limit(0, (0.0, 0.0), 1.0, StageTimes::default()).ceiling.abs() < 1e-9);
}

/// A short epoch on a CPU: the trainer is busy for 50 to 87 % of the time, and waits for the rest, most of it for the first
/// batch; the decoders have decoded what was trained in a fraction of the time.
#[test]
fn the_filling_of_the_pipeline_is_not_held_against_the_decoders() {
    for (steps, train, filling, waited) in [(4, 0.87, 0.13, 0.0), (2, 0.5, 0.48, 0.02), (3, 0.7, 0.2, 0.1)] {
        let loader = StageTimes { filling, ..loader(steps * 100, 0.05, 0.8, waited) };
        assert_eq!(limit(steps, (0.0, train), 1.0, loader).stage, Stage::Train, "train {train}");
    }
}

/// Decoders work ahead: at the end of a short call they are busier than the trainer, with batches that it has not seen.
#[test]
fn work_ahead_is_no_sign_of_a_bottleneck() {
    let ahead = loader(700, 0.1, 1.8, 0.2);
    assert_eq!(limit(2, (0.0, 0.7), 1.0, ahead).stage, Stage::Train);
    assert_eq!(limit(7, (0.0, 0.7), 1.0, ahead).stage, Stage::Decode);
}
