//! What this GPU can reach: a large copy, and a large product by our own kernel.

use cudarc::driver::{DriverError, result, sys};
use ilsvrc_cuda::{CudaBackend, Part, Precision};
use ilsvrc_diagnostics::Result;
use ilsvrc_network::{
    Activation, Backend, Buffer, BufferId, Learning, Mode, Net, Op, ParamId, Parameter, Pass, Plan, Slot,
    Stage, TowerPlan, UpdateRule,
};

/// Nothing learns: weights stay as they are however often they are updated.
pub(crate) const STILL: UpdateRule = UpdateRule { rate: 0.0, momentum: 0.0, decay: 0.0 };

/// Bytes read and written a second by copies of `mebibytes` within GPU 0: the fastest of `repeats`.
pub(crate) fn copy(mebibytes: usize, repeats: usize) -> std::result::Result<f64, DriverError> {
    let bytes = mebibytes << 20;
    let flags = sys::CUevent_flags::CU_EVENT_DEFAULT;
    result::init()?;
    let device = result::device::get(0)?;
    // SAFETY: what is made here is used here and then given back; copies stay within both blocks.
    unsafe {
        result::ctx::set_current(result::primary_ctx::retain(device)?)?;
        let (from, to) = (result::malloc_sync(bytes)?, result::malloc_sync(bytes)?);
        result::memset_d8_sync(from, 1, bytes)?;
        result::ctx::synchronize()?;
        let stream = result::stream::create(result::stream::StreamKind::NonBlocking)?;
        let (begun, done) = (result::event::create(flags)?, result::event::create(flags)?);
        let mut fastest = f64::INFINITY;
        for repeat in 0..=repeats {
            result::event::record(begun, stream)?;
            result::memcpy_dtod_async(to, from, bytes, stream)?;
            result::event::record(done, stream)?;
            result::event::synchronize(done)?;
            let seconds = f64::from(result::event::elapsed(begun, done)?) / 1e3;
            if repeat > 0 {
                fastest = fastest.min(seconds);
            }
        }
        result::event::destroy(begun)?;
        result::event::destroy(done)?;
        result::stream::destroy(stream)?;
        result::free_sync(from)?;
        result::free_sync(to)?;
        result::primary_ctx::release(device)?;
        Ok(2.0 * bytes as f64 / fastest)
    }
}

/// Operations a second of a product of two matrices of `side`, the fastest of `repeats`.
pub(crate) fn product(precision: Precision, side: usize, repeats: usize) -> Result<f64> {
    let (weights, bias) = (ParamId(0), ParamId(1));
    let op = Op::Dense {
        inputs: side,
        outputs: side,
        input: BufferId(0),
        weights,
        bias,
        output: BufferId(1),
        activation: Activation::None,
    };
    let buffer =
        |number: usize| Buffer { elements: side, offset: number * side * side, name: "matrix".into() };
    let learning = Learning { weight_std: 0.01, bias: 0.0, weight_rate: 1.0, bias_rate: 1.0, decay: None };
    let parameter = |shape: Vec<usize>| Parameter {
        name: "matrix".into(),
        layer: 0,
        bias: shape.len() == 1,
        shape,
        learning,
    };
    let tower = TowerPlan {
        buffers: vec![buffer(0), buffer(1)],
        parameters: vec![parameter(vec![side, side]), parameter(vec![side])],
        arena: 2 * side * side,
        input: BufferId(0),
        probabilities: None,
        outputs: Vec::new(),
    };
    let net = Net { name: "product".into(), image: 1, crop: 1, towers: 1, layers: Vec::new() };
    let forward = vec![Stage::Compute(vec![vec![op.clone()]])];
    let plan = Plan { net, batch: side, classes: 1, towers: vec![tower], forward, backward: Vec::new() };
    let backend = CudaBackend::new(&[0], precision)?;
    let mut towers = vec![backend.allocate(&plan, 0, 0)?];
    // Values decide how much power a product takes, and so its clock: not zeros.
    let noise: Vec<f32> = (0..side * side).map(|i| ((i * 7919) % 251) as f32 / 251.0 - 0.5).collect();
    backend.write_buffer(&mut towers[0], BufferId(0), &noise)?;
    backend.write_parameter(&mut towers[0], weights, Slot::Value, &noise)?;
    let pass = Pass { batch: side, mode: Mode::Test };
    let seconds = backend.seconds_of(&mut towers, &[Part::Op(0, &op)], &pass, &STILL, repeats)?;
    Ok(2.0 * (side as f64).powi(3) / seconds.into_iter().fold(f64::INFINITY, f64::min))
}
