//! A training step as one graph: forward, backward and update of all towers, recorded once for each number of images and
//! launched from then on. Before it each tower loads the batch and gets the step's state; after it two numbers, the loss
//! and the hits, come back. A second step may begin before the first has ended, so that the GPU never waits for the host.

use crate::backend::CudaBackend;
use crate::driver::{Event, Graph, PinnedMemory};
use crate::exchange::{exchange, transfer};
use crate::gpu::launch;
use crate::launch::{Learn, THREADS, blocks, element, run_with, update_all};
use crate::staging::Staging;
use crate::tower::{CudaTower, State};
use ilsvrc_diagnostics::{Error, INTERNAL, Result};
use ilsvrc_network::{Input, Net, Outcome, Pass, Plan, Stage, Step};
use std::collections::VecDeque;
use std::sync::{Arc, PoisonError};
use std::time::Instant;

/// Steps that may be under way: one on the GPU and one behind it.
const MOST_UNDER_WAY: usize = 2;
/// Graphs kept: whole batches and the last one of an epoch.
const MOST_GRAPHS: usize = 4;

/// Recorded steps and steps under way.
#[derive(Default)]
pub(crate) struct Steps {
    /// By number of images, the newest last.
    graphs: Vec<(usize, Graph)>,
    slots: Vec<Slot>,
    next: usize,
    under_way: VecDeque<UnderWay>,
}

/// What a step has on the host: its state on the way to the GPUs and its outcome on the way back.
struct Slot {
    pinned: PinnedMemory,
    begun: Event,
    done: Arc<Event>,
}

struct UnderWay {
    slot: usize,
    load_seconds: f64,
}

/// Where the outcome is in a slot's memory.
const OUTCOME: usize = State::BYTES;
const OUTCOME_BYTES: usize = 2 * size_of::<f32>();

/// Begins a step.
pub(crate) fn begin(backend: &CudaBackend, step: Step<CudaTower>) -> Result<()> {
    let Step { plan, towers, input, pass, rule, .. } = step;
    let begin = Instant::now();
    prepare(towers)?;
    load(towers, &plan.net, input)?;
    let steps = &mut towers[0].steps;
    let number = steps.next;
    steps.next = (number + 1) % MOST_UNDER_WAY;
    let state = State::default().with_pass(pass).with_rule(rule);
    steps.slots[number].pinned[..State::BYTES].copy_from_slice(&state.to_bytes());
    for index in 0..towers.len() {
        let bytes = &towers[0].steps.slots[number].pinned[..State::BYTES];
        let tower = &towers[index];
        tower.compute.upload(tower.state.at, bytes)?;
        towers[index].state_now = state;
    }
    let load_seconds = begin.elapsed().as_secs_f64();

    if !towers[0].steps.graphs.iter().any(|(images, _)| *images == pass.batch) {
        let graph = record(backend, towers, plan, pass)?;
        let graphs = &mut towers[0].steps.graphs;
        if graphs.len() == MOST_GRAPHS {
            graphs.remove(0);
        }
        graphs.push((pass.batch, graph));
    }
    join(towers)?;
    let first = &mut towers[0];
    let (outcome, compute) = (first.outcome.at, &first.compute);
    let steps = &mut first.steps;
    let slot = &mut steps.slots[number];
    compute.record(&slot.begun)?;
    let (_, graph) = steps.graphs.iter().find(|(images, _)| *images == pass.batch).expect("recorded above");
    compute.launch_graph(graph)?;
    compute.download(&mut slot.pinned[OUTCOME..][..OUTCOME_BYTES], outcome)?;
    compute.record(&slot.done)?;
    let done = slot.done.clone();
    steps.under_way.push_back(UnderWay { slot: number, load_seconds });
    towers[1..].iter().try_for_each(|tower| tower.compute.wait(&done))
}

/// Waits for the oldest step.
pub(crate) fn end(towers: &mut [CudaTower]) -> Result<Outcome> {
    let steps = &mut towers[0].steps;
    let none = || Error::new(INTERNAL, "no training step is under way");
    let UnderWay { slot, load_seconds } = steps.under_way.pop_front().ok_or_else(none)?;
    let slot = &steps.slots[slot];
    slot.done.synchronize()?;
    let float = |index: usize| {
        let bytes = &slot.pinned[OUTCOME + 4 * index..][..4];
        f64::from(f32::from_ne_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]))
    };
    Ok(Outcome {
        loss: float(0),
        hits: float(1),
        load_seconds,
        train_seconds: slot.done.seconds_since(&slot.begun)?,
    })
}

/// Brings a batch to all towers: once to each GPU, then from there into each tower's input.
pub(crate) fn load(towers: &mut [CudaTower], net: &Net, input: &Input) -> Result<()> {
    for index in 0..towers.len() {
        let gpu = towers[index].gpu.clone();
        // Calls may come from any thread.
        gpu.context.bind()?;
        let mut staging = gpu.staging.lock().unwrap_or_else(PoisonError::into_inner);
        let staging =
            staging.as_mut().ok_or_else(|| Error::new(INTERNAL, "no memory for batches was planned"))?;
        if !shared(towers, index) {
            staging.bring(&gpu.copy, input)?;
        }
        let tower = &mut towers[index];
        let staged = staging.arrive(&tower.compute)?;
        let (out, pitch) = tower.image(net.crop, input.views.len())?;
        let (images, side, mean_side) = (input.views.len() as i32, input.side as i32, input.mean_side as i32);
        let (pixels, views, mean, crop) = (staged.pixels, staged.views, staged.mean, net.crop as i32);
        let photos = (input.pixels.len() / (input.side * input.side * 3)) as i32;
        let grid = blocks(input.views.len() * net.crop * net.crop * pitch);
        let name = element!(gpu.precision, "load");
        launch!(
            gpu,
            &tower.compute,
            name,
            grid,
            THREADS,
            0,
            pixels,
            views,
            mean,
            out,
            photos,
            images,
            side,
            mean_side,
            crop,
            pitch as i32
        )?;
        tower.labelled = input.labels.len();
        if tower.labelled > 0 {
            tower.compute.copy(tower.labels.at, staged.labels, size_of_val(input.labels))?;
        }
        tower.compute.record(&tower.loaded)?;
        staging.release(&tower.loaded);
    }
    // The GPUs read the caller's memory. They compute an earlier step meanwhile.
    for index in 0..towers.len() {
        let staging = towers[index].gpu.staging.lock().unwrap_or_else(PoisonError::into_inner);
        staging.iter().filter(|_| !shared(towers, index)).try_for_each(Staging::arrived)?;
    }
    Ok(())
}

/// Whether an earlier tower lives on the same GPU.
fn shared(towers: &[CudaTower], index: usize) -> bool {
    towers[..index].iter().any(|other| Arc::ptr_eq(&other.gpu, &towers[index].gpu))
}

/// Makes the slots, and ends a step that nobody asked for.
fn prepare(towers: &mut [CudaTower]) -> Result<()> {
    let context = towers[0].gpu.context.clone();
    let steps = &mut towers[0].steps;
    while steps.slots.len() < MOST_UNDER_WAY {
        steps.slots.push(Slot {
            pinned: PinnedMemory::new(&context, OUTCOME + OUTCOME_BYTES, "the state of a step")?,
            begun: Event::timed(&context)?,
            done: Arc::new(Event::timed(&context)?),
        });
    }
    if steps.under_way.len() == MOST_UNDER_WAY {
        end(towers)?;
    }
    Ok(())
}

/// Makes the first tower's compute stream wait for the others'.
fn join(towers: &mut [CudaTower]) -> Result<()> {
    let (first, others) = towers.split_at_mut(1);
    for tower in others {
        let event = tower.order.event(&tower.gpu.context)?;
        tower.compute.record(&event)?;
        first[0].compute.wait(&event)?;
        tower.order.take_back(event);
    }
    Ok(())
}

/// Records a step of `pass.batch` images.
fn record(backend: &CudaBackend, towers: &mut [CudaTower], plan: &Plan, pass: &Pass) -> Result<Graph> {
    recorded(towers, |towers| {
        run_stages(backend, towers, &plan.forward, pass)?;
        judge(backend, towers, pass)?;
        run_stages(backend, towers, &plan.backward, pass)?;
        towers.iter_mut().try_for_each(|tower| {
            tower.gpu.context.bind()?;
            update_all(tower, false)
        })
    })
}

/// What `queue` gives to the towers' streams as a graph, which begins and ends on the first tower's compute stream.
pub(crate) fn recorded(
    towers: &mut [CudaTower],
    queue: impl FnOnce(&mut [CudaTower]) -> Result<()>,
) -> Result<Graph> {
    // Nothing that happened before may be waited for inside.
    for tower in towers.iter_mut() {
        tower.synchronize()?;
        tower.forget();
    }
    towers[0].gpu.context.bind()?;
    towers[0].compute.begin_capture()?;
    let queued = fork(towers).and_then(|()| queue(towers)).and_then(|()| {
        towers.iter_mut().try_for_each(|tower| tower.order.all(&tower.compute))?;
        join(towers)
    });
    // Always: a stream that goes on recording could not be used any more.
    let graph = towers[0].compute.end_capture();
    towers.iter_mut().for_each(CudaTower::forget);
    queued?;
    graph
}

/// The others begin with the first.
fn fork(towers: &mut [CudaTower]) -> Result<()> {
    let context = towers[0].gpu.context.clone();
    let start = towers[0].order.event(&context)?;
    towers[0].compute.record(&start)?;
    towers[1..].iter().try_for_each(|tower| tower.compute.wait(&start))
}

fn run_stages(backend: &CudaBackend, towers: &mut [CudaTower], stages: &[Stage], pass: &Pass) -> Result<()> {
    for stage in stages {
        match stage {
            Stage::Compute(ops) => {
                for (tower, ops) in towers.iter_mut().zip(ops) {
                    tower.gpu.context.bind()?;
                    ops.iter().try_for_each(|op| run_with(tower, op, pass, Learn::AtOnce))?;
                }
            }
            Stage::Exchange(meeting) => exchange(towers, meeting, pass.batch, backend.peers)?,
        }
    }
    Ok(())
}

/// Whether the loss is a number to go on with: found out on the GPU, so that no weight changes where it is not, and
/// told to all towers.
fn judge(backend: &CudaBackend, towers: &mut [CudaTower], pass: &Pass) -> Result<()> {
    let first = &mut towers[0];
    let (losses, hits, outcome, diverged) =
        (first.losses.at, first.hits.at, first.outcome.at, first.diverged.at);
    first.queue("judge", [1, 1, 1], |gpu, stream, name, grid| {
        launch!(gpu, stream, name, grid, THREADS, 0, losses, hits, outcome, diverged, pass.batch as i32)
    })?;
    let judged = first.order.event(&first.gpu.context)?;
    first.compute.record(&judged)?;
    for t in 1..towers.len() {
        let (to, bytes) = (towers[t].diverged.at, size_of::<u32>());
        transfer(towers, (0, diverged), (t, to), bytes, &judged, backend.peers)?;
        let tower = &mut towers[t];
        let told = tower.order.event(&tower.gpu.context)?;
        tower.exchange.record(&told)?;
        tower.order.add(to..to + bytes as u64, true, &told);
    }
    towers[0].order.take_back(judged);
    Ok(())
}
