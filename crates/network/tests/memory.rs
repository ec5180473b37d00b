//! The memory planner against a plain model of an arena: whoever writes a buffer destroys what overlaps it, and whoever
//! reads one must find it as it was written.

use ilsvrc_network::{BufferId, Net, Output, Plan, Stage, Use, examples};

/// Which buffers still hold what was written to them.
struct Arena<'a> {
    plan: &'a Plan,
    tower: usize,
    whole: Vec<bool>,
}

impl Arena<'_> {
    fn span(&self, id: BufferId) -> std::ops::Range<usize> {
        let buffer = &self.plan.towers[self.tower].buffers[id.0];
        buffer.offset..buffer.offset + buffer.elements * self.plan.batch
    }

    fn read(&self, id: BufferId, by: &str) {
        let name = &self.plan.towers[self.tower].buffers[id.0].name;
        assert!(
            self.whole[id.0],
            "tower {}: {by} reads {name}, which was overwritten or never written",
            self.tower
        );
    }

    fn write(&mut self, id: BufferId) {
        let span = self.span(id);
        assert!(span.end <= self.plan.towers[self.tower].arena);
        for other in 0..self.whole.len() {
            let theirs = self.span(BufferId(other));
            if theirs.start < span.end && span.start < theirs.end {
                self.whole[other] = false;
            }
        }
        self.whole[id.0] = true;
    }
}

fn check(net: &Net, batch: usize, use_: Use, fusion: bool) {
    let plan = Plan::with_fusion(net, batch, use_, fusion).expect("a plan");
    for tower in 0..plan.towers.len() {
        let mut arena = Arena { plan: &plan, tower, whole: vec![false; plan.towers[tower].buffers.len()] };
        arena.write(plan.towers[tower].input);
        for stages in [&plan.forward, &plan.backward] {
            for stage in stages {
                let uses: Vec<_> = match stage {
                    Stage::Compute(ops) => {
                        ops[tower].iter().map(|op| (format!("{op:?}"), op.operands())).collect()
                    }
                    Stage::Exchange(exchange) => vec![(format!("{exchange:?}"), exchange.operands(tower))],
                };
                for (by, operands) in uses {
                    operands
                        .iter()
                        .filter(|(_, access)| access.reads())
                        .for_each(|(id, _)| arena.read(*id, &by));
                    operands
                        .iter()
                        .filter(|(_, access)| access.writes())
                        .for_each(|(id, _)| arena.write(*id));
                    // What an op writes may not lie on what it reads, unless it is the same buffer.
                    operands
                        .iter()
                        .filter(|(_, access)| access.reads())
                        .for_each(|(id, _)| arena.read(*id, &by));
                }
            }
            if std::ptr::eq(stages, &plan.forward) {
                for Output { buffer: id, .. } in &plan.towers[tower].outputs {
                    arena.read(*id, "the user, after the forward pass,");
                }
            }
        }
        if let Some(id) = plan.towers[tower].probabilities {
            arena.read(id, "the user");
        }
    }
}

#[test]
fn no_buffer_is_overwritten_while_it_is_needed() {
    let nets = [
        examples::alexnet(),
        examples::one_tower(),
        examples::cifar_80sec(),
        examples::cifar_18pct(),
        examples::miniature(),
        examples::miniature_across(),
        examples::cifar_11pct(),
        examples::miniature_local(),
    ];
    for net in &nets {
        for batch in [1, 3, 128] {
            for use_ in [Use::Training, Use::Inference] {
                check(net, batch, use_, true);
                check(net, batch, use_, false);
            }
        }
    }
}

#[test]
fn inference_reuses_memory() {
    let arena = |use_| Plan::new(&examples::alexnet(), 128, use_).expect("a plan").towers[0].arena;
    assert!(2 * arena(Use::Inference) < arena(Use::Training));
}
