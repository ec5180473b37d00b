//! How long parts of a step take on a GPU. Training itself times whole steps only; this is for benchmarks.

use crate::backend::CudaBackend;
use crate::driver::{Event, guarded};
use crate::exchange::exchange;
use crate::launch::{Learn, run_with, update_all};
use crate::step::recorded;
use crate::tower::CudaTower;
use ilsvrc_diagnostics::Result;
use ilsvrc_network::{Exchange, Op, Pass, UpdateRule};

/// A part of a training step.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Part<'a> {
    /// An op of the tower of this number, as a step runs it: dense layers' weights learn with their gradient.
    Op(usize, &'a Op),
    /// Towers meet.
    Exchange(&'a Exchange),
    /// The learning rule of this tower's parameters that have not learned yet.
    Update(usize),
}

impl CudaBackend {
    /// From now on towers on different GPUs exchange by way of the host, whatever the hardware allows.
    #[must_use]
    pub fn by_way_of_the_host(mut self) -> Self {
        self.peers = false;
        self
    }

    /// Records `parts`, in order, as a step is recorded, and launches them `repeats` times after once that does not
    /// count. Seconds of each launch on the first tower's GPU.
    ///
    /// # Errors
    /// Those of the driver.
    pub fn seconds_of(
        &self,
        towers: &mut [CudaTower],
        parts: &[Part],
        pass: &Pass,
        rule: &UpdateRule,
        repeats: usize,
    ) -> Result<Vec<f64>> {
        guarded(|| {
            for tower in towers.iter_mut() {
                tower.gpu.context.bind()?;
                tower.set_state(tower.state_now.with_pass(pass).with_rule(rule))?;
            }
            let graph = recorded(towers, |towers| {
                parts.iter().try_for_each(|part| match *part {
                    Part::Op(tower, op) => {
                        towers[tower].gpu.context.bind()?;
                        run_with(&mut towers[tower], op, pass, Learn::AtOnce)
                    }
                    Part::Exchange(meeting) => exchange(towers, meeting, pass.batch, self.peers),
                    Part::Update(tower) => {
                        towers[tower].gpu.context.bind()?;
                        update_all(&mut towers[tower], false)
                    }
                })
            })?;
            let (context, compute) = (&towers[0].gpu.context, &towers[0].compute);
            let (begun, done) = (Event::timed(context)?, Event::timed(context)?);
            let seconds = (0..=repeats).map(|_| {
                compute.record(&begun)?;
                compute.launch_graph(&graph)?;
                compute.record(&done)?;
                done.synchronize()?;
                done.seconds_since(&begun)
            });
            Ok(seconds.collect::<Result<Vec<_>>>()?.split_off(1))
        })
    }
}
