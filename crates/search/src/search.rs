//! Exact nearest neighbours in two passes: all codes, and then the full values of the rows that the codes cannot rule out.
//!
//! A code lies `error` from its vector, and a query's code lies `e` from the query. By the triangle inequality the distance
//! of two vectors is at least that of their codes, less both errors. So with candidates ordered by that bound, the
//! `k` nearest are found as soon as the bound of the next candidate is above the `k`-th distance; where it is
//! not yet, more candidates are taken.

use std::cmp::Ordering;
use std::collections::BinaryHeap;
use std::ops::Range;

use ilsvrc_diagnostics::{Error, Result, STORE_CORRUPT};
use rayon::prelude::*;

use crate::code::Query;
use crate::kernels::{InstructionSet, Kernel};
use crate::store::Store;

/// Queries that share one reading of the store.
pub const QUERIES_A_PASS: usize = 32;

/// Bytes of codes that all queries of a pass are compared with before the next ones: they stay in a core's cache.
const BLOCK: usize = 256 << 10;
/// Rows that a thread takes at a time.
const ROWS_A_TASK: usize = 4096;
/// Candidates of the first try, beyond `k`.
const SPARE: usize = 120;
/// How many times as many the next try takes.
const MORE: usize = 8;

/// A row near a query.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Neighbour {
    /// Its number in the store.
    pub row: usize,
    /// Squared Euclidean distance of the full values.
    pub distance: f64,
}

/// A row that may be near a query.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Candidate {
    /// A bound below the distance (not squared) between the query's code and the row's vector.
    pub bound: f64,
    /// The row's number.
    pub row: u32,
}

impl Eq for Candidate {}

impl Ord for Candidate {
    fn cmp(&self, other: &Self) -> Ordering {
        self.bound.total_cmp(&other.bound).then(self.row.cmp(&other.row))
    }
}

impl PartialOrd for Candidate {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Store {
    /// The `k` nearest rows of each query, nearest first, rows of the same distance in their order; fewer where the store
    /// has fewer. The result does not depend on the number of threads.
    ///
    /// # Errors
    /// `FEATURES_UNUSABLE` where the queries are not whole vectors of usable numbers, `STORE_CORRUPT` where those of the store
    /// are not.
    pub fn search(&self, queries: &[f32], k: usize) -> Result<Vec<Vec<Neighbour>>> {
        self.search_rows(queries, k, 0..self.meta().count)
    }

    /// As [`Store::search`], among some rows only: what several searchers of a part each find is [`merge`]d.
    ///
    /// # Errors
    /// As [`Store::search`].
    ///
    /// # Panics
    /// Where there are no such rows.
    pub fn search_rows(&self, queries: &[f32], k: usize, rows: Range<usize>) -> Result<Vec<Vec<Neighbour>>> {
        let projected = self.project(queries)?;
        let passes = projected.chunks(QUERIES_A_PASS * self.meta().dimension);
        let found = passes.map(|pass| self.search_pass(pass, k.min(rows.len()), &rows));
        Ok(found.collect::<Result<Vec<_>>>()?.concat())
    }

    fn search_pass(&self, queries: &[f32], k: usize, rows: &Range<usize>) -> Result<Vec<Vec<Neighbour>>> {
        let dimension = self.meta().dimension;
        let mut found = vec![Vec::new(); queries.len() / dimension];
        let mut open: Vec<usize> = (0..found.len()).collect();
        let mut limit = k + SPARE;
        while !open.is_empty() {
            let some: Vec<f32> =
                open.iter().flat_map(|&query| &queries[query * dimension..][..dimension]).copied().collect();
            let scanned = self.scan_rows(&some, limit, rows);
            let some = some.chunks_exact(dimension);
            let ranked = open
                .par_iter()
                .zip(some.collect::<Vec<_>>())
                .zip(scanned)
                .map(|((&query, vector), (error, candidates))| {
                    Ok((query, self.rank(vector, k, error, &candidates, rows.len())?))
                })
                .collect::<Result<Vec<_>>>()?;
            open.clear();
            for (query, (nearest, is_certain)) in ranked {
                found[query] = nearest;
                if !is_certain {
                    open.push(query);
                }
            }
            limit *= MORE;
        }
        Ok(found)
    }

    /// For each query (of the store's own dimension) how far its code is from it, and the `limit` rows with the least
    /// bounds, the least first.
    pub fn scan(&self, queries: &[f32], limit: usize) -> Vec<(f64, Vec<Candidate>)> {
        self.scan_rows(queries, limit, &(0..self.meta().count))
    }

    fn scan_rows(&self, queries: &[f32], limit: usize, rows: &Range<usize>) -> Vec<(f64, Vec<Candidate>)> {
        let meta = self.meta();
        let limit = limit.min(rows.len()).max(1);
        let mut bytes = vec![0; queries.len() / meta.dimension * meta.stride];
        let coded: Vec<Query> = queries
            .chunks_exact(meta.dimension)
            .zip(bytes.chunks_exact_mut(meta.stride))
            .map(|(query, bytes)| Query::encode(query, bytes))
            .collect();
        let kernel = Kernel::of(InstructionSet::best());
        let nothing = || Scan { nearest: vec![Nearest::new(limit); coded.len()], dots: Vec::new() };
        let scan = (0..rows.len().div_ceil(ROWS_A_TASK))
            .into_par_iter()
            .fold(nothing, |mut scan, task| {
                let first = rows.start + task * ROWS_A_TASK;
                scan.add(self, kernel, &coded, &bytes, first..rows.end.min(first + ROWS_A_TASK));
                scan
            })
            .reduce(nothing, Scan::merge);
        let sorted = scan.nearest.into_iter().map(|nearest| nearest.heap.into_sorted_vec());
        coded.iter().map(Query::error).zip(sorted).collect()
    }

    /// The `k` nearest of the candidates by full values, and whether no other one of the `rows` that were scanned can be nearer.
    fn rank(
        &self,
        query: &[f32],
        k: usize,
        error: f64,
        candidates: &[Candidate],
        rows: usize,
    ) -> Result<(Vec<Neighbour>, bool)> {
        let mut vector = vec![0.0; query.len()];
        let mut nearest: Vec<Neighbour> = Vec::with_capacity(k + 1);
        let mut is_certain = candidates.len() == rows;
        for &Candidate { bound, row } in candidates {
            let worst = if nearest.len() == k { nearest.last() } else { None };
            let above = (bound - error).max(0.0).powi(2);
            if k == 0 || worst.is_some_and(|worst| above > worst.distance) {
                is_certain = true;
                break;
            }
            let row = row as usize;
            self.vector(row, &mut vector);
            let distance = squared_distance(query, &vector);
            // A writer takes no such values: the file was changed.
            if !distance.is_finite() {
                return Err(Error::new(STORE_CORRUPT, format!("{} is damaged", self.folder().display()))
                    .info(format!("the values of row {row} are not finite")));
            }
            let place = nearest.partition_point(|other| (other.distance, other.row) < (distance, row));
            if place < k {
                nearest.truncate(k.saturating_sub(1).max(place));
                nearest.insert(place, Neighbour { row, distance });
            }
        }
        Ok((nearest, is_certain))
    }
}

/// The `k` nearest of each query among what several searchers have found, each in other rows of one store: what a search of all of
/// them finds. Every one of the `parts` has a list a query.
pub fn merge(parts: Vec<Vec<Vec<Neighbour>>>, k: usize) -> Vec<Vec<Neighbour>> {
    let mut parts = parts.into_iter();
    let mut merged = parts.next().unwrap_or_default();
    for part in parts {
        for (list, more) in merged.iter_mut().zip(part) {
            list.extend(more);
        }
    }
    for list in &mut merged {
        list.sort_by(|a, b| a.distance.total_cmp(&b.distance).then(a.row.cmp(&b.row)));
        list.truncate(k);
    }
    merged
}

/// In eight sums, in an order that depends on nothing.
fn squared_distance(a: &[f32], b: &[f32]) -> f64 {
    let mut sums = [0.0_f64; 8];
    let (a, a_rest) = a.as_chunks::<8>();
    let (b, b_rest) = b.as_chunks::<8>();
    for (a, b) in a.iter().zip(b) {
        for (lane, sum) in sums.iter_mut().enumerate() {
            let difference = f64::from(a[lane]) - f64::from(b[lane]);
            *sum += difference * difference;
        }
    }
    let rest: f64 = a_rest.iter().zip(b_rest).map(|(&a, &b)| (f64::from(a) - f64::from(b)).powi(2)).sum();
    sums.iter().sum::<f64>() + rest
}

/// What one thread has seen so far.
struct Scan {
    nearest: Vec<Nearest>,
    dots: Vec<i32>,
}

impl Scan {
    fn add(&mut self, store: &Store, kernel: Kernel, queries: &[Query], bytes: &[i8], rows: Range<usize>) {
        let stride = store.meta().stride;
        let height = (BLOCK / stride).clamp(16, ROWS_A_TASK);
        for start in rows.clone().step_by(height) {
            let block = start..rows.end.min(start + height);
            self.dots.resize(block.len() * queries.len(), 0);
            kernel.dots(store.codes(block.clone()), bytes, stride, &mut self.dots);
            for (row, dots) in block.zip(self.dots.chunks_exact(queries.len())) {
                let known = store.row(row);
                for ((query, nearest), &dot) in queries.iter().zip(&mut self.nearest).zip(dots) {
                    nearest.offer(query.squared_distance(&known, dot), f64::from(known.error), row as u32);
                }
            }
        }
    }

    fn merge(mut self, other: Self) -> Self {
        for (mine, theirs) in self.nearest.iter_mut().zip(other.nearest) {
            theirs.heap.into_iter().for_each(|candidate| mine.push(candidate));
        }
        self
    }
}

/// The rows with the least bounds.
#[derive(Clone)]
struct Nearest {
    limit: usize,
    heap: BinaryHeap<Candidate>,
    /// The largest bound in a full heap.
    worst: f64,
}

impl Nearest {
    fn new(limit: usize) -> Self {
        Self { limit, heap: BinaryHeap::new(), worst: f64::INFINITY }
    }

    #[inline]
    fn offer(&mut self, squared_distance: f64, error: f64, row: u32) {
        // Nearly all rows end here, without a root.
        let reach = self.worst + error;
        if squared_distance <= reach * reach {
            self.push(Candidate { bound: squared_distance.sqrt() - error, row });
        }
    }

    fn push(&mut self, candidate: Candidate) {
        if self.heap.len() < self.limit {
            self.heap.push(candidate);
        } else if let Some(mut worst) = self.heap.peek_mut()
            && candidate < *worst
        {
            *worst = candidate;
        }
        if self.heap.len() == self.limit {
            self.worst = self.heap.peek().map_or(f64::INFINITY, |worst| worst.bound);
        }
    }
}
