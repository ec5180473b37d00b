//! Published numbers that the counts must hit: the paper, the slides' table, the authors' example nets.

use ilsvrc_network::{Net, Plan, Use, examples};

fn totals(net: &Net) -> [usize; 3] {
    let totals = net.summary(1).expect("a valid net").totals;
    [totals.neurons, totals.parameters, totals.connections]
}

#[test]
fn the_papers_net() {
    assert_eq!(totals(&examples::alexnet()), [659_272, 60_965_224, 724_406_816]);
}

/// Parameters and multiply-adds of one tower (fc8: of the only one).
#[test]
fn the_papers_layers() {
    let summary = examples::alexnet().summary(128).expect("a valid net");
    let expected: [(&str, &[usize], usize, usize); 8] = [
        ("conv1", &[55, 55, 48], 17_472, 52_707_600),
        ("conv2", &[27, 27, 128], 153_728, 111_974_400),
        ("conv3", &[13, 13, 192], 442_560, 74_760_192),
        ("conv4", &[13, 13, 192], 331_968, 56_070_144),
        ("conv5", &[13, 13, 128], 221_312, 37_380_096),
        ("fc6", &[2048], 18_876_416, 18_874_368),
        ("fc7", &[2048], 8_390_656, 8_388_608),
        ("fc8", &[1000], 4_097_000, 4_096_000),
    ];
    for (name, shape, parameters, connections) in expected {
        let layer = summary.layers.iter().find(|layer| layer.name == name).expect(name);
        assert_eq!(layer.shape, shape, "{name}");
        assert_eq!(layer.parameters, parameters * layer.towers, "{name}");
        assert_eq!(layer.connections, connections * layer.towers, "{name}");
    }
}

/// OIHW for each row and column; of a single position, too.
#[test]
fn unshared_weights_name_their_positions() {
    let plan = Plan::new(&examples::miniature_local(), 1, Use::Training).expect("a plan");
    let shape = |name: &str| {
        let (tower, id) = plan.parameter(name).expect(name);
        plan.towers[tower].parameters[id.0].shape.clone()
    };
    assert_eq!(shape("tower1.local2.weight"), [3, 3, 3, 8, 3, 3]);
    assert_eq!(shape("tower0.local2.bias"), [3, 3, 3]);
    assert_eq!(shape("tower0.local3.weight"), [3, 3, 5, 3, 2, 2]);
    assert_eq!(shape("tower0.local4.weight"), [1, 1, 4, 5, 3, 3]);
    assert_eq!(shape("tower0.local4.bias"), [1, 1, 4]);
}

#[test]
fn other_published_nets() {
    assert_eq!(totals(&examples::one_tower())[1], 59_798_312);
    assert_eq!(totals(&examples::cifar_80sec())[1..], [145_578, 12_354_176]);
    assert_eq!(totals(&examples::cifar_18pct())[1], 89_578);
    // Kernels and biases for each of 6 x 6 positions in local3 and local4.
    assert_eq!(totals(&examples::cifar_11pct())[1..], [2_112_970, 19_512_576]);
}

/// 3 GB was a GPU of 2012, for one tower with its weights, velocities and gradients.
#[test]
fn a_tower_of_the_papers_net_fits_the_papers_gpu() {
    let plan = Plan::new(&examples::alexnet(), 128, Use::Training).expect("a plan");
    for tower in &plan.towers {
        let parameters: usize = tower.parameters.iter().map(|parameter| parameter.len()).sum();
        let bytes = 4 * (tower.arena + 3 * parameters);
        assert!(bytes < 3_000_000_000, "{bytes}");
    }
}
