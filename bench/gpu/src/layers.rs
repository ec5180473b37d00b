//! Each op of `alexnet`, at its real size, against the CPU backend: both get the same operands, so that no rounding of an
//! earlier layer counts.

use crate::data::Batch;
use crate::training::distance;
use ilsvrc_cpu::CpuBackend;
use ilsvrc_cuda::{CudaBackend, Precision};
use ilsvrc_diagnostics::Result;
use ilsvrc_network::{
    Backend, BufferId, Mode, Op, ParamId, Pass, Plan, Slot, Stage, UpdateRule, Use, examples,
};

/// How far a tensor may be off, as a part of its norm: for storing it, and for factors that were rounded.
fn tolerance(precision: Precision) -> f64 {
    match precision {
        Precision::Bf16 => 4e-3,
        Precision::Tf32 => 2e-3,
        Precision::F32 => 2e-5,
    }
}

/// Where two values of a pool are equal but for a rounding, either may be the largest, and the gradient goes there.
const OF_CHOICES: f64 = 1e-2;

/// One tower's memory on both.
struct Pair<'a, G: Backend, C: Backend> {
    plan: &'a Plan,
    gpu: &'a G,
    cpu: &'a C,
    on_gpu: Vec<G::Tower>,
    on_cpu: Vec<C::Tower>,
    pass: Pass,
    tolerance: f64,
    furthest: (f64, String),
}

/// Forward, backward and update of `images` images. Says what was furthest off.
///
/// # Panics
/// Where something is further off than allowed.
pub(crate) fn check(precision: Precision, images: usize) -> Result<String> {
    let plan = Plan::new(&examples::alexnet(), images, Use::Training)?;
    let gpu = CudaBackend::new(&[0], precision)?;
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let cpu = CpuBackend::new(&[threads])?;
    let towers = 0..plan.towers.len();
    let mut pair = Pair {
        on_gpu: towers.clone().map(|tower| gpu.allocate(&plan, tower, 0)).collect::<Result<_>>()?,
        on_cpu: towers.map(|tower| cpu.allocate(&plan, tower, 0)).collect::<Result<_>>()?,
        plan: &plan,
        gpu: &gpu,
        cpu: &cpu,
        pass: Pass { batch: images, mode: Mode::Train { seed: 5, step: 7, first: 0 } },
        tolerance: tolerance(precision),
        furthest: (0.0, String::new()),
    };
    pair.start(precision)?;
    pair.load()?;
    for stage in plan.forward.iter().chain(&plan.backward) {
        match stage {
            Stage::Compute(towers) => {
                for (tower, ops) in towers.iter().enumerate() {
                    ops.iter().try_for_each(|op| pair.op(tower, op))?;
                }
            }
            Stage::Exchange(meeting) => gpu.exchange(&mut pair.on_gpu, meeting, &pair.pass)?,
        }
    }
    pair.update()?;
    Ok(format!("off by up to {:.1e} ({})", pair.furthest.0, pair.furthest.1))
}

impl<G: Backend, C: Backend> Pair<'_, G, C> {
    /// Weights that products read exactly, so large that maps do not fade from layer to layer.
    fn start(&mut self, precision: Precision) -> Result<()> {
        let cut = if precision == Precision::Bf16 { 0xffff_0000 } else { 0xffff_e000 };
        for (tower, plan) in self.plan.towers.iter().enumerate() {
            for (index, parameter) in plan.parameters.iter().enumerate() {
                let mut values = parameter.initial(1, tower, index);
                values.iter_mut().for_each(|value| *value = f32::from_bits((2.0 * *value).to_bits() & cut));
                self.gpu.write_parameter(&mut self.on_gpu[tower], ParamId(index), Slot::Value, &values)?;
                self.cpu.write_parameter(&mut self.on_cpu[tower], ParamId(index), Slot::Value, &values)?;
            }
        }
        Ok(())
    }

    fn load(&mut self) -> Result<()> {
        let batch = Batch::varied(&self.plan.net, self.pass.batch, self.plan.classes, 0);
        self.gpu.load(&mut self.on_gpu, &self.plan.net, &batch.input())?;
        self.cpu.load(&mut self.on_cpu, &self.plan.net, &batch.input())?;
        (0..self.plan.towers.len()).try_for_each(|tower| {
            self.buffer(tower, self.plan.towers[tower].input, "the image", self.tolerance)
        })
    }

    fn op(&mut self, tower: usize, op: &Op) -> Result<()> {
        let name = format!("{op:?}");
        let name = format!("tower {tower}, {}", name.split(" {").next().unwrap_or_default());
        for (id, access) in op.operands() {
            if access.reads() {
                let values = self.values(tower, id)?;
                self.cpu.write_buffer(&mut self.on_cpu[tower], id, &values)?;
            }
        }
        self.gpu.run(&mut self.on_gpu[tower], std::slice::from_ref(op), &self.pass)?;
        self.cpu.run(&mut self.on_cpu[tower], std::slice::from_ref(op), &self.pass)?;
        let choices = matches!(op, Op::LrnPoolGradient { .. } | Op::PoolGradient { .. });
        let tolerance = if choices { OF_CHOICES } else { self.tolerance };
        for (id, access) in op.operands() {
            if access.writes() {
                self.buffer(tower, id, &name, tolerance)?;
            }
        }
        if let Op::ConvWeightGradient { weights, bias, .. } | Op::DenseWeightGradient { weights, bias, .. } =
            *op
        {
            self.parameter(tower, weights, Slot::Gradient, &name)?;
            self.parameter(tower, bias, Slot::Gradient, &name)?;
        }
        Ok(())
    }

    /// Two updates, each side by its own gradients.
    fn update(&mut self) -> Result<()> {
        let rule = UpdateRule { rate: 0.01, momentum: 0.9, decay: 0.0005 };
        for tower in 0..self.plan.towers.len() {
            for _ in 0..2 {
                self.gpu.update(&mut self.on_gpu[tower], &rule)?;
                self.cpu.update(&mut self.on_cpu[tower], &rule)?;
            }
            for index in 0..self.plan.towers[tower].parameters.len() {
                self.parameter(tower, ParamId(index), Slot::Value, "update")?;
                self.parameter(tower, ParamId(index), Slot::Velocity, "update")?;
            }
        }
        Ok(())
    }

    fn values(&self, tower: usize, id: BufferId) -> Result<Vec<f32>> {
        let mut values = vec![0.0; self.pass.batch * self.plan.towers[tower].buffers[id.0].elements];
        self.gpu.read_buffer(&self.on_gpu[tower], id, &mut values)?;
        Ok(values)
    }

    fn buffer(&mut self, tower: usize, id: BufferId, what: &str, tolerance: f64) -> Result<()> {
        let ours = self.values(tower, id)?;
        let mut cpu = vec![0.0; ours.len()];
        self.cpu.read_buffer(&self.on_cpu[tower], id, &mut cpu)?;
        let name = &self.plan.towers[tower].buffers[id.0].name;
        self.compare(&format!("{what}: {name}"), &ours, &cpu, tolerance);
        Ok(())
    }

    fn parameter(&mut self, tower: usize, id: ParamId, slot: Slot, what: &str) -> Result<()> {
        let parameter = &self.plan.towers[tower].parameters[id.0];
        let mut ours = vec![0.0; parameter.shape.iter().product()];
        let mut cpu = ours.clone();
        self.gpu.read_parameter(&self.on_gpu[tower], id, slot, &mut ours)?;
        self.cpu.read_parameter(&self.on_cpu[tower], id, slot, &mut cpu)?;
        self.compare(&format!("{what}: {} {slot:?}", parameter.name), &ours, &cpu, self.tolerance);
        Ok(())
    }

    fn compare(&mut self, what: &str, ours: &[f32], cpu: &[f32], tolerance: f64) {
        let off = distance(ours, cpu);
        assert!(off <= tolerance, "{what} is off by {off:.2e}, allowed {tolerance:.0e}");
        if off > self.furthest.0 {
            self.furthest = (off, what.to_string());
        }
    }
}
