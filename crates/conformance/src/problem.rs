//! An op with its buffers and parameters, run by itself.

use crate::subject::{Subject, compare, same_bits};
use ilsvrc_network::{
    Backend, Buffer, BufferId, Learning, Mode, Net, Op, ParamId, Parameter, Pass, Plan, Slot, Stage,
    TowerPlan,
};
use ilsvrc_random::{Purpose, Stream};
use ilsvrc_reference::ReferenceBackend;

pub(crate) const PASS: Mode = Mode::Train { seed: 0x5EED_0000_0001, step: 3, first: 5 };
pub(crate) const INPUT: BufferId = BufferId(0);
pub(crate) const OUTPUT: BufferId = BufferId(1);
pub(crate) const GRADIENT: BufferId = BufferId(2);
pub(crate) const WEIGHTS: ParamId = ParamId(0);
pub(crate) const BIAS: ParamId = ParamId(1);

/// Buffers and parameters of a plan of one tower.
pub(crate) struct Problem {
    pub(crate) batch: usize,
    /// Images that the plan has room for.
    pub(crate) most: usize,
    pub(crate) buffers: Vec<usize>,
    pub(crate) parameters: Vec<Vec<usize>>,
}

impl Problem {
    pub(crate) fn check<B: Backend>(&self, subjects: &[Subject<B>], op: &Op) {
        self.check_in(subjects, PASS, op);
    }

    /// Compares all buffers and parameters after `op`, so that nothing else was touched either.
    pub(crate) fn check_in<B: Backend>(&self, subjects: &[Subject<B>], mode: Mode, op: &Op) {
        let plan = self.plan_of(op);
        let pass = Pass { batch: self.batch, mode };
        let what = format!("{} of {} images, {op:?}", self.batch, self.most);
        let expected = self.outcome(&ReferenceBackend, &plan, op, &pass);
        let results: Vec<_> = subjects
            .iter()
            .map(|subject| {
                subject.begin();
                self.outcome(subject.backend, &plan, op, &pass)
            })
            .collect();
        for (subject, result) in subjects.iter().zip(&results) {
            compare(subject, &what, &expected, result, self.buffers.len());
        }
        same_bits(subjects, &what, &results);
    }

    fn outcome<B: Backend>(&self, backend: &B, plan: &Plan, op: &Op, pass: &Pass) -> Vec<Vec<f32>> {
        let mut tower = self.tower(backend, plan);
        // Twice: nothing may be left over from the first time.
        if !matches!(op, Op::Dropout { .. } | Op::DropoutGradient { .. } | Op::ActivationGradient { .. })
            && !matches!(op, Op::Activate { input, output, .. } if input == output)
        {
            backend.run(&mut tower, std::slice::from_ref(op), pass).unwrap();
        }
        backend.run(&mut tower, std::slice::from_ref(op), pass).unwrap();
        self.state(backend, &tower)
    }

    pub(crate) fn tower<B: Backend>(&self, backend: &B, plan: &Plan) -> B::Tower {
        let mut tower = backend.allocate(plan, 0, 0).unwrap();
        for (i, elements) in self.buffers.iter().enumerate() {
            backend.write_buffer(&mut tower, BufferId(i), &noise(i as u32, elements * self.most)).unwrap();
        }
        for (i, shape) in self.parameters.iter().enumerate() {
            for (s, slot) in [Slot::Value, Slot::Velocity, Slot::Gradient].into_iter().enumerate() {
                let data = noise((100 + 3 * i + s) as u32, shape.iter().product());
                backend.write_parameter(&mut tower, ParamId(i), slot, &data).unwrap();
            }
        }
        tower
    }

    pub(crate) fn state<B: Backend>(&self, backend: &B, tower: &B::Tower) -> Vec<Vec<f32>> {
        let mut state = Vec::new();
        for (i, elements) in self.buffers.iter().enumerate() {
            let mut out = vec![0.0; elements * self.most];
            backend.read_buffer(tower, BufferId(i), &mut out).unwrap();
            state.push(out);
        }
        for (i, shape) in self.parameters.iter().enumerate() {
            for slot in [Slot::Value, Slot::Velocity, Slot::Gradient] {
                let mut out = vec![0.0; shape.iter().product()];
                backend.read_parameter(tower, ParamId(i), slot, &mut out).unwrap();
                state.push(out);
            }
        }
        state
    }

    /// A plan that is `op` alone.
    pub(crate) fn plan_of(&self, op: &Op) -> Plan {
        Plan { forward: vec![Stage::Compute(vec![vec![op.clone()]])], ..self.plan() }
    }

    /// A plan without ops: each buffer has memory of its own.
    pub(crate) fn plan(&self) -> Plan {
        let mut arena = 0;
        let buffers = self.buffers.iter().enumerate().map(|(i, elements)| {
            let offset = arena;
            arena += (elements * self.most).next_multiple_of(16);
            Buffer { elements: *elements, offset, name: format!("buffer {i}") }
        });
        let buffers = buffers.collect();
        let parameters = self.parameters.iter().enumerate().map(|(i, shape)| Parameter {
            name: format!("parameter {i}"),
            layer: 0,
            shape: shape.clone(),
            bias: i % 2 == 1,
            learning: Learning {
                weight_std: 0.0,
                bias: 0.0,
                weight_rate: 1.5,
                bias_rate: 2.0,
                decay: (i == 0).then_some(0.01),
            },
        });
        let tower = TowerPlan {
            buffers,
            parameters: parameters.collect(),
            arena,
            input: INPUT,
            probabilities: None,
            outputs: Vec::new(),
        };
        let net = Net { name: "ops".into(), image: 9, crop: 5, towers: 1, layers: Vec::new() };
        let (forward, backward) = (Vec::new(), Vec::new());
        Plan { net, batch: self.most, classes: 1, towers: vec![tower], forward, backward }
    }
}

/// Multiples of 1/4 in `-2..=2`: products, and sums of up to 2^18 of them, are exact, and maxima have ties.
pub(crate) fn noise(index: u32, length: usize) -> Vec<f32> {
    let stream = Stream::new(5, Purpose::Weights, 0, index);
    (0..length as u32).map(|i| stream.below(i, 17) as f32 / 4.0 - 2.0).collect()
}
