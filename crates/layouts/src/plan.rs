//! From a request to a plan of preparation: which image is in which split and class, and where its bytes are.
//! Reads no image.

use std::collections::HashMap;
use std::path::{self, PathBuf};
use std::sync::atomic::AtomicBool;

use ilsvrc_diagnostics::{Error, INTERNAL, LAYOUT_UNKNOWN, ONE_CLASS, Result, SOURCE_UNREADABLE};
use ilsvrc_images::{About, Class, Item, PrepPlan, SourceKind, SplitPlan};

use crate::assignment::{Assignment, Labelled};
use crate::layouts::{View, recognise};
use crate::listing::{Entry, Kind, Listing, NO_IMAGE, Sources, Store, count_up, list, path_of};
use crate::names;
use crate::recipe;
use crate::request::Request;

/// Lists and recognises the sources of `request`. `progress` gets the number of files found so far; setting `cancel`
/// ends with `INTERRUPTED`. Where the request names a recipe, a plan that differs from it is refused.
pub fn plan(request: &Request, cancel: &AtomicBool, progress: &dyn Fn(usize)) -> Result<PrepPlan> {
    let mut listing = list(&Sources { paths: &request.sources, cancel, progress })?;
    let view = View { listing: &listing, roots: 0..listing.roots.len(), request, cancel };
    let parts = recognise(&view)?;
    let mut assignment = Assignment::default();
    let mut orders: Vec<String> = Vec::new();
    for (layout, part) in &parts {
        layout.assign(part, &mut assignment)?;
        orders.push(std::mem::take(&mut assignment.class_order));
    }
    let mut layouts: Vec<&str> = parts.iter().map(|(layout, _)| layout.description()).collect();
    layouts.sort_unstable();
    layouts.dedup();
    orders.sort_unstable();
    orders.dedup();
    let layout = layouts.join("; ");
    assignment.class_order = orders.join("; ");
    check_splits(&assignment, &listing)?;
    let (classes, numbers) = classes(&assignment, &names::find(&view)?);
    let plan = finish(request, &mut listing, assignment, layout, classes, &numbers)?;
    match &request.recipe {
        Some(name) => recipe::named(name)?.check_plan(&plan).map(|()| plan),
        None => Ok(plan),
    }
}

/// Refuses what cannot be learned from.
fn check_splits(assignment: &Assignment, listing: &Listing) -> Result<()> {
    let shown = listing.shown();
    let count = |images: &[Labelled]| {
        let mut counts = vec![0_u32; assignment.keys.len()];
        images.iter().for_each(|image| counts[image.class as usize] += 1);
        counts
    };
    let (train, val) = (count(&assignment.train), count(&assignment.val));
    let classes_of = |counts: &[u32]| counts.iter().filter(|&&count| count > 0).count();
    let keys = assignment.keys.iter().zip(train.iter().zip(&val));
    let mut unlearnt: Vec<&str> =
        keys.filter(|(_, (train, val))| **train == 0 && **val > 0).map(|(key, _)| key.as_str()).collect();
    if !unlearnt.is_empty() {
        unlearnt.sort_unstable();
        unlearnt.truncate(5);
        let names = unlearnt.join(", ");
        return Err(Error::new(
            LAYOUT_UNKNOWN,
            format!("{shown} has classes without images to learn from: {names}"),
        )
        .info(format!("{} classes for validation, {} for training", classes_of(&val), classes_of(&train)))
        .hint("add images of them under train/, or take their folders away from the others"));
    }
    if classes_of(&train) < 2 {
        return Err(Error::new(ONE_CLASS, format!("{shown} holds one class: {}", assignment.keys.join("")))
            .info("a network learns to tell classes apart; it needs at least two")
            .hint("add a folder with photos of something else beside it"));
    }
    if assignment.val.is_empty() {
        return Err(Error::new(
            LAYOUT_UNKNOWN,
            format!("{shown} has too few images to split a tenth off for validation"),
        )
        .info(format!("{} images in all", assignment.train.len()))
        .hint("add images, or sort them into train/<class>/ and val/<class>/ yourself"));
    }
    Ok(())
}

/// The classes sorted by key, and the number of each of the assignment's classes among them.
fn classes(assignment: &Assignment, names: &HashMap<String, String>) -> (Vec<Class>, Vec<u32>) {
    let keys = &assignment.keys;
    let mut order: Vec<usize> = (0..keys.len()).collect();
    order.sort_unstable_by(|&a, &b| keys[a].as_bytes().cmp(keys[b].as_bytes()));
    let mut numbers = vec![0; keys.len()];
    let class = |(number, &at): (usize, &usize)| {
        numbers[at] = number as u32;
        let wnid = keys[at].clone();
        let name = names.get(&wnid).filter(|name| !name.is_empty());
        let name = name.or_else(|| assignment.words.get(&wnid)).cloned().unwrap_or_else(|| wnid.clone());
        Class { devkit_id: assignment.devkit_ids.get(&wnid).copied(), wnid, name }
    };
    let classes = order.iter().enumerate().map(class).collect();
    (classes, numbers)
}

fn finish(
    request: &Request,
    listing: &mut Listing,
    assignment: Assignment,
    layout: String,
    classes: Vec<Class>,
    numbers: &[u32],
) -> Result<PrepPlan> {
    let texts = listing.entries.iter().filter(|entry| entry.kind == Kind::Text).count() as u64;
    let mut ignored = std::mem::take(&mut listing.ignored);
    count_up(&mut ignored, NO_IMAGE, texts.saturating_sub(assignment.rejected_texts));
    assignment.ignored.iter().for_each(|(reason, &count)| count_up(&mut ignored, reason, count));
    let mut rejected = std::mem::take(&mut listing.rejected);
    rejected.extend(assignment.rejected);
    let mut splits = Vec::new();
    for (name, images) in [("train", assignment.train), ("val", assignment.val)] {
        let items: Result<Vec<Item>> =
            images.into_iter().map(|image| item(listing, image, numbers)).collect();
        splits.push(SplitPlan { name: name.to_owned(), items: items? });
    }
    let absolute =
        |path: &PathBuf| path::absolute(path).map_err(|e| Error::io(SOURCE_UNREADABLE, "find", path, &e));
    let kept = Request {
        sources: request.sources.iter().map(absolute).collect::<Result<_>>()?,
        names: request.names.as_ref().map(absolute).transpose()?,
        ..request.clone()
    };
    let kept = serde_json::to_value(&kept)
        .map_err(|error| Error::new(INTERNAL, "cannot keep the request of prep").info(error.to_string()))?;
    Ok(PrepPlan {
        out: path::absolute(&request.out).unwrap_or_else(|_| request.out.clone()),
        workers: request.workers,
        force: request.force,
        part: request.part,
        about: About {
            name: request.name.clone(),
            settings: request.settings(),
            max_rejected: request.max_rejected,
            layout,
            class_order: assignment.class_order,
            sources: std::mem::take(&mut listing.sources),
            classes,
            rejected,
            ignored,
            request: kept,
        },
        splits,
    })
}

/// Moves an entry's path to the plan: two lists of 1.3 million paths would be one too many.
fn item(listing: &mut Listing, image: Labelled, numbers: &[u32]) -> Result<Item> {
    let entry: &mut Entry = &mut listing.entries[image.entry as usize];
    let Store::Source { source, prefix } = listing.stores[entry.store as usize] else {
        return Err(Error::new(INTERNAL, format!("{} lies in a compressed archive", entry.shown())));
    };
    let kind = listing.sources.get(source as usize).map(|source| source.kind);
    let path = match prefix {
        0 => std::mem::replace(&mut entry.path, path_of(b"")),
        _ => path_of(&entry.bytes()[prefix..]),
    };
    Ok(Item {
        path,
        offset: (kind == Some(SourceKind::Tar)).then_some(entry.offset),
        size: entry.size,
        source,
        class: numbers[image.class as usize],
        boxes: image.boxes,
    })
}
