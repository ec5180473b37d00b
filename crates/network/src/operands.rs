//! Which buffers an op or an exchange reads and writes: what fusion and the memory planner go by.

use crate::{BufferId, Exchange, Op, ParamId, Stage};

/// How an op uses a buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Its contents must be there.
    Read,
    /// Its contents are replaced.
    Write,
    /// In place: its contents must be there and are replaced.
    Update,
}

impl Access {
    /// Whether the contents must be there.
    pub fn reads(self) -> bool {
        self != Access::Write
    }

    /// Whether the contents change.
    pub fn writes(self) -> bool {
        self != Access::Read
    }
}

impl Op {
    /// The parameters of which the op makes the gradients: weights and bias.
    pub fn learns(&self) -> Option<[ParamId; 2]> {
        match self {
            Op::ConvWeightGradient { weights, bias, .. }
            | Op::LocalWeightGradient { weights, bias, .. }
            | Op::DenseWeightGradient { weights, bias, .. } => Some([*weights, *bias]),
            _ => None,
        }
    }

    /// All buffers of the op. An [`Op::Activate`] in place names its buffer twice.
    pub fn operands(&self) -> Vec<(BufferId, Access)> {
        self.clone().operands_mut().into_iter().map(|(id, access)| (*id, access)).collect()
    }

    /// The same, to renumber them.
    pub(crate) fn operands_mut(&mut self) -> Vec<(&mut BufferId, Access)> {
        use Access::{Read, Update, Write};
        match self {
            Op::Conv { input, output, .. }
            | Op::Local { input, output, .. }
            | Op::Dense { input, output, .. }
            | Op::Activate { input, output, .. }
            | Op::Lrn { input, output, .. }
            | Op::MapNorm { input, output, .. }
            | Op::Pool { input, output, .. }
            | Op::LrnPool { input, output, .. } => vec![(input, Read), (output, Write)],
            Op::ConvInputGradient { output_gradient, input_gradient, .. }
            | Op::LocalInputGradient { output_gradient, input_gradient, .. }
            | Op::DenseInputGradient { output_gradient, input_gradient, .. } => {
                vec![(output_gradient, Read), (input_gradient, Write)]
            }
            Op::ConvWeightGradient { input, output_gradient, .. }
            | Op::LocalWeightGradient { input, output_gradient, .. }
            | Op::DenseWeightGradient { input, output_gradient, .. } => {
                vec![(input, Read), (output_gradient, Read)]
            }
            Op::LrnGradient { input, output_gradient, input_gradient, .. }
            | Op::MapNormGradient { input, output_gradient, input_gradient, .. }
            | Op::PoolGradient { input, output_gradient, input_gradient, .. }
            | Op::LrnPoolGradient { input, output_gradient, input_gradient, .. } => {
                vec![(input, Read), (output_gradient, Read), (input_gradient, Write)]
            }
            Op::ActivationGradient { output, gradient, .. } => vec![(output, Read), (gradient, Update)],
            Op::Dropout { buffer, .. } => vec![(buffer, Update)],
            Op::DropoutGradient { gradient, .. } => vec![(gradient, Update)],
            Op::Softmax { logits, probabilities, gradient, .. } => {
                let mut operands = vec![(logits, Read), (probabilities, Write)];
                operands.extend(gradient.as_mut().map(|id| (id, Write)));
                operands
            }
        }
    }
}

impl Exchange {
    /// The buffers that the exchange uses on `tower`.
    pub fn operands(&self, tower: usize) -> Vec<(BufferId, Access)> {
        self.clone().operands_mut(tower).into_iter().map(|(id, access)| (*id, access)).collect()
    }

    /// The same, to renumber them.
    pub(crate) fn operands_mut(&mut self, tower: usize) -> Vec<(&mut BufferId, Access)> {
        match self {
            Exchange::Gather { own, gathered, .. } => {
                let mut operands = vec![(&mut own[tower], Access::Read)];
                operands.extend(gathered[tower].as_mut().map(|id| (id, Access::Write)));
                operands
            }
            Exchange::GatherGradient { gathered_gradient, own_gradient, .. } => {
                let mut operands = vec![(&mut own_gradient[tower], Access::Write)];
                operands.extend(gathered_gradient[tower].as_mut().map(|id| (id, Access::Read)));
                operands
            }
        }
    }
}

impl Stage {
    /// The buffers that the stage uses on `tower`, in order.
    pub fn operands(&self, tower: usize) -> Vec<(BufferId, Access)> {
        self.clone().operands_mut(tower).into_iter().map(|(id, access)| (*id, access)).collect()
    }

    /// The same, to renumber them.
    pub(crate) fn operands_mut(&mut self, tower: usize) -> Vec<(&mut BufferId, Access)> {
        match self {
            Stage::Compute(ops) => ops[tower].iter_mut().flat_map(Op::operands_mut).collect(),
            Stage::Exchange(exchange) => exchange.operands_mut(tower),
        }
    }
}
