//! Whole nets against PyTorch: the loss of three SGD steps, every gradient of the first, and how far the weights are
//! after the third. `bench/peers/pytorch/goldens.py` makes the goldens, in f64, from the descriptions beside them.

use ilsvrc_network::{
    Backend, Execution, Executor, Input, Mode, Net, ParamId, Parameter, Pass, Plan, Slot, UpdateRule, Use,
    View,
};
use ilsvrc_random::{Purpose, Stream, unit};
use safetensors::{Dtype, SafeTensors};

const STEPS: u64 = 3;
/// Evenly spaced elements kept of each tensor of a large net.
const SAMPLES: usize = 64;
/// The script's seed for everything that is drawn.
const SEED: u64 = 2012;

/// Name, description and golden file: part of the program, which may run on another machine.
const GOLDENS: [(&str, &str, &[u8]); 3] = [
    (
        "two-towers",
        include_str!("../goldens/two-towers.json"),
        include_bytes!("../goldens/two-towers.golden"),
    ),
    ("local", include_str!("../goldens/local.json"), include_bytes!("../goldens/local.golden")),
    ("alexnet", include_str!("../goldens/alexnet.json"), include_bytes!("../goldens/alexnet.golden")),
];

/// How far results may be off, as |ours - golden| / |golden|, norms over a whole tensor. PyTorch's own f32 is off by
/// up to 2e-6 (gradients) and 4e-6 (weights' changes, apart from what [`rounding`] allows).
#[derive(Clone, Copy, Debug)]
pub struct Tolerance {
    /// Of the loss.
    pub loss: f64,
    /// Of a parameter's gradient.
    pub gradient: f64,
    /// Of how far a parameter came.
    pub change: f64,
}

/// Everything is f32.
pub const F32: Tolerance = Tolerance { loss: 5e-6, gradient: 5e-6, change: 1e-5 };

/// Three steps of the net of golden `name` (`two-towers`, `local` or `alexnet`), towers in `places`.
pub fn check<B: Backend>(name: &str, backend: B, places: &[usize], tolerance: &Tolerance) {
    check_steps(name, backend, places, tolerance, STEPS);
}

/// As [`check`], but only the loss and the gradients of the first step, for backends that round factors: pools that choose
/// another of two nearly equal positions send later steps elsewhere.
pub fn check_first_step<B: Backend>(name: &str, backend: B, places: &[usize], tolerance: &Tolerance) {
    check_steps(name, backend, places, tolerance, 1);
}

fn check_steps<B: Backend>(name: &str, backend: B, places: &[usize], tolerance: &Tolerance, steps: u64) {
    let golden = Golden::read(name);
    let batch = golden.labels.len();
    // Room for more images than come: the last batch of an epoch is such a one.
    let plan = Plan::new(&golden.net, batch + 1, Use::Training).unwrap();
    let towers: Vec<Vec<Parameter>> = plan.towers.iter().map(|tower| tower.parameters.clone()).collect();
    let mut executor = Executor::new(backend, plan, places).unwrap();
    for (tower, number, parameter) in numbered(&towers) {
        let start = golden.start(parameter, tower, number);
        executor.write_parameter(tower, ParamId(number), Slot::Value, &start).unwrap();
    }

    let side = golden.net.crop;
    let views: Vec<View> = (0..batch as u32).map(|image| View { image, ..View::default() }).collect();
    let input = Input {
        pixels: &golden.pixels,
        side,
        views: &views,
        mean: &golden.mean,
        mean_side: side,
        labels: &golden.labels,
    };
    let rule = UpdateRule { rate: golden.rate, momentum: 0.9, decay: 0.0005 };
    for step in 0..steps {
        let pass = Pass { batch, mode: Mode::Train { seed: SEED, step, first: 0 } };
        executor.forward(&input, &pass).unwrap();
        let loss = executor.loss(&golden.labels).unwrap();
        let expected = golden.numbers("losses")[step as usize];
        assert!(
            (loss - expected).abs() <= tolerance.loss * expected,
            "{name}: loss {loss} at step {step} is not {expected}"
        );
        executor.backward(&pass).unwrap();
        if step == 0 {
            for (tower, number, parameter) in numbered(&towers) {
                let gradient = executor.read_parameter(tower, ParamId(number), Slot::Gradient).unwrap();
                let gradient: Vec<f64> = gradient.into_iter().map(f64::from).collect();
                golden.compare(parameter, "gradient", &gradient, tolerance.gradient, 0.0);
            }
        }
        executor.update(&rule).unwrap();
    }
    if steps < STEPS {
        return;
    }

    for (tower, number, parameter) in numbered(&towers) {
        let start = golden.start(parameter, tower, number);
        let end = executor.read_parameter(tower, ParamId(number), Slot::Value).unwrap();
        let change: Vec<f64> = end.iter().zip(&start).map(|(&e, &s)| f64::from(e) - f64::from(s)).collect();
        golden.compare(parameter, "change", &change, tolerance.change, rounding(&start));
    }
}

/// Each parameter with its tower and its number there.
fn numbered(towers: &[Vec<Parameter>]) -> impl Iterator<Item = (usize, usize, &Parameter)> {
    towers.iter().enumerate().flat_map(|(tower, parameters)| {
        parameters.iter().enumerate().map(move |(number, parameter)| (tower, number, parameter))
    })
}

/// What storing weights as f32 after each step may add to the distance between changes: half a unit in the last place
/// of each weight.
fn rounding(start: &[f32]) -> f64 {
    STEPS as f64 * f64::from(f32::EPSILON) / 2.0 * norm(start.iter().copied().map(f64::from))
}

fn norm(values: impl Iterator<Item = f64>) -> f64 {
    values.map(|x| x * x).sum::<f64>().sqrt()
}

fn distance(a: &[f64], b: &[f64]) -> f64 {
    assert_eq!(a.len(), b.len());
    norm(a.iter().zip(b).map(|(a, b)| a - b))
}

/// A description, what goes in and what must come out. Tensors are in file order (OIHW).
struct Golden {
    net: Net,
    /// The golden file, in the safetensors format.
    file: &'static [u8],
    /// True where the file has whole tensors; else it has summaries, and inputs are drawn as the script draws them.
    whole: bool,
    pixels: Vec<u8>,
    mean: Vec<f32>,
    labels: Vec<u32>,
    rate: f32,
}

impl Golden {
    fn read(name: &str) -> Self {
        let (_, description, file) =
            GOLDENS.into_iter().find(|golden| golden.0 == name).unwrap_or_else(|| panic!("no golden {name}"));
        let net: Net = serde_json::from_str(description).unwrap();
        let whole = SafeTensors::deserialize(file).unwrap().tensor("pixels").is_ok();
        let mut golden = Self { net, file, whole, pixels: vec![], mean: vec![], labels: vec![], rate: 0.0 };
        golden.labels = golden.numbers("labels").into_iter().map(|label| label as u32).collect();
        golden.rate = golden.numbers("rate")[0] as f32;
        if whole {
            golden.pixels = golden.numbers("pixels").into_iter().map(|pixel| pixel as u8).collect();
            golden.mean = golden.numbers("mean").into_iter().map(|x| x as f32).collect();
        } else {
            let image = golden.net.crop * golden.net.crop * 3;
            let stream = |index| Stream::new(SEED, Purpose::Drawing, 0, index);
            golden.pixels =
                draws(&stream(0), golden.labels.len() * image).map(|bits| (bits >> 24) as u8).collect();
            golden.mean = draws(&stream(1), image).map(|bits| 96.0 + 64.0 * unit(bits)).collect();
        }
        golden
    }

    /// A tensor of the file.
    fn numbers(&self, name: &str) -> Vec<f64> {
        let file = SafeTensors::deserialize(self.file).unwrap();
        let tensor = file.tensor(name).unwrap_or_else(|error| panic!("{name}: {error}"));
        let data = tensor.data();
        match tensor.dtype() {
            Dtype::U8 => data.iter().map(|&x| x.into()).collect(),
            Dtype::U32 => data.as_chunks().0.iter().map(|&x| u32::from_le_bytes(x).into()).collect(),
            Dtype::F32 => data.as_chunks().0.iter().map(|&x| f32::from_le_bytes(x).into()).collect(),
            Dtype::F64 => data.as_chunks().0.iter().map(|&x| f64::from_le_bytes(x)).collect(),
            other => panic!("{name} is {other:?}"),
        }
    }

    /// Initial values of the tower's parameter `number`.
    fn start(&self, parameter: &Parameter, tower: usize, number: usize) -> Vec<f32> {
        if self.whole {
            let name = format!("{}.start", parameter.name);
            return self.numbers(&name).into_iter().map(|x| x as f32).collect();
        }
        let count = parameter.shape.iter().product();
        if parameter.bias {
            return vec![parameter.learning.bias; count];
        }
        // Uniform, of the layer's standard deviation.
        let width = parameter.learning.weight_std * 12f32.sqrt();
        let stream = Stream::new(SEED, Purpose::Weights, 0, (1000 * tower + number) as u32);
        draws(&stream, count).map(|bits| (unit(bits) - 0.5) * width).collect()
    }

    /// Holds `ours` against the tensor `<parameter>.<kind>`: to `tolerance` of its norm, plus `rounding`.
    fn compare(&self, parameter: &Parameter, kind: &str, ours: &[f64], tolerance: f64, rounding: f64) {
        let name = format!("{}.{kind}", parameter.name);
        let golden = self.numbers(&name);
        let within = |what: &str, off: f64, allowed: f64| {
            assert!(off <= allowed, "{name}: {what} off by {off:.2e}, allowed {allowed:.2e}");
        };
        if self.whole {
            let allowed = tolerance * norm(golden.iter().copied()) + rounding;
            return within("values", distance(ours, &golden), allowed);
        }
        let [size, sum, samples @ ..] = &golden[..] else { panic!("{name} is no summary") };
        assert_eq!(samples.len(), SAMPLES);
        let elements = ours.len() as f64;
        let allowed = tolerance * size + rounding;
        within("norm", (norm(ours.iter().copied()) - size).abs(), allowed);
        // By Cauchy and Schwarz no closer bound on a sum follows from one on the norm.
        within("sum", (ours.iter().sum::<f64>() - sum).abs(), allowed * elements.sqrt());
        let own: Vec<f64> = (0..SAMPLES).map(|i| ours[i * (ours.len() - 1) / (SAMPLES - 1)]).collect();
        // Samples may be larger than the average element, and their errors with them.
        let share = (SAMPLES as f64 / elements).sqrt();
        within(
            "samples",
            distance(&own, samples),
            allowed * share + tolerance * norm(samples.iter().copied()),
        );
    }
}

/// The first `count` numbers of a stream.
fn draws(stream: &Stream, count: usize) -> impl Iterator<Item = u32> {
    let blocks = count.div_ceil(4) as u32;
    (0..blocks).flat_map(|block| stream.block(block)).take(count)
}
