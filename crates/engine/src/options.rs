//! What a session is opened with.

use ilsvrc_diagnostics::{DEVICE_UNUSABLE, Error, NET_INVALID, Result};
use ilsvrc_network::{Net, Use};
use serde::Deserialize;

/// How a session is opened.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Options {
    /// The network.
    pub net: Net,
    /// The most images (or views of images) a pass has.
    pub batch: usize,
    /// Draws initial weights, the order of images, augmentation and dropout.
    pub seed: u64,
    /// Compute threads in all, and decode threads; 0 for one a core.
    pub threads: usize,
    /// Where towers live, one name a place; tower `t` lives in place `t % places`. The only kind is `cpu`: each is a
    /// thread pool with its share of the threads.
    pub places: Vec<String>,
    /// What the plan keeps.
    #[serde(rename = "use")]
    pub purpose: Purpose,
}

/// What a session is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Purpose {
    /// Forward, backward and updates.
    Training,
    /// Forward only, in less memory.
    Inference,
}

impl From<Purpose> for Use {
    fn from(purpose: Purpose) -> Self {
        match purpose {
            Purpose::Training => Self::Training,
            Purpose::Inference => Self::Inference,
        }
    }
}

impl Options {
    /// Threads to use: what was asked for, or one a core.
    pub(crate) fn thread_count(&self) -> usize {
        match self.threads {
            0 => std::thread::available_parallelism().map_or(1, usize::from),
            threads => threads,
        }
    }

    /// Threads of each place and the place of each tower.
    pub(crate) fn layout(&self) -> Result<(Vec<usize>, Vec<usize>)> {
        if self.batch == 0 {
            return Err(Error::new(NET_INVALID, "a batch of 0 images; it must be at least 1"));
        }
        if let Some(unknown) = self.places.iter().find(|place| *place != "cpu") {
            return Err(Error::new(DEVICE_UNUSABLE, format!("cannot use device `{unknown}`"))
                .info("this build computes on `cpu`")
                .hint("leave --devices out, or write `--devices cpu`"));
        }
        let (places, towers) = (self.places.len(), self.net.towers);
        if places == 0 || places > towers.max(1) {
            return Err(Error::new(
                DEVICE_UNUSABLE,
                format!("{places} devices for {towers} towers; there must be 1 to {towers}"),
            ));
        }
        let threads = self.thread_count();
        // The first places get the threads that are left over; a place never has none.
        let share = |place| (threads / places + usize::from(place < threads % places)).max(1);
        Ok(((0..places).map(share).collect(), (0..towers).map(|tower| tower % places).collect()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layout(towers: usize, threads: usize, places: &[&str]) -> Result<(Vec<usize>, Vec<usize>)> {
        let net = Net { name: String::new(), image: 8, crop: 8, towers, layers: vec![] };
        let places = places.iter().map(|&place| place.into()).collect();
        Options { net, batch: 1, seed: 0, threads, places, purpose: Purpose::Training }.layout()
    }

    #[test]
    fn towers_share_a_place_or_have_their_own() {
        assert_eq!(layout(2, 3, &["cpu"]).unwrap(), (vec![3], vec![0, 0]));
        assert_eq!(layout(2, 3, &["cpu", "cpu"]).unwrap(), (vec![2, 1], vec![0, 1]));
        assert_eq!(layout(2, 1, &["cpu", "cpu"]).unwrap(), (vec![1, 1], vec![0, 1]));
    }

    #[test]
    fn other_devices_are_refused() {
        for places in [&["0"][..], &[], &["cpu"; 3]] {
            assert_eq!(layout(2, 1, places).unwrap_err().code, DEVICE_UNUSABLE);
        }
    }
}
