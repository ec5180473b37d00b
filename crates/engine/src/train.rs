//! Training: a number of steps of momentum SGD from a given place in an epoch.

use crate::stages::{Limit, Meter, Stage, StageShares};
use crate::{Session, views};
use ilsvrc_diagnostics::{DIVERGED, Error, INTERNAL, Result, SPLIT_EMPTY};
use ilsvrc_images::{Batch, Dataset, LoadMode, Loader, LoaderOptions, Shuffle};
use ilsvrc_network::{Input, Mode, Outcome, Pass, Traffic, UpdateRule};
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Instant;

/// Which steps to train, and how.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrainRequest {
    /// Folder of the prepared data set.
    pub dataset: PathBuf,
    /// Name of the split, as `train`.
    pub split: String,
    /// Epoch, from 0: decides the order and the augmentation of images.
    pub epoch: u64,
    /// First step, from 0, within the epoch.
    pub first_step: usize,
    /// Steps to train; fewer where the epoch ends before.
    pub steps: usize,
    /// Learning rate, momentum and decay.
    pub rule: UpdateRule,
    /// Trains on the first so many images of the split; on all where absent.
    #[serde(default)]
    pub images: Option<usize>,
    /// Steps of the epochs before; where absent, each had as many as this one.
    #[serde(default)]
    pub steps_before: Option<u64>,
    /// How the images of an epoch are shuffled.
    #[serde(default)]
    pub shuffle: Shuffle,
    /// Mirror every second image (by chance).
    pub mirror: bool,
    /// Standard deviation of the factors of the colour's principal components; 0 for none.
    pub colour_noise: f32,
}

/// A step that was made.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct TrainStep {
    /// Epoch, from 0.
    pub epoch: u64,
    /// Step within the epoch, from 0.
    pub step: usize,
    /// Steps since the start of training.
    pub global_step: u64,
    /// Mean cross-entropy of the batch before the step, in nats.
    pub loss: f64,
    /// Images in the batch, of all ranks.
    pub images: usize,
    /// Speed of this step, of all ranks together.
    pub images_per_second: f64,
}

/// What was trained.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct TrainReport {
    /// Steps made.
    pub steps: usize,
    /// True when the steps are fewer because the caller asked to stop.
    pub stopped: bool,
    /// Images seen.
    pub images: usize,
    /// Mean cross-entropy an image, in nats.
    pub loss: f64,
    /// Share of the images whose most likely class was wrong, with dropout and augmentation on.
    pub top1_error: f64,
    /// Wall time.
    pub seconds: f64,
    /// Images a second.
    pub images_per_second: f64,
    /// How busy each stage was, in this epoch from where this session entered it.
    pub stages: StageShares,
    /// The stage that held the others back, likewise.
    pub limiting_stage: Stage,
    /// What that stage would reach if it never waited for another; likewise. Of all ranks, were they all like this one.
    pub ceiling_images_per_second: f64,
    /// What one of the ranks, or of the replicas of this process, has sent the others since they met; nothing where there are none.
    pub traffic: Option<Traffic>,
}

/// A loader that stands where the last call ended.
pub(crate) struct Feed {
    loader: Loader,
    /// What was measured since the loader was opened.
    meter: Meter,
    /// The request that goes on from here, but for its steps and its rule.
    next: TrainRequest,
}

impl Session {
    /// Trains. `emit` hears of every step. When `cancel` is set the step under way is finished and the report says
    /// `stopped`: the session is then between two steps, as after any other call.
    ///
    /// # Errors
    /// `DIVERGED` when the loss is NaN or infinite, before the weights are changed by it; those of the data set.
    pub fn train(
        &mut self,
        request: &TrainRequest,
        cancel: &AtomicBool,
        emit: &mut dyn FnMut(TrainStep),
    ) -> Result<TrainReport> {
        let dataset = self.dataset(&request.dataset)?;
        self.expect_classes(&request.dataset, &dataset)?;
        let images = count(&dataset, &request.split)?;
        let images = request.images.map_or(images, |most| most.clamp(1, images));
        let steps_before = request.steps_before;
        let steps_per_epoch = images.div_ceil(self.batch);
        let elsewhere = TrainRequest { dataset: PathBuf::new(), ..request.clone() };
        self.ranks.expect_same("data set or recipe", &format!("{elsewhere:?} {:?}", dataset.manifest()))?;
        if request.first_step >= steps_per_epoch || request.steps == 0 {
            return Err(Error::new(
                INTERNAL,
                format!("{} steps from step {} of {steps_per_epoch}", request.steps, request.first_step),
            ));
        }
        while self.under_way > 0 {
            self.under_way -= 1;
            // What an earlier call failed at was its error; nobody waits for what was behind it.
            let _ = self.executor.end_step();
        }
        let mean = self.mean.get_or_insert_with(|| Arc::new(dataset.mean())).clone();
        // Taken out: after an error the loader's place is not known.
        let (mut loader, mut meter) = match self.feed.take() {
            Some(feed) if feed.continues(request) => (feed.loader, feed.meter),
            _ => (self.open_loader(&dataset, request)?, Meter::default()),
        };

        let begin = Instant::now();
        let (mut loss_sum, mut hits, mut seen) = (0.0, 0.0, 0);
        let last = (request.first_step + request.steps).min(steps_per_epoch);
        let mut step = request.first_step;
        // Steps that have begun and not ended: on a GPU one more begins while the oldest is computed.
        let mut under_way: VecDeque<Begun> = VecDeque::new();
        let mut ended = Instant::now();
        loop {
            let asked = |error| at_step(request, step, error);
            let more = step < last && !self.ranks.anyone(cancel).map_err(asked)?;
            if more {
                let batch = loader.next()?.ok_or_else(|| {
                    Error::new(INTERNAL, format!("the loader ended before step {step} of {steps_per_epoch}"))
                })?;
                let before = steps_before.unwrap_or(request.epoch * steps_per_epoch as u64);
                let global_step = before + step as u64;
                let whole = self.batch.min(images - step * self.batch);
                under_way.push_back(Begun { step, global_step, images: whole, own: batch.n });
                self.begin_step(&batch, &mean, (global_step, self.ranks.part(whole).start), &request.rule)
                    .map_err(|error| at_step(request, step, error))?;
                self.under_way += 1;
                loader.recycle(batch);
                step += 1;
            }
            if more && under_way.len() <= self.executor.steps_ahead() {
                continue;
            }
            let Some(begun) = under_way.pop_front() else { break };
            self.under_way -= 1;
            let done = self
                .executor
                .end_step()
                .and_then(|done| finite(done, begun.global_step, &request.rule))
                .map_err(|error| at_step(request, begun.step, error))?;
            meter.add_step(begun.own, done.load_seconds, done.train_seconds);
            loss_sum += done.loss * begun.images as f64;
            hits += done.hits;
            seen += begun.images;
            emit(TrainStep {
                epoch: request.epoch,
                step: begun.step,
                global_step: begun.global_step,
                loss: done.loss,
                images: begun.images,
                images_per_second: begun.images as f64 / ended.elapsed().as_secs_f64(),
            });
            ended = Instant::now();
        }

        let seconds = begin.elapsed().as_secs_f64();
        meter.add_time(seconds);
        let stages = meter.shares(&loader.stats());
        let Limit { stage, ceiling } = meter.limit(&loader.stats());
        self.feed = Some(Feed { loader, meter, next: TrainRequest { first_step: step, ..request.clone() } });
        let mean_of = |sum: f64| if seen > 0 { sum / seen as f64 } else { 0.0 };
        Ok(TrainReport {
            steps: step - request.first_step,
            stopped: step < last,
            images: seen,
            loss: mean_of(loss_sum),
            top1_error: mean_of(seen as f64 - hits),
            seconds,
            images_per_second: seen as f64 / seconds,
            stages,
            limiting_stage: stage,
            ceiling_images_per_second: ceiling * self.ranks.place().1 as f64,
            traffic: self.ranks.traffic().or_else(|| self.executor.traffic()),
        })
    }

    fn open_loader(&self, dataset: &Arc<Dataset>, request: &TrainRequest) -> Result<Loader> {
        let plan = self.executor.plan();
        Loader::with_memory(
            dataset.clone(),
            LoaderOptions {
                split: request.split.clone(),
                batch: self.batch,
                part: self.ranks.place(),
                seed: self.seed,
                epoch: request.epoch,
                first_batch: request.first_step,
                images: request.images,
                shuffle: request.shuffle,
                mode: LoadMode::Train {
                    crop: plan.net.crop,
                    mirror: request.mirror,
                    colour_noise: request.colour_noise,
                },
                threads: self.threads,
            },
            self.executor.host_memory(),
            self.cache.clone(),
        )
    }

    /// Begins forward, backward and update with one batch, whose first image is the step's `first`.
    fn begin_step(
        &mut self,
        batch: &Batch,
        mean: &[f32],
        (step, first): (u64, usize),
        rule: &UpdateRule,
    ) -> Result<()> {
        let pass = Pass { batch: batch.n, mode: Mode::Train { seed: self.seed, step, first } };
        let views: Vec<_> =
            (0..).zip(&batch.views).map(|(image, view)| views::from_crop(image, view)).collect();
        let input = Input {
            pixels: &batch.pixels,
            side: batch.side,
            views: &views,
            mean,
            mean_side: self.executor.plan().net.image,
            labels: &batch.labels,
        };
        self.executor.begin_step(&input, &pass, rule)
    }
}

/// A tenth of a rate in as many digits as a person would give it.
fn tenth(rate: f32) -> f64 {
    format!("{:.2e}", f64::from(rate) / 10.0).parse().unwrap_or_default()
}

/// A step that has begun.
struct Begun {
    step: usize,
    global_step: u64,
    /// Of all ranks.
    images: usize,
    /// Of this one.
    own: usize,
}

/// Says at which step an error came: only there it is known. People count from one.
fn at_step(request: &TrainRequest, step: usize, error: Error) -> Error {
    let (epoch, step) = (request.epoch + 1, step + 1);
    Error { message: format!("epoch {epoch}, step {step}: {}", error.message), ..error }
}

/// Refuses a loss that is no number to go on with.
fn finite(done: Outcome, global_step: u64, rule: &UpdateRule) -> Result<Outcome> {
    if done.loss.is_finite() { Ok(done) } else { Err(diverged(done.loss, global_step, rule)) }
}

/// The error for a loss that is no number to go on with.
fn diverged(loss: f64, global_step: u64, rule: &UpdateRule) -> Error {
    let what = if loss.is_nan() { "NaN (not a number)" } else { "infinite" };
    let hint = match global_step {
        0 => "the initial weights are too large: lower `weight_std` in the description of the net".into(),
        _ => format!("train with a lower rate, as `--lr {}`", tenth(rule.rate)),
    };
    Error::new(DIVERGED, format!("the loss became {what}"))
        .info(format!(
            "at learning rate {}, after {global_step} {} since the start of training",
            rule.rate,
            if global_step == 1 { "step" } else { "steps" }
        ))
        .hint(hint)
}

impl Feed {
    /// Whether the loader's next batch is the first that `request` needs. The rule is no concern of the loader.
    fn continues(&self, request: &TrainRequest) -> bool {
        self.next == TrainRequest { steps: self.next.steps, rule: self.next.rule, ..request.clone() }
    }
}

/// Images in a split.
pub(crate) fn count(dataset: &Dataset, split: &str) -> Result<usize> {
    match dataset.images(split)?.len() {
        0 => Err(Error::new(SPLIT_EMPTY, format!("the split `{split}` holds no images"))),
        images => Ok(images),
    }
}
