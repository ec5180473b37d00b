//! What each part of a step must do at least: multiply-adds, and every byte that it needs once. Memory or arithmetic,
//! whichever takes longer, is its floor.

use ilsvrc_cuda::{Part, Precision};
use ilsvrc_network::{BufferId, Exchange, Op, ParamId, Plan, Stage, TowerPlan};

/// The two ceilings of a GPU, a second.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Peaks {
    /// Operations, two for a multiply-add.
    pub(crate) flops: f64,
    /// Bytes read or written.
    pub(crate) bytes: f64,
}

/// What an H100 was measured to reach in bf16.
pub(crate) const H100: Peaks = Peaks { flops: 790e12, bytes: 3.0e12 };

/// The least that a part takes.
#[derive(Clone, Debug)]
pub(crate) struct Cost {
    /// Layer and direction, as `conv2 forward`.
    pub(crate) name: String,
    /// The kernels that do it, by their files.
    pub(crate) kernels: &'static str,
    pub(crate) flop: f64,
    pub(crate) bytes: f64,
    /// It could be done by its neighbours on the way: a step need not take this time at all.
    pub(crate) on_the_way: bool,
}

impl Cost {
    /// Seconds.
    pub(crate) fn floor(&self, peaks: &Peaks) -> f64 {
        (self.flop / peaks.flops).max(self.bytes / peaks.bytes)
    }

    /// Whether memory is what it waits for.
    pub(crate) fn memory_bound(&self, peaks: &Peaks) -> bool {
        self.bytes / peaks.bytes >= self.flop / peaks.flops
    }
}

/// The parts of passes over whole batches, with their costs. Parts of towers other than 0 and exchanges are among them.
pub(crate) struct Costs<'a> {
    plan: &'a Plan,
    precision: Precision,
    /// Buffers that are f32 in every precision.
    exact: Vec<BufferId>,
}

impl<'a> Costs<'a> {
    pub(crate) fn new(plan: &'a Plan, precision: Precision) -> Self {
        let ops = ops(&plan.forward);
        let exact = ops.filter_map(|(_, op)| match op {
            Op::Softmax { logits, probabilities, .. } => Some([*logits, *probabilities]),
            _ => None,
        });
        let exact = exact.flatten().collect();
        Self { plan, precision, exact }
    }

    /// The forward pass.
    pub(crate) fn forward(&self) -> Vec<(Part<'a>, Cost)> {
        self.stages(&self.plan.forward)
    }

    /// Forward, backward and learning rule.
    pub(crate) fn step(&self) -> Vec<(Part<'a>, Cost)> {
        let mut parts = self.forward();
        parts.extend(self.stages(&self.plan.backward));
        parts.extend((0..self.plan.towers.len()).map(|tower| (Part::Update(tower), self.update(tower))));
        parts
    }

    fn stages(&self, stages: &'a [Stage]) -> Vec<(Part<'a>, Cost)> {
        let mut parts = Vec::new();
        for stage in stages {
            match stage {
                Stage::Compute(towers) => {
                    for (tower, ops) in towers.iter().enumerate() {
                        parts.extend(ops.iter().map(|op| (Part::Op(tower, op), self.op(tower, op))));
                    }
                }
                Stage::Exchange(meeting) => parts.push((Part::Exchange(meeting), self.exchange(meeting))),
            }
        }
        parts
    }

    fn op(&self, tower: usize, op: &Op) -> Cost {
        let plan = &self.plan.towers[tower];
        let batch = self.plan.batch;
        let maps: usize = op
            .operands()
            .iter()
            .map(|(id, access)| {
                let bytes = batch * plan.buffers[id.0].elements * self.element(*id);
                bytes * (usize::from(access.reads()) + usize::from(access.writes()))
            })
            .sum();
        let (flop, parameters) = match *op {
            Op::Conv { window, in_maps, out_maps, weights, .. }
            | Op::ConvInputGradient { window, in_maps, out_maps, weights, .. }
            | Op::Local { window, in_maps, out_maps, weights, .. }
            | Op::LocalInputGradient { window, in_maps, out_maps, weights, .. } => {
                let terms = window.size.pow(2) * in_maps;
                (2 * window.output.pow(2) * terms * out_maps, self.factors(plan, weights))
            }
            Op::ConvWeightGradient { window, in_maps, out_maps, weights, bias, .. }
            | Op::LocalWeightGradient { window, in_maps, out_maps, weights, bias, .. } => {
                let terms = window.size.pow(2) * in_maps;
                (2 * window.output.pow(2) * terms * out_maps, 4 * (len(plan, weights) + len(plan, bias)))
            }
            Op::Dense { inputs, outputs, weights, .. }
            | Op::DenseInputGradient { inputs, outputs, weights, .. } => {
                (2 * inputs * outputs, self.factors(plan, weights))
            }
            Op::DenseWeightGradient { inputs, outputs, weights, bias, .. } => {
                (2 * inputs * outputs, self.learned(len(plan, weights)) + 4 * len(plan, bias))
            }
            _ => (0, 0),
        };
        let (what, kernels) = describe(op);
        let name = self.name(plan, op, what);
        let on_the_way = matches!(
            op,
            Op::Activate { .. }
                | Op::ActivationGradient { .. }
                | Op::Dropout { .. }
                | Op::DropoutGradient { .. }
        );
        Cost { name, kernels, flop: (flop * batch) as f64, bytes: (maps + parameters) as f64, on_the_way }
    }

    /// Bytes of an element of a buffer.
    fn element(&self, id: BufferId) -> usize {
        if self.exact.contains(&id) { 4 } else { self.precision.element_bytes() }
    }

    /// Bytes of weights as products read them.
    fn factors(&self, plan: &TowerPlan, weights: ParamId) -> usize {
        len(plan, weights) * self.precision.element_bytes()
    }

    /// Bytes that learning takes: weights and velocities each way, and the copy that products read.
    fn learned(&self, weights: usize) -> usize {
        weights * (16 + if self.precision == Precision::Bf16 { 2 } else { 0 })
    }

    /// The learning rule of what has a gradient in memory: all but dense layers' weights.
    fn update(&self, tower: usize) -> Cost {
        let plan = &self.plan.towers[tower];
        let at_once: Vec<ParamId> =
            ops(&self.plan.backward)
                .filter(|(of, _)| *of == tower)
                .filter_map(|(_, op)| {
                    if let Op::DenseWeightGradient { weights, .. } = op { Some(*weights) } else { None }
                })
                .collect();
        let kept = (0..plan.parameters.len()).map(ParamId).filter(|id| !at_once.contains(id));
        let bytes = kept.map(|id| {
            let len = len(plan, id);
            4 * len + if plan.parameters[id.0].bias { 16 * len } else { self.learned(len) }
        });
        let (name, bytes) = ("learning of convolutions and biases".into(), bytes.sum::<usize>() as f64);
        Cost { name, kernels: "update", flop: 0.0, bytes, on_the_way: false }
    }

    fn exchange(&self, exchange: &Exchange) -> Cost {
        let element = self.precision.element_bytes();
        let (positions, maps, towers, receivers, what) = match exchange {
            Exchange::Gather { positions, maps, own, gathered } => {
                (positions, maps, own.len(), gathered.iter().flatten().count(), "gather")
            }
            Exchange::GatherGradient { positions, maps, gathered_gradient, own_gradient } => {
                (positions, maps, own_gradient.len(), gathered_gradient.iter().flatten().count(), "scatter")
            }
        };
        let one = self.plan.batch * positions * maps * element;
        // A gathered buffer is read and written whole; of a gradient each tower reads a share from each and writes one.
        let copies = if what == "gather" { 2 * towers * receivers } else { towers * (receivers + 1) };
        let name = format!("towers meet, {what} of {positions} x {maps}");
        Cost { name, kernels: "exchange", flop: 0.0, bytes: (copies * one) as f64, on_the_way: true }
    }

    /// Layer and direction; of ops without weights the buffer that they read first.
    fn name(&self, plan: &TowerPlan, op: &Op, what: &str) -> String {
        match *op {
            Op::Conv { weights, .. }
            | Op::ConvInputGradient { weights, .. }
            | Op::ConvWeightGradient { weights, .. }
            | Op::Local { weights, .. }
            | Op::LocalInputGradient { weights, .. }
            | Op::LocalWeightGradient { weights, .. }
            | Op::Dense { weights, .. }
            | Op::DenseInputGradient { weights, .. }
            | Op::DenseWeightGradient { weights, .. } => {
                let layer = plan.parameters[weights.0].name.split('.').nth(1);
                format!("{} {what}", layer.unwrap_or_default())
            }
            _ => format!("{what}, on {}", plan.buffers[op.operands()[0].0.0].name),
        }
    }
}

/// All ops with the number of their tower.
fn ops(stages: &[Stage]) -> impl Iterator<Item = (usize, &Op)> {
    stages.iter().flat_map(|stage| match stage {
        Stage::Compute(towers) => {
            towers.iter().enumerate().flat_map(|(tower, ops)| ops.iter().map(move |op| (tower, op))).collect()
        }
        Stage::Exchange(_) => Vec::new(),
    })
}

fn len(plan: &TowerPlan, id: ParamId) -> usize {
    plan.parameters[id.0].shape.iter().product()
}

/// What an op does, and the files of its kernels.
fn describe(op: &Op) -> (&'static str, &'static str) {
    match op {
        Op::Conv { .. } | Op::Dense { .. } => ("forward", "conv_forward"),
        Op::ConvInputGradient { .. } | Op::DenseInputGradient { .. } => {
            ("input gradient", "conv_input_gradient")
        }
        Op::ConvWeightGradient { .. } => ("weight gradient", "conv_weight_gradient, bias_gradient"),
        Op::DenseWeightGradient { .. } => {
            ("weight gradient, learning", "conv_weight_gradient, bias_gradient")
        }
        Op::Local { .. } => ("forward", "local_forward"),
        Op::LocalInputGradient { .. } => ("input gradient", "local_input_gradient"),
        Op::LocalWeightGradient { .. } => ("weight gradient", "local_weight_gradient, bias_gradient"),
        Op::Activate { .. } => ("activation", "activation"),
        Op::ActivationGradient { .. } => ("activation gradient", "activation"),
        Op::Lrn { .. } => ("normalisation", "lrn"),
        Op::LrnGradient { .. } => ("normalisation gradient", "lrn"),
        Op::MapNorm { .. } => ("normalisation", "map_norm"),
        Op::MapNormGradient { .. } => ("normalisation gradient", "map_norm"),
        Op::Pool { .. } => ("pool", "pool"),
        Op::PoolGradient { .. } => ("pool gradient", "pool"),
        Op::LrnPool { .. } => ("normalisation and pool", "lrn_pool"),
        Op::LrnPoolGradient { .. } => ("normalisation and pool gradient", "lrn_pool"),
        Op::Dropout { .. } => ("dropout", "dropout"),
        Op::DropoutGradient { .. } => ("dropout gradient", "dropout"),
        Op::Softmax { .. } => ("softmax and loss", "softmax"),
    }
}

/// Seconds that a pass must take whatever its kernels are: the floors of all parts but those that others could do on the
/// way. `gpus[t]` is the GPU of tower `t`; that of most work counts.
pub(crate) fn floor(parts: &[(Part, Cost)], gpus: &[usize], peaks: &Peaks) -> f64 {
    let of = |gpu: usize| -> f64 {
        let mine =
            |part: &Part| matches!(*part, Part::Op(tower, _) | Part::Update(tower) if gpus[tower] == gpu);
        let needed = parts.iter().filter(|(part, cost)| mine(part) && !cost.on_the_way);
        needed.map(|(_, cost)| cost.floor(peaks)).sum()
    };
    gpus.iter().map(|gpu| of(*gpu)).fold(0.0, f64::max)
}
