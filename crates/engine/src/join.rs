//! How this process meets the others that a launcher started with it.

use crate::places::{Local, Places, resolve};
use crate::ranks::Ranks;
use ilsvrc_collective::{Agent, Heartbeat};
use ilsvrc_cuda::nccl::{ExpectAlive, Nccl, NcclRanks};
use ilsvrc_diagnostics::{Error, RANKS_UNAVAILABLE, Result};
use serde::{Deserialize, Serialize};
use std::sync::{Mutex, PoisonError};

/// Who brings the processes together.
#[derive(Clone, Debug, Deserialize)]
#[serde(tag = "by", rename_all = "snake_case", deny_unknown_fields)]
pub enum JoinRequest {
    /// MPI, whose launcher started them.
    Mpi,
    /// NCCL, between the first GPUs of the ranks. Its environment variable `NCCL_COMM_ID` says where rank 0 listens, and is needed
    /// until all have met.
    Nccl {
        /// Which one this is, from 0.
        rank: usize,
        /// How many there are.
        size: usize,
        /// The same on this host.
        local: Local,
        /// As in [`crate::Options::places`].
        places: Vec<String>,
        /// Where torchrun keeps a store, by which they know who is alive. Without one a rank that is frozen is given up after five
        /// minutes.
        agent: Option<Agent>,
    },
}

/// One of several processes of a run.
#[derive(Clone, Debug, Serialize)]
pub struct World {
    /// Which one this is, from 0.
    pub rank: usize,
    /// The host of each.
    pub hosts: Vec<String>,
}

/// The ranks of this process, and how it parts from them.
struct Joined {
    ranks: Ranks,
    #[cfg(feature = "mpi")]
    mpi: Option<std::sync::Arc<ilsvrc_collective::Mpi>>,
}

static JOINED: Mutex<Option<Joined>> = Mutex::new(None);

/// Those that this process has joined.
pub fn current() -> Ranks {
    let joined = JOINED.lock().unwrap_or_else(PoisonError::into_inner);
    joined.as_ref().map_or_else(Ranks::default, |joined| joined.ranks.clone())
}

/// Joins the processes that a launcher started with this one: sessions opened from now on work together with theirs.
///
/// # Errors
/// `RANKS_UNAVAILABLE`; by NCCL those of a GPU, `NCCL_UNUSABLE`, `NCCL_FAILED`, `GPU_SHARED`, `RANK_LOST`.
pub fn join(request: &JoinRequest) -> Result<World> {
    let (joined, world) = match request {
        JoinRequest::Mpi => by_mpi()?,
        JoinRequest::Nccl { rank, size, local, places, agent } => {
            by_nccl((*rank, *size), *local, places, agent.as_ref())?
        }
    };
    *JOINED.lock().unwrap_or_else(PoisonError::into_inner) = Some(joined);
    Ok(world)
}

/// Leaves them when all are ready to. To be called at the end of a process that succeeds.
///
/// # Errors
/// `RANK_LOST`.
pub fn leave() -> Result<()> {
    let joined = JOINED.lock().unwrap_or_else(PoisonError::into_inner).take();
    joined.map_or(Ok(()), Joined::leave)
}

impl Joined {
    fn leave(self) -> Result<()> {
        // Nobody parts while another has something to do.
        self.ranks.anyone(&false.into())?;
        self.ranks.part_gpus();
        #[cfg(feature = "mpi")]
        if let Some(mpi) = self.mpi {
            return mpi.leave();
        }
        Ok(())
    }
}

#[cfg(feature = "mpi")]
fn by_mpi() -> Result<(Joined, World)> {
    use ilsvrc_network::Collective;
    let mpi = std::sync::Arc::new(ilsvrc_collective::Mpi::join()?);
    let world = World { rank: mpi.rank(), hosts: mpi.hosts().to_vec() };
    let own = &world.hosts[world.rank];
    let beside = |ranks: &[String]| ranks.iter().filter(|host| *host == own).count();
    let local = (beside(&world.hosts[..world.rank]), beside(&world.hosts));
    Ok((Joined { ranks: Ranks::new(mpi.clone(), local), mpi: Some(mpi) }, world))
}

#[cfg(not(feature = "mpi"))]
fn by_mpi() -> Result<(Joined, World)> {
    Err(Error::new(RANKS_UNAVAILABLE, "this build of ilsvrc knows no MPI")
        .info("MPI differs from host to host, so the packages on npm come without it")
        .hint("build from source where `mpicc` and libclang are: apt install libopenmpi-dev libclang-dev, then npm run build; GPUs also meet by torchrun and NCCL"))
}

fn by_nccl(
    (rank, size): (usize, usize),
    local: Local,
    places: &[String],
    agent: Option<&Agent>,
) -> Result<(Joined, World)> {
    // The first GPU is the same for nets of one tower and of two.
    let (Places::Gpus(gpus), _) = resolve(places, 2, 1, local)? else {
        return Err(Error::new(
            RANKS_UNAVAILABLE,
            format!("torchrun started rank {rank} of {size}, which computes on the CPU"),
        )
        .info("torchrun brings processes together for NCCL, which sums between GPUs only")
        .hint("start CPUs by `mpirun -np N`, or give each rank a GPU"));
    };
    let nccl = Nccl::open()?;
    let expect_alive: ExpectAlive = match agent {
        Some(agent) => {
            let heartbeat = Heartbeat::start(agent, (rank, size), &host_name())?;
            Box::new(move || heartbeat.expect_alive())
        }
        None => Box::new(|| Ok(())),
    };
    let id = nccl.unique_id()?;
    let joined = NcclRanks::join(nccl, gpus[0], id, (rank, size), expect_alive)?;
    let communicators = joined.communicators();
    let ranks = Ranks::new(joined, local).with(communicators);
    let mut own = [0.0; NAME];
    own.iter_mut().zip(host_name().bytes()).for_each(|(place, byte)| *place = f64::from(byte));
    let names = ranks.gather(&own)?;
    let name = |row: &Vec<f64>| {
        let bytes: Vec<u8> = row.iter().map(|byte| *byte as u8).take_while(|byte| *byte != 0).collect();
        String::from_utf8_lossy(&bytes).into_owned()
    };
    let world = World { rank, hosts: names.iter().map(name).collect() };
    let joined = Joined {
        ranks,
        #[cfg(feature = "mpi")]
        mpi: None,
    };
    Ok((joined, world))
}

/// Bytes of a host's name.
const NAME: usize = 64;

/// NCCL is there on Linux only.
fn host_name() -> String {
    std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default().trim().to_string()
}
