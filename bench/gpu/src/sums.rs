//! `gpu sums`: sums over ranks by the real NCCL, a rank a GPU in threads of this process: values of the host and gradients of a training
//! step, against what the host makes of the same; and how fast they are.

use crate::check::{caught, explain};
use crate::data::Batch;
use crate::options::Options;
use crate::training::{Tolerance, Trained, train_among};
use ilsvrc_cuda::nccl::{Nccl, NcclRanks, UniqueId};
use ilsvrc_cuda::{CudaBackend, Device, Precision, devices};
use ilsvrc_diagnostics::NCCL_UNUSABLE;
use ilsvrc_network::{Collective, UpdateRule, examples};
use serde_json::{Value, json};
use std::sync::Arc;
use std::thread;

pub(crate) const FLAGS: [&str; 2] = ["mebibytes", "repeats"];

const RULE: UpdateRule = UpdateRule { rate: 0.01, momentum: 0.9, decay: 0.0005 };
/// Images of a step, over all ranks.
const BATCH: usize = 6;
/// Values of the host, more than go to the GPU at once.
const VALUES: usize = 3 << 20;

/// Sums over one GPU, and over all where there are more; true where every sum is right. Left out, with the reason, where there is no
/// NCCL.
pub(crate) fn run(options: &Options) -> Result<(Value, bool), String> {
    let nccl = match Nccl::open() {
        Err(error) if error.code == NCCL_UNUSABLE => {
            let reason = explain(error);
            eprintln!("left out: {reason}");
            return Ok((json!({ "left_out": reason }), true));
        }
        opened => opened.map_err(explain)?,
    };
    let usable = |device: &&Device| device.problem.is_none();
    let gpus: Vec<usize> =
        devices().map_err(explain)?.iter().filter(usable).map(|device| device.ordinal).collect();
    if gpus.is_empty() {
        return Err("there is no GPU that can be used".into());
    }
    let (bytes, repeats) = (options.number("mebibytes", 256)? << 20, options.number("repeats", 20)?);
    let mut counts = vec![1];
    counts.extend((gpus.len() > 1).then_some(gpus.len()));
    let mut sums = Vec::new();
    let mut ok = true;
    for count in counts {
        let sum = caught(|| check(&nccl, &gpus[..count], bytes, repeats));
        ok &= sum.is_ok();
        sums.push(match sum {
            Ok(seconds) => {
                // What a ring moves in and out of each GPU, as nccl-tests count it; nothing of one.
                let moved = 2.0 * (count - 1) as f64 / count as f64 * bytes as f64;
                let (ms, gbs) = (1e3 * seconds, moved / seconds / 1e9);
                eprintln!(
                    "ok   ranks: {count}, {bytes} bytes in {ms:.3} ms, {gbs:.1} GB/s in and out of each GPU"
                );
                json!({ "ranks": count, "ok": true, "bytes": bytes, "seconds": seconds, "bus_gbs": gbs })
            }
            Err(message) => {
                eprintln!("FAIL ranks: {count}, {message}");
                json!({ "ranks": count, "ok": false, "message": message })
            }
        });
    }
    Ok((json!({ "nccl": nccl.version(), "ok": ok, "sums": sums }), ok))
}

/// Checks sums between these GPUs; the seconds of one.
fn check(nccl: &Arc<Nccl>, gpus: &[usize], bytes: usize, repeats: usize) -> Result<f64, String> {
    let id = nccl.unique_id().map_err(explain)?;
    let alone = learn(&[gpus[0]], 0, None)?;
    let ranks: Vec<Result<(f64, Trained), String>> = thread::scope(|scope| {
        let work = |rank| scope.spawn(move || one(nccl, id, gpus, rank, (bytes, repeats)));
        let threads: Vec<_> = (0..gpus.len()).map(work).collect();
        let join = |thread: thread::ScopedJoinHandle<'_, _>| {
            thread.join().unwrap_or_else(|_| Err("a rank panicked".into()))
        };
        threads.into_iter().map(join).collect()
    });
    let mut seconds = 0f64;
    let mut first: Option<Trained> = None;
    for rank in ranks {
        let (own, trained) = rank?;
        seconds = seconds.max(own);
        // Sums are made in another order than by one GPU; all ranks have the same bits.
        trained.compare(&alone, Tolerance { loss: 1e-5, dense: 1e-4, convolutions: 1e-4 });
        first.get_or_insert_with(|| trained.clone()).assert_same(&trained);
    }
    Ok(seconds)
}

/// One rank's part.
fn one(
    nccl: &Arc<Nccl>,
    id: UniqueId,
    gpus: &[usize],
    rank: usize,
    (bytes, repeats): (usize, usize),
) -> Result<(f64, Trained), String> {
    let size = gpus.len();
    let ranks =
        NcclRanks::join(nccl.clone(), gpus[rank], id, (rank, size), Box::new(|| Ok(()))).map_err(explain)?;
    // Whole numbers: their sums are exact in any order.
    let value = |index: usize, rank: usize| (index % 4099 + 7 * rank) as f32;
    let sums = ranks.sum((0..VALUES).map(|index| value(index, rank)).collect()).map_err(explain)?;
    let wrong = |(index, sum): (usize, &f32)| (0..size).map(|rank| value(index, rank)).sum::<f32>() != *sum;
    let count = sums.iter().enumerate().filter(|sum| wrong(*sum)).count();
    if count > 0 {
        return Err(format!("{count} of {VALUES} sums are wrong on GPU {}", gpus[rank]));
    }
    let trained = learn(gpus, rank, Some(&ranks))?;
    let seconds = ranks.measure(bytes, repeats).map_err(explain)?;
    // Nobody parts while another sums.
    ranks.sum_exact(vec![1.0]).map_err(explain)?;
    Ok((seconds, trained))
}

/// Three steps of a small net on GPU `gpus[rank]`, on this rank's part of each batch; all of it without others.
fn learn(gpus: &[usize], rank: usize, ranks: Option<&Arc<NcclRanks>>) -> Result<Trained, String> {
    let net = examples::miniature();
    let classes =
        ilsvrc_network::Plan::new(&net, 1, ilsvrc_network::Use::Inference).map_err(explain)?.classes;
    let batches: Vec<Batch> = (0..3).map(|number| Batch::varied(&net, BATCH, classes, number)).collect();
    let backend = CudaBackend::new(&[gpus[rank]], Precision::F32).map_err(explain)?;
    let backend = match ranks {
        None => backend,
        Some(ranks) => backend.among(Arc::new(ranks.communicators())),
    };
    let ranks = ranks.map(|ranks| ranks.clone() as Arc<dyn Collective>);
    train_among(&net, backend, &[0, 0], batches.iter(), &RULE, ranks).map_err(explain)
}
