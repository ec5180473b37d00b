//! What becomes of a net's ops when they are fused.

use ilsvrc_network::{Activation, Op, Plan, Stage, Use, examples};

/// The ops of tower 0, in order.
fn ops(stages: &[Stage]) -> Vec<&Op> {
    let ops = stages.iter().filter_map(|stage| match stage {
        Stage::Compute(ops) => Some(&ops[0]),
        Stage::Exchange(_) => None,
    });
    ops.flatten().collect()
}

/// `conv, max pool, ReLU` becomes `conv with ReLU, max pool`, and so do the gradients.
#[test]
fn relu_goes_from_behind_a_max_pool_into_the_convolution() {
    for use_ in [Use::Training, Use::Inference] {
        let plan = Plan::new(&examples::cifar_80sec(), 2, use_).unwrap();
        let [forward, backward] = [&plan.forward, &plan.backward].map(|stages| ops(stages));
        let Some([Op::Conv { output, activation: Activation::Relu, .. }, Op::Pool { input, .. }]) =
            forward.first_chunk()
        else {
            panic!("{forward:?}")
        };
        assert_eq!(output, input);
        assert!(!forward.iter().any(|op| matches!(op, Op::Activate { .. })), "{forward:?}");
        if use_ == Use::Training {
            let Some(
                [Op::PoolGradient { input, activation: Activation::Relu, .. }, Op::ConvWeightGradient { .. }],
            ) = backward.last_chunk()
            else {
                panic!("{backward:?}")
            };
            assert_eq!(output, input);
        }
    }
}
