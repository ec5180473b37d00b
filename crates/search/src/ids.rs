//! Who the rows are: `ids.jsonl`, a line of JSON for each.

use ilsvrc_diagnostics::{Error, Result, STORE_CORRUPT};
use serde::{Deserialize, Serialize};

/// An image of a data set.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Id {
    /// Its name in the data set.
    pub key: String,
    /// Its path in the source.
    pub path: String,
    /// The number of its class.
    pub class: u32,
}

/// Where each line begins; one more for the end. Fails unless there are `count` whole lines.
pub(crate) fn lines(text: &[u8], count: usize) -> Result<Vec<u64>> {
    let mut starts = Vec::with_capacity(count.min(text.len()) + 1);
    starts.push(0);
    starts.extend(text.iter().enumerate().filter(|&(_, &byte)| byte == b'\n').map(|(at, _)| at as u64 + 1));
    if starts.len() != count + 1 || starts.last() != Some(&(text.len() as u64)) {
        return Err(Error::new(STORE_CORRUPT, "the store's list of images is damaged")
            .info(format!("it has {} lines, and should have {count}", starts.len() - 1)));
    }
    Ok(starts)
}

impl Id {
    /// Reads a line.
    ///
    /// # Errors
    /// `STORE_CORRUPT`, also where the class is not one of `classes`.
    pub fn parse(line: &[u8], classes: usize) -> Result<Self> {
        let damaged =
            |why: String| Error::new(STORE_CORRUPT, "the store's list of images is damaged").info(why);
        let id: Self = serde_json::from_slice(line).map_err(|error| damaged(error.to_string()))?;
        if id.class as usize >= classes {
            return Err(damaged(format!("`{}` is of class {}; there are {classes}", id.key, id.class)));
        }
        Ok(id)
    }
}
