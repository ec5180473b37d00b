//! Where towers meet. The receiving tower's exchange stream fetches the other's maps and lays both side by side, or adds
//! the shares of a gradient; compute streams go on and wait only when they need the result (`order.rs`).
//!
//! Towers on one GPU read each other's memory. Between GPUs what is sent arrives in the receiver's `incoming`: by a copy
//! from GPU to GPU where they reach each other, else by way of pinned memory of the host.

use crate::driver::Event;
use crate::gpu::launch;
use crate::launch::{THREADS, blocks, element};
use crate::tower::CudaTower;
use ilsvrc_diagnostics::{Error, INTERNAL, Result};
use ilsvrc_network::{BufferId, Exchange};
use std::sync::Arc;

/// Runs an exchange over the first `batch` images. `peers`: GPUs reach each other's memory.
pub(crate) fn exchange(
    towers: &mut [CudaTower],
    exchange: &Exchange,
    batch: usize,
    peers: bool,
) -> Result<()> {
    towers[0].gpu.context.bind()?;
    match exchange {
        Exchange::Gather { positions, maps, own, gathered } => {
            let meeting = Meeting { batch, positions: *positions, maps: *maps, peers };
            meeting.gather(towers, own, gathered)
        }
        Exchange::GatherGradient { positions, maps, gathered_gradient, own_gradient } => {
            let meeting = Meeting { batch, positions: *positions, maps: *maps, peers };
            meeting.scatter(towers, gathered_gradient, own_gradient)
        }
    }
}

struct Meeting {
    batch: usize,
    positions: usize,
    /// Of one tower.
    maps: usize,
    peers: bool,
}

/// Rows of maps as `scatter` reads them.
#[derive(Clone, Copy, Default)]
struct Share {
    at: u64,
    pitch: i32,
    first: i32,
}

impl Meeting {
    fn elements(&self) -> usize {
        self.positions * self.maps
    }

    fn rows(&self) -> i32 {
        (self.batch * self.positions) as i32
    }

    fn gather(
        &self,
        towers: &mut [CudaTower],
        own: &[BufferId],
        gathered: &[Option<BufferId>],
    ) -> Result<()> {
        let (elements, all) = (self.elements(), self.elements() * own.len());
        for (tower, (own, gathered)) in towers.iter_mut().zip(own.iter().zip(gathered)) {
            tower.access(*own, false)?;
            gathered.iter().try_for_each(|id| tower.access(*id, true))?;
        }
        let produced = produced(towers)?;
        for (t, gathered) in gathered.iter().enumerate() {
            let Some(gathered) = *gathered else { continue };
            produced.iter().try_for_each(|event| towers[t].exchange.wait(event))?;
            let mut sources = [0; 2];
            for (u, own) in own.iter().enumerate() {
                let at = towers[u].element(*own, elements, self.batch)?;
                sources[u] = self.fetch(towers, (u, at), t, &produced[u])?;
            }
            let tower = &mut towers[t];
            let out = tower.element(gathered, all, self.batch)?;
            let ([a, b], rows, maps) = (sources, self.rows(), self.maps as i32);
            let name = element!(tower.gpu.precision, "gather");
            let grid = blocks(all * self.batch);
            launch!(tower.gpu, &tower.exchange, name, grid, THREADS, 0, a, b, out, rows, maps)?;
            let done = tower.order.event(&tower.gpu.context)?;
            tower.exchange.record(&done)?;
            let range = tower.range(gathered, self.batch)?;
            tower.order.add(range, true, &done);
            for (tower, own) in towers.iter_mut().zip(own) {
                let range = tower.range(*own, self.batch)?;
                tower.order.add(range, false, &done);
            }
        }
        take_back(towers, produced);
        Ok(())
    }

    fn scatter(
        &self,
        towers: &mut [CudaTower],
        gathered: &[Option<BufferId>],
        own: &[BufferId],
    ) -> Result<()> {
        let (elements, all) = (self.elements(), self.elements() * own.len());
        for (tower, (own, gathered)) in towers.iter_mut().zip(own.iter().zip(gathered)) {
            gathered.iter().try_for_each(|id| tower.access(*id, false))?;
            tower.access(*own, true)?;
        }
        let produced = produced(towers)?;
        for (u, own) in own.iter().enumerate() {
            produced.iter().try_for_each(|event| towers[u].exchange.wait(event))?;
            let mut shares = [Share::default(); 2];
            let from: Vec<(usize, BufferId)> =
                gathered.iter().enumerate().filter_map(|(t, id)| id.map(|id| (t, id))).collect();
            for (share, (t, id)) in shares.iter_mut().zip(&from) {
                let at = towers[*t].element(*id, all, self.batch)?;
                let pitch = (all / self.positions) as i32;
                let there = Share { at, pitch, first: (u * self.maps) as i32 };
                *share =
                    if apart(towers, *t, u) { self.send(towers, *t, there, u, &produced)? } else { there };
            }
            let tower = &mut towers[u];
            let out = tower.element(*own, elements, self.batch)?;
            self.add(tower, shares, out)?;
            let done = tower.order.event(&tower.gpu.context)?;
            tower.exchange.record(&done)?;
            let range = tower.range(*own, self.batch)?;
            tower.order.add(range, true, &done);
            for (t, id) in from {
                let range = towers[t].range(id, self.batch)?;
                towers[t].order.add(range, false, &done);
            }
        }
        take_back(towers, produced);
        Ok(())
    }

    /// Adds one share or two, on the tower's exchange stream.
    fn add(&self, tower: &CudaTower, [a, b]: [Share; 2], out: u64) -> Result<()> {
        let (rows, maps) = (self.rows(), self.maps as i32);
        let name = element!(tower.gpu.precision, "scatter");
        let grid = blocks(self.elements() * self.batch);
        launch!(
            tower.gpu,
            &tower.exchange,
            name,
            grid,
            THREADS,
            0,
            a.at,
            a.pitch,
            a.first,
            b.at,
            b.pitch,
            b.first,
            out,
            rows,
            maps
        )
    }

    /// Packs tower `u`'s share of a gradient on tower `t` and sends it.
    fn send(
        &self,
        towers: &mut [CudaTower],
        t: usize,
        there: Share,
        u: usize,
        produced: &[Arc<Event>],
    ) -> Result<Share> {
        let tower = &mut towers[t];
        tower.exchange.wait(&produced[t])?;
        if let Some(collected) = tower.post.collected.take() {
            tower.exchange.wait(&collected)?;
            towers[u].order.take_back(collected);
        }
        let tower = &mut towers[t];
        self.add(tower, [there, Share::default()], tower.post.outgoing.at)?;
        let packed = tower.order.event(&tower.gpu.context)?;
        tower.exchange.record(&packed)?;
        let outgoing = tower.post.outgoing.at;
        let at = self.fetch(towers, (t, outgoing), u, &packed)?;
        towers[t].order.take_back(packed);
        let tower = &mut towers[u];
        let collected = tower.order.event(&tower.gpu.context)?;
        tower.exchange.record(&collected)?;
        towers[t].post.collected = Some(collected);
        Ok(Share { at, pitch: self.maps as i32, first: 0 })
    }

    /// Brings what lies at `at` on tower `u` since `ready` within reach of tower `t`'s exchange stream; where it is then.
    fn fetch(&self, towers: &mut [CudaTower], (u, at): (usize, u64), t: usize, ready: &Event) -> Result<u64> {
        if !apart(towers, u, t) {
            return Ok(at);
        }
        let bytes = self.batch * self.elements() * towers[t].gpu.precision.element_bytes();
        let to = towers[t].post.incoming.at;
        if bytes > towers[t].post.incoming.bytes {
            return Err(Error::new(INTERNAL, format!("{bytes} bytes to exchange; fewer were planned")));
        }
        transfer(towers, (u, at), (t, to), bytes, ready, self.peers)?;
        Ok(to)
    }
}

/// Copies between GPUs: from tower `u`, where the bytes are there since `ready`, to tower `t`, on its exchange stream.
pub(crate) fn transfer(
    towers: &mut [CudaTower],
    (u, from): (usize, u64),
    (t, to): (usize, u64),
    bytes: usize,
    ready: &Event,
    peers: bool,
) -> Result<()> {
    towers[t].exchange.wait(ready)?;
    if !apart(towers, u, t) {
        return towers[t].exchange.copy(to, from, bytes);
    }
    if peers {
        return towers[t].exchange.copy_from_peer(to, &towers[u].gpu.context, from, bytes);
    }
    let source = &mut towers[u];
    source.exchange.wait(ready)?;
    let delivered = source.post.delivered.take();
    delivered.iter().try_for_each(|delivered| source.exchange.wait(delivered))?;
    let none = || Error::new(INTERNAL, "no host memory for the exchange was planned");
    let host = source.post.host.as_mut().ok_or_else(none)?;
    source.exchange.download(&mut host[..bytes], from)?;
    let arrived = source.order.event(&source.gpu.context)?;
    source.exchange.record(&arrived)?;
    delivered.into_iter().for_each(|delivered| towers[t].order.take_back(delivered));
    towers[t].exchange.wait(&arrived)?;
    towers[u].order.take_back(arrived);
    let host = towers[u].post.host.as_ref().ok_or_else(none)?;
    towers[t].exchange.upload(to, &host[..bytes])?;
    let target = &mut towers[t];
    let delivered = target.order.event(&target.gpu.context)?;
    target.exchange.record(&delivered)?;
    towers[u].post.delivered = Some(delivered);
    Ok(())
}

/// Whether two towers live on different GPUs.
fn apart(towers: &[CudaTower], t: usize, u: usize) -> bool {
    !Arc::ptr_eq(&towers[t].gpu, &towers[u].gpu)
}

/// For each tower an event after all that its compute stream was given.
fn produced(towers: &mut [CudaTower]) -> Result<Vec<Arc<Event>>> {
    towers
        .iter_mut()
        .map(|tower| {
            let event = tower.order.event(&tower.gpu.context)?;
            tower.compute.record(&event)?;
            Ok(event)
        })
        .collect()
}

/// Events are used again rather than destroyed: a step that is recorded should create nothing but its graph.
fn take_back(towers: &mut [CudaTower], produced: Vec<Arc<Event>>) {
    for (tower, event) in towers.iter_mut().zip(produced) {
        tower.order.take_back(event);
    }
}
