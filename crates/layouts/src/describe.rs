//! What a plan holds, in short: what `--dry-run` shows.

use std::collections::BTreeMap;

use ilsvrc_images::{Class, PrepPlan};
use serde::Serialize;

/// Classes that are named.
const FIRST: usize = 5;

/// A plan in short.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Description {
    /// The layout recognised.
    pub layout: String,
    /// How the source orders its classes.
    pub class_order: String,
    /// How many classes there are.
    pub classes: usize,
    /// The first of them.
    pub first_classes: Vec<Class>,
    /// The splits.
    pub splits: Vec<SplitDescription>,
    /// Images with boxes.
    pub boxed_images: u64,
    /// Boxes.
    pub boxes: u64,
    /// Files left alone, by reason.
    pub ignored: BTreeMap<String, u64>,
    /// Files refused before anything is decoded.
    pub rejected: u64,
    /// Bytes of all images.
    pub source_bytes: u64,
}

/// A split in short.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SplitDescription {
    /// `train` or `val`.
    pub name: String,
    /// How many images it has.
    pub images: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// The plan in short.
pub fn describe(plan: &PrepPlan) -> Description {
    let splits: Vec<SplitDescription> = plan
        .splits
        .iter()
        .map(|split| SplitDescription {
            name: split.name.clone(),
            images: split.items.len() as u64,
            bytes: split.items.iter().map(|item| item.size).sum(),
        })
        .collect();
    let items = || plan.splits.iter().flat_map(|split| &split.items);
    Description {
        layout: plan.about.layout.clone(),
        class_order: plan.about.class_order.clone(),
        classes: plan.about.classes.len(),
        first_classes: plan.about.classes.iter().take(FIRST).cloned().collect(),
        boxed_images: items().filter(|item| !item.boxes.is_empty()).count() as u64,
        boxes: items().map(|item| item.boxes.len() as u64).sum(),
        ignored: plan.about.ignored.clone(),
        rejected: plan.about.rejected.len() as u64,
        source_bytes: splits.iter().map(|split| split.bytes).sum(),
        splits,
    }
}
