//! The output folder: who may write into it, and what an interrupted run left there.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use ilsvrc_diagnostics::{Error, OUTPUT_DIFFERS, Result, WRITE_FAILED};

use super::plan::PrepPlan;
use crate::atomic::{remove_unfinished, write_atomically};
use crate::dataset::{MANIFEST, MEAN, Manifest};

/// Holds the plan's hash, and records and sums of finished shards, until the data set is complete.
const UNFINISHED: &str = ".prep";
const PLAN: &str = "plan";
/// The list of what was left out.
pub(super) const REJECTED: &str = "rejected.jsonl";

/// What is there already.
pub(super) enum State {
    /// The data set of this plan, complete.
    Complete(Box<Manifest>),
    /// Nothing, or some shards of this plan; the path holds their records.
    Open(PathBuf),
}

/// Makes `plan.out` ready for the plan with `hash`.
pub(super) fn open(plan: &PrepPlan, hash: &str) -> Result<State> {
    let out = &plan.out;
    let failed = |error: &io::Error| Error::io(WRITE_FAILED, "write to", out, error);
    fs::create_dir_all(out).map_err(|e| failed(&e))?;
    let unfinished = out.join(UNFINISHED);
    if plan.force {
        // A folder of someone else keeps its files; what has our names is replaced one by one.
        if out.join(MANIFEST).exists() || unfinished.exists() {
            remove_ours(out).map_err(|e| failed(&e))?;
        }
    } else if let Some(state) = resume(out, &unfinished, hash)? {
        return Ok(state);
    }
    fs::create_dir_all(&unfinished).map_err(|e| failed(&e))?;
    write_atomically(&unfinished.join(PLAN), |file| file.write_all(hash.as_bytes()))?;
    Ok(State::Open(unfinished))
}

/// What an earlier run of the same plan left; nothing in an empty folder, an error when the folder is another's.
fn resume(out: &Path, unfinished: &Path, hash: &str) -> Result<Option<State>> {
    let failed = |error: &io::Error| Error::io(WRITE_FAILED, "write to", out, error);
    let differs = |what: &str| {
        Error::new(OUTPUT_DIFFERS, format!("{} holds {what}", out.display()))
            .hint("choose another folder with --out, or replace it with --force")
    };
    remove_unfinished(out).map_err(|e| failed(&e))?;
    if out.join(MANIFEST).exists() {
        let manifest =
            Manifest::read(out).map_err(|error| differs("a damaged data set").info(error.message))?;
        if manifest.plan != hash {
            return Err(differs("a data set of other settings or other photos"));
        }
        if is_whole(out, &manifest) {
            // The last act of a run that was killed in it.
            remove_folder(unfinished).map_err(|e| failed(&e))?;
            return Ok(Some(State::Complete(Box::new(manifest))));
        }
        remove_ours(out).map_err(|e| failed(&e))?;
        return Ok(None);
    }
    match fs::read_to_string(unfinished.join(PLAN)) {
        Ok(found) if found == hash => {
            remove_unfinished(unfinished).map_err(|e| failed(&e))?;
            Ok(Some(State::Open(unfinished.to_owned())))
        }
        Ok(_) => Err(differs("an unfinished data set of other settings or other photos")),
        Err(_) => {
            // A run that was killed at its start leaves an empty folder.
            let others = fs::read_dir(out).map_err(|e| failed(&e))?.filter_map(io::Result::ok);
            match others.into_iter().find(|entry| entry.file_name() != UNFINISHED) {
                Some(entry) => {
                    let name = entry.file_name();
                    Err(differs("files that are no prepared data set")
                        .info(format!("for example {}", name.to_string_lossy())))
                }
                None => Ok(None),
            }
        }
    }
}

fn is_whole(out: &Path, manifest: &Manifest) -> bool {
    let has = |name: &str, bytes: Option<u64>| {
        fs::metadata(out.join(name)).is_ok_and(|file| bytes.is_none_or(|bytes| file.len() == bytes))
    };
    has(MEAN, None)
        && has(REJECTED, None)
        && manifest.splits.iter().flat_map(|split| &split.shards).all(|shard| {
            has(&shard.file, Some(shard.bytes)) && has(&crate::index::file_name(&shard.file), None)
        })
}

/// The data set is complete: removes what only a later run would have needed.
pub(super) fn close(unfinished: &Path) -> Result<()> {
    remove_folder(unfinished).map_err(|error| Error::io(WRITE_FAILED, "remove", unfinished, &error))
}

fn remove_folder(path: &Path) -> io::Result<()> {
    if path.exists() { fs::remove_dir_all(path) } else { Ok(()) }
}

/// Removes everything that `prep` writes and nothing else: the manifest first, so that no half of a data set looks whole,
/// and last the folder that tells that the rest is ours.
fn remove_ours(out: &Path) -> io::Result<()> {
    fs::create_dir_all(out.join(UNFINISHED))?;
    if out.join(MANIFEST).exists() {
        fs::remove_file(out.join(MANIFEST))?;
    }
    for entry in fs::read_dir(out)? {
        let entry = entry?;
        let name = entry.file_name();
        if is_ours(&name.to_string_lossy()) {
            fs::remove_file(entry.path())?;
        }
    }
    remove_unfinished(out)?;
    remove_folder(&out.join(UNFINISHED))
}

fn is_ours(name: &str) -> bool {
    let stem = name.strip_suffix(".index.json").or(name.strip_suffix(".tar"));
    let is_shard = stem.and_then(|stem| stem.rsplit_once('-')).is_some_and(|(split, number)| {
        !split.is_empty() && number.len() >= 6 && number.bytes().all(|byte| byte.is_ascii_digit())
    });
    is_shard || [MEAN, "mean.png", REJECTED].contains(&name)
}
