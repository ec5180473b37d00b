//! `gpu check`: every kernel against the f64 reference, whole nets against PyTorch's goldens, training against the CPU.

use crate::data::Batch;
use crate::layers;
use crate::options::Options;
use crate::training::{Tolerance, Trained, train};
use crate::wrappers;
use ilsvrc_conformance::{BF16, F32, Subject, goldens, ops};
use ilsvrc_cpu::CpuBackend;
use ilsvrc_cuda::{CudaBackend, Device, Precision, devices};
use ilsvrc_diagnostics::Error;
use ilsvrc_network::{Net, UpdateRule, examples};
use serde_json::{Value, json};
use std::cell::OnceCell;
use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind, set_hook};
use std::process::{Command, Stdio};
use std::rc::Rc;
use std::time::Instant;

pub(crate) const FLAGS: [&str; 6] = ["quick", "areas", "precisions", "images", "skip", "in-process"];

const RULE: UpdateRule = UpdateRule { rate: 0.01, momentum: 0.9, decay: 0.0005 };

/// One line of the report.
struct Item {
    area: &'static str,
    /// Precision and devices.
    what: String,
    /// Panics or fails where the GPU is wrong; else may say how near it was.
    work: Box<dyn Fn() -> Result<String, String>>,
}

/// Prints a line for each item to stderr, and all of them as JSON; true where nothing failed.
///
/// A kernel that failed may leave the GPU unusable for its process: what comes after it is checked by a new one.
pub(crate) fn run(options: &Options, arguments: &[String]) -> Result<(Value, bool), String> {
    let found = devices().map_err(explain)?;
    if found.is_empty() {
        return Err("the driver sees no GPU".into());
    }
    set_hook(Box::new(|_| {})); // the report has the message
    let items = items(options, &found)?;
    let first = options.number("skip", 0)?;
    let mut results = Vec::new();
    for (index, item) in items.iter().enumerate().skip(first) {
        let result = check(item);
        let failed = result["ok"] != json!(true);
        results.push(result);
        if failed && index + 1 < items.len() && !options.has("in-process") {
            results.extend(rest(arguments, index + 1));
            break;
        }
    }
    let ok = results.iter().all(|result| result["ok"] == json!(true));
    Ok((json!({ "ok": ok, "checks": results }), ok))
}

fn check(item: &Item) -> Value {
    let begin = Instant::now();
    let outcome = caught(|| (item.work)());
    let seconds = begin.elapsed().as_secs_f64();
    let (ok, message) = match outcome {
        Ok(message) => (true, message),
        Err(message) => (false, message),
    };
    let word = if ok { "ok  " } else { "FAIL" };
    eprintln!("{word} {:<12} {:<17} {seconds:6.1} s  {message}", item.area, item.what);
    json!({ "area": item.area, "what": item.what, "ok": ok, "seconds": seconds, "message": message })
}

/// What work says; a panic is a failure of its text.
pub(crate) fn caught<T>(work: impl FnOnce() -> Result<T, String>) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        Err(text.or_else(|| panic.downcast_ref::<&str>().map(|text| text.to_string())).unwrap_or_default())
    })
}

/// The items from `first` on, checked by a new process.
fn rest(arguments: &[String], first: usize) -> Vec<Value> {
    let lost = |why: String| {
        eprintln!("FAIL the rest: {why}");
        vec![json!({ "area": "the rest", "what": "", "ok": false, "seconds": 0.0, "message": why })]
    };
    let Ok(program) = std::env::current_exe() else { return lost("the program is not where it was".into()) };
    let mut command = Command::new(program);
    command.arg("check").args(arguments).args(["--skip", &first.to_string()]).stderr(Stdio::inherit());
    match command.output() {
        Ok(output) => match serde_json::from_slice::<Value>(&output.stdout) {
            Ok(report) => report["checks"].as_array().cloned().unwrap_or_default(),
            Err(error) => lost(format!("{}, {error}", output.status)),
        },
        Err(error) => lost(error.to_string()),
    }
}

/// The GPUs of the towers and how they exchange.
#[derive(Clone, Copy)]
struct Towers {
    name: &'static str,
    gpus: [usize; 2],
    host: bool,
}

impl Towers {
    fn backend(&self, precision: Precision) -> Result<CudaBackend, String> {
        let backend = CudaBackend::new(&self.gpus, precision).map_err(explain)?;
        Ok(if self.host { backend.by_way_of_the_host() } else { backend })
    }
}

fn pairs(found: &[Device]) -> Vec<Towers> {
    let mut pairs = vec![Towers { name: "0,0", gpus: [0, 0], host: false }];
    if found.len() > 1 {
        if found[0].peers.contains(&1) && found[1].peers.contains(&0) {
            pairs.push(Towers { name: "0,1 peer", gpus: [0, 1], host: false });
        }
        pairs.push(Towers { name: "0,1 host", gpus: [0, 1], host: true });
    }
    pairs
}

fn items(options: &Options, found: &[Device]) -> Result<Vec<Item>, String> {
    let areas = options.words("areas", "");
    let precisions = options.words("precisions", "bf16,tf32,f32");
    let precisions: Vec<Precision> =
        precisions.iter().map(|name| name.parse().map_err(explain)).collect::<Result<_, _>>()?;
    let quick = options.has("quick");
    let images = options.number("images", 16)?;

    let mut items = Vec::new();
    for device in found {
        let (ordinal, capability) = (device.ordinal, device.compute_capability);
        items.push(Item {
            area: "wrappers",
            what: format!("GPU {ordinal}"),
            work: Box::new(move || wrappers::check(ordinal, capability).map(|()| String::new())),
        });
    }
    for &precision in &precisions {
        items.extend(ops_of(precision, found));
    }
    for &precision in &precisions {
        items.extend(
            pairs(found)
                .into_iter()
                .map(|towers| golden("two-towers", precision, towers, golden_tolerance(precision))),
        );
    }
    if !quick && precisions.contains(&Precision::F32) {
        // A single pool that chooses differently in the second step or the third shows in how far weights came.
        let tolerance = goldens::Tolerance { change: 5e-3, ..goldens::F32 };
        items.push(golden("alexnet", Precision::F32, pairs(found)[0], tolerance));
    }
    for &precision in precisions.iter().filter(|_| !quick) {
        let work = move || layers::check(precision, images).map_err(explain);
        items.push(Item { area: "layers", what: label(precision, "0"), work: Box::new(work) });
    }
    items.extend(trainings(&precisions, found, if quick { None } else { Some(images) }));
    items.retain(|item| areas.is_empty() || areas.iter().any(|area| area == item.area));
    if items.is_empty() {
        return Err(format!("no area is called {}", areas.join(" or ")));
    }
    Ok(items)
}

/// A net against PyTorch.
fn golden(name: &'static str, precision: Precision, towers: Towers, tolerance: goldens::Tolerance) -> Item {
    let work = move || {
        let check = if precision == Precision::F32 { goldens::check } else { goldens::check_first_step };
        check(name, towers.backend(precision)?, &[0, 1], &tolerance);
        Ok(name.to_string())
    };
    Item { area: "pytorch", what: label(precision, towers.name), work: Box::new(work) }
}

type Body = fn(&[Subject<CudaBackend>]);

/// The ops, each against the f64 reference.
fn ops_of(precision: Precision, found: &[Device]) -> Vec<Item> {
    let bodies: [(&str, Body); 6] = [
        ("convolutions", |subjects| ops::convolutions(subjects)),
        ("local", |subjects| ops::local_layers(subjects)),
        ("dense", |subjects| ops::dense_layers(subjects)),
        ("pools", |subjects| ops::pools_and_norms(subjects)),
        ("elementwise", |subjects| ops::elementwise_ops(subjects)),
        ("loss", |subjects| ops::input_loss_and_update(subjects)),
    ];
    let mut items: Vec<Item> = Vec::new();
    for (area, body) in bodies {
        let work = move || {
            let backend = CudaBackend::new(&[0], precision).map_err(explain)?;
            body(&[subject(&backend, precision)]);
            Ok(String::new())
        };
        items.push(Item { area, what: label(precision, "0"), work: Box::new(work) });
    }
    for towers in pairs(found) {
        let work = move || {
            let backend = towers.backend(precision)?;
            ops::exchanges(&[subject(&backend, precision)], &[[0, 1]]);
            Ok(String::new())
        };
        items.push(Item { area: "exchanges", what: label(precision, towers.name), work: Box::new(work) });
    }
    items
}

fn subject(backend: &CudaBackend, precision: Precision) -> Subject<'_, CudaBackend> {
    // The problems' numbers are exact in TensorFloat-32.
    let tolerance = if precision == Precision::Bf16 { BF16 } else { F32 };
    Subject::new(precision.name(), 0, backend, tolerance)
}

/// Of the first step. With fewer bits gradients far behind the loss agree roughly; [`layers`] is strict with each op.
fn golden_tolerance(precision: Precision) -> goldens::Tolerance {
    match precision {
        Precision::F32 => goldens::F32,
        Precision::Tf32 => goldens::Tolerance { loss: 2e-3, gradient: 1e-1, change: 1e-1 },
        Precision::Bf16 => goldens::Tolerance { loss: 1e-2, gradient: 3e-1, change: 3e-1 },
    }
}

/// Of so many steps. In bf16 convolutions are compared after the first one, where a gradient that is missing is off by 1;
/// later ones amplify what was rounded. The dense bound of one step is twice the 2.05e-2 seen on virtual GPUs.
fn training_tolerance(precision: Precision, steps: usize) -> Tolerance {
    let (dense, convolutions) = if steps == 1 { (4e-2, 0.5) } else { (2e-2, f64::INFINITY) };
    match precision {
        Precision::F32 => Tolerance { loss: 1e-5, dense: 1e-4, convolutions: 1e-4 },
        Precision::Tf32 => Tolerance { loss: 2e-3, dense: 2e-2, convolutions: 1e-1 },
        Precision::Bf16 => Tolerance { loss: 1e-2, dense, convolutions },
    }
}

/// Training steps against the CPU backend, and against themselves: two runs give the same bits. `alexnet` takes steps of
/// so many images, if any.
fn trainings(precisions: &[Precision], found: &[Device], alexnet: Option<usize>) -> Vec<Item> {
    let mut nets: Vec<(&'static str, Net, Vec<usize>)> = vec![
        ("miniature", examples::miniature(), vec![5, 5, 5, 3]),
        ("miniature-step", examples::miniature(), vec![5]),
        ("cifar-80sec", examples::cifar_80sec(), vec![2, 1]),
        ("cifar-18pct", examples::cifar_18pct(), vec![2, 1]),
    ];
    nets.extend(alexnet.map(|images| ("alexnet", examples::alexnet(), vec![images, images.div_ceil(2)])));
    nets.extend(alexnet.map(|images| ("alexnet-step", examples::alexnet(), vec![images])));
    let mut items = Vec::new();
    // What the CPU makes of a net is computed once, when it is first needed.
    let mut cpu: HashMap<&str, Rc<OnceCell<Trained>>> = HashMap::new();
    for (area, net, sizes) in nets {
        let one = [Towers { name: "0", gpus: [0, 0], host: false }];
        let places = if net.towers == 1 { one.to_vec() } else { pairs(found) };
        let cpu = cpu.entry(area).or_default();
        for towers in places {
            for &precision in precisions {
                let (net, sizes, cpu) = (net.clone(), sizes.clone(), cpu.clone());
                let work = move || against_the_cpu(&net, &sizes, towers, precision, &cpu);
                items.push(Item { area, what: label(precision, towers.name), work: Box::new(work) });
            }
        }
    }
    items
}

fn against_the_cpu(
    net: &Net,
    sizes: &[usize],
    towers: Towers,
    precision: Precision,
    cpu: &OnceCell<Trained>,
) -> Result<String, String> {
    let classes = ilsvrc_network::Plan::new(net, 1, ilsvrc_network::Use::Inference).map_err(explain)?.classes;
    let batches: Vec<Batch> = sizes
        .iter()
        .enumerate()
        .map(|(number, images)| Batch::varied(net, *images, classes, number))
        .collect();
    if cpu.get().is_none() {
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        let backend = CpuBackend::new(&[threads]).map_err(explain)?;
        let trained = train(net, backend, &vec![0; net.towers], batches.iter(), &RULE).map_err(explain)?;
        let _ = cpu.set(trained);
    }
    let places: Vec<usize> = (0..net.towers).collect();
    let gpu = || train(net, towers.backend(precision)?, &places, batches.iter(), &RULE).map_err(explain);
    let first = gpu()?;
    let near = first.compare(cpu.get().expect("just made"), training_tolerance(precision, sizes.len()));
    gpu()?.assert_same(&first);
    Ok(near)
}

fn label(precision: Precision, devices: &str) -> String {
    format!("{} on {devices}", precision.name())
}

pub(crate) fn explain(error: Error) -> String {
    let info = error.info.map(|info| format!(" ({info})")).unwrap_or_default();
    format!("{} {}{info}", error.code, error.message)
}
