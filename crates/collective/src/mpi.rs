//! Processes of one or more hosts, by the system's MPI. One thread makes all of MPI's calls: it sums what it is given, waits
//! without taking a core from those who compute, and meanwhile tells the other ranks that this one is alive.

use crate::pulse::{BEAT, PATIENCE, Pulse};
use ilsvrc_diagnostics::{Error, INTERNAL, RANKS_UNAVAILABLE, Result};
use ilsvrc_network::{Collective, Traffic};
use mpi::Threading;
use mpi::collective::{CommunicatorCollectives, SystemOperation};
use mpi::datatype::Equivalence;
use mpi::environment::processor_name;
use mpi::point_to_point::{Destination, Source};
use mpi::topology::{Communicator, SimpleCommunicator};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// The tag of signs of life.
const ALIVE: i32 = 77;
/// Between two looks at a sum under way: short beside a message of some megabytes, long beside a look.
const NAP: Duration = Duration::from_micros(50);
/// Bytes of a host's name.
const NAME: usize = 256;

/// The processes that MPI's launcher started together.
pub struct Mpi {
    rank: usize,
    hosts: Vec<String>,
    jobs: Mutex<Option<SyncSender<Job>>>,
    /// Why nothing can be summed any more, where a rank was lost while nothing was being summed.
    lost: Arc<Mutex<Option<Error>>>,
    thread: Mutex<Option<JoinHandle<()>>>,
    traffic: Mutex<Traffic>,
}

enum Job {
    Single(Vec<f32>, SyncSender<Result<Vec<f32>>>),
    Double(Vec<f64>, SyncSender<Result<Vec<f64>>>),
}

impl Mpi {
    /// Joins the other processes. Once in a process.
    ///
    /// # Errors
    /// `RANKS_UNAVAILABLE` where MPI was there before.
    pub fn join() -> Result<Self> {
        let (jobs, given) = sync_channel(1);
        let (tell, told) = sync_channel(1);
        let lost = Arc::new(Mutex::new(None));
        let heard = lost.clone();
        let work = move || {
            // All calls come from this thread.
            let Some((universe, _)) = mpi::initialize_with_threading(Threading::Funneled) else {
                let _ = tell.send(None);
                return;
            };
            let world = universe.world();
            let mut ranks = Ranks::new(world);
            let _ = tell.send(Some((ranks.pulse.rank, ranks.pulse.hosts.clone())));
            ranks.serve(&given, &heard);
            // Dropping the universe says goodbye to the others.
        };
        let thread = thread::Builder::new().name("mpi".into()).spawn(work);
        let thread =
            thread.map_err(|error| Error::new(INTERNAL, format!("cannot start a thread: {error}")))?;
        let joined = told.recv().ok().flatten();
        let (rank, hosts) =
            joined.ok_or_else(|| Error::new(RANKS_UNAVAILABLE, "MPI does not start in this process"))?;
        Ok(Self {
            rank,
            hosts,
            jobs: Mutex::new(Some(jobs)),
            lost,
            thread: Mutex::new(Some(thread)),
            traffic: Mutex::default(),
        })
    }

    /// The host of each rank.
    pub fn hosts(&self) -> &[String] {
        &self.hosts
    }

    /// Waits until all ranks leave, and leaves. To be called at the end of a process that succeeds: MPI's launcher takes a
    /// process that ends without it for a failed one, and ends the others.
    ///
    /// # Errors
    /// As [`Collective::sum`].
    pub fn leave(&self) -> Result<()> {
        // Whoever is done early goes on telling that it is alive.
        self.sum_exact(vec![1.0])?;
        drop(self.jobs.lock().unwrap_or_else(PoisonError::into_inner).take());
        match self.thread.lock().unwrap_or_else(PoisonError::into_inner).take().map(JoinHandle::join) {
            Some(Err(_)) => Err(Error::new(INTERNAL, "the thread of MPI panicked")),
            _ => Ok(()),
        }
    }

    fn ask<T>(&self, bytes: usize, job: impl FnOnce(SyncSender<Result<T>>) -> Job) -> Result<T> {
        let gone = || Error::new(INTERNAL, "MPI has been left");
        let begin = Instant::now();
        let jobs = self.jobs.lock().unwrap_or_else(PoisonError::into_inner).clone().ok_or_else(gone)?;
        let (give, sums) = sync_channel(1);
        jobs.send(job(give)).map_err(|_| gone())?;
        let sums = sums.recv().map_err(|_| gone())?;
        let mut traffic = self.traffic.lock().unwrap_or_else(PoisonError::into_inner);
        traffic.calls += 1;
        traffic.bytes += bytes as u64;
        traffic.seconds += begin.elapsed().as_secs_f64();
        sums
    }
}

impl Collective for Mpi {
    fn rank(&self) -> usize {
        self.rank
    }

    fn size(&self) -> usize {
        self.hosts.len()
    }

    fn sum(&self, values: Vec<f32>) -> Result<Vec<f32>> {
        self.ask(size_of_val(&values[..]), |give| Job::Single(values, give))
    }

    fn sum_exact(&self, values: Vec<f64>) -> Result<Vec<f64>> {
        self.ask(size_of_val(&values[..]), |give| Job::Double(values, give))
    }

    fn expect_alive(&self) -> Result<()> {
        self.lost.lock().unwrap_or_else(PoisonError::into_inner).clone().map_or(Ok(()), Err)
    }

    fn traffic(&self) -> Traffic {
        *self.traffic.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The thread's side.
struct Ranks {
    world: SimpleCommunicator,
    pulse: Pulse,
}

impl Ranks {
    fn new(world: SimpleCommunicator) -> Self {
        let (rank, size) = (world.rank() as usize, world.size() as usize);
        let mut own = processor_name().unwrap_or_default().into_bytes();
        own.resize(NAME, 0);
        let mut names = vec![0; NAME * size];
        world.all_gather_into(&own[..], &mut names[..]);
        let name = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim_end_matches('\0').to_string();
        let hosts = names.chunks(NAME).map(name).collect();
        Self { world, pulse: Pulse::new(rank, hosts, Instant::now()) }
    }

    /// Does jobs until nobody can send any more; says who is lost meanwhile.
    fn serve(&mut self, jobs: &Receiver<Job>, heard: &Mutex<Option<Error>>) {
        loop {
            match jobs.recv_timeout(BEAT) {
                Ok(Job::Single(values, give)) => self.sum(values, &give),
                Ok(Job::Double(values, give)) => self.sum(values, &give),
                Err(RecvTimeoutError::Timeout) => {
                    if let Some(lost) = beat(&mut self.pulse, &self.world) {
                        let error = tell(&self.pulse, lost);
                        *heard.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
                    }
                }
                Err(RecvTimeoutError::Disconnected) => return,
            }
        }
    }

    fn sum<T: Equivalence + Default + Clone>(&mut self, values: Vec<T>, give: &SyncSender<Result<Vec<T>>>) {
        let Self { world, pulse } = self;
        let mut sums = vec![T::default(); values.len()];
        mpi::request::scope(|scope| {
            let sum = SystemOperation::sum();
            let mut request = world.immediate_all_reduce_into(scope, &values[..], &mut sums[..], sum);
            while let Err(under_way) = request.test() {
                request = under_way;
                if let Some(lost) = beat(pulse, world) {
                    let _ = give.send(Err(tell(pulse, lost)));
                    // A sum that has begun cannot be taken back: its memory must stay until the process ends.
                    loop {
                        thread::park();
                    }
                }
                thread::sleep(NAP);
            }
        });
        let _ = give.send(Ok(sums));
    }
}

/// Tells that this rank is alive, once a second, and listens. Says which one has been silent for too long.
fn beat(pulse: &mut Pulse, world: &SimpleCommunicator) -> Option<usize> {
    let now = Instant::now();
    if !pulse.is_due(now) {
        return None;
    }
    for other in pulse.others() {
        world.process_at_rank(other as i32).send_with_tag(&[0u8][..], ALIVE);
    }
    let mut heard = Vec::new();
    while let Some(status) = world.any_process().immediate_probe_with_tag(ALIVE) {
        let from = status.source_rank();
        let (_, _): (u8, _) = world.process_at_rank(from).receive_with_tag(ALIVE);
        heard.push(from as usize);
    }
    pulse.listen(heard, now)
}

fn tell(pulse: &Pulse, lost: usize) -> Error {
    if !pulse.speaks_of(lost) {
        thread::sleep(PATIENCE);
    }
    pulse.error(lost)
}
