//! `gpu time`: each part of a step against its floor, and whole steps and forward passes.

use crate::ceilings::{self, STILL};
use crate::check::explain;
use crate::costs::{Cost, Costs, Peaks, floor};
use crate::data::Batch;
use crate::options::Options;
use ilsvrc_cuda::{CudaBackend, CudaTower, Part, Precision, Route, cubins, devices, driver_version};
use ilsvrc_diagnostics::Result;
use ilsvrc_network::{
    Backend, Execution, Executor, Mode, Net, ParamId, Pass, Plan, Slot, UpdateRule, Use, examples,
};
use serde_json::{Value, json};
use std::collections::HashMap;
use std::time::Instant;

pub(crate) const FLAGS: [&str; 9] = [
    "batch",
    "repeats",
    "steps",
    "precisions",
    "product",
    "copy-mib",
    "tensor-tflops",
    "copy-tbs",
    "rehearse",
];

/// How often a part stands in the graph that times it, so that its beginning and end do not count.
const IN_A_ROW: usize = 10;
/// Steps before those that count: they allocate, record graphs and warm the clock up.
const WARM: usize = 5;

const RULE: UpdateRule = UpdateRule { rate: 1e-4, momentum: 0.9, decay: 0.0005 };

struct Settings {
    batches: Vec<usize>,
    precisions: Vec<Precision>,
    repeats: usize,
    steps: usize,
    /// A net that stands in for `alexnet` where there is no GPU and each step would take minutes.
    rehearse: bool,
}

impl Settings {
    fn alexnet(&self) -> Net {
        if self.rehearse {
            Net { name: "alexnet".into(), ..examples::miniature() }
        } else {
            examples::alexnet()
        }
    }

    fn cases(&self) -> Vec<Case> {
        let mut cases = vec![Case { net: self.alexnet(), devices: "0,0", gpus: vec![0, 0] }];
        if !self.rehearse {
            cases.push(Case { net: examples::one_tower(), devices: "0", gpus: vec![0] });
        }
        if devices().is_ok_and(|found| found.len() > 1) {
            cases.push(Case { net: self.alexnet(), devices: "0,1", gpus: vec![0, 1] });
        }
        cases
    }
}

/// Everything as JSON. A part that fails, as by lack of memory, leaves its error in its place.
pub(crate) fn run(options: &Options) -> std::result::Result<Value, String> {
    let number = |word: String| word.parse().map_err(|_| format!("--batch {word} is not a number"));
    let settings = Settings {
        batches: options
            .words("batch", "128,1024")
            .into_iter()
            .map(number)
            .collect::<std::result::Result<_, _>>()?,
        precisions: precisions(options)?,
        repeats: options.number("repeats", 15)?,
        steps: options.number("steps", 30)?,
        rehearse: options.has("rehearse"),
    };
    let (ceilings, peaks) = ceilings_of(options, &settings)?;
    let mut parts = Vec::new();
    let mut steps = Vec::new();
    for &precision in &settings.precisions {
        let peaks = &peaks[precision.name()];
        for &batch in &settings.batches {
            // The other precisions show what bf16 gains; their parts are of interest at one size only.
            if precision == Precision::Bf16 || batch == settings.batches[0] {
                parts.extend(or_error(
                    parts_of(&settings, precision, batch, peaks),
                    precision,
                    batch,
                    "parts",
                ));
            }
            for case in settings.cases() {
                let timed = steps_of(&case, precision, batch, settings.steps, peaks);
                steps.extend(or_error(timed.map(|value| vec![value]), precision, batch, case.devices));
            }
        }
    }
    Ok(json!({ "machine": machine()?, "ceilings": ceilings, "parts": parts, "steps": steps }))
}

fn precisions(options: &Options) -> std::result::Result<Vec<Precision>, String> {
    options.words("precisions", "bf16,tf32,f32").iter().map(|name| name.parse().map_err(explain)).collect()
}

fn or_error(result: Result<Vec<Value>>, precision: Precision, batch: usize, what: &str) -> Vec<Value> {
    result.unwrap_or_else(|error| {
        let text = explain(error);
        eprintln!("{} at batch {batch}, {what}: {text}", precision.name());
        vec![json!({ "precision": precision.name(), "batch": batch, "devices": what, "error": text })]
    })
}

fn machine() -> std::result::Result<Value, String> {
    let found = devices().map_err(explain)?;
    let gpus: Vec<Value> = found
        .iter()
        .map(|gpu| {
            let (major, minor) = gpu.compute_capability;
            json!({
                "name": gpu.name,
                "compute_capability": format!("{major}.{minor}"),
                "memory": gpu.memory,
                "peers": gpu.peers,
                "kernels": format!("{:?}", cubins::status(major, minor)),
            })
        })
        .collect();
    Ok(json!({
        "gpus": gpus,
        "cuda_of_driver": driver_version().map_err(explain)?,
        "nvrtc_of_build": cubins::nvrtc_version_at_build(),
        "version": env!("CARGO_PKG_VERSION"),
    }))
}

/// The ceilings: what we measure, or what the caller measured otherwise where that is more.
fn ceilings_of(
    options: &Options,
    settings: &Settings,
) -> std::result::Result<(Value, HashMap<&'static str, Peaks>), String> {
    let given = options.numbers_by_word("tensor-tflops")?;
    let copied =
        ceilings::copy(options.number("copy-mib", 2048)?, settings.repeats).map_err(|e| e.to_string())?;
    let other =
        options.words("copy-tbs", "").first().and_then(|text| text.parse::<f64>().ok()).unwrap_or(0.0);
    let bytes = copied.max(1e12 * other);
    let side = options.number("product", 8192)?;
    let mut report =
        json!({ "copy": { "own_tbs": copied / 1e12, "pytorch_tbs": other, "used_tbs": bytes / 1e12 } });
    let mut peaks = HashMap::new();
    for &precision in &settings.precisions {
        let own = ceilings::product(precision, side, settings.repeats).map_err(explain)?;
        let other = given.get(precision.name()).copied().unwrap_or(0.0);
        let flops = own.max(1e12 * other);
        let name = precision.name();
        report[name] =
            json!({ "own_tflops": own / 1e12, "pytorch_tflops": other, "used_tflops": flops / 1e12 });
        peaks.insert(name, Peaks { flops, bytes });
    }
    Ok((report, peaks))
}

/// Median, fastest and slowest of some times.
fn statistics(seconds: &[f64]) -> Value {
    let mut sorted = seconds.to_vec();
    sorted.sort_by(f64::total_cmp);
    let at = |index: usize| sorted.get(index).copied().unwrap_or(f64::NAN);
    let middle = sorted.len() / 2;
    let median = if sorted.len() % 2 == 1 {
        at(middle)
    } else {
        f64::midpoint(at(middle.saturating_sub(1)), at(middle))
    };
    json!({ "n": sorted.len(), "median": median, "fastest": at(0), "slowest": at(sorted.len().saturating_sub(1)) })
}

fn median(statistics: &Value) -> f64 {
    statistics["median"].as_f64().unwrap_or(f64::NAN)
}

/// Towers on GPU 0 with first weights and a loaded batch.
fn towers(backend: &CudaBackend, plan: &Plan) -> Result<Vec<CudaTower>> {
    let mut towers = Vec::new();
    for (number, of) in plan.towers.iter().enumerate() {
        let mut tower = backend.allocate(plan, number, 0)?;
        for (index, parameter) in of.parameters.iter().enumerate() {
            backend.write_parameter(
                &mut tower,
                ParamId(index),
                Slot::Value,
                &parameter.initial(1, number, index),
            )?;
        }
        towers.push(tower);
    }
    let batch = Batch::noise(&plan.net, plan.batch, plan.classes);
    backend.load(&mut towers, &plan.net, &batch.input())?;
    Ok(towers)
}

/// Each part of the step of tower 0, and the exchanges.
fn parts_of(settings: &Settings, precision: Precision, batch: usize, peaks: &Peaks) -> Result<Vec<Value>> {
    let (net, repeats) = (settings.alexnet(), settings.repeats);
    let plan = Plan::new(&net, batch, Use::Training)?;
    let backend = CudaBackend::new(&[0], precision)?;
    let mut towers = towers(&backend, &plan)?;
    let pass = Pass { batch, mode: Mode::Train { seed: 1, step: 0, first: 0 } };
    let costs = Costs::new(&plan, precision).step();
    // Once in order, so that every part finds what the one before it makes.
    let all: Vec<Part> = costs.iter().map(|(part, _)| *part).collect();
    let whole = backend.seconds_of(&mut towers, &all, &pass, &STILL, repeats)?;
    let own = |part: &Part| !matches!(part, Part::Op(1.., _) | Part::Update(1..));
    let mut results = Vec::new();
    for (part, cost) in costs.iter().filter(|(part, _)| own(part)) {
        let seconds = backend.seconds_of(&mut towers, &vec![*part; IN_A_ROW], &pass, &STILL, repeats)?;
        let seconds: Vec<f64> = seconds.iter().map(|seconds| seconds / IN_A_ROW as f64).collect();
        results.push(timed_part(precision, batch, cost, &seconds, peaks));
    }
    let sum = |of: fn(&Cost) -> f64| costs.iter().map(|(_, cost)| of(cost)).sum::<f64>();
    let (flop, bytes) = (sum(|cost| cost.flop), sum(|cost| cost.bytes));
    let name = "all parts of both towers".into();
    let all = Cost { name, kernels: "", flop, bytes, on_the_way: false };
    let mut value = timed_part(precision, batch, &all, &whole, peaks);
    let floor = floor(&costs, &[0, 0], peaks);
    value["floor"] = json!(floor);
    value["of_floor"] = json!(floor / median(&value["seconds"]));
    results.push(value);
    Ok(results)
}

fn timed_part(precision: Precision, batch: usize, cost: &Cost, seconds: &[f64], peaks: &Peaks) -> Value {
    let seconds = statistics(seconds);
    let floor = cost.floor(peaks);
    json!({
        "precision": precision.name(),
        "batch": batch,
        "part": cost.name,
        "kernels": cost.kernels,
        "flop": cost.flop,
        "bytes": cost.bytes,
        "bound_by": if cost.memory_bound(peaks) { "memory" } else { "arithmetic" },
        "floor": floor,
        "on_the_way": cost.on_the_way,
        "of_floor": floor / median(&seconds),
        "seconds": seconds,
    })
}

/// A net on some GPUs.
struct Case {
    net: Net,
    devices: &'static str,
    gpus: Vec<usize>,
}

/// Training steps as `train` makes them, and forward passes in test mode.
fn steps_of(case: &Case, precision: Precision, batch: usize, steps: usize, peaks: &Peaks) -> Result<Value> {
    let Case { net, devices, gpus } = case;
    let plan = Plan::new(net, batch, Use::Training)?;
    let costs = Costs::new(&plan, precision);
    let step_floor = floor(&costs.step(), gpus, peaks);
    let data = Batch::noise(net, batch, plan.classes);
    let places: Vec<usize> = (0..net.towers).collect();
    let backend = CudaBackend::new(gpus, precision)?;
    let route = match backend.route() {
        Route::SameGpu => "same GPU",
        Route::Peer => "peer",
        Route::Host => "host",
    };
    let mut executor = Executor::new(backend, plan.clone(), &places)?;
    executor.initialise(1)?;
    let (gpu, wall, load) = train(&mut executor, &data, batch, steps)?;
    drop(executor);
    let (gpu, wall) = (statistics(&gpu), statistics(&wall));
    let per_second = |seconds: &Value| batch as f64 / median(seconds);
    let mut value = json!({
        "net": net.name,
        "devices": devices,
        "route": route,
        "precision": precision.name(),
        "batch": batch,
        "floor": step_floor,
        "of_floor": step_floor / median(&gpu),
        "images_per_second": per_second(&gpu),
        "images_per_second_wall": per_second(&wall),
        "gpu": gpu,
        "wall": wall,
        "load": statistics(&load),
    });
    if gpus.iter().all(|gpu| *gpu == 0) {
        value["forward"] = forward_of(net, precision, batch, steps, &data, peaks)?;
    }
    eprintln!(
        "{} on {devices}, {}, batch {batch}: {:.0} images/s, {:.0} % of the floor",
        net.name,
        precision.name(),
        per_second(&value["gpu"]),
        100.0 * value["of_floor"].as_f64().unwrap_or(f64::NAN)
    );
    Ok(value)
}

/// Seconds of steps on the GPU, between the ends of steps, and of bringing batches, after some that do not count.
fn train(
    executor: &mut Executor<CudaBackend>,
    data: &Batch,
    batch: usize,
    steps: usize,
) -> Result<(Vec<f64>, Vec<f64>, Vec<f64>)> {
    let (mut gpu, mut wall, mut load) = (Vec::new(), Vec::new(), Vec::new());
    let input = data.input();
    let mut last = Instant::now();
    let mut end = |executor: &mut Executor<CudaBackend>| {
        executor.end_step().map(|outcome| {
            gpu.push(outcome.train_seconds);
            wall.push(last.elapsed().as_secs_f64());
            load.push(outcome.load_seconds);
            last = Instant::now();
        })
    };
    for step in 0..(WARM + steps) as u64 {
        executor.begin_step(&input, &Pass { batch, mode: Mode::Train { seed: 1, step, first: 0 } }, &RULE)?;
        if step > 0 {
            end(executor)?;
        }
    }
    end(executor)?;
    Ok((gpu.split_off(WARM), wall.split_off(WARM), load.split_off(WARM)))
}

/// Forward passes alone, recorded as one graph: seconds on the GPU.
fn forward_of(
    net: &Net,
    precision: Precision,
    batch: usize,
    repeats: usize,
    data: &Batch,
    peaks: &Peaks,
) -> Result<Value> {
    let plan = Plan::new(net, batch, Use::Inference)?;
    let backend = CudaBackend::new(&[0], precision)?;
    let mut towers = towers(&backend, &plan)?;
    let mut input = data.input();
    input.labels = &[];
    backend.load(&mut towers, net, &input)?;
    let parts = Costs::new(&plan, precision).forward();
    let all: Vec<Part> = parts.iter().map(|(part, _)| *part).collect();
    let pass = Pass { batch, mode: Mode::Test };
    let gpu = statistics(&backend.seconds_of(&mut towers, &all, &pass, &STILL, repeats)?);
    let (floor, median) = (floor(&parts, &vec![0; net.towers], peaks), median(&gpu));
    Ok(
        json!({ "floor": floor, "of_floor": floor / median, "images_per_second": batch as f64 / median, "gpu": gpu }),
    )
}
