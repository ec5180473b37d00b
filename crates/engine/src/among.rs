//! Ranks on GPUs: that no two of them meet on one unasked, and which way their gradients go.

use crate::places::Places;
use crate::ranks::{Ranks, fingerprint};
use crate::{Options, Purpose};
use ilsvrc_cuda::nccl::{Communicators, Nccl};
use ilsvrc_diagnostics::{Error, GPU_SHARED, NCCL_UNUSABLE, Result};
use serde::Serialize;
use std::sync::Arc;

/// How ranks on GPUs, or the replicas of one process, work together.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Among {
    /// The GPUs of each rank or replica, by their numbers on its host.
    pub gpus: Vec<Vec<usize>>,
    /// As `2.27.3`, where NCCL sums the gradients; nothing where they go through the host.
    pub nccl: Option<String>,
    /// Why not by NCCL.
    pub reason: Option<String>,
}

/// GPUs of a rank at most: as many as towers.
const MOST: usize = 2;
/// What a rank tells of itself: whether it may use NCCL, whether its GPUs were named one by one, how many there are; then each GPU's
/// number and what tells it from all others.
const COLUMNS: usize = 3 + 2 * MOST;

/// What the ranks tell each other of their GPUs, and how gradients then go. Nothing for a single process, on CPUs, and for
/// evaluation, which has no gradients.
///
/// # Errors
/// `RANKS_DIFFER` where some compute on GPUs and others do not, or in another precision; `GPU_SHARED`; those of NCCL.
pub(crate) fn meet(
    places: &Places,
    options: &Options,
    ranks: &Ranks,
) -> Result<Option<(Among, Option<Arc<Communicators>>)>> {
    if ranks.place().1 == 1 {
        return Ok(None);
    }
    let kind = match places {
        Places::Cpu(_) => "the CPU".into(),
        Places::Gpus(gpus) => format!("{} GPUs in {}", gpus.len(), options.precision),
    };
    ranks.expect_same("kind of device or precision", &kind)?;
    let (Places::Gpus(gpus), Purpose::Training) = (places, options.purpose) else { return Ok(None) };
    let nccl = ranks.communicators();
    let named = options.places.len() >= ranks.local.1 && !options.places.contains(&"auto".into());
    let mut own = vec![number(nccl.is_ok()), number(named), gpus.len() as f64];
    let all = ilsvrc_cuda::devices()?;
    for gpu in gpus {
        let identity = all.get(*gpu).map_or(0.0, |device| fingerprint(&format!("{:?}", device.uuid)));
        own.extend([*gpu as f64, identity]);
    }
    own.resize(COLUMNS, 0.0);
    let table = ranks.gather(&own)?;
    let of = |row: &[f64]| -> Vec<(usize, u64)> {
        row[3..].chunks(2).take(row[2] as usize).map(|gpu| (gpu[0] as usize, gpu[1] as u64)).collect()
    };
    let each: Vec<_> = table.iter().map(|row| of(row)).collect();
    let among = |nccl, reason| Among {
        gpus: each.iter().map(|gpus| gpus.iter().map(|(gpu, _)| *gpu).collect()).collect(),
        nccl,
        reason,
    };
    if let Some((a, b, gpu)) = met(&each) {
        if table[a][1] == 0.0 {
            return Err(shared(a, b, gpu));
        }
        let reason = format!("two share GPU {gpu}");
        return Ok(Some((among(None, Some(reason)), None)));
    }
    let without = table.iter().position(|row| row[0] == 0.0);
    match (without, nccl) {
        (None, Ok(communicators)) => {
            communicators.join(gpus)?;
            Ok(Some((among(Some(communicators.version()), None), Some(communicators))))
        }
        (_, Err(error)) => Ok(Some((among(None, Some(why(&error))), None))),
        (rank, Ok(_)) => {
            let reason = format!("rank {} has none that can be used", rank.unwrap_or(0));
            Ok(Some((among(None, Some(reason)), None)))
        }
    }
}

/// NCCL for ranks that have met otherwise.
pub(crate) fn open(ranks: &Ranks) -> Result<Arc<Communicators>> {
    let collective = ranks.collective.clone();
    let alone = || Error::new(NCCL_UNUSABLE, "there is one process");
    Ok(Arc::new(Communicators::new(Nccl::open()?, collective.ok_or_else(alone)?)))
}

/// The first two ranks that have a GPU in common, and its number on the first one's host.
fn met(each: &[Vec<(usize, u64)>]) -> Option<(usize, usize, usize)> {
    (0..each.len()).flat_map(|b| (0..b).map(move |a| (a, b))).find_map(|(a, b)| {
        let common = each[a].iter().find(|(_, identity)| each[b].iter().any(|(_, other)| other == identity));
        common.map(|(gpu, _)| (a, b, *gpu))
    })
}

fn shared(a: usize, b: usize, gpu: usize) -> Error {
    Error::new(GPU_SHARED, format!("ranks {a} and {b} both compute on GPU {gpu}"))
        .info("there are more ranks on a host than GPUs that they see")
        .hint(format!("start as many ranks a host as it has GPUs; to let two share one all the same, say so by `--devices {gpu},{gpu}`"))
}

fn why(error: &Error) -> String {
    let Error { message, info, .. } = error;
    info.as_ref().map_or_else(|| message.clone(), |info| format!("{message}: {info}"))
}

fn number(yes: bool) -> f64 {
    f64::from(u8::from(yes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranks_meet_where_a_gpu_is_the_same_whatever_its_number() {
        let each = |ids: &[&[u64]]| -> Vec<Vec<(usize, u64)>> {
            ids.iter().map(|ids| ids.iter().enumerate().map(|(gpu, id)| (gpu, *id)).collect()).collect()
        };
        assert_eq!(met(&each(&[&[7, 8], &[9, 10]])), None);
        // Both towers of a rank on one GPU is its own affair.
        assert_eq!(met(&each(&[&[7, 7], &[8, 8]])), None);
        assert_eq!(met(&each(&[&[7, 8], &[9, 10], &[10, 8]])), Some((0, 2, 1)));
    }
}
