//! How fast memory is read: all threads read more than caches hold and do nothing else.

use std::hint::black_box;
use std::time::Instant;

use crate::machine::threads;

/// Words that are read: 512 MB, more than caches hold. Tests want no rate.
const WORDS: usize = if cfg!(test) { 1 << 20 } else { 64 << 20 };
/// Places that a thread reads at in turns. Processors fetch several streams ahead faster than one: with one, ops that read
/// several operands would come out above this limit.
const STREAMS: usize = 8;
/// Words of a line of the cache.
const LINE: usize = 8;
/// The best of so many readings counts.
const READINGS: usize = 4;

/// Memory to read.
pub(crate) struct Memory(Vec<u64>);

impl Memory {
    /// Zeros would not be in memory: the system would give one page for all of them.
    pub(crate) fn new() -> Self {
        Self(vec![1; WORDS])
    }

    /// GB/s of all threads.
    pub(crate) fn read_rate(&self) -> f64 {
        let part = WORDS / threads() / (STREAMS * LINE) * (STREAMS * LINE);
        let reading = |_| {
            let start = Instant::now();
            std::thread::scope(|scope| {
                for words in self.0.chunks_exact(part) {
                    scope.spawn(|| black_box(sum(words)));
                }
            });
            let bytes = self.0.chunks_exact(part).len() * part * size_of::<u64>();
            bytes as f64 / 1e9 / start.elapsed().as_secs_f64()
        };
        (0..READINGS).map(reading).fold(0.0, f64::max)
    }
}

/// The sum of words, a multiple of `STREAMS * LINE`, line by line of each stream in turns.
fn sum(words: &[u64]) -> u64 {
    let length = words.len() / STREAMS;
    let mut sums = [0_u64; LINE];
    for line in (0..length).step_by(LINE) {
        for stream in 0..STREAMS {
            let begin = stream * length + line;
            for (sum, word) in sums.iter_mut().zip(&words[begin..begin + LINE]) {
                *sum = sum.wrapping_add(*word);
            }
        }
    }
    sums.iter().fold(0, |all, sum| all.wrapping_add(*sum))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_is_read_once() {
        let words: Vec<u64> = (0..2 * (STREAMS * LINE) as u64).collect();
        assert_eq!(sum(&words), words.iter().sum::<u64>());
        assert!(Memory::new().read_rate() > 0.0);
    }
}
