//! Jobs on sources, data sets and model files.

use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use ilsvrc_images::{CheckReport, Dataset, Estimate, Manifest, RepairReport};
use ilsvrc_layouts::recipe::named;
use ilsvrc_layouts::{Description, LayoutName, Recipe, Request, layout_names, recipes};
use napi_derive::napi;
use serde::{Deserialize, Serialize};

use crate::job::{Context, Emit, Event, Job, Outcome, guarded, parse, start};

/// Files found so far.
#[derive(Serialize)]
#[serde(tag = "event", rename = "listing")]
struct Listing {
    files: usize,
}

/// What was found.
#[derive(Serialize)]
#[serde(tag = "event", rename = "found")]
struct Found<'a> {
    #[serde(flatten)]
    description: &'a Description,
}

/// Listing a million files reports a few times a second.
fn listing(context: &Context) -> impl Fn(usize) + '_ {
    let last = Mutex::new(Instant::now());
    move |files| {
        let Ok(mut last) = last.lock() else { return };
        if last.elapsed() > Duration::from_millis(100) {
            *last = Instant::now();
            context.progress(&Listing { files });
        }
    }
}

/// Recognises sources (a request in JSON) and estimates what preparing them takes; writes nothing.
#[napi(ts_args_type = "request: string, emit: (event: Event) => void")]
pub fn inspect(request: String, emit: Emit) -> napi::Result<Job> {
    #[derive(Serialize)]
    struct Inspection {
        #[serde(flatten)]
        description: Description,
        estimate: Estimate,
    }
    start(emit, move |context| {
        let request: Request = parse(&request)?;
        let plan = ilsvrc_layouts::plan(&request, &context.cancel, &listing(context))?;
        let description = ilsvrc_layouts::describe(&plan);
        Outcome::json(&Inspection { description, estimate: ilsvrc_images::estimate(&plan)? })
    })
}

/// Prepares a data set from a request (JSON).
#[napi(ts_args_type = "request: string, emit: (event: Event) => void")]
pub fn prep(request: String, emit: Emit) -> napi::Result<Job> {
    start(emit, move |context| {
        let request: Request = parse(&request)?;
        let plan = ilsvrc_layouts::plan(&request, &context.cancel, &listing(context))?;
        context.progress(&Found { description: &ilsvrc_layouts::describe(&plan) });
        let summary = ilsvrc_images::prep(&plan, &context.cancel, &|event| context.progress(&event))?;
        if let (Some(recipe), None) = (&request.recipe, request.part) {
            named(recipe)?.check_summary(&summary)?;
        }
        Outcome::json(&summary)
    })
}

/// Makes shards of another program a data set where they lie: options `{folder, workers}`.
#[napi(ts_args_type = "options: string, emit: (event: Event) => void")]
pub fn adopt_shards(options: String, emit: Emit) -> napi::Result<Job> {
    #[derive(Deserialize)]
    struct Options {
        folder: PathBuf,
        workers: usize,
    }
    #[derive(Serialize)]
    struct Adopted {
        images: u64,
        classes: usize,
        size: usize,
    }
    start(emit, move |context| {
        let Options { folder, workers } = parse(&options)?;
        let request = Request::of_shards(&folder, workers);
        let plan = ilsvrc_layouts::plan(&request, &context.cancel, &|_| {})?;
        let manifest = ilsvrc_images::adopt(&plan, &context.cancel, &|progress| context.progress(&progress))?;
        let images = manifest.splits.iter().map(|split| split.images).sum();
        Outcome::json(&Adopted { images, classes: manifest.classes.len(), size: manifest.size })
    })
}

/// Joins the parts of a data set.
#[napi(ts_args_type = "folder: string, emit: (event: Event) => void")]
pub fn merge_parts(folder: String, emit: Emit) -> napi::Result<Job> {
    start(emit, move |_| {
        let folder = Path::new(&folder);
        let summary = ilsvrc_images::merge(folder)?;
        if let Some(recipe) = Request::recorded(&Manifest::read(folder)?, folder, 1)?.recipe {
            named(&recipe)?.check_summary(&summary)?;
        }
        Outcome::json(&summary)
    })
}

/// Compares every byte of a prepared data set with its manifest, and makes what is damaged again: options
/// `{folder, repair, workers}`.
#[napi(ts_args_type = "options: string, emit: (event: Event) => void")]
pub fn check_dataset(options: String, emit: Emit) -> napi::Result<Job> {
    #[derive(Deserialize)]
    struct Check {
        folder: PathBuf,
        repair: bool,
        workers: usize,
    }
    #[derive(Serialize)]
    struct Checked {
        #[serde(flatten)]
        report: CheckReport,
        repaired: Option<RepairReport>,
    }
    start(emit, move |context| {
        let Check { folder, repair, workers } = parse(&options)?;
        let report = Dataset::check(&folder, &context.cancel, &mut |progress| context.progress(&progress))?;
        let Some(error) = report.error(&folder) else {
            return Outcome::json(&Checked { report, repaired: None });
        };
        if !repair {
            return Err(error);
        }
        let request = Request::recorded(&Manifest::read(&folder)?, &folder, workers)?;
        let plan = ilsvrc_layouts::plan(&request, &context.cancel, &|_| {})?;
        let damaged: Vec<String> = report.damaged.iter().map(|damaged| damaged.file.clone()).collect();
        let repaired = ilsvrc_images::repair(&plan, &damaged, &context.cancel, &|progress| {
            context.progress(&progress);
        })?;
        Outcome::json(&Checked { report, repaired: Some(repaired) })
    })
}

/// Compares published archives with their MD5: sources in JSON.
#[napi(ts_args_type = "sources: string, emit: (event: Event) => void")]
pub fn verify_archives(sources: String, emit: Emit) -> napi::Result<Job> {
    #[derive(Serialize)]
    struct Progress {
        done: u64,
        total: u64,
    }
    start(emit, move |context| {
        let sources: Vec<PathBuf> = parse(&sources)?;
        let progress = |done, total| context.progress(&Progress { done, total });
        Outcome::json(&ilsvrc_layouts::verify(&sources, &progress, &context.cancel)?)
    })
}

/// What can be asked for by name: `{layouts: [{name, description}], recipes: [...]}`.
#[napi]
pub fn known_data() -> Event {
    #[derive(Serialize)]
    struct Known {
        layouts: Vec<LayoutName>,
        recipes: Vec<Recipe>,
    }
    guarded(|| Outcome::json(&Known { layouts: layout_names(), recipes: recipes()? }))
}

/// Draws the built-in data set: options `{out, images, seed, workers}`.
#[napi(ts_args_type = "options: string, emit: (event: Event) => void")]
pub fn generate_builtin(options: String, emit: Emit) -> napi::Result<Job> {
    #[derive(Deserialize)]
    struct Drawing {
        out: PathBuf,
        images: usize,
        seed: u64,
        workers: usize,
    }
    #[derive(Serialize)]
    struct Progress {
        done: usize,
        total: usize,
    }
    start(emit, move |context| {
        let Drawing { out, images, seed, workers } = parse(&options)?;
        let options = ilsvrc_builtin::Options { out, images, seed, workers };
        let progress = |done, total| context.progress(&Progress { done, total });
        Outcome::json(&ilsvrc_builtin::generate(&options, &context.cancel, &progress)?)
    })
}

/// What is known of images of a data set, and where they lie: options `{dataset, split, numbers}`, a list of the images'
/// `ImageRow`.
#[napi(ts_args_type = "options: string, emit: (event: Event) => void")]
pub fn image_rows(options: String, emit: Emit) -> napi::Result<Job> {
    #[derive(Deserialize)]
    struct Options {
        dataset: PathBuf,
        split: String,
        numbers: Option<Vec<u64>>,
    }
    start(emit, move |_| {
        let Options { dataset, split, numbers } = parse(&options)?;
        Outcome::json(&ilsvrc_images::image_rows(&dataset, &split, numbers.as_deref())?)
    })
}

/// What a PASCAL VOC file says: `{filename, objects: [{name, box}]}`.
#[napi]
pub fn read_voc(xml: &[u8]) -> Event {
    #[derive(Serialize)]
    struct Object {
        name: String,
        #[serde(rename = "box")]
        rect: [f32; 4],
    }
    #[derive(Serialize)]
    struct Voc {
        filename: String,
        objects: Vec<Object>,
    }
    guarded(|| {
        let found = ilsvrc_layouts::formats::voc::annotation(xml)?;
        let objects = found.objects.into_iter();
        let object = |object: ilsvrc_layouts::formats::voc::Object| Object {
            rect: [object.left, object.top, object.right, object.bottom],
            name: object.name,
        };
        Outcome::json(&Voc { filename: found.filename, objects: objects.map(object).collect() })
    })
}

/// The metadata of a model file, an object of strings.
#[napi(ts_args_type = "path: string, emit: (event: Event) => void")]
pub fn read_model_metadata(path: String, emit: Emit) -> napi::Result<Job> {
    start(emit, move |_| Outcome::json(&ilsvrc_engine::read_metadata(Path::new(&path))?))
}
