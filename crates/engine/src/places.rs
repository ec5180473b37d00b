//! From the names of places to GPUs and threads, and what of a host's GPUs is one rank's.

use ilsvrc_cuda::Device;
use ilsvrc_diagnostics::{DEVICE_UNUSABLE, DRIVER_ABSENT, Error, Result};
use std::fmt;

/// The name of a CPU's place.
pub(crate) const CPU: &str = "cpu";
/// Stands for GPUs where there are any, else for the CPU.
const AUTO: &str = "auto";

/// Places, resolved.
pub(crate) enum Places {
    /// Threads of each.
    Cpu(Vec<usize>),
    /// GPU of each.
    Gpus(Vec<usize>),
}

/// Which rank of a host this is, from 0, and how many there are.
pub(crate) type Local = (usize, usize);

/// The only process.
pub(crate) const ALONE: Local = (0, 1);

impl Places {
    pub(crate) fn count(&self) -> usize {
        match self {
            Self::Cpu(places) | Self::Gpus(places) => places.len(),
        }
    }

    /// The places of each replica: of more places than towers, as many as towers.
    pub(crate) fn replicas(self, towers: usize) -> Vec<Self> {
        let cut =
            |places: Vec<usize>| places.chunks(towers.max(1)).map(<[usize]>::to_vec).collect::<Vec<_>>();
        match self {
            Self::Cpu(places) => cut(places).into_iter().map(Self::Cpu).collect(),
            Self::Gpus(places) => cut(places).into_iter().map(Self::Gpus).collect(),
        }
    }
}

impl fmt::Display for Places {
    /// As `GPU 2 and 3`, `GPU 0` where both towers are there, or `the CPU`.
    fn fmt(&self, out: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Self::Cpu(_) => write!(out, "the CPU"),
            Self::Gpus(gpus) => {
                let mut names: Vec<String> = gpus.iter().map(usize::to_string).collect();
                names.dedup();
                write!(out, "GPU {}", names.join(" and "))
            }
        }
    }
}

/// The places that names stand for on rank `local` of its host, and why `auto` left a GPU out.
///
/// # Errors
/// `DEVICE_UNUSABLE` for what is no list of places, or none that can be dealt out.
pub(crate) fn resolve(
    names: &[String],
    towers: usize,
    threads: usize,
    local: Local,
) -> Result<(Places, Option<String>)> {
    if names == [AUTO] {
        return Ok(match automatic(towers, local) {
            (gpus, notice) if gpus.is_empty() => (Places::Cpu(vec![threads]), notice),
            (gpus, notice) => (Places::Gpus(gpus), notice),
        });
    }
    if !names.is_empty() && names.iter().all(|name| name == CPU) {
        expect_fit(names.len(), towers)?;
        // The first places get the threads that are left over; a place never has none.
        let count = names.len();
        let share = |place| (threads / count + usize::from(place < threads % count)).max(1);
        return Ok((Places::Cpu((0..count).map(share).collect()), None));
    }
    let gpu = |name: &String| {
        name.parse().map_err(|_| {
            Error::new(DEVICE_UNUSABLE, format!("cannot use device `{name}` here"))
                .info("a device is `cpu` or the number of a GPU, and all of a net's are of one kind")
                .hint("as `--devices cpu`, `--devices 0` or `--devices 0,1`; `ilsvrc doctor` lists what is here")
        })
    };
    let all = names.iter().map(gpu).collect::<Result<Vec<usize>>>()?;
    let (_, ranks) = local;
    if all.len() > ranks && !all.len().is_multiple_of(ranks) {
        return Err(Error::new(
            DEVICE_UNUSABLE,
            format!("{} devices for {ranks} ranks on this host", all.len()),
        )
        .info("the list is dealt out to the ranks of a host, as many devices to each")
        .hint("name one device a rank, as `--devices 0,1` for two, or one a tower of each"));
    }
    let own = share(&all, local);
    expect_fit(own.len(), towers)?;
    Ok((Places::Gpus(own.to_vec()), None))
}

/// A rank's part of its host's devices: equal blocks. Where there are fewer devices than ranks the launcher has given each rank its
/// own, as Slurm does, and every rank takes what it sees; `crate::among` refuses ranks that meet on one GPU.
fn share<T>(all: &[T], (rank, ranks): Local) -> &[T] {
    match all.len() / ranks {
        0 => all,
        block => &all[rank * block..][..block],
    }
}

/// One replica has at most one place a tower, and several have all as many.
fn expect_fit(count: usize, towers: usize) -> Result<()> {
    if (1..=towers.max(1)).contains(&count) || (count > 0 && count.is_multiple_of(towers)) {
        return Ok(());
    }
    let of = if towers == 1 { "one tower".into() } else { format!("{towers} towers") };
    Err(Error::new(DEVICE_UNUSABLE, format!("{count} devices for a net of {of}"))
        .info("a tower lives on one device; of more devices than towers, each replica of the net takes one a tower")
        .hint(format!("name one device, as `--devices 0`, or {towers} for each replica: {towers}, {} and so on", 2 * towers)))
}

/// The first usable GPUs of this rank's part, one for each tower where there are as many; and why there are none, where that is
/// worth saying.
fn automatic(towers: usize, local: Local) -> (Vec<usize>, Option<String>) {
    let devices = match ilsvrc_cuda::devices() {
        Ok(devices) => devices,
        Err(error) if error.code == DRIVER_ABSENT => return (Vec::new(), None),
        Err(error) => return (Vec::new(), Some(error.message)),
    };
    let usable = |device: &&Device| device.problem.is_none();
    let gpus: Vec<usize> = devices.iter().filter(usable).map(|device| device.ordinal).collect();
    let own: Vec<usize> = share(&gpus, local).iter().copied().take(towers).collect();
    let problem = devices.iter().find_map(|device| device.problem.as_ref());
    let notice = problem.filter(|_| own.len() < towers).map(|problem| problem.message.clone());
    (own, notice)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn places(names: &[&str], towers: usize, threads: usize, local: Local) -> Result<Places> {
        let names: Vec<String> = names.iter().map(|name| name.to_string()).collect();
        resolve(&names, towers, threads, local).map(|(places, _)| places)
    }

    fn pools(names: &[&str], towers: usize, threads: usize) -> Vec<usize> {
        match places(names, towers, threads, ALONE).unwrap() {
            Places::Cpu(threads) => threads,
            Places::Gpus(gpus) => panic!("GPUs {gpus:?}"),
        }
    }

    #[test]
    fn towers_share_a_place_or_have_their_own() {
        assert_eq!(pools(&["cpu"], 2, 3), [3]);
        assert_eq!(pools(&["cpu", "cpu"], 2, 3), [2, 1]);
        assert_eq!(pools(&["cpu", "cpu"], 2, 1), [1, 1]);
    }

    #[test]
    fn what_is_no_place_is_refused() {
        for names in [
            &["gpu"][..],
            &[],
            &["cpu"; 3],
            &["cpu", "0"],
            &["auto", "0"],
            &["-1"],
            &["0", "1", "2"],
            &["0"; 5],
        ] {
            assert_eq!(
                places(names, 2, 1, ALONE).err().map(|error| error.code),
                Some(DEVICE_UNUSABLE),
                "{names:?}"
            );
        }
    }

    #[test]
    fn more_places_than_towers_are_of_several_replicas() {
        let replicas = |names: &[&str], towers| -> Vec<String> {
            let all = places(names, towers, 5, ALONE).unwrap().replicas(towers);
            all.iter().map(Places::to_string).collect()
        };
        assert_eq!(replicas(&["0"], 2), ["GPU 0"]);
        assert_eq!(replicas(&["0", "1"], 2), ["GPU 0 and 1"]);
        assert_eq!(replicas(&["0", "1", "2", "3"], 2), ["GPU 0 and 1", "GPU 2 and 3"]);
        assert_eq!(replicas(&["0", "0", "1", "1"], 2), ["GPU 0", "GPU 1"]);
        assert_eq!(replicas(&["2", "1", "0"], 1), ["GPU 2", "GPU 1", "GPU 0"]);
        assert_eq!(replicas(&["cpu"; 4], 2), ["the CPU"; 2]);
        // They share the threads.
        let all = places(&["cpu"; 3], 1, 5, ALONE).unwrap().replicas(1);
        let threads = |place: &Places| match place {
            Places::Cpu(threads) => threads.clone(),
            Places::Gpus(gpus) => panic!("GPUs {gpus:?}"),
        };
        assert_eq!(all.iter().map(threads).collect::<Vec<_>>(), [[2], [2], [1]]);
    }

    #[test]
    fn ranks_deal_out_the_gpus_of_their_host() {
        let of = |names: &[&str], towers, local| match places(names, towers, 1, local) {
            Ok(Places::Gpus(gpus)) => gpus,
            Ok(Places::Cpu(_)) => panic!("no GPUs"),
            Err(error) => panic!("{error}"),
        };
        assert_eq!([0, 1].map(|rank| of(&["0", "1"], 2, (rank, 2))), [[0], [1]]);
        assert_eq!([0, 1].map(|rank| of(&["0", "1", "2", "3"], 2, (rank, 2))), [[0, 1], [2, 3]]);
        // The same GPU for both, which is named so.
        assert_eq!([0, 1].map(|rank| of(&["5", "5"], 1, (rank, 2))), [[5], [5]]);
        // What the launcher let each see.
        assert_eq!(of(&["0"], 1, (1, 2)), [0]);
        assert_eq!(of(&["0", "1"], 2, (3, 4)), [0, 1]);
        let odd = places(&["0", "1", "2"], 2, 1, (0, 2));
        assert_eq!(odd.err().map(|error| error.code), Some(DEVICE_UNUSABLE));
        // A CPU is there for all.
        assert!(matches!(places(&["cpu"], 2, 3, (1, 4)), Ok(Places::Cpu(threads)) if threads == [3]));
    }
}
