//! Missing waits between streams and GPUs.

use crate::gpu::{Gpu, mock};
use ilsvrc_cuda_mock::Order;
use std::time::{Duration, Instant};

const ORDERS: [Order; 6] =
    [Order::Lazy, Order::Eager, Order::Reverse, Order::Random(1), Order::Random(2), Order::Random(3)];

#[test]
fn a_missing_event_wait_is_a_race_in_any_order() {
    let mock = mock();
    for order in ORDERS {
        mock.reset();
        mock.order(order);
        let gpu = Gpu::open(0, 2).unwrap();
        let y = gpu.allocate(64);
        gpu.fill(0, y, 64, 1.0).unwrap();
        gpu.fill(1, y, 64, 2.0).unwrap();
        gpu.wait(0).unwrap();
        gpu.wait(1).unwrap();
        let races = mock.races();
        assert_eq!(races.len(), 1, "{order:?}: {races:?}");
        assert!(races[0].contains("fill (writes, device 0, stream 1) and fill (writes, device 0, stream 2)"));
        assert!(races[0].contains("bytes 0..256 of 256 in device 0"), "{}", races[0]);
    }
}

#[test]
fn an_event_orders_two_streams() {
    let mock = mock();
    for order in ORDERS {
        mock.reset();
        mock.order(order);
        let gpu = Gpu::open(0, 2).unwrap();
        let (x, y) = (gpu.allocate(64), gpu.allocate(64));
        gpu.fill(0, x, 64, 1.5).unwrap();
        gpu.fill(1, y, 64, 2.0).unwrap();
        gpu.order(0, (&gpu, 1));
        gpu.add(1, x, y, 64).unwrap();
        assert_eq!(gpu.read(1, y, 64), [3.5; 64]);
        mock.assert_clean();
    }
}

#[test]
fn a_missing_wait_gives_wrong_values_in_some_order() {
    let mock = mock();
    let results: Vec<f32> = ORDERS
        .iter()
        .map(|&order| {
            mock.reset();
            mock.order(order);
            let gpu = Gpu::open(0, 2).unwrap();
            let (x, y) = (gpu.allocate(8), gpu.allocate(8));
            gpu.fill(0, x, 8, 1.0).unwrap();
            gpu.fill(1, y, 8, 0.0).unwrap();
            gpu.add(1, x, y, 8).unwrap();
            gpu.read(1, y, 8)[0]
        })
        .collect();
    assert!(results[0].is_nan() && results[1] == 1.0, "{results:?}");
}

#[test]
fn a_wait_of_the_host_orders_too() {
    let mock = mock();
    let gpu = Gpu::open(0, 2).unwrap();
    let y = gpu.allocate(64);
    gpu.fill(0, y, 64, 1.0).unwrap();
    gpu.wait(0).unwrap();
    gpu.fill(1, y, 64, 2.0).unwrap();
    assert_eq!(gpu.read(1, y, 1), [2.0]);
    mock.assert_clean();
}

#[test]
fn parts_of_one_allocation_are_apart() {
    let mock = mock();
    let gpu = Gpu::open(0, 2).unwrap();
    let y = gpu.allocate(64);
    gpu.fill(0, y, 32, 1.0).unwrap();
    gpu.fill(1, y + 128, 32, 2.0).unwrap();
    gpu.wait(0).unwrap();
    gpu.wait(1).unwrap();
    mock.assert_clean();
    gpu.fill(0, y, 32, 1.0).unwrap();
    gpu.fill(1, y + 124, 32, 2.0).unwrap();
    assert!(mock.races()[0].contains("bytes 124..128 of 256"), "{:?}", mock.races());
}

#[test]
fn readers_do_not_race_but_a_writer_after_them_does() {
    let mock = mock();
    let gpu = Gpu::open(0, 3).unwrap();
    let (x, a, b) = (gpu.allocate(64), gpu.allocate(64), gpu.allocate(64));
    gpu.wait(0).unwrap();
    gpu.add(0, x, a, 64).unwrap();
    gpu.add(1, x, b, 64).unwrap();
    mock.assert_clean();
    gpu.order(0, (&gpu, 2));
    gpu.fill(2, x, 64, 0.0).unwrap();
    assert_eq!(mock.races().len(), 1, "{:?}", mock.races());
    assert!(mock.races()[0].contains("add (reads, device 0, stream 2)"));
}

#[test]
fn copies_between_gpus_need_order() {
    let mock = mock();
    let (a, b) = (Gpu::open(0, 1).unwrap(), Gpu::open(1, 1).unwrap());
    b.enable(&a).unwrap();
    let (x, y) = (a.allocate(64), b.allocate(64));
    a.fill(0, x, 64, 1.0).unwrap();
    b.copy_from(0, y, &a, x, 256).unwrap();
    assert!(
        mock.races()[0]
            .contains("fill (writes, device 0, stream 1) and copy peer (reads, device 1, stream 2)")
    );
    mock.reset();
    let (a, b) = (Gpu::open(0, 1).unwrap(), Gpu::open(1, 1).unwrap());
    b.enable(&a).unwrap();
    let (x, y) = (a.allocate(64), b.allocate(64));
    a.fill(0, x, 64, 1.0).unwrap();
    a.order(0, (&b, 0));
    b.copy_from(0, y, &a, x, 256).unwrap();
    assert_eq!(b.read(0, y, 64), [1.0; 64]);
    mock.assert_clean();
}

#[test]
fn a_queue_of_2000_pieces_is_checked_in_well_under_a_second() {
    let mock = mock();
    for order in [Order::Lazy, Order::Random(1), Order::Reverse] {
        mock.reset();
        mock.order(order);
        let gpu = Gpu::open(0, 6).unwrap();
        // One allocation in 200 parts, as an engine with a planned arena has it.
        let arena = gpu.allocate(200 * 64);
        let start = Instant::now();
        for i in 0..2000u64 {
            let stream = (i % 6) as usize;
            let part = |k: u64| arena + 256 * (k * 6 % 198 + i % 6);
            gpu.add(stream, part(i / 6), part(i / 6 + 1), 4).unwrap();
            if i % 10 == 9 {
                gpu.order(stream, (&gpu, (stream + 1) % 6));
            }
        }
        let issued = start.elapsed();
        for stream in 0..6 {
            gpu.wait(stream).unwrap();
        }
        let all = start.elapsed();
        println!("{order:?}: issued after {issued:?}, done after {all:?}");
        assert!(all < Duration::from_secs(2), "{order:?}: issued after {issued:?}, done after {all:?}");
        mock.assert_clean();
    }
}
