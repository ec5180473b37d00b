//! Which class the numbers of a list mean. Three orders are in use for ImageNet, and a wrong one shows nowhere but in the
//! accuracy, so the WNIDs in paths must agree with the one taken.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use ilsvrc_diagnostics::{Error, LAYOUT_UNKNOWN, Result};

use super::devkit::Devkit;

/// Classes by label, and how they are ordered.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Numbering {
    /// The WNID, or another key, of each label.
    pub(super) keys: BTreeMap<u32, String>,
    /// The order, for the record.
    pub(super) order: String,
}

/// The labels of a list, and the WNIDs that stand in paths beside them.
#[derive(Default)]
pub(super) struct Evidence {
    labels: BTreeSet<u32>,
    wnids: BTreeMap<u32, String>,
    numbers: HashMap<String, u32>,
}

impl Evidence {
    /// Notes a line of a list. A label with two WNIDs, or a WNID with two labels, is refused.
    pub(super) fn add(&mut self, label: u32, wnid: Option<&str>) -> Result<()> {
        self.labels.insert(label);
        let Some(wnid) = wnid else { return Ok(()) };
        if let Some(other) = self.wnids.get(&label).filter(|other| *other != wnid) {
            return Err(contradiction(format!("label {label} stands beside {other} and beside {wnid}")));
        }
        if let Some(other) = self.numbers.get(wnid).filter(|&&other| other != label) {
            return Err(contradiction(format!("{wnid} has label {other} and label {label}")));
        }
        self.wnids.entry(label).or_insert_with(|| wnid.to_owned());
        self.numbers.entry(wnid.to_owned()).or_insert(label);
        Ok(())
    }

    /// The numbering that agrees with all of it. `names` are the keys of a list of names, in its order.
    pub(super) fn numbering(&self, names: Option<&[String]>, kit: Option<&Devkit>) -> Result<Numbering> {
        if self.wnids.is_empty() {
            return self.without_wnids(names, kit);
        }
        let mut fitting = self.known(names, kit);
        fitting.retain(|numbering| self.fits(numbering));
        if fitting.is_empty() {
            return self.of_paths(names.is_some() || kit.is_some());
        }
        let first = fitting.swap_remove(0);
        match self
            .labels
            .iter()
            .find(|label| fitting.iter().any(|n| n.keys.get(label) != first.keys.get(label)))
        {
            None => Ok(first),
            Some(label) => {
                let orders: Vec<&str> = fitting.iter().map(|numbering| numbering.order.as_str()).collect();
                Err(contradiction(format!(
                    "label {label} may be counted by {} or by {}",
                    first.order,
                    orders.join(" or by ")
                )))
            }
        }
    }

    /// All orders in use, of the classes that are known.
    fn known(&self, names: Option<&[String]>, kit: Option<&Devkit>) -> Vec<Numbering> {
        let mut sorted: Vec<String> = match (names, kit) {
            (Some(names), _) => {
                names.iter().filter(|name| super::is_wnid(name.as_bytes())).cloned().collect()
            }
            (None, Some(kit)) => kit.classes.values().map(|(wnid, _)| wnid.clone()).collect(),
            (None, None) => self.wnids.values().cloned().collect(),
        };
        sorted.sort_unstable();
        let from = |first: u32, keys: &[String], order: &str| Numbering {
            keys: (first..).zip(keys.iter().cloned()).collect(),
            order: order.to_owned(),
        };
        let mut known = vec![
            from(0, &sorted, "sorted WNID"),
            from(1, &sorted, "TF slim: sorted WNID from 1, 0 is background"),
        ];
        if let Some(kit) = kit {
            let by_id = |less: u32, order: &str| Numbering {
                keys: kit.classes.iter().map(|(&id, (wnid, _))| (id - less, wnid.clone())).collect(),
                order: order.to_owned(),
            };
            known.push(by_id(0, "ILSVRC2012_ID of the devkit"));
            known.push(by_id(1, "ILSVRC2012_ID of the devkit, from 0"));
        }
        if let Some(names) = names {
            known.push(from(0, names, "order of synset_words.txt"));
        }
        known
    }

    fn fits(&self, numbering: &Numbering) -> bool {
        self.labels.iter().all(|label| numbering.keys.contains_key(label))
            && self.wnids.iter().all(|(label, wnid)| numbering.keys.get(label) == Some(wnid))
    }

    /// Where no order in use fits, the paths alone say it, unless a list of classes contradicts them.
    fn of_paths(&self, has_list: bool) -> Result<Numbering> {
        if has_list {
            let pairs: Vec<_> =
                self.wnids.iter().take(3).map(|(label, wnid)| format!("{label} is {wnid}")).collect();
            return Err(contradiction(format!(
                "by the paths {}, which agrees with no order of the classes listed (sorted WNID, TF slim, ILSVRC2012_ID)",
                pairs.join(", ")
            )));
        }
        match self.labels.iter().find(|label| !self.wnids.contains_key(label)) {
            Some(label) => Err(contradiction(format!("no path tells which class label {label} is"))),
            None => Ok(Numbering {
                keys: self.wnids.clone(),
                order: "WNIDs in the paths of the lists".to_owned(),
            }),
        }
    }

    fn without_wnids(&self, names: Option<&[String]>, kit: Option<&Devkit>) -> Result<Numbering> {
        let (lowest, highest) = (self.labels.first().copied(), self.labels.last().copied());
        let range = format!("labels from {} to {}", lowest.unwrap_or(0), highest.unwrap_or(0));
        match (names, kit) {
            (Some(names), _) if highest.is_none_or(|highest| (highest as usize) < names.len()) => {
                let order = if names.is_sorted() { "sorted WNID" } else { "order of synset_words.txt" };
                Ok(Numbering { keys: (0..).zip(names.iter().cloned()).collect(), order: order.to_owned() })
            }
            (None, Some(kit)) if self.labels.iter().all(|label| kit.classes.contains_key(label)) => {
                Ok(Numbering {
                    keys: kit.classes.iter().map(|(&id, (wnid, _))| (id, wnid.clone())).collect(),
                    order: "ILSVRC2012_ID of the devkit".to_owned(),
                })
            }
            (None, None) => Ok(Numbering {
                keys: self.labels.iter().map(|&label| (label, label.to_string())).collect(),
                order: "numbers of the lists".to_owned(),
            }),
            (names, _) => Err(contradiction(format!(
                "{range} for {} classes, and no path holds a WNID",
                names.map_or(kit.map_or(0, |kit| kit.classes.len()), <[String]>::len)
            ))),
        }
    }
}

fn contradiction(reason: String) -> Error {
    Error::new(LAYOUT_UNKNOWN, "cannot tell which classes the numbers of the lists mean").info(reason).hint(
        "take lists and names of classes from the same place; --names FILE names another list of classes",
    )
}

#[cfg(test)]
#[path = "numbering_tests.rs"]
mod tests;
