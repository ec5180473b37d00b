//! Replicas whose towers are on virtual GPUs, their gradients summed through the host or by NCCL.
#![cfg(all(target_os = "linux", target_arch = "x86_64"))] // where there are virtual GPUs

mod common;

use common::{Batch, distance};
use ilsvrc_collective::threads;
use ilsvrc_cpu::CpuBackend;
use ilsvrc_cuda::nccl::{Communicators, Nccl, NcclRanks, UniqueId};
use ilsvrc_cuda::{CudaBackend, Precision};
use ilsvrc_cuda_mock::{Mock, Order, load};
use ilsvrc_diagnostics::{Error, GPU_SHARED, NCCL_FAILED, NCCL_UNUSABLE, RANK_LOST, Result};
use ilsvrc_network::{
    Backend, Collective, Execution, Executor, Input, Mode, ParamId, Pass, Plan, Slot, UpdateRule, Use,
    examples,
};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

const RULE: UpdateRule = UpdateRule { rate: 0.01, momentum: 0.9, decay: 0.0005 };
const BATCH: usize = 5;

/// The images `first..first + images` of a batch.
fn part<'a>(
    whole: &Input<'a>,
    views: &'a mut Vec<ilsvrc_network::View>,
    first: usize,
    images: usize,
) -> Input<'a> {
    let image = whole.side * whole.side * 3;
    let renumbered =
        |view: &ilsvrc_network::View| ilsvrc_network::View { image: view.image - first as u32, ..*view };
    views.extend(whole.views[first..first + images].iter().map(renumbered));
    Input {
        pixels: &whole.pixels[first * image..(first + images) * image],
        views,
        labels: &whole.labels[first..first + images],
        ..*whole
    }
}

/// Losses of the steps and all weights after them.
type Learned = (Vec<f64>, Vec<Vec<f32>>);

/// Of three steps, the last of one image; of the part of rank `rank` among `size`.
fn train<B: Backend>(mut executor: Executor<B>, rank: usize, size: usize) -> Learned {
    executor.initialise(3).unwrap();
    let plan = executor.plan().clone();
    let losses = [BATCH, BATCH, 1].iter().zip(0..).map(|(&whole, step)| {
        let data = Batch::new(whole, plan.net.image, plan.net.crop, plan.classes, step as u32);
        let (first, end) = (whole * rank / size, whole * (rank + 1) / size);
        let mut views = Vec::new();
        let input = data.input();
        let input = part(&input, &mut views, first, end - first);
        let pass = Pass { batch: end - first, mode: Mode::Train { seed: 5, step, first } };
        executor.begin_step(&input, &pass, &RULE).unwrap();
        executor.end_step().unwrap().loss
    });
    let losses = losses.collect();
    let weights = plan.towers.iter().enumerate().flat_map(|(tower, of)| {
        let executor = &executor;
        (0..of.parameters.len())
            .map(move |id| executor.read_parameter(tower, ParamId(id), Slot::Value).unwrap())
    });
    (losses, weights.collect())
}

fn plan(batch: usize) -> Plan {
    Plan::new(&examples::miniature(), batch, Use::Training).unwrap()
}

/// How the ranks of a test meet and sum their gradients.
#[derive(Clone, Copy, Debug)]
enum Way {
    /// Through the host.
    Host,
    /// By NCCL, and all else through the host.
    Both,
    /// By NCCL alone.
    Nccl,
}

/// What each of `ends` makes of `work` in a thread of its own.
fn in_threads<E: Send, T: Send>(ends: Vec<E>, work: impl Fn(usize, E) -> T + Sync) -> Vec<T> {
    thread::scope(|scope| {
        let work = &work;
        let start = |(rank, end)| scope.spawn(move || work(rank, end));
        let ranks: Vec<_> = ends.into_iter().enumerate().map(start).collect();
        ranks.into_iter().map(|rank| rank.join().unwrap()).collect()
    })
}

/// What two ranks learn whose towers are on `gpus`.
fn learn(mock: &Mock, way: Way, gpus: [&[usize]; 2]) -> Vec<Learned> {
    let nccl = Nccl::open_at(mock.nccl()).unwrap();
    let id = nccl.unique_id().unwrap();
    in_threads(threads(2), |rank, host| {
        let backend = CudaBackend::new(gpus[rank], Precision::F32).unwrap();
        let (ranks, sums): (Arc<dyn Collective>, _) = match way {
            Way::Host => (host, None),
            Way::Both => (host.clone(), Some(Communicators::new(nccl.clone(), host))),
            Way::Nccl => {
                let ranks =
                    NcclRanks::join(nccl.clone(), gpus[rank][0], id, (rank, 2), Box::new(|| Ok(()))).unwrap();
                (ranks.clone(), Some(ranks.communicators()))
            }
        };
        let sums = sums.map(Arc::new);
        let backend = match &sums {
            None => backend,
            Some(sums) => {
                sums.join(gpus[rank]).unwrap();
                backend.among(sums.clone())
            }
        };
        let places: Vec<usize> = (0..2).map(|tower| tower % gpus[rank].len()).collect();
        let executor = Executor::new(backend, plan(BATCH.div_ceil(2)), &places).unwrap();
        let learned = train(executor.among(ranks.clone()).unwrap(), rank, 2);
        if let Some(sums) = &sums {
            let traffic = sums.traffic();
            assert!(traffic.calls > 3 && traffic.bytes > 0 && traffic.seconds > 0.0, "{traffic:?}");
            // Nobody parts while another has something to do.
            ranks.sum_exact(vec![1.0]).unwrap();
            sums.leave();
        }
        learned
    })
}

fn expect_near(learned: &Learned, expected: &Learned) {
    for (ours, cpu) in learned.0.iter().zip(&expected.0) {
        assert!((ours - cpu).abs() <= 1e-5 * cpu, "loss {ours}, not {cpu}");
    }
    for (ours, cpu) in learned.1.iter().zip(&expected.1) {
        assert!(distance(ours, cpu) <= 1e-4);
    }
}

#[test]
fn replicas_on_gpus_learn_what_one_cpu_learns() {
    let cpu = Executor::new(CpuBackend::new(&[1]).unwrap(), plan(BATCH), &[0, 0]).unwrap();
    let expected = train(cpu, 0, 1);
    let mock = load();
    let host = learn(&mock, Way::Host, [&[0], &[1]]);
    mock.assert_clean();
    expect_near(&host[0], &expected);
    for way in [Way::Both, Way::Nccl] {
        for order in [Order::Lazy, Order::Eager, Order::Reverse, Order::Random(3)] {
            mock.reset();
            mock.order(order);
            let learned = learn(&mock, way, [&[0], &[1]]);
            mock.assert_clean();
            // Two addends have one order, so the way makes no difference.
            assert_eq!(learned, host, "{way:?} {order:?}");
        }
    }
}

#[test]
fn pairs_sum_tower_by_tower() {
    let mock = load();
    mock.devices(4);
    let host = learn(&mock, Way::Host, [&[0, 1], &[2, 3]]);
    mock.assert_clean();
    for way in [Way::Both, Way::Nccl] {
        mock.reset();
        mock.devices(4);
        let learned = learn(&mock, way, [&[0, 1], &[2, 3]]);
        mock.assert_clean();
        assert_eq!(learned, host, "{way:?}");
        let sums =
            |device| mock.ran().iter().filter(|ran| ran.device == device && ran.label == "nccl sum").count();
        assert!((0..4).all(|device| sums(device) > 6), "each GPU sums its tower's gradients");
    }
}

/// The first gradients are on their way while the last ones are computed.
#[test]
fn gradients_leave_before_the_backward_pass_ends() {
    let mock = load();
    learn(&mock, Way::Both, [&[0], &[1]]);
    let ran: Vec<String> =
        mock.ran().into_iter().filter(|ran| ran.device == 0).map(|ran| ran.label).collect();
    let first = ran.iter().position(|label| label == "nccl send").unwrap();
    let update = ran.iter().position(|label| label == "update_f32").unwrap();
    let behind = ran[first..update].iter().filter(|label| label.contains("gradient")).count();
    assert!(behind > 3, "{behind} kernels of the backward pass after the first gradients left: {ran:?}");
    // No gradient goes through the host: what comes from the GPU is probabilities, and weights at the end.
    let copies = ran[..update].iter().filter(|label| *label == "copy D2H").count();
    assert_eq!(copies, 1, "{ran:?}");
}

#[test]
fn values_of_the_host_are_summed_through_a_gpu() {
    let mock = load();
    let nccl = Nccl::open_at(mock.nccl()).unwrap();
    let id = nccl.unique_id().unwrap();
    // More than the block through which they go.
    let many = (5 << 20) / size_of::<f32>();
    let sums = in_threads(vec![(); 2], |rank, ()| {
        let ranks = NcclRanks::join(nccl.clone(), rank, id, (rank, 2), Box::new(|| Ok(()))).unwrap();
        assert_eq!((ranks.rank(), ranks.size()), (rank, 2));
        let values = (0..many).map(|index| (index % 1000 + 1000 * rank) as f32).collect();
        let exact = ranks.sum_exact(vec![(1u64 << 50) as f64, rank as f64]).unwrap();
        let sums = ranks.sum(values).unwrap();
        assert!(ranks.sum(Vec::new()).unwrap().is_empty());
        let traffic = ranks.traffic();
        assert_eq!((traffic.calls, traffic.bytes), (3, 16 + 4 * many as u64));
        (exact, sums)
    });
    mock.assert_clean();
    for (exact, sums) in sums {
        assert_eq!(exact, [(1u64 << 51) as f64, 1.0]);
        assert!(sums.iter().enumerate().all(|(index, sum)| *sum == (2 * (index % 1000) + 1000) as f32));
    }
}

#[test]
fn a_sum_ends_when_a_rank_is_found_lost() {
    let mock = load();
    let nccl = Nccl::open_at(mock.nccl()).unwrap();
    let id = nccl.unique_id().unwrap();
    let is_lost = Arc::new(AtomicBool::new(false));
    let lost = || Error::new(RANK_LOST, "rank 1 is frozen");
    let ends = in_threads(vec![(); 2], |rank, ()| {
        let is_lost = is_lost.clone();
        let expect_alive = move || if is_lost.load(Ordering::Relaxed) { Err(lost()) } else { Ok(()) };
        NcclRanks::join(nccl.clone(), rank, id, (rank, 2), Box::new(expect_alive)).unwrap()
    });
    // Rank 1 makes no sum.
    is_lost.store(true, Ordering::Relaxed);
    assert_eq!(ends[0].expect_alive().unwrap_err(), lost());
    assert_eq!(ends[0].sum(vec![1.0]).unwrap_err(), lost());
    is_lost.store(false, Ordering::Relaxed);
    assert_eq!(ends[0].sum(vec![1.0]).unwrap_err(), lost(), "nothing comes after that");
    assert_eq!(mock.races(), [""; 0]);
}

fn join(mock: &Mock, gpus: [usize; 2]) -> Vec<Result<Arc<NcclRanks>>> {
    let nccl = Nccl::open_at(mock.nccl()).unwrap();
    let id = nccl.unique_id().unwrap_or(UniqueId([0; 128]));
    in_threads(gpus.to_vec(), |rank, gpu| {
        NcclRanks::join(nccl.clone(), gpu, id, (rank, 2), Box::new(|| Ok(())))
    })
}

#[test]
fn two_ranks_on_one_gpu_are_refused() {
    let mock = load();
    for joined in join(&mock, [1, 1]) {
        let error = joined.err().unwrap();
        assert_eq!((error.code, &error.message[..]), (GPU_SHARED, "several ranks compute on one GPU"));
        assert!(error.info.unwrap().contains("rank 1 and rank 0 both on CUDA device"), "NCCL says which");
        assert!(error.hint.unwrap().contains("--devices 0,1"));
    }
}

#[test]
fn an_old_nccl_is_refused() {
    let mock = load();
    mock.nccl_version(21_200);
    let error = Nccl::open_at(mock.nccl()).unwrap_err();
    assert_eq!((error.code, &error.message[..]), (NCCL_UNUSABLE, "NCCL 2.12.0 is too old"));
    assert!(error.info.unwrap().contains("2.13.4"));
    mock.nccl_version(21_304);
    assert_eq!(Nccl::open_at(mock.nccl()).unwrap().version(), "2.13.4");
}

#[test]
fn failures_of_nccl_are_told() {
    let mock = load();
    mock.fail("ncclCommInitRank:1+=2");
    for joined in join(&mock, [0, 1]) {
        let error = joined.err().unwrap();
        assert_eq!(error.code, NCCL_FAILED);
        assert!(error.message.contains("cannot bring GPU"), "{error}");
        assert!(error.info.unwrap().contains("unhandled system error"));
    }
    mock.reset();
    let [zero, one] = join(&mock, [0, 1]).try_into().unwrap_or_else(|_| panic!());
    let (zero, one) = (zero.unwrap(), one.unwrap());
    // What NCCL says when a process of another host has ended: here the other rank just makes no sum.
    mock.fail("ncclCommGetAsyncError:1+=6");
    let error = zero.sum(vec![1.0]).unwrap_err();
    assert_eq!(error.code, RANK_LOST);
    assert!(error.message.contains("NCCL lost another rank"), "{error}");
    assert!(error.hint.as_ref().unwrap().contains("--resume"));
    // Whoever asks for a sum after that hears the same.
    assert_eq!(zero.sum_exact(vec![1.0]).unwrap_err(), error);
    assert_eq!(mock.races(), [""; 0]);
    drop((zero, one));
}
