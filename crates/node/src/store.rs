//! Stores of features: made by a session, searched, exported.

use crate::job::{Context, Emit, Job, Outcome, parse, start};
use crate::session::NativeSession;
use ilsvrc_diagnostics::{Error, FEATURES_UNUSABLE, INTERNAL, Result};
use ilsvrc_engine::{Ranks, Session, WalkRequest, current_ranks};
use ilsvrc_images::{Manifest, image_rows};
use ilsvrc_search::{
    About, Class, Format, Id, Meta, Neighbour, Precision, Store, StoreWriter, WriterOptions, merge,
};
use napi::bindgen_prelude::Float32Array;
use napi_derive::napi;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Instant;

/// Where a store came from, or should have.
#[derive(Deserialize)]
struct Origin {
    /// What is walked over, and the layer that is wanted.
    walk: WalkRequest,
    /// The model file's checksum.
    model: String,
    preprocessing: Value,
}

impl Origin {
    fn about(&self) -> Result<About> {
        let manifest = Manifest::read(&self.walk.dataset)?;
        let class = |class: ilsvrc_images::Class| Class { wnid: class.wnid, name: class.name };
        Ok(About {
            layer: self.walk.layer.clone().unwrap_or_default(),
            split: self.walk.split.clone(),
            model: self.model.clone(),
            data: manifest.plan,
            preprocessing: self.preprocessing.clone(),
            classes: manifest.classes.into_iter().map(class).collect(),
        })
    }
}

#[napi]
impl NativeSession {
    /// Writes the features of a split into a store: `{store, precision, components}` and its origin, to its `Meta` and the
    /// seconds that it took. Of several ranks all compute, and rank 0 writes.
    #[napi(ts_args_type = "request: string, emit: (event: Event) => void")]
    pub fn index(&self, request: String, emit: Emit) -> napi::Result<Job> {
        #[derive(Deserialize)]
        struct Request {
            store: PathBuf,
            precision: Precision,
            components: Option<usize>,
            #[serde(flatten)]
            origin: Origin,
        }
        #[derive(Serialize)]
        struct Indexed {
            #[serde(flatten)]
            meta: Meta,
            seconds: f64,
        }
        self.start(emit, move |session, context| {
            let Request { store, precision, components, origin } = parse(&request)?;
            let begin = Instant::now();
            let elements = session.elements(origin.walk.layer.as_deref())?;
            let rows = image_rows(&origin.walk.dataset, &origin.walk.split, None)?.into_iter();
            let ids =
                rows.map(|image| Id { key: image.row.key, path: image.row.path, class: image.row.class });
            let ids: Vec<Id> = ids.collect();
            let options = WriterOptions { precision, components };
            let mut writer = match session.ranks().place().0 {
                0 => Some(StoreWriter::create(&store, origin.about()?, elements, options)?),
                _ => None,
            };
            session.walk(&origin.walk, &context.cancel, &mut |rows, progress| {
                if let Some(writer) = &mut writer {
                    writer.append(rows.features, &ids[rows.first..rows.first + rows.images])?;
                }
                context.progress(&progress);
                Ok(())
            })?;
            let written = writer.map(StoreWriter::finish).transpose()?;
            // The others find it when it is in its place.
            session.ranks().wait()?;
            let meta = match written {
                Some(meta) => meta,
                None => Store::open(&store)?.meta().clone(),
            };
            Outcome::json(&Indexed { meta, seconds: begin.elapsed().as_secs_f64() })
        })
    }

    /// The nearest rows of each image of a split: a `WalkRequest` and `{k}` to `{images, k, seconds}`, with the distances
    /// (squared) as data and the rows as labels, both `images x k`. Shared out to ranks as [`NativeStore::search`] is.
    #[napi(ts_args_type = "store: NativeStore, request: string, emit: (event: Event) => void")]
    pub fn nearest(&self, store: &NativeStore, request: String, emit: Emit) -> napi::Result<Job> {
        #[derive(Deserialize)]
        struct Request {
            k: usize,
            walk: WalkRequest,
        }
        let store = store.slot.clone();
        self.start(emit, move |session: &mut Session, context: &Context| {
            let store = opened(&store)?;
            let Request { k, walk } = parse(&request)?;
            let elements = session.elements(walk.layer.as_deref())?;
            expect_elements(&store, elements)?;
            let begin = Instant::now();
            let k = k.min(store.meta().count);
            let ranks = session.ranks().clone();
            let (mut distances, mut rows) = (Vec::new(), Vec::new());
            session.walk(&walk, &context.cancel, &mut |images, progress| {
                for Neighbour { row, distance } in
                    search(&store, images.features, k, &ranks)?.into_iter().flatten()
                {
                    distances.push(distance as f32);
                    rows.push(row as u32);
                }
                context.progress(&progress);
                Ok(())
            })?;
            let images = rows.len() / k.max(1);
            let report = json!({ "images": images, "k": k, "seconds": begin.elapsed().as_secs_f64() });
            Ok(Outcome::json(&report)?.data(distances).labels(rows))
        })
    }
}

/// Holds a store once [`NativeStore::open`] is done.
#[napi]
#[derive(Default)]
pub struct NativeStore {
    slot: Arc<Mutex<Option<Arc<Store>>>>,
}

#[napi]
impl NativeStore {
    /// An empty one.
    #[napi(constructor)]
    pub fn new() -> Self {
        Self::default()
    }

    /// Opens a folder: its `Meta`, or null where there is none. With an origin (JSON) a stale store is an error.
    #[napi(ts_args_type = "folder: string, origin: string | undefined, emit: (event: Event) => void")]
    pub fn open(&self, folder: String, origin: Option<String>, emit: Emit) -> napi::Result<Job> {
        let slot = self.slot.clone();
        start(emit, move |_| {
            let Some(store) = Store::find(Path::new(&folder))? else { return Outcome::json(&()) };
            if let Some(origin) = origin {
                store.expect(&parse::<Origin>(&origin)?.about()?)?;
            }
            let meta = Outcome::json(store.meta());
            *slot.lock().map_err(|_| unusable())? = Some(Arc::new(store));
            meta
        })
    }

    /// The `k` nearest rows of each query: lists of `{row, distance, key, path, class}`. Of several ranks each searches a part of the
    /// store, and all of them find all.
    #[napi(ts_args_type = "queries: Float32Array, k: number, emit: (event: Event) => void")]
    pub fn search(&self, queries: Float32Array, k: u32, emit: Emit) -> napi::Result<Job> {
        #[derive(Serialize)]
        struct Found {
            row: usize,
            distance: f64,
            #[serde(flatten)]
            id: Id,
        }
        let queries = queries.to_vec();
        self.start(emit, move |store| {
            let found = |Neighbour { row, distance }| Ok(Found { row, distance, id: store.id(row)? });
            let lists = search(store, &queries, k as usize, &current_ranks())?.into_iter();
            let lists = lists.map(|list| list.into_iter().map(found).collect::<Result<Vec<_>>>());
            Outcome::json(&lists.collect::<Result<Vec<_>>>()?)
        })
    }

    /// `count` full vectors from `first` on, as data.
    #[napi(ts_args_type = "first: number, count: number, emit: (event: Event) => void")]
    pub fn vectors(&self, first: u32, count: u32, emit: Emit) -> napi::Result<Job> {
        self.start(emit, move |store| {
            let rows = first as usize..first as usize + count as usize;
            expect_rows(store, rows.end)?;
            Ok(Outcome::json(&())?.data(store.vectors(rows)))
        })
    }

    /// Queries as the store's rows are, as data: projected where those are.
    #[napi(ts_args_type = "queries: Float32Array, emit: (event: Event) => void")]
    pub fn project(&self, queries: Float32Array, emit: Emit) -> napi::Result<Job> {
        let queries = queries.to_vec();
        self.start(emit, move |store| Ok(Outcome::json(&())?.data(store.project(&queries)?.into_owned())))
    }

    /// Who rows are: lists of `{key, path, class}`, in the order asked for.
    #[napi(ts_args_type = "rows: Array<number>, emit: (event: Event) => void")]
    pub fn ids(&self, rows: Vec<u32>, emit: Emit) -> napi::Result<Job> {
        self.start(emit, move |store| {
            expect_rows(store, rows.iter().max().map_or(0, |&row| row as usize + 1))?;
            let ids = rows.iter().map(|&row| store.id(row as usize));
            Outcome::json(&ids.collect::<Result<Vec<_>>>()?)
        })
    }

    /// The class of each row, as labels.
    #[napi(ts_args_type = "emit: (event: Event) => void")]
    pub fn classes(&self, emit: Emit) -> napi::Result<Job> {
        self.start(emit, |store| {
            let classes = (0..store.meta().count).map(|row| store.id(row).map(|id| id.class));
            Ok(Outcome::json(&())?.labels(classes.collect::<Result<_>>()?))
        })
    }

    /// Writes all full vectors to a file: `npy` or `safetensors`.
    #[napi(ts_args_type = "format: 'npy' | 'safetensors', path: string, emit: (event: Event) => void")]
    pub fn export(&self, format: String, path: String, emit: Emit) -> napi::Result<Job> {
        self.start(emit, move |store| {
            let format = if format == "npy" { Format::Npy } else { Format::Safetensors };
            ilsvrc_search::export(store, format, Path::new(&path))?;
            Outcome::json(&())
        })
    }

    /// Lets go of the files once no job uses them.
    #[napi]
    pub fn close(&self) {
        if let Ok(mut slot) = self.slot.lock() {
            *slot = None;
        }
    }

    fn start(
        &self,
        emit: Emit,
        work: impl FnOnce(&Store) -> Result<Outcome> + Send + 'static,
    ) -> napi::Result<Job> {
        let slot = self.slot.clone();
        start(emit, move |_| work(&*opened(&slot)?))
    }
}

fn opened(slot: &Mutex<Option<Arc<Store>>>) -> Result<Arc<Store>> {
    let slot = slot.lock().map_err(|_| unusable())?;
    slot.clone().ok_or_else(|| Error::new(INTERNAL, "the store is not open"))
}

/// The `k` nearest rows of each query, of which each rank looks for those in its part of the store.
fn search(store: &Store, queries: &[f32], k: usize, ranks: &Ranks) -> Result<Vec<Vec<Neighbour>>> {
    let (rank, size) = ranks.place();
    if size == 1 {
        return store.search(queries, k);
    }
    let (count, k) = (store.meta().count, k.min(store.meta().count));
    let own = store.search_rows(queries, k, ranks.part(count))?;
    // A place for each neighbour that a rank may have found: its distance, and its row counted from 1, so that 0 is none.
    let queries = own.len();
    let mut places = vec![0.0; size * queries * k * 2];
    let mine = places[rank * queries * k * 2..].chunks_exact_mut((k * 2).max(1));
    for (places, found) in mine.zip(&own) {
        for (place, found) in places.as_chunks_mut().0.iter_mut().zip(found) {
            *place = [found.distance, (found.row + 1) as f64];
        }
    }
    let places = ranks.together_exact(places)?;
    let (places, _) = places.as_chunks::<2>();
    let list = |places: &[[f64; 2]]| {
        let found = places.iter().filter(|[_, row]| *row > 0.0);
        found.map(|&[distance, row]| Neighbour { row: row as usize - 1, distance }).collect()
    };
    let parts = (0..size)
        .map(|rank| (0..queries).map(|query| list(&places[(rank * queries + query) * k..][..k])).collect());
    Ok(merge(parts.collect(), k))
}

fn expect_rows(store: &Store, end: usize) -> Result<()> {
    let count = store.meta().count;
    if end <= count {
        return Ok(());
    }
    Err(Error::new(INTERNAL, format!("row {} of a store of {count} rows was asked for", end - 1)))
}

/// A net whose features have another length than the store's cannot be compared with it.
fn expect_elements(store: &Store, elements: usize) -> Result<()> {
    let needed = store.meta().source_dimension;
    if elements == needed {
        return Ok(());
    }
    Err(Error::new(FEATURES_UNUSABLE, "the features cannot be compared with the store")
        .info(format!("they have {elements} elements, those of the store {needed}")))
}

/// A panic left the store in the middle of something.
fn unusable() -> Error {
    Error::new(INTERNAL, "the store is unusable after an earlier failure").hint("open it again")
}
