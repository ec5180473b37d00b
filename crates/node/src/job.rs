//! Jobs: native work on its own thread that reports to JavaScript through one callback.

use ilsvrc_diagnostics::{Error, INTERNAL, INTERRUPTED, Result};
use napi::Status;
use napi::bindgen_prelude::{Float32Array, Uint32Array};
use napi::threadsafe_function::{ThreadsafeFunction, ThreadsafeFunctionCallMode};
use napi_derive::napi;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::json;
use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// What a job says. The last event is `done`, `failed` or `cancelled`.
#[napi(object, object_from_js = false)]
pub struct Event {
    /// `progress`, `done`, `failed` or `cancelled`.
    pub kind: &'static str,
    /// JSON; of `failed` an object of code, message, info and hint.
    pub payload: String,
    /// The large array of a result.
    pub data: Option<Float32Array>,
    /// True classes, beside `data`.
    pub labels: Option<Uint32Array>,
}

/// The JavaScript function that hears events. Up to 1024 wait while JavaScript is busy.
pub type Emit = ThreadsafeFunction<Event, (), Event, Status, false, false, 1024>;

/// The result of a job.
pub(crate) struct Outcome {
    payload: String,
    data: Option<Vec<f32>>,
    labels: Option<Vec<u32>>,
}

impl Outcome {
    /// A result that is JSON alone.
    pub(crate) fn json(value: &impl Serialize) -> Result<Self> {
        Ok(Self { payload: to_json(value)?, data: None, labels: None })
    }

    /// The same with a large array.
    pub(crate) fn data(self, data: Vec<f32>) -> Self {
        Self { data: Some(data), ..self }
    }

    /// The same with true classes.
    pub(crate) fn labels(self, labels: Vec<u32>) -> Self {
        Self { labels: Some(labels), ..self }
    }
}

/// A job under way.
#[napi]
pub struct Job {
    cancel: Arc<AtomicBool>,
}

#[napi]
impl Job {
    /// Asks it to stop; it ends within a batch.
    #[napi]
    pub fn cancel(&self) {
        self.cancel.store(true, Ordering::Relaxed);
    }
}

/// What a job's work is given.
pub(crate) struct Context {
    /// Set when the job is to stop.
    pub(crate) cancel: Arc<AtomicBool>,
    emit: Emit,
}

impl Context {
    /// Reports progress; dropped when too many reports wait already.
    pub(crate) fn progress(&self, progress: &impl Serialize) {
        if let Ok(payload) = to_json(progress) {
            let event = Event { kind: "progress", payload, data: None, labels: None };
            self.emit.call(event, ThreadsafeFunctionCallMode::NonBlocking);
        }
    }
}

/// Starts `work` on a thread of its own.
pub(crate) fn start(
    emit: Emit,
    work: impl FnOnce(&Context) -> Result<Outcome> + Send + 'static,
) -> napi::Result<Job> {
    let cancel = Arc::new(AtomicBool::new(false));
    let context = Context { cancel: cancel.clone(), emit };
    std::thread::Builder::new()
        .name("ilsvrc-job".into())
        .spawn(move || {
            let last = guarded(|| work(&context));
            context.emit.call(last, ThreadsafeFunctionCallMode::Blocking);
            // The context ends here and releases the callback, so that the event loop may end.
        })
        .map_err(|error| napi::Error::from_reason(format!("cannot start a thread: {error}")))?;
    Ok(Job { cancel })
}

/// The last event of `work`. A panic becomes an event: it must not cross the binding.
pub(crate) fn guarded(work: impl FnOnce() -> Result<Outcome>) -> Event {
    let result = catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|panic| {
        Err(Error::new(INTERNAL, "the engine panicked")
            .info(panic_message(&*panic))
            .hint("please report this"))
    });
    match result {
        Ok(Outcome { payload, data, labels }) => {
            Event { kind: "done", payload, data: data.map(Into::into), labels: labels.map(Into::into) }
        }
        Err(Error { code, message, info, hint }) => {
            let kind = if code == INTERRUPTED { "cancelled" } else { "failed" };
            let payload = json!({ "code": code, "message": message, "info": info, "hint": hint }).to_string();
            Event { kind, payload, data: None, labels: None }
        }
    }
}

fn panic_message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("no message").into()
}

/// A request from JavaScript.
pub(crate) fn parse<T: DeserializeOwned>(json: &str) -> Result<T> {
    serde_json::from_str(json).map_err(|error| {
        Error::new(INTERNAL, "the engine does not understand a request").info(error.to_string())
    })
}

fn to_json(value: &impl Serialize) -> Result<String> {
    serde_json::to_string(value)
        .map_err(|error| Error::new(INTERNAL, "a result cannot be written as JSON").info(error.to_string()))
}
