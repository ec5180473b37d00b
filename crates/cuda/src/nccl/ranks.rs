//! Ranks that have nothing but NCCL: values of the host are summed by way of one of their GPUs.

use super::communicator::Communicator;
use super::communicators::Communicators;
use super::library::{Nccl, Type, UniqueId};
use crate::driver::{Context, DeviceMemory, Event, guarded, start};
use ilsvrc_diagnostics::Result;
use ilsvrc_network::{Collective, Traffic};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

/// Bytes of the block through which values go to the GPU and back.
const BLOCK: usize = 4 << 20;

/// Fails where a rank is known to be lost. NCCL itself knows of ended processes only, and not of all.
pub type ExpectAlive = Box<dyn Fn() -> Result<()> + Send + Sync>;

/// One of several processes, or threads, with a GPU each.
pub struct NcclRanks {
    rank: usize,
    size: usize,
    expect_alive: ExpectAlive,
    nccl: Arc<Nccl>,
    communicator: Arc<Communicator>,
    work: Mutex<Work>,
}

struct Work {
    block: DeviceMemory,
    done: Event,
    traffic: Traffic,
}

impl NcclRanks {
    /// Meets the other ranks, each of which names a GPU of its own; returns when all are there. Whoever waits for the others, then and
    /// later, asks `expect_alive` meanwhile.
    ///
    /// # Errors
    /// `GPU_SHARED` where two ranks name one GPU, `RANK_LOST`, `NCCL_FAILED`; those of opening a GPU.
    pub fn join(
        nccl: Arc<Nccl>,
        gpu: usize,
        id: UniqueId,
        (rank, size): (usize, usize),
        expect_alive: ExpectAlive,
    ) -> Result<Arc<Self>> {
        start()?;
        guarded(|| {
            let context = Context::open(gpu)?;
            let block = DeviceMemory::zeroed(&context, BLOCK, "sums over the ranks")?;
            let communicator = Communicator::join(&nccl, &context, id, (rank, size), &expect_alive)?;
            let work = Work { block, done: Event::new(&context)?, traffic: Traffic::default() };
            Ok(Arc::new(Self { rank, size, expect_alive, nccl, communicator, work: Mutex::new(work) }))
        })
    }

    /// The communicators of these ranks' GPUs, of which the first is there.
    pub fn communicators(self: &Arc<Self>) -> Communicators {
        Communicators::with(self.nccl.clone(), self.clone(), self.communicator.clone())
    }

    /// Seconds that a sum of `bytes` of f32 takes on the GPU, at the mean of `repeats` in a row after one that does not count. All ranks
    /// ask for it together.
    ///
    /// # Errors
    /// As [`Collective::sum`]; `OUT_OF_MEMORY`.
    pub fn measure(&self, bytes: usize, repeats: usize) -> Result<f64> {
        guarded(|| {
            let Communicator { context, stream, .. } = &*self.communicator;
            let block = DeviceMemory::zeroed(context, bytes, "a sum over the ranks")?;
            let (begun, done) = (Event::timed(context)?, Event::timed(context)?);
            let sum = || self.communicator.sum((block.at, bytes / size_of::<f32>()), Type::F32);
            sum()?;
            stream.record(&begun)?;
            (0..repeats).try_for_each(|_| sum())?;
            stream.record(&done)?;
            self.communicator.wait(&done, &self.expect_alive)?;
            Ok(done.seconds_since(&begun)? / repeats as f64)
        })
    }

    /// `bytes` summed as values of `kind`, block by block.
    fn sum_bytes(&self, bytes: &mut [u8], kind: Type, value: usize) -> Result<()> {
        let begin = Instant::now();
        let mut work = self.work();
        // A sum that was ended by force may still use the block.
        self.communicator.expect_whole()?;
        for part in bytes.chunks_mut(BLOCK) {
            work.block.write(0, part)?;
            self.communicator.sum((work.block.at, part.len() / value), kind)?;
            self.communicator.stream.record(&work.done)?;
            self.communicator.wait(&work.done, &self.expect_alive)?;
            work.block.read(0, part)?;
        }
        work.traffic.calls += 1;
        work.traffic.bytes += bytes.len() as u64;
        work.traffic.seconds += begin.elapsed().as_secs_f64();
        Ok(())
    }

    fn work(&self) -> MutexGuard<'_, Work> {
        self.work.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Collective for NcclRanks {
    fn rank(&self) -> usize {
        self.rank
    }

    fn size(&self) -> usize {
        self.size
    }

    fn sum(&self, values: Vec<f32>) -> Result<Vec<f32>> {
        guarded(|| {
            let mut bytes: Vec<u8> = values.iter().flat_map(|value| value.to_ne_bytes()).collect();
            self.sum_bytes(&mut bytes, Type::F32, size_of::<f32>())?;
            Ok(bytes.as_chunks().0.iter().map(|bytes| f32::from_ne_bytes(*bytes)).collect())
        })
    }

    fn sum_exact(&self, values: Vec<f64>) -> Result<Vec<f64>> {
        guarded(|| {
            let mut bytes: Vec<u8> = values.iter().flat_map(|value| value.to_ne_bytes()).collect();
            self.sum_bytes(&mut bytes, Type::F64, size_of::<f64>())?;
            Ok(bytes.as_chunks().0.iter().map(|bytes| f64::from_ne_bytes(*bytes)).collect())
        })
    }

    fn expect_alive(&self) -> Result<()> {
        (self.expect_alive)()
    }

    fn traffic(&self) -> Traffic {
        self.work().traffic
    }
}
