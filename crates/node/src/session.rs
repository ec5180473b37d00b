//! The session: a net at work. Calls follow each other; each is a job.

use crate::job::{Context, Emit, Job, Outcome, parse, start};
use crate::parse_net;
use ilsvrc_diagnostics::{Error, INTERNAL, Result};
use ilsvrc_engine::{Options, Session, WalkRequest};
use napi::bindgen_prelude::Uint8Array;
use napi_derive::napi;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Instant;

/// Holds a session once [`NativeSession::open`] is done.
#[napi]
#[derive(Default)]
pub struct NativeSession {
    session: Arc<Mutex<Option<Session>>>,
}

#[napi]
impl NativeSession {
    /// An empty one.
    #[napi(constructor)]
    pub fn new() -> Self {
        Self::default()
    }

    /// Opens it; `options` are the engine's `Options`.
    #[napi(ts_args_type = "options: string, emit: (event: Event) => void")]
    pub fn open(&self, options: String, emit: Emit) -> napi::Result<Job> {
        let slot = self.session.clone();
        start(emit, move |_| {
            let value: Value = parse(&options)?;
            // By itself first: a bad net is the user's mistake, anything else here is ours.
            parse_net(&value["net"].to_string())?;
            let options: Options = parse(&options)?;
            let session = Session::open(options)?;
            let layout = Outcome::json(session.layout());
            *slot.lock().map_err(|_| unusable())? = Some(session);
            layout
        })
    }

    /// Trains some steps: `TrainRequest` to `TrainReport`, with a `TrainStep` for each step.
    #[napi(ts_args_type = "request: string, emit: (event: Event) => void")]
    pub fn train(&self, request: String, emit: Emit) -> napi::Result<Job> {
        self.start(emit, move |session, context| {
            let report =
                session.train(&parse(&request)?, &context.cancel, &mut |step| context.progress(&step))?;
            Outcome::json(&report)
        })
    }

    /// Evaluates a split: `EvaluateRequest` to `EvaluateReport`, with probabilities and labels.
    #[napi(ts_args_type = "request: string, emit: (event: Event) => void")]
    pub fn evaluate(&self, request: String, emit: Emit) -> napi::Result<Job> {
        self.start(emit, move |session, context| {
            let mut report = session
                .evaluate(&parse(&request)?, &context.cancel, &mut |progress| context.progress(&progress))?;
            let probabilities = std::mem::take(&mut report.probabilities);
            let labels = std::mem::take(&mut report.labels);
            Ok(Outcome::json(&report)?.data(probabilities).labels(labels))
        })
    }

    /// Features of a split: `WalkRequest` to `{images, views, elements, seconds}`, with data `images x views x elements` and
    /// labels.
    #[napi(ts_args_type = "request: string, emit: (event: Event) => void")]
    pub fn features(&self, request: String, emit: Emit) -> napi::Result<Job> {
        self.start(emit, move |session, context| {
            let request: WalkRequest = parse(&request)?;
            let elements = session.elements(request.layer.as_deref())?;
            let begin = Instant::now();
            let (mut features, mut labels, mut views) = (Vec::new(), Vec::new(), 0);
            session.walk(&request, &context.cancel, &mut |rows, progress| {
                // At once: growing by doubling would hold all of it twice.
                features.reserve(if features.is_empty() {
                    progress.total * rows.views * elements
                } else {
                    0
                });
                features.extend_from_slice(rows.features);
                labels.extend_from_slice(rows.labels);
                views = rows.views;
                context.progress(&progress);
                Ok(())
            })?;
            let seconds = begin.elapsed().as_secs_f64();
            let report =
                json!({ "images": labels.len(), "views": views, "elements": elements, "seconds": seconds });
            Ok(Outcome::json(&report)?.data(features).labels(labels))
        })
    }

    /// Features of photos: `EmbedRequest` to `Embedded`, with data `photos x views x elements`.
    #[napi(ts_args_type = "files: Uint8Array[], request: string, emit: (event: Event) => void")]
    pub fn embed(&self, files: Vec<Uint8Array>, request: String, emit: Emit) -> napi::Result<Job> {
        let files: Vec<Vec<u8>> = files.iter().map(|file| file.to_vec()).collect();
        self.start(emit, move |session, _| {
            let mut embedded = session.embed(&files, &parse(&request)?)?;
            let features = std::mem::take(&mut embedded.features);
            Ok(Outcome::json(&embedded)?.data(features))
        })
    }

    /// Probabilities of JPEG files: `ClassifyRequest`, data `files x classes`.
    #[napi(ts_args_type = "files: Uint8Array[], request: string, emit: (event: Event) => void")]
    pub fn classify(&self, files: Vec<Uint8Array>, request: String, emit: Emit) -> napi::Result<Job> {
        // Copied: JavaScript may change its arrays meanwhile.
        let files: Vec<Vec<u8>> = files.iter().map(|file| file.to_vec()).collect();
        self.start(emit, move |session, _| {
            Ok(Outcome::json(&())?.data(session.classify(&files, &parse(&request)?)?))
        })
    }

    /// Trains a box head and keeps it: `BoxRequest` to `HeadRecord`, with a `BoxProgress` for each batch and epoch. Null on ranks
    /// other than 0.
    #[napi(ts_args_type = "request: string, emit: (event: Event) => void")]
    pub fn fit_boxes(&self, request: String, emit: Emit) -> napi::Result<Job> {
        self.start(emit, move |session, context| {
            let emit = &mut |progress| context.progress(&progress);
            Outcome::json(&session.fit_boxes(&parse(&request)?, &context.cancel, emit)?)
        })
    }

    /// Writes the head.
    #[napi(ts_args_type = "path: string, emit: (event: Event) => void")]
    pub fn save_head(&self, path: String, emit: Emit) -> napi::Result<Job> {
        self.start(emit, move |session, _| {
            session.save_head(Path::new(&path))?;
            Outcome::json(&())
        })
    }

    /// Reads a head of the model that is loaded; gives its `HeadRecord`.
    #[napi(ts_args_type = "path: string, emit: (event: Event) => void")]
    pub fn load_head(&self, path: String, emit: Emit) -> napi::Result<Job> {
        self.start(emit, move |session, _| Outcome::json(session.load_head(Path::new(&path))?))
    }

    /// Classes and boxes of image files: `LocateRequest`, a list of `Located`.
    #[napi(ts_args_type = "files: Uint8Array[], request: string, emit: (event: Event) => void")]
    pub fn locate(&self, files: Vec<Uint8Array>, request: String, emit: Emit) -> napi::Result<Job> {
        let files: Vec<Vec<u8>> = files.iter().map(|file| file.to_vec()).collect();
        self.start(emit, move |session, context| {
            Outcome::json(&session.locate(&files, &parse(&request)?, &context.cancel)?)
        })
    }

    /// Writes a model file; `metadata` is an object of strings.
    #[napi(ts_args_type = "path: string, metadata: string, emit: (event: Event) => void")]
    pub fn save_model(&self, path: String, metadata: String, emit: Emit) -> napi::Result<Job> {
        self.start(emit, move |session, _| {
            session.save_model(Path::new(&path), &parse(&metadata)?)?;
            Outcome::json(&())
        })
    }

    /// Writes a checkpoint.
    #[napi(ts_args_type = "path: string, metadata: string, emit: (event: Event) => void")]
    pub fn save_checkpoint(&self, path: String, metadata: String, emit: Emit) -> napi::Result<Job> {
        self.start(emit, move |session, _| {
            session.save_checkpoint(Path::new(&path), &parse(&metadata)?)?;
            Outcome::json(&())
        })
    }

    /// Reads a model file; gives its metadata.
    #[napi(ts_args_type = "path: string, emit: (event: Event) => void")]
    pub fn load_model(&self, path: String, emit: Emit) -> napi::Result<Job> {
        self.start(emit, move |session, _| metadata(session.load_model(Path::new(&path))?))
    }

    /// Reads a checkpoint; gives its metadata.
    #[napi(ts_args_type = "path: string, emit: (event: Event) => void")]
    pub fn load_checkpoint(&self, path: String, emit: Emit) -> napi::Result<Job> {
        self.start(emit, move |session, _| metadata(session.load_checkpoint(Path::new(&path))?))
    }

    /// A parameter by name: `{shape}`, data in the order of model files.
    #[napi(ts_args_type = "name: string, emit: (event: Event) => void")]
    pub fn parameter(&self, name: String, emit: Emit) -> napi::Result<Job> {
        self.start(emit, move |session, _| {
            let (shape, values) = session.parameter(&name)?;
            Ok(Outcome::json(&json!({ "shape": shape }))?.data(values))
        })
    }

    pub(crate) fn start(
        &self,
        emit: Emit,
        work: impl FnOnce(&mut Session, &Context) -> Result<Outcome> + Send + 'static,
    ) -> napi::Result<Job> {
        let slot = self.session.clone();
        start(emit, move |context| {
            let mut slot = slot.lock().map_err(|_| unusable())?;
            let session = slot.as_mut().ok_or_else(|| Error::new(INTERNAL, "the session is not open"))?;
            work(session, context)
        })
    }
}

fn metadata(metadata: BTreeMap<String, String>) -> Result<Outcome> {
    Outcome::json(&metadata)
}

/// A panic left the session in the middle of something.
fn unusable() -> Error {
    Error::new(INTERNAL, "the session is unusable after an earlier failure").hint("open a new one")
}
