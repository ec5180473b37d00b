//! Signs of life of ranks that torchrun started: each counts up a number of its own in torchrun's store, once a second from a thread of
//! its own, and looks at the numbers of others. A rank is there when its number changes, so what a run before this one left in the
//! store means nothing.

use crate::pulse::{BEAT, PATIENCE, Pulse, RESUME, SILENCE};
use crate::store::Store;
use ilsvrc_diagnostics::{Error, INTERNAL, RANK_LOST, RANKS_UNAVAILABLE, Result};
use serde::Deserialize;
use std::io::{self, ErrorKind};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// How long ranks wait for one that has not come yet.
const MEETING: Duration = Duration::from_secs(300);
/// Between two looks for one that has not come yet.
const GLANCE: Duration = Duration::from_millis(250);

/// Where torchrun keeps a store for the ranks that it starts.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Agent {
    /// Name or address.
    pub host: String,
    /// Where it listens.
    pub port: u16,
    /// What tells the run from others that use this store.
    pub run: String,
}

/// Knows which ranks are alive, and lets them know that this one is, until it is dropped.
pub struct Heartbeat {
    lost: Arc<Mutex<Option<Error>>>,
    _stop: Sender<()>,
}

impl Heartbeat {
    /// Meets the other ranks at the store of `agent`; returns when all have come. `host` is this rank's.
    ///
    /// # Errors
    /// `RANKS_UNAVAILABLE` where there is no such store, `RANK_LOST` where a rank does not come for five minutes.
    pub fn start(agent: &Agent, (rank, size): (usize, usize), host: &str) -> Result<Self> {
        let store =
            Store::connect(&agent.host, agent.port, SILENCE).map_err(|error| agent.missing(&error))?;
        let mut counts = Counts { store, run: agent.run.clone(), rank, seen: vec![None; size], word: None };
        let hosts = counts.meet(host, MEETING).map_err(|error| agent.missing(&error))?;
        let pulse = Pulse::new(rank, hosts.map_err(|missing| not_there(&missing))?, Instant::now());
        let lost = Arc::new(Mutex::new(None));
        let (stop, stopped) = channel();
        let (agent, heard) = (agent.clone(), lost.clone());
        let work = move || watch(&agent, counts, pulse, &stopped, &heard);
        thread::Builder::new()
            .name("heartbeat".into())
            .spawn(work)
            .map_err(|error| Error::new(INTERNAL, format!("cannot start a thread: {error}")))?;
        Ok(Self { lost, _stop: stop })
    }

    /// Fails where a rank, or the store, is lost.
    ///
    /// # Errors
    /// `RANK_LOST`.
    pub fn expect_alive(&self) -> Result<()> {
        self.lost.lock().unwrap_or_else(PoisonError::into_inner).clone().map_or(Ok(()), Err)
    }
}

/// Tells and listens until `stopped` hangs up or somebody is lost.
fn watch(
    agent: &Agent,
    mut counts: Counts,
    mut pulse: Pulse,
    stopped: &Receiver<()>,
    heard: &Mutex<Option<Error>>,
) {
    while stopped.recv_timeout(BEAT) == Err(RecvTimeoutError::Timeout) {
        let looked = look(&mut counts, &mut pulse, Instant::now);
        let Some((error, wait)) = looked.unwrap_or_else(|error| Some((agent.lost(&error), Duration::ZERO)))
        else {
            continue;
        };
        thread::sleep(wait);
        *heard.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
        return;
    }
}

/// One beat: who is lost, and how long to wait before that is told here.
fn look(
    counts: &mut Counts,
    pulse: &mut Pulse,
    now: impl Fn() -> Instant,
) -> io::Result<Option<(Error, Duration)>> {
    let (heard, word) = counts.beat(pulse.others())?;
    if let Some(lost) = word {
        return Ok(Some((pulse.error(lost), PATIENCE)));
    }
    let Some(lost) = pulse.listen(heard, now()) else { return Ok(None) };
    if !pulse.speaks_of(lost) {
        return Ok(Some((pulse.error(lost), PATIENCE)));
    }
    counts.tell(lost)?;
    // When this one has ended, so has torchrun on its host, perhaps with the store. The others are to have read it by then.
    Ok(Some((pulse.error(lost), 2 * BEAT)))
}

/// The ranks' numbers in the store.
struct Counts {
    store: Store,
    run: String,
    rank: usize,
    /// The number of each rank, as it was last read.
    seen: Vec<Option<i64>>,
    /// The number by which one rank tells of a lost one, as it was first read.
    word: Option<i64>,
}

impl Counts {
    /// Waits until all ranks have come; gives the host of each. Where some do not come for `patience`: which.
    fn meet(&mut self, host: &str, patience: Duration) -> io::Result<Result<Vec<String>, Vec<usize>>> {
        let begin = Instant::now();
        self.store.set(&self.key_of_host(self.rank), host)?;
        let mut hosts = vec![None; self.seen.len()];
        hosts[self.rank] = Some(host.to_string());
        loop {
            let missing: Vec<usize> = (0..hosts.len()).filter(|rank| hosts[*rank].is_none()).collect();
            let come = self.beat(missing.iter().copied())?.0;
            for rank in &come {
                // It left that before its first beat.
                hosts[*rank] = Some(self.store.get(&self.key_of_host(*rank))?);
            }
            if come.len() == missing.len() {
                return Ok(Ok(hosts.into_iter().flatten().collect()));
            }
            if begin.elapsed() > patience {
                return Ok(Err(missing.into_iter().filter(|rank| !come.contains(rank)).collect()));
            }
            thread::sleep(GLANCE);
        }
    }

    /// Counts this rank up. Says which of `others` have done so since their numbers were last read, and whom one has
    /// found lost.
    fn beat(&mut self, others: impl IntoIterator<Item = usize>) -> io::Result<(Vec<usize>, Option<usize>)> {
        let others: Vec<usize> = others.into_iter().collect();
        let mut changes = vec![(self.key(self.rank), 1), (self.key("lost"), 0)];
        changes.extend(others.iter().map(|other| (self.key(other), 0)));
        let counts = self.store.add(&changes)?;
        if let Some(own) = self.seen[self.rank].replace(counts[0])
            && own.checked_add(1) != Some(counts[0])
        {
            return Err(invalid(format!("one more than {own} is {} to it", counts[0])));
        }
        let word = counts[1].wrapping_sub(*self.word.get_or_insert(counts[1]));
        let lost = (word != 0).then(|| self.rank_of(word)).transpose()?;
        let pairs = others.into_iter().zip(&counts[2..]);
        let has_changed = |(rank, count): &(usize, &i64)| {
            self.seen[*rank].replace(**count).is_some_and(|seen| seen != **count)
        };
        Ok((pairs.filter(has_changed).map(|(rank, _)| rank).collect(), lost))
    }

    /// Tells the others that a rank is lost. One alone does so, once: the number of the rank counts from 1.
    fn tell(&mut self, lost: usize) -> io::Result<()> {
        self.store.add(&[(self.key("lost"), lost as i64 + 1)]).map(drop)
    }

    fn rank_of(&self, word: i64) -> io::Result<usize> {
        let rank = usize::try_from(word.wrapping_sub(1)).ok().filter(|rank| *rank < self.seen.len());
        rank.ok_or_else(|| invalid(format!("it says {word} where a lost rank is named")))
    }

    fn key(&self, name: impl std::fmt::Display) -> String {
        format!("ilsvrc/{}/{name}", self.run)
    }

    fn key_of_host(&self, rank: usize) -> String {
        self.key(format_args!("{rank}/host"))
    }
}

impl Agent {
    fn missing(&self, error: &io::Error) -> Error {
        let Self { host, port, .. } = self;
        Error::new(RANKS_UNAVAILABLE, format!("the store of torchrun at {host}:{port} cannot be used"))
            .info(error.to_string())
            .hint("start all ranks by torchrun, and see that its address (MASTER_ADDR and MASTER_PORT) can be reached from all hosts")
    }

    fn lost(&self, error: &io::Error) -> Error {
        let Self { host, port, .. } = self;
        let what = match error.kind() {
            ErrorKind::WouldBlock | ErrorKind::TimedOut => {
                format!("has not answered for {} s", SILENCE.as_secs())
            }
            ErrorKind::UnexpectedEof => "has closed the connection".into(),
            _ => format!("is gone: {error}"),
        };
        Error::new(RANK_LOST, format!("the store of torchrun at {host}:{port} {what}"))
            .info("torchrun has ended there, or its host or the link to it is down; without it no rank knows which others are alive")
            .hint(RESUME)
    }
}

fn invalid(what: String) -> io::Error {
    io::Error::new(ErrorKind::InvalidData, what)
}

fn not_there(missing: &[usize]) -> Error {
    let ranks: Vec<String> = missing.iter().map(usize::to_string).collect();
    let (ranks, seconds) = (ranks.join(", "), MEETING.as_secs());
    let who = if missing.len() == 1 { format!("rank {ranks} has") } else { format!("ranks {ranks} have") };
    Error::new(RANK_LOST, format!("{who} not come for {seconds} s"))
        .info("torchrun did not start them, or they are frozen or cannot reach its store; the others cannot go on without them")
        .hint(RESUME)
}

#[cfg(test)]
#[path = "heartbeat_tests.rs"]
mod tests;
