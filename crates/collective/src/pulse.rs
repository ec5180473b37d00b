//! Who is alive: rank 0 hears all others, all others hear rank 0. By what signs, `Mpi` and `Heartbeat` know.

use ilsvrc_diagnostics::{Error, RANK_LOST};
use std::ops::Range;
use std::time::{Duration, Instant};

/// A rank that has not been heard of for so long is lost: frozen, swapped out, or behind a dead link.
pub(crate) const SILENCE: Duration = Duration::from_secs(15);
/// Between two signs of life.
pub(crate) const BEAT: Duration = Duration::from_secs(1);
/// How long ranks that have nothing to tell wait before they end.
pub(crate) const PATIENCE: Duration = Duration::from_secs(5);

/// What one rank has heard of the others.
pub(crate) struct Pulse {
    pub(crate) rank: usize,
    /// The host of each rank.
    pub(crate) hosts: Vec<String>,
    /// When each rank was last heard of.
    heard: Vec<Instant>,
    /// When this one last listened.
    listened: Instant,
}

impl Pulse {
    /// All of `hosts`, one a rank, have been heard of just now.
    pub(crate) fn new(rank: usize, hosts: Vec<String>, now: Instant) -> Self {
        Self { rank, heard: vec![now; hosts.len()], hosts, listened: now }
    }

    /// Those to whom this one listens.
    pub(crate) fn others(&self) -> Range<usize> {
        if self.rank == 0 { 1..self.hosts.len() } else { 0..1 }
    }

    /// Whether it is time to tell of this rank, and to listen.
    #[cfg(feature = "mpi")]
    pub(crate) fn is_due(&self, now: Instant) -> bool {
        now - self.listened >= BEAT
    }

    /// Those `heard` of since it listened last have been alive until now. Says which one has been silent for too long.
    pub(crate) fn listen(&mut self, heard: impl IntoIterator<Item = usize>, now: Instant) -> Option<usize> {
        heard.into_iter().for_each(|rank| self.heard[rank] = now);
        // After a stop of this process all others seem silent.
        if now - self.listened > SILENCE / 2 {
            self.heard.fill(now);
        }
        self.listened = now;
        self.others().find(|other| now - self.heard[*other] > SILENCE)
    }

    /// Whether this one tells of a lost rank, as the first that is left. The others wait for a while: the launcher reports the first
    /// to end.
    pub(crate) fn speaks_of(&self, lost: usize) -> bool {
        (0..self.hosts.len()).find(|other| *other != lost) == Some(self.rank)
    }

    /// The error of a lost rank.
    pub(crate) fn error(&self, lost: usize) -> Error {
        let (host, seconds) = (&self.hosts[lost], SILENCE.as_secs());
        Error::new(RANK_LOST, format!("rank {lost} on {host} has not been heard of for {seconds} s"))
            .info("it is frozen or out of memory, or its host or the link to it is down; the others cannot go on without it")
            .hint(RESUME)
    }
}

/// What can be done about any lost rank.
pub(crate) const RESUME: &str = "mend that, then start the same command with --resume: any number of ranks goes on from the last checkpoint";

#[cfg(test)]
mod tests {
    use super::*;

    fn pulse(rank: usize, now: Instant) -> Pulse {
        Pulse::new(rank, ["a", "a", "b"].map(String::from).to_vec(), now)
    }

    /// Listens once a second from `from` on for so many seconds, and hears these ranks each time.
    fn hear(pulse: &mut Pulse, ranks: &[usize], from: Instant, seconds: u32) -> Option<usize> {
        (1..=seconds).find_map(|second| pulse.listen(ranks.iter().copied(), from + BEAT * second))
    }

    #[test]
    fn rank_0_misses_any_of_the_others_and_names_it() {
        let begin = Instant::now();
        let mut zero = pulse(0, begin);
        assert_eq!(hear(&mut zero, &[1, 2], begin, 60), None);
        let frozen = begin + BEAT * 60;
        assert_eq!(hear(&mut zero, &[1], frozen, 15), None);
        assert_eq!(zero.listen([1], frozen + BEAT * 16), Some(2));
        assert_eq!(zero.error(2).message, "rank 2 on b has not been heard of for 15 s");
        assert!(zero.speaks_of(2));
    }

    #[test]
    fn the_others_miss_rank_0_alone_and_rank_1_tells_of_it() {
        let begin = Instant::now();
        let mut two = pulse(2, begin);
        assert_eq!(hear(&mut two, &[0], begin, 60), None, "rank 1 is rank 0's to hear");
        assert_eq!(hear(&mut two, &[], begin + BEAT * 60, 16), Some(0));
        assert!(!two.speaks_of(0));
        assert!(pulse(1, begin).speaks_of(0));
        assert!(!pulse(1, begin).speaks_of(2));
    }

    #[test]
    fn after_a_stop_of_its_own_a_rank_gives_the_others_time() {
        let begin = Instant::now();
        let mut zero = pulse(0, begin);
        let stopped = begin + Duration::from_secs(100);
        assert_eq!(zero.listen([], stopped), None);
        assert_eq!(hear(&mut zero, &[1], stopped, 15), None);
        assert_eq!(zero.listen([1], stopped + BEAT * 16), Some(2));
    }
}
