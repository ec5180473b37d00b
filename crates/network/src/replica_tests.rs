use super::*;
use crate::examples;
use crate::{Net, Use};

fn plan(net: &Net) -> Plan {
    Plan::new(net, 4, Use::Training).unwrap()
}

#[test]
fn every_gradient_is_in_one_bucket_behind_the_op_that_makes_it() {
    let nets = [
        examples::alexnet(),
        examples::one_tower(),
        examples::cifar_18pct(),
        examples::cifar_11pct(),
        examples::miniature_across(),
    ];
    for net in nets {
        let plan = plan(&net);
        for least in [1, 1000, usize::MAX] {
            let buckets = buckets(&plan, least);
            let mut sent = Vec::new();
            for bucket in &buckets {
                let Stage::Compute(towers) = &plan.backward[bucket.stage] else { panic!("an exchange") };
                let made: Vec<ParamId> =
                    towers[bucket.tower][..bucket.ops].iter().filter_map(Op::learns).flatten().collect();
                for (id, elements) in &bucket.parameters {
                    assert!(made.contains(id));
                    assert_eq!(*elements, plan.towers[bucket.tower].parameters[id.0].len());
                    sent.push((bucket.tower, id.0));
                }
            }
            sent.sort_unstable();
            let all: Vec<_> = plan
                .towers
                .iter()
                .enumerate()
                .flat_map(|(tower, of)| (0..of.parameters.len()).map(move |id| (tower, id)))
                .collect();
            assert_eq!(sent, all, "{} in buckets of {least}", net.name);
        }
    }
}
