//! Every target on its seeds, on what once did harm, and on a fixed number of mutations of the seeds: the part of fuzzing
//! that needs no fuzzer.

use std::fs;
use std::path::Path;

use ilsvrc_random::{Purpose, Stream};

type Target = fn(&[u8]) -> bool;

/// Mutations of each seed.
const MUTATIONS: u32 = 400;

fn files(folder: &str, target: &str) -> Vec<(String, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz").join(folder).join(target);
    let Ok(entries) = fs::read_dir(&folder) else { return Vec::new() };
    let mut files: Vec<_> = entries
        .map(|entry| entry.unwrap().path())
        .map(|path| (path.display().to_string(), fs::read(&path).unwrap()))
        .collect();
    files.sort();
    files
}

fn replay(target: &str, run: Target) {
    for (name, bytes) in files("regressions", target) {
        eprintln!("{name}");
        run(&bytes);
    }
    let seeds = files("seeds", target);
    assert!(!seeds.is_empty());
    for (number, (name, bytes)) in seeds.iter().enumerate() {
        eprintln!("{name}");
        run(bytes);
        let other = &seeds[(number + 1) % seeds.len()].1;
        for mutation in 0..MUTATIONS {
            let mut dice = Dice::new(number as u32, mutation);
            let mutant = mutated(bytes, other, &mut dice);
            // A failure shows which: the last line before the panic.
            let caught = std::panic::catch_unwind(|| run(&mutant));
            assert!(caught.is_ok(), "mutation {mutation} of {name}: {mutant:?}");
        }
    }
}

/// Draws of one mutation.
struct Dice {
    stream: Stream,
    drawn: u32,
}

impl Dice {
    fn new(seed: u32, mutation: u32) -> Self {
        Self { stream: Stream::new(u64::from(seed), Purpose::Drawing, 0, mutation), drawn: 0 }
    }

    /// A number in `0..bound`, 0 where there is none.
    fn below(&mut self, bound: usize) -> usize {
        self.drawn += 1;
        self.stream.below(self.drawn, bound.max(1) as u32) as usize
    }
}

/// One to four changes of the kinds that break parsers.
fn mutated(bytes: &[u8], other: &[u8], dice: &mut Dice) -> Vec<u8> {
    const EXTREMES: [&[u8]; 8] = [
        b"\0\0",
        b"\xff\xff\xff\xff",
        b"\x7f\xff\xff\xff",
        b"\xff\xff\xff\x7f",
        b"\x80",
        b"-1",
        b"1e39",
        b"99999999999999999999",
    ];
    let mut bytes = bytes.to_vec();
    for _ in 0..=dice.below(4) {
        let at = dice.below(bytes.len());
        let end = (at + 1 + dice.below(16)).min(bytes.len());
        match dice.below(7) {
            0 if !bytes.is_empty() => bytes[at] ^= 1 << dice.below(8),
            1 if !bytes.is_empty() => bytes[at] = dice.below(256) as u8,
            2 => drop(bytes.drain(at..end)),
            3 => bytes.truncate(at),
            4 => {
                let part = bytes[at..end].to_vec();
                bytes.splice(at..at, part);
            }
            5 => {
                let extreme = EXTREMES[dice.below(EXTREMES.len())];
                let end = (at + extreme.len()).min(bytes.len());
                bytes.splice(at..end, extreme.iter().copied());
            }
            _ => {
                let from = dice.below(other.len());
                let part = &other[from..(from + 16).min(other.len())];
                bytes.splice(at..end, part.iter().copied());
            }
        }
    }
    bytes
}

macro_rules! replays {
    ($($target:ident)*) => {
        $(#[test]
        fn $target() {
            replay(stringify!($target), ilsvrc_hostile::$target);
        })*
    };
}

replays!(binaryproto caffemodel csv formats index jpeg lists manifest matlab store tar torchvision voc);

/// Seeds that are refused at their first byte would lead nowhere.
#[test]
fn seeds_are_accepted() {
    use ilsvrc_hostile as hostile;
    let targets: [(&str, Target); 11] = [
        ("binaryproto", hostile::binaryproto),
        ("caffemodel", hostile::caffemodel),
        ("csv", hostile::csv),
        ("formats", hostile::formats),
        ("jpeg", hostile::jpeg),
        ("lists", hostile::lists),
        ("matlab", hostile::matlab),
        ("store", hostile::store),
        ("tar", hostile::tar),
        ("torchvision", hostile::torchvision),
        ("voc", hostile::voc),
    ];
    for (target, run) in targets {
        for (name, bytes) in files("seeds", target) {
            assert!(run(&bytes), "{name}");
        }
    }
    // Those in the folder name the hashes of a sample as it was; a new version of the program makes another one.
    assert!(hostile::manifest(&hostile::sample_manifest()));
    assert!(hostile::index(&hostile::sample_index()));
}
