//! The session: what training, evaluation and classification share.

use crate::join;
use crate::model_file::{self, ModelFile, Tensor};
use crate::ranks::Ranks;
use crate::train::Feed;
use crate::{CacheOptions, Head, Layout, Options, Purpose, devices};
use ilsvrc_diagnostics::{CLASSES_DIFFER, Error, IMAGE_SIZE, INTERNAL, MODEL_FOREIGN, Result};
use ilsvrc_images::{Cache, Dataset};
use ilsvrc_network::{Collective, Execution, Net, ParamId, Parameter, Slot};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A net at work.
pub struct Session {
    pub(crate) executor: Box<dyn Execution>,
    layout: Layout,
    pub(crate) seed: u64,
    pub(crate) threads: usize,
    /// What the pixels of images are reduced by, `image x image x 3`: it belongs to the weights, so it comes with the
    /// first data set trained on or with the model file, and stays.
    pub(crate) mean: Option<Arc<Vec<f32>>>,
    /// Metadata of the model that was loaded.
    pub(crate) metadata: BTreeMap<String, String>,
    /// Where training goes on without opening anything anew.
    pub(crate) feed: Option<Feed>,
    /// Steps that have begun and not ended; after an error some may be left.
    pub(crate) under_way: usize,
    /// Decoded images; of one data set, and of no use to others.
    pub(crate) cache: Option<Arc<Cache>>,
    /// What says where things are, once it was trained or loaded.
    pub(crate) head: Option<Head>,
    dataset: Option<(PathBuf, Arc<Dataset>)>,
    purpose: Purpose,
    /// Images of a training step, over all ranks.
    pub(crate) batch: usize,
    pub(crate) ranks: Ranks,
}

/// Name of the mean image in model files.
const MEAN: &str = "mean";
/// Goes before the name of a parameter whose momentum it is.
const VELOCITY: &str = "velocity.";

impl Session {
    /// Plans the net, allocates the towers and draws the initial weights.
    ///
    /// # Errors
    /// `NET_INVALID`, `DEVICE_UNUSABLE`, `OUT_OF_MEMORY`; where GPUs are asked for, those of `ilsvrc-cuda`; where a cache is
    /// asked for, those of its data set.
    pub fn open(options: Options) -> Result<Self> {
        Self::open_in(options, join::current())
    }

    /// As [`Session::open`], as one of several sessions with the same options that train and evaluate together, each on its
    /// part: every one makes the same calls.
    ///
    /// # Errors
    /// As [`Session::open`]; `RANKS_DIFFER` where the options are not the same.
    pub fn open_among(options: Options, ranks: Arc<dyn Collective>) -> Result<Self> {
        // They are threads of this process.
        let local = (ranks.rank(), ranks.size());
        Self::open_in(options, Ranks::new(ranks, local))
    }

    fn open_in(options: Options, ranks: Ranks) -> Result<Self> {
        let same = format!("{:?}", (&options.net, options.batch, options.seed, options.purpose));
        ranks.expect_same("net, batch or seed", &same)?;
        let (mut executor, layout) = devices::open(&options, &ranks)?;
        executor.initialise(options.seed)?;
        let mut session = Self {
            executor,
            layout,
            seed: options.seed,
            threads: options.thread_count(),
            mean: None,
            metadata: BTreeMap::new(),
            feed: None,
            under_way: 0,
            cache: None,
            head: None,
            dataset: None,
            purpose: options.purpose,
            batch: options.batch,
            ranks,
        };
        if let Some(CacheOptions { dataset, limit }) = &options.cache {
            let cache = Cache::new(session.dataset(dataset)?, *limit);
            session.layout.cache = Some(cache.size());
            session.cache = Some(Arc::new(cache));
        }
        Ok(session)
    }

    /// Where the net works, and what its cache holds.
    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    /// The ranks that it works together with.
    pub fn ranks(&self) -> &Ranks {
        &self.ranks
    }

    /// The description of the net.
    pub fn net(&self) -> &Net {
        &self.executor.plan().net
    }

    /// A parameter by its name in model files: its shape and values (weights OIHW).
    ///
    /// # Errors
    /// `INTERNAL` where the net has no parameter of that name.
    pub fn parameter(&self, name: &str) -> Result<(Vec<usize>, Vec<f32>)> {
        let (tower, id, parameter) = self
            .parameters()
            .find(|(_, _, parameter)| parameter.name == name)
            .ok_or_else(|| Error::new(INTERNAL, format!("the net has no parameter `{name}`")))?;
        Ok((parameter.shape.clone(), self.executor.read_parameter(tower, id, Slot::Value)?))
    }

    /// Writes the weights, the mean image and `metadata` to `path`; whole or not at all.
    ///
    /// # Errors
    /// `WRITE_FAILED`.
    pub fn save_model(&self, path: &Path, metadata: &BTreeMap<String, String>) -> Result<()> {
        self.save(path, metadata, &[("", Slot::Value)])
    }

    /// As [`Session::save_model`], with the velocities: what training needs to go on with the same bits.
    ///
    /// # Errors
    /// `WRITE_FAILED`; `INTERNAL` in a session for inference.
    pub fn save_checkpoint(&self, path: &Path, metadata: &BTreeMap<String, String>) -> Result<()> {
        self.save(path, metadata, &[("", Slot::Value), (VELOCITY, Slot::Velocity)])
    }

    /// Takes weights and mean image from a model file (or a checkpoint) and returns its metadata. The session is
    /// unchanged when this fails.
    ///
    /// # Errors
    /// `MODEL_UNREADABLE`, `MODEL_CORRUPT`, `MODEL_FOREIGN`.
    pub fn load_model(&mut self, path: &Path) -> Result<BTreeMap<String, String>> {
        self.load(path, &[("", Slot::Value)])?;
        if self.purpose == Purpose::Training {
            for (tower, id, len) in self.parameter_sizes() {
                self.executor.write_parameter(tower, id, Slot::Velocity, &vec![0.0; len])?;
            }
        }
        Ok(self.metadata.clone())
    }

    /// As [`Session::load_model`], with the velocities.
    ///
    /// # Errors
    /// As [`Session::load_model`].
    pub fn load_checkpoint(&mut self, path: &Path) -> Result<BTreeMap<String, String>> {
        self.load(path, &[("", Slot::Value), (VELOCITY, Slot::Velocity)])?;
        Ok(self.metadata.clone())
    }

    fn save(&self, path: &Path, metadata: &BTreeMap<String, String>, slots: &[(&str, Slot)]) -> Result<()> {
        let mut tensors = Vec::new();
        let executor = &self.executor;
        for &(prefix, slot) in slots {
            tensors.extend(self.parameters().map(|(tower, id, parameter)| Tensor {
                name: format!("{prefix}{}", parameter.name),
                shape: parameter.shape.clone(),
                read: Box::new(move || executor.read_parameter(tower, id, slot)),
            }));
        }
        if let Some(mean) = &self.mean {
            let side = self.net().image;
            let read = Box::new(|| Ok(mean.to_vec()));
            tensors.push(Tensor { name: MEAN.into(), shape: vec![side, side, 3], read });
        }
        model_file::write(path, metadata, &tensors)
    }

    fn load(&mut self, path: &Path, slots: &[(&str, Slot)]) -> Result<()> {
        let file = ModelFile::open(path)?;
        file.verify()?;
        // Everything is looked at before anything is overwritten.
        for &(prefix, _) in slots {
            for (_, _, parameter) in self.parameters() {
                file.expect(&format!("{prefix}{}", parameter.name), &parameter.shape)?;
            }
        }
        let extra = file
            .names()
            .find(|name| {
                let name = name.strip_prefix(VELOCITY).unwrap_or(name);
                name != MEAN && self.parameters().all(|(_, _, parameter)| parameter.name != name)
            })
            .map(str::to_owned);
        if let Some(extra) = extra {
            return Err(Error::new(MODEL_FOREIGN, format!("{} has `{extra}`", path.display()))
                .info("the net that it is loaded into has no such parameter"));
        }
        let side = self.net().image;
        file.expect(MEAN, &[side, side, 3])?;

        let sizes: Vec<_> =
            self.parameters().map(|(tower, id, parameter)| (tower, id, parameter.name.clone())).collect();
        for &(prefix, slot) in slots {
            for (tower, id, name) in &sizes {
                self.executor.write_parameter(*tower, *id, slot, &file.read(&format!("{prefix}{name}"))?)?;
            }
        }
        self.mean = Some(Arc::new(file.read(MEAN)?));
        self.metadata = file.metadata().clone();
        // It belonged to the weights before.
        self.head = None;
        Ok(())
    }

    /// All parameters: tower, number, description.
    fn parameters(&self) -> impl Iterator<Item = (usize, ParamId, &Parameter)> {
        self.executor.plan().towers.iter().enumerate().flat_map(|(number, tower)| {
            tower.parameters.iter().enumerate().map(move |(id, parameter)| (number, ParamId(id), parameter))
        })
    }

    fn parameter_sizes(&self) -> Vec<(usize, ParamId, usize)> {
        self.parameters().map(|(tower, id, parameter)| (tower, id, parameter.len())).collect()
    }

    /// The data set in `path`, checked against the net. Stays open for the next call.
    pub(crate) fn dataset(&mut self, path: &Path) -> Result<Arc<Dataset>> {
        if let Some((open, dataset)) = &self.dataset
            && open == path
        {
            return Ok(dataset.clone());
        }
        let dataset = Arc::new(Dataset::open(path)?);
        let plan = self.executor.plan();
        let manifest = dataset.manifest();
        if manifest.size != plan.net.image {
            return Err(Error::new(
                IMAGE_SIZE,
                format!(
                    "images of {} are {} px a side; the net needs {}",
                    path.display(),
                    manifest.size,
                    plan.net.image
                ),
            )
            .hint(format!("prepare them with `ilsvrc prep --size {}`", plan.net.image)));
        }
        self.dataset = Some((path.to_owned(), dataset.clone()));
        Ok(dataset)
    }

    /// Labels are numbers of the net's outputs.
    pub(crate) fn expect_classes(&self, path: &Path, dataset: &Dataset) -> Result<()> {
        let (ours, theirs) = (self.executor.plan().classes, dataset.manifest().classes.len());
        if ours == theirs {
            return Ok(());
        }
        Err(Error::new(
            CLASSES_DIFFER,
            format!("{} has {theirs} classes; the net has {ours}", path.display()),
        ))
    }
}
