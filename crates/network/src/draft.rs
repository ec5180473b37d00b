//! Small steps that the forward and the backward pass of a plan are built with.

use crate::{Buffer, BufferId, Exchange, Op, Stage, TowerPlan};

impl TowerPlan {
    /// A new buffer of `elements` an image; `arena` gives it a place when all are known.
    pub(crate) fn add_buffer(&mut self, name: String, elements: usize) -> BufferId {
        self.buffers.push(Buffer { elements, offset: 0, name });
        BufferId(self.buffers.len() - 1)
    }
}

/// Adds `op` to what `tower` does before the next exchange.
pub(crate) fn append(stages: &mut Vec<Stage>, towers: usize, tower: usize, op: Op) {
    if !matches!(stages.last(), Some(Stage::Compute(_))) {
        stages.push(Stage::Compute(vec![Vec::new(); towers]));
    }
    if let Some(Stage::Compute(ops)) = stages.last_mut() {
        ops[tower].push(op);
    }
}

/// Ends the stage.
pub(crate) fn meet(stages: &mut Vec<Stage>, exchange: Exchange) {
    stages.push(Stage::Exchange(exchange));
}
