//! Static memory: every buffer of a tower gets a place in one arena for the time between its first and last use.

use crate::{Plan, Stage, TowerPlan};

/// Buffers start at multiples of this many f32: one cache line, one aligned vector of any instruction set.
const ALIGNMENT: usize = 16;

/// When a buffer's contents matter: positions in the sequence of a tower's ops and exchanges, both ends included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Lifetime {
    first: usize,
    last: usize,
}

impl Lifetime {
    fn overlaps(self, other: Self) -> bool {
        self.first <= other.last && other.first <= self.last
    }
}

/// Gives every buffer its offset and every tower the size of its arena.
pub(crate) fn assign(plan: &mut Plan) {
    for tower in 0..plan.towers.len() {
        let lifetimes = lifetimes(plan, tower);
        let batch = plan.batch;
        let tower = &mut plan.towers[tower];
        let sizes: Vec<usize> = tower
            .buffers
            .iter()
            .map(|buffer| (buffer.elements * batch).next_multiple_of(ALIGNMENT))
            .collect();
        place(tower, &sizes, &lifetimes);
    }
}

/// The input is loaded before the first op. Probabilities are read when all is over, kept outputs after the forward
/// pass.
fn lifetimes(plan: &Plan, tower: usize) -> Vec<Lifetime> {
    let mut uses = Vec::new();
    let mut now = 0;
    let mut end_of_forward = 0;
    for (number, stage) in plan.forward.iter().chain(&plan.backward).enumerate() {
        match stage {
            Stage::Compute(ops) => {
                for op in &ops[tower] {
                    now += 1;
                    uses.extend(op.operands().into_iter().map(|(id, _)| (id, now)));
                }
            }
            Stage::Exchange(exchange) => {
                now += 1;
                uses.extend(exchange.operands(tower).into_iter().map(|(id, _)| (id, now)));
            }
        }
        if number + 1 == plan.forward.len() {
            end_of_forward = now + 1;
        }
    }
    let tower = &plan.towers[tower];
    uses.push((tower.input, 0));
    uses.extend(tower.outputs.iter().map(|output| (output.buffer, end_of_forward)));
    uses.extend(tower.probabilities.map(|id| (id, now + 1)));

    let mut lifetimes = vec![Lifetime { first: usize::MAX, last: 0 }; tower.buffers.len()];
    for (id, time) in uses {
        let lifetime = &mut lifetimes[id.0];
        lifetime.first = lifetime.first.min(time);
        lifetime.last = lifetime.last.max(time);
    }
    lifetimes
}

/// Greedy best fit, largest first (Pisarchyk and Lee, "Efficient memory management for deep neural net inference",
/// 2020): each buffer takes the smallest gap between those already placed that are alive with it, or the end.
fn place(tower: &mut TowerPlan, sizes: &[usize], lifetimes: &[Lifetime]) {
    let mut order: Vec<usize> = (0..sizes.len()).collect();
    order.sort_by_key(|&buffer| std::cmp::Reverse(sizes[buffer]));
    // Those placed so far, by offset.
    let mut placed: Vec<usize> = Vec::new();
    for buffer in order {
        let neighbours = placed.iter().copied().filter(|&other| lifetimes[other].overlaps(lifetimes[buffer]));
        let mut best: Option<(usize, usize)> = None;
        let mut free_from = 0;
        for other in neighbours {
            let offset = tower.buffers[other].offset;
            let gap = offset.saturating_sub(free_from);
            if gap >= sizes[buffer] && best.is_none_or(|(smallest, _)| gap < smallest) {
                best = Some((gap, free_from));
            }
            free_from = free_from.max(offset + sizes[other]);
        }
        let offset = best.map_or(free_from, |(_, offset)| offset);
        tower.buffers[buffer].offset = offset;
        tower.arena = tower.arena.max(offset + sizes[buffer]);
        let at = placed.partition_point(|&other| tower.buffers[other].offset <= offset);
        placed.insert(at, buffer);
    }
}
