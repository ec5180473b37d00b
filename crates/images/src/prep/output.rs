//! The output folder: who may write into it, what an earlier run left there, and what of that still holds.

use std::collections::{BTreeSet, HashMap};
use std::fs::{self, File, TryLockError};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use ilsvrc_diagnostics::{Error, OUTPUT_BUSY, OUTPUT_DIFFERS, Result, WRITE_FAILED};
use serde::{Deserialize, Serialize};

use super::plan::{About, Part, PrepPlan, ShardPlan};
use super::shard::{Files, UNFINISHED, json};
use crate::atomic::{remove_unfinished, write_atomically};
use crate::dataset::{MANIFEST, MEAN, Manifest, REJECTED, Shard, Split};
use crate::index::{ShardIndex, file_name, sha256};

const PLAN: &str = "plan.json";

/// The plan as it is kept beside unfinished shards: what joining them needs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Kept {
    pub(super) hash: String,
    pub(super) about: About,
    /// Name and number of images of each split.
    pub(super) splits: Vec<(String, usize)>,
    /// Number of the split that statistics are taken of.
    pub(super) statistics: usize,
    /// What each shard is made of.
    pub(super) shards: Vec<String>,
}

impl Kept {
    pub(super) fn of(plan: &PrepPlan, hash: &str, shards: &[ShardPlan]) -> Self {
        Self {
            hash: hash.to_owned(),
            about: plan.about.clone(),
            splits: plan.splits.iter().map(|split| (split.name.clone(), split.items.len())).collect(),
            statistics: plan.statistics_split(),
            shards: shards.iter().map(|shard| shard.hash.clone()).collect(),
        }
    }

    pub(super) fn read(out: &Path) -> Option<Self> {
        serde_json::from_slice(&fs::read(out.join(UNFINISHED).join(PLAN)).ok()?).ok()
    }

    /// Split and files of every shard, in order.
    pub(super) fn files(&self, out: &Path) -> Vec<(usize, Files)> {
        let of_split = |(split, (name, images)): (usize, &(String, usize))| {
            let shards = images.div_ceil(self.about.settings.shard_images);
            (0..shards).map(|number| (split, Files::new(out, name, number))).collect::<Vec<_>>()
        };
        self.splits.iter().enumerate().flat_map(of_split).collect()
    }
}

/// How the photos differ from those that the folder's data set was made of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Changes {
    /// Photos that are new.
    pub added: u64,
    /// Photos that are gone.
    pub removed: u64,
    /// Photos of another length or class than before.
    pub changed: u64,
    /// Shards that hold the same as before and stay.
    pub kept_shards: u64,
    /// Shards in all.
    pub shards: u64,
}

/// What is there already.
pub(super) enum State {
    /// The data set of this plan, complete.
    Complete(Box<Manifest>),
    /// The data set of this plan, but files are missing or of another length.
    Damaged {
        /// What it should be.
        manifest: Box<Manifest>,
        /// As that of [`State::Open`].
        _lock: Option<File>,
    },
    /// Nothing, or some shards.
    Open {
        /// What differs from an earlier data set of the same settings and sources.
        changes: Option<Changes>,
        /// Nobody else may write while this is held; the system gives it back when the process ends.
        lock: Option<File>,
    },
}

/// Makes `plan.out` ready for the plan with `hash`.
pub(super) fn open(plan: &PrepPlan, hash: &str, shards: &[ShardPlan]) -> Result<State> {
    let out = &plan.out;
    let failed = |error: &io::Error| Error::io(WRITE_FAILED, "write to", out, error);
    fs::create_dir_all(out).map_err(|e| failed(&e))?;
    let unfinished = out.join(UNFINISHED);
    let mut earlier = None;
    if !plan.force {
        let manifest = out.join(MANIFEST).exists().then(|| Manifest::read(out)).transpose();
        let manifest = manifest.map_err(|e| differs(out, "a damaged data set").info(e.message))?;
        match manifest {
            Some(found) if found.plan == hash && missing(out, &found).is_empty() => {
                // The last acts of a run that was killed in them.
                remove_unfinished(out, &|_| true).map_err(|e| failed(&e))?;
                remove_folder(&unfinished).map_err(|e| failed(&e))?;
                return Ok(State::Complete(Box::new(found)));
            }
            Some(found) if found.plan == hash => {
                return Ok(State::Damaged { manifest: Box::new(found), _lock: lock(out)? });
            }
            None if !unfinished.is_dir() => refuse_foreign(out)?,
            manifest => earlier = Earlier::find(out, manifest),
        }
    }
    let earlier = earlier.filter(|earlier| earlier.hash != hash);
    if let Some(earlier) = &earlier {
        earlier.refuse(plan)?;
    }
    fs::create_dir_all(&unfinished).map_err(|e| failed(&e))?;
    let lock = take_lock(&unfinished, plan.part)?;
    if plan.force {
        // A folder of someone else keeps its files; what has our names is replaced one by one.
        remove_ours(out).map_err(|e| failed(&e))?;
    }
    let changes = earlier.map(|earlier| go_on(plan, shards, &earlier)).transpose()?;
    let kept = json(&Kept::of(plan, hash, shards))?;
    write_atomically(&unfinished.join(PLAN), |file| file.write_all(&kept))?;
    clean(plan, shards).map_err(|e| failed(&e))?;
    Ok(State::Open { changes, lock })
}

fn differs(out: &Path, what: &str) -> Error {
    Error::new(OUTPUT_DIFFERS, format!("{} holds {what}", out.display()))
        .hint("choose another folder with --out, or replace it with --force")
}

fn refuse_foreign(out: &Path) -> Result<()> {
    let entries = fs::read_dir(out).map_err(|e| Error::io(WRITE_FAILED, "write to", out, &e))?;
    match entries.filter_map(io::Result::ok).next() {
        Some(entry) => Err(differs(out, "files that are no prepared data set")
            .info(format!("for example {}", entry.file_name().to_string_lossy()))),
        None => Ok(()),
    }
}

/// [`take_lock`] for all shards of `out`.
pub(super) fn lock(out: &Path) -> Result<Option<File>> {
    let unfinished = out.join(UNFINISHED);
    fs::create_dir_all(&unfinished).map_err(|e| Error::io(WRITE_FAILED, "write to", out, &e))?;
    take_lock(&unfinished, None)
}

/// Refuses to work beside another process that writes the same shards. Where a file system has no locks, nothing is refused.
fn take_lock(unfinished: &Path, part: Option<Part>) -> Result<Option<File>> {
    let Part { index, of } = part.unwrap_or(Part { index: 0, of: 1 });
    let path = unfinished.join(format!("part-{:04}-of-{of:04}", index + 1));
    let file = File::create(&path).map_err(|e| Error::io(WRITE_FAILED, "write", &path, &e))?;
    match file.try_lock() {
        Ok(()) => Ok(Some(file)),
        Err(TryLockError::Error(_)) => Ok(None),
        Err(TryLockError::WouldBlock) => {
            let out = unfinished.parent().unwrap_or(unfinished).display();
            Err(Error::new(OUTPUT_BUSY, format!("another `ilsvrc prep` is writing to {out}"))
                .info("two at once would write the same shards")
                .hint("wait for it, or give each process its own part: --part 1/2 and --part 2/2"))
        }
    }
}

/// Keeps what an earlier run of other photos left where it still holds.
fn go_on(plan: &PrepPlan, shards: &[ShardPlan], earlier: &Earlier) -> Result<Changes> {
    let changes = earlier.compare(plan);
    match &earlier.manifest {
        Some(manifest) => reuse(plan, shards, manifest)?,
        // It was the mean of the photos before.
        None => drop(fs::remove_file(kept_mean(&plan.out))),
    }
    let kept_shards = shards.iter().filter(|shard| finished(plan, shard).is_some()).count() as u64;
    Ok(Changes { kept_shards, shards: shards.len() as u64, ..changes })
}

/// The record of a shard that needs not be made again.
pub(super) fn finished(plan: &PrepPlan, shard: &ShardPlan) -> Option<Shard> {
    let needs_sums = shard.split == plan.statistics_split() && !kept_mean(&plan.out).is_file();
    Files::of(plan, shard).finished_as(&shard.hash, needs_sums)
}

/// The mean of an earlier data set, where it is still that of all photos.
pub(super) fn kept_mean(out: &Path) -> PathBuf {
    out.join(UNFINISHED).join(MEAN)
}

/// A complete data set becomes an unfinished one again: shards that hold what the plan says get their records back.
fn reuse(plan: &PrepPlan, shards: &[ShardPlan], manifest: &Manifest) -> Result<()> {
    let out = &plan.out;
    let recorded: HashMap<&str, &Shard> =
        manifest.splits.iter().flat_map(|split| &split.shards).map(|s| (s.file.as_str(), s)).collect();
    let same = |shard: &ShardPlan| {
        let files = Files::of(plan, shard);
        let record = *recorded.get(files.name.as_str())?;
        let length = fs::metadata(&files.tar).ok()?.len();
        (length == record.bytes && files.read_index(record).ok()?.plan == shard.hash)
            .then_some((files, record))
    };
    let statistics: Vec<&ShardPlan> =
        shards.iter().filter(|shard| shard.split == plan.statistics_split()).collect();
    let before = manifest.splits.iter().find(|split| split.name == manifest.statistics_of);
    let mean = fs::read(out.join(MEAN)).ok().filter(|mean| {
        sha256(mean) == manifest.mean_sha256
            && before.is_some_and(|split| split.shards.len() == statistics.len())
            && statistics.iter().all(|shard| same(shard).is_some())
    });
    if let Some(mean) = &mean {
        write_atomically(&kept_mean(out), |file| file.write_all(mean))?;
    }
    for shard in shards {
        // Without its sums a shard is of no use when the mean is to be taken anew.
        if (mean.is_some() || shard.split != plan.statistics_split())
            && let Some((files, record)) = same(shard)
        {
            files.write_record(record)?;
        }
    }
    // Last: until here the folder is a complete data set.
    let path = out.join(MANIFEST);
    fs::remove_file(&path).map_err(|error| Error::io(WRITE_FAILED, "remove", &path, &error))
}

/// What an earlier run wrote, complete or not.
struct Earlier {
    hash: String,
    about: About,
    files: Vec<(String, Files)>,
    /// Where it is complete.
    manifest: Option<Manifest>,
}

impl Earlier {
    fn find(out: &Path, manifest: Option<Manifest>) -> Option<Self> {
        if let Some(manifest) = manifest {
            let of_split = |split: &Split| {
                let files = (0..split.shards.len()).map(|number| Files::new(out, &split.name, number));
                files.map(|files| (split.name.clone(), files)).collect::<Vec<_>>()
            };
            return Some(Self {
                hash: manifest.plan.clone(),
                about: manifest.about(),
                files: manifest.splits.iter().flat_map(of_split).collect(),
                manifest: Some(manifest),
            });
        }
        let kept = Kept::read(out)?;
        let files = kept.files(out).into_iter();
        let files = files.map(|(split, files)| (kept.splits[split].0.clone(), files)).collect();
        Some(Self { hash: kept.hash, about: kept.about, files, manifest: None })
    }

    /// An error unless only the photos are others.
    fn refuse(&self, plan: &PrepPlan) -> Result<()> {
        if let Some(difference) = self.difference(&plan.about) {
            return Err(differs(&plan.out, "a data set of other settings").info(difference));
        }
        if plan.part.is_some() {
            return Err(other_photos(&plan.out));
        }
        Ok(())
    }

    /// Which settings are others; nothing when only photos may be.
    fn difference(&self, about: &About) -> Option<String> {
        let (old, new) = (&self.about, about);
        let mut found = Vec::new();
        let mut compare = |name: &str, old: String, new: String| {
            if old != new {
                found.push(format!("{name} {old}, now {new}"));
            }
        };
        let (was, is) = (&old.settings, &new.settings);
        compare("--size", was.size.to_string(), is.size.to_string());
        compare(
            "--resize",
            format!("{:?}", was.resize).to_lowercase(),
            format!("{:?}", is.resize).to_lowercase(),
        );
        compare("--exif-rotate", was.exif_rotate.to_string(), is.exif_rotate.to_string());
        compare("--quality", was.quality.to_string(), is.quality.to_string());
        compare("--seed", was.seed.to_string(), is.seed.to_string());
        compare("--shard-images", was.shard_images.to_string(), is.shard_images.to_string());
        compare("layout", old.layout.clone(), new.layout.clone());
        let places = |about: &About| {
            about.sources.iter().map(|s| s.path.display().to_string()).collect::<Vec<_>>().join(", ")
        };
        compare("source", places(old), places(new));
        (!found.is_empty()).then(|| found.join("; "))
    }

    /// Photos by their paths; those of shards that were not made yet do not count as added.
    fn compare(&self, plan: &PrepPlan) -> Changes {
        let of = |split: &str, path: &str| {
            let mut hasher = DefaultHasher::new();
            (split, path).hash(&mut hasher);
            hasher.finish()
        };
        let mut before = HashMap::new();
        for (split, files) in &self.files {
            let name = file_name(&files.name);
            let Some(index) = ShardIndex::read_unverified(&plan.out.join(name)) else { continue };
            before.extend(index.images.iter().map(|row| (of(split, &row.path), (row.size, Some(row.class)))));
            before.extend(index.rejected.iter().map(|line| (of(split, &line.path), (0, None))));
        }
        let mut changes = Changes::default();
        for split in &plan.splits {
            for item in &split.items {
                match before.remove(&of(&split.name, &item.path.to_string_lossy())) {
                    None => changes.added += 1,
                    Some((size, Some(class))) if (size, class) != (item.size, item.class) => {
                        changes.changed += 1
                    }
                    Some(_) => {}
                }
            }
        }
        changes.removed = before.len() as u64;
        changes
    }
}

/// Files of a complete data set that are not there or have another length.
pub(super) fn missing(out: &Path, manifest: &Manifest) -> Vec<String> {
    let length = |name: &str| fs::metadata(out.join(name)).map(|file| file.len()).ok();
    let mut missing: Vec<String> =
        [MEAN, REJECTED].into_iter().filter(|name| length(name).is_none()).map(str::to_owned).collect();
    for shard in manifest.splits.iter().flat_map(|split| &split.shards) {
        if length(&shard.file) != Some(shard.bytes) || length(&file_name(&shard.file)).is_none() {
            missing.push(shard.file.clone());
        }
    }
    missing
}

/// Refuses to end a part when another began with other photos meanwhile.
pub(super) fn check_unchanged(out: &Path, hash: &str) -> Result<()> {
    match Kept::read(out) {
        Some(kept) if kept.hash == hash => Ok(()),
        _ => Err(other_photos(out)),
    }
}

fn other_photos(out: &Path) -> Error {
    differs(out, "a data set of other photos")
        .info("parts must see the same photos: the other parts, or an earlier run, saw others")
        .hint("make the sources alike on all machines, or start anew with another --out")
}

/// What is known of the parts: of those that began, by the files that they hold, and which of their number did not.
pub(super) fn parts_seen(out: &Path, records: &[Option<Shard>]) -> String {
    let names = fs::read_dir(out.join(UNFINISHED)).into_iter().flatten().flatten();
    let begun: BTreeSet<(usize, usize)> = names
        .filter_map(|entry| {
            let name = entry.file_name();
            let (part, of) = name.to_str()?.strip_prefix("part-")?.split_once("-of-")?;
            let (part, of): (usize, usize) = (part.parse().ok()?, of.parse().ok()?);
            (1..=of).contains(&part).then_some((of, part))
        })
        .collect();
    let Some(&(most, _)) = begun.last() else { return "no part has begun".to_owned() };
    let all: BTreeSet<(usize, usize)> =
        begun.iter().copied().chain((1..=most).map(|part| (most, part))).collect();
    let lost = |(of, part): (usize, usize)| {
        records.iter().skip(part - 1).step_by(of).filter(|record| record.is_none()).count()
    };
    let said: Vec<String> = all
        .into_iter()
        .filter(|&part| lost(part) > 0)
        .map(|(of, part)| match begun.contains(&(of, part)) {
            true => format!("part {part}/{of} lacks {}", lost((of, part))),
            false => format!("part {part}/{of} has not begun"),
        })
        .take(20)
        .collect();
    said.join(", ")
}

/// Removes what killed processes left half-written, and shards that the plan has not. Another part's are left alone.
fn clean(plan: &PrepPlan, shards: &[ShardPlan]) -> io::Result<()> {
    let out = &plan.out;
    if let Some(part) = plan.part {
        let mine = shards.iter().skip(part.index).step_by(part.of);
        let mine: Vec<Files> = mine.map(|shard| Files::of(plan, shard)).collect();
        let stem = |name: &str| name.strip_suffix(".tar").map(|stem| format!(".{stem}."));
        let mine: Vec<String> = mine.iter().filter_map(|files| stem(&files.name)).collect();
        let is_mine = |name: &str| mine.iter().any(|stem| name.starts_with(stem.as_str()));
        remove_unfinished(out, &is_mine)?;
        return remove_unfinished(&out.join(UNFINISHED), &is_mine);
    }
    remove_unfinished(out, &|_| true)?;
    remove_unfinished(&out.join(UNFINISHED), &|_| true)?;
    let wanted: std::collections::HashSet<String> =
        shards.iter().map(|shard| Files::of(plan, shard).name).collect();
    for entry in fs::read_dir(out)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let shard = name.strip_suffix(".index.json").map_or(name.clone(), |stem| format!("{stem}.tar"));
        if is_shard(&name) && !wanted.contains(&shard) && !plan.force {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

/// The data set is complete: removes what only a later run would have needed.
pub(super) fn close(out: &Path) -> Result<()> {
    let unfinished: PathBuf = out.join(UNFINISHED);
    remove_folder(&unfinished).map_err(|error| Error::io(WRITE_FAILED, "remove", &unfinished, &error))
}

fn remove_folder(path: &Path) -> io::Result<()> {
    if path.exists() { fs::remove_dir_all(path) } else { Ok(()) }
}

/// Removes everything that `prep` writes and nothing else, the manifest first, so that no half of a data set looks whole.
fn remove_ours(out: &Path) -> io::Result<()> {
    let was_ours = out.join(MANIFEST).exists() || out.join(UNFINISHED).join(PLAN).exists();
    if out.join(MANIFEST).exists() {
        fs::remove_file(out.join(MANIFEST))?;
    }
    for entry in fs::read_dir(out)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if was_ours && (is_shard(&name) || [MEAN, "mean.png", REJECTED].contains(&name.as_str())) {
            fs::remove_file(entry.path())?;
        }
    }
    for entry in fs::read_dir(out.join(UNFINISHED))? {
        let entry = entry?;
        // The lock stays.
        if !entry.file_name().to_string_lossy().starts_with("part-") {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

fn is_shard(name: &str) -> bool {
    let stem = name.strip_suffix(".index.json").or(name.strip_suffix(".tar"));
    stem.and_then(|stem| stem.rsplit_once('-')).is_some_and(|(split, number)| {
        !split.is_empty() && number.len() >= 6 && number.bytes().all(|byte| byte.is_ascii_digit())
    })
}
