//! Recipes of public data sets, from `datasets/*.json`: what they are, where they come from, and what `prep` must find in
//! them. A plan is checked before anything is written, the summary afterwards.

use ilsvrc_diagnostics::{Error, INTERNAL, RECIPE_DIFFERS, Result};
use ilsvrc_images::{PrepPlan, PrepSummary};
use serde::{Deserialize, Serialize};

use crate::layouts;

const EMBEDDED: [&str; 7] = [
    include_str!("../../../datasets/imagenet-2012.json"),
    include_str!("../../../datasets/imagenet-2010.json"),
    include_str!("../../../datasets/imagenette.json"),
    include_str!("../../../datasets/tiny-imagenet.json"),
    include_str!("../../../datasets/cifar-10.json"),
    include_str!("../../../datasets/caltech-101.json"),
    include_str!("../../../datasets/own-photos.json"),
];

/// A data set: what it is and what it takes to prepare it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Recipe {
    /// What `--recipe` calls it.
    pub name: String,
    /// What people call it.
    pub title: String,
    /// What it is, in a line.
    pub what: String,
    /// Where it comes from: a page, not a download.
    pub origin: Option<String>,
    /// Under which terms.
    pub terms: String,
    /// The layouts that it comes in, one of [`layout_names`](crate::layout_names) each.
    pub layouts: Vec<String>,
    /// How it lies on disk, in a line.
    pub lies_as: String,
    /// The files as they are published.
    pub files: Vec<Published>,
    /// Images in each split; empty where `prep` splits.
    pub splits: Vec<Counted>,
    /// Images in all splits, where that is known.
    pub images: Option<u64>,
    /// Classes, where that is known.
    pub classes: Option<usize>,
    /// What to type.
    pub commands: Vec<String>,
    /// What the summary of `prep` says.
    pub expected: Option<Expected>,
    /// How long it took, and on what; nothing where that was not measured.
    pub measured: Option<String>,
}

/// A file as published.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Published {
    /// Its name.
    pub name: String,
    /// Its length, where that is known.
    pub bytes: Option<u64>,
    /// Its MD5 in hexadecimal, where that is known.
    pub md5: Option<String>,
}

/// How many images a split has.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Counted {
    /// `train` or `val`.
    pub name: String,
    /// How many.
    pub images: u64,
}

/// The summary of a whole run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Expected {
    /// Images in the shards.
    pub kept: u64,
    /// Images left out.
    pub rejected: u64,
}

/// All recipes.
pub fn recipes() -> Result<Vec<Recipe>> {
    let parse = |text: &&str| serde_json::from_str(text);
    EMBEDDED
        .iter()
        .map(parse)
        .collect::<std::result::Result<_, _>>()
        .map_err(|error| Error::new(INTERNAL, "a recipe cannot be read").info(error.to_string()))
}

/// The recipe of that name.
pub fn named(name: &str) -> Result<Recipe> {
    let recipes = recipes()?;
    let known: Vec<&str> = recipes.iter().map(|recipe| recipe.name.as_str()).collect();
    let unknown = || {
        Error::new(RECIPE_DIFFERS, format!("there is no recipe {name:?}"))
            .info(format!("known: {}", known.join(", ")))
    };
    recipes.iter().find(|recipe| recipe.name == name).cloned().ok_or_else(unknown)
}

impl Recipe {
    /// Refuses a plan of another layout, or with other numbers of images or classes. Nothing has been written then.
    pub fn check_plan(&self, plan: &PrepPlan) -> Result<()> {
        let mut differences = Vec::new();
        let mut compare = |what: &str, found: u64, published: Option<u64>| {
            if let Some(published) = published.filter(|&published| published != found) {
                differences.push(format!("{what}: {found} instead of {published}"));
            }
        };
        for Counted { name, images } in &self.splits {
            let split = plan.splits.iter().find(|split| split.name == *name);
            compare(&format!("images in {name}"), split.map_or(0, |s| s.items.len() as u64), Some(*images));
        }
        compare("images", plan.images() as u64, self.images);
        compare("classes", plan.about.classes.len() as u64, self.classes.map(|classes| classes as u64));
        let known = self.layouts.iter().filter_map(|name| layouts::description(name));
        if !known.clone().any(|description| description == plan.about.layout) {
            let known: Vec<&str> = known.collect();
            differences.push(format!("layout: {} instead of {}", plan.about.layout, known.join(" or ")));
        }
        self.refuse(
            differences,
            "nothing was written; look for files that are missing, or prepare without --recipe",
        )
    }

    /// Refuses a summary with other numbers of kept and rejected images.
    pub fn check_summary(&self, summary: &PrepSummary) -> Result<()> {
        let Some(Expected { kept, rejected }) = self.expected else { return Ok(()) };
        let mut differences = Vec::new();
        for (what, found, published) in
            [("kept", summary.kept, kept), ("rejected", summary.rejected, rejected)]
        {
            if found != published {
                differences.push(format!("{what}: {found} instead of {published}"));
            }
        }
        self.refuse(
            differences,
            "the data set was written and can be used; rejected.jsonl says why images are missing",
        )
    }

    fn refuse(&self, differences: Vec<String>, hint: &str) -> Result<()> {
        if differences.is_empty() {
            return Ok(());
        }
        let message = format!("this is not {} as the recipe has it", self.name);
        Err(Error::new(RECIPE_DIFFERS, message).info(differences.join("; ")).hint(hint))
    }
}

#[cfg(test)]
#[path = "recipe_tests.rs"]
mod tests;
