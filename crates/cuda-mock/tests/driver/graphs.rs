//! Stream capture and graphs.

use crate::gpu::{Gpu, arg, code, mock};
use cudarc::driver::{DriverError, result, sys};
use ilsvrc_cuda_mock::Order;

fn begin(gpu: &Gpu, stream: usize) {
    gpu.enter();
    let mode = sys::CUstreamCaptureMode::CU_STREAM_CAPTURE_MODE_THREAD_LOCAL;
    // SAFETY: the stream lives.
    unsafe { result::stream::begin_capture(gpu.streams[stream], mode) }.unwrap();
}

fn end(gpu: &Gpu, stream: usize) -> Result<sys::CUgraph, DriverError> {
    gpu.enter();
    // SAFETY: the stream lives.
    unsafe { result::stream::end_capture(gpu.streams[stream]) }
}

fn instantiate(graph: sys::CUgraph) -> sys::CUgraphExec {
    // SAFETY: the graph was just captured.
    unsafe { result::graph::instantiate(graph, sys::CUgraphInstantiate_flags(0)) }.unwrap()
}

fn launch(gpu: &Gpu, exec: sys::CUgraphExec, stream: usize) -> Result<(), DriverError> {
    gpu.enter();
    // SAFETY: both live.
    unsafe { result::graph::launch(exec, gpu.streams[stream]) }
}

#[test]
fn a_graph_over_two_gpus_runs_again_and_again() {
    let mock = mock();
    for order in [Order::Lazy, Order::Eager, Order::Reverse, Order::Random(5), Order::Random(6)] {
        mock.reset();
        mock.order(order);
        let (a, b) = (Gpu::open(0, 1).unwrap(), Gpu::open(1, 1).unwrap());
        b.enable(&a).unwrap();
        let (x, y, sum) = (a.allocate(8), b.allocate(8), b.allocate(8));
        a.write(x, &[0.0; 8]);
        let one = a.allocate(8);
        a.write(one, &[1.0; 8]);
        b.write(sum, &[0.0; 8]);
        begin(&a, 0);
        a.order(0, (&b, 0));
        a.add(0, one, x, 8).unwrap();
        a.order(0, (&b, 0));
        b.copy_from(0, y, &a, x, 32).unwrap();
        b.add(0, y, sum, 8).unwrap();
        b.order(0, (&a, 0));
        let exec = instantiate(end(&a, 0).unwrap());
        for _ in 0..4 {
            launch(&a, exec, 0).unwrap();
        }
        // 1 + 2 + 3 + 4
        a.wait(0).unwrap();
        assert_eq!(b.read(0, sum, 8), [10.0; 8], "{order:?}");
        mock.assert_clean();
        let labels: Vec<String> = mock.ran().into_iter().map(|r| r.label).collect();
        assert_eq!(labels.iter().filter(|l| *l == "copy peer").count(), 4);
    }
}

#[test]
fn work_of_one_graph_is_checked_for_races() {
    let mock = mock();
    let gpu = Gpu::open(0, 3).unwrap();
    let y = gpu.allocate(8);
    begin(&gpu, 0);
    gpu.order(0, (&gpu, 1));
    gpu.fill(0, y, 8, 1.0).unwrap();
    gpu.fill(1, y, 8, 2.0).unwrap();
    gpu.order(1, (&gpu, 0));
    let exec = instantiate(end(&gpu, 0).unwrap());
    assert_eq!(mock.races().len(), 0, "only what is launched can race");
    launch(&gpu, exec, 0).unwrap();
    assert_eq!(mock.races().len(), 1, "{:?}", mock.races());
    // Work beside the graph races with it; work behind it in its stream does not.
    gpu.fill(0, y, 8, 3.0).unwrap();
    assert_eq!(mock.races().len(), 1);
    launch(&gpu, exec, 0).unwrap();
    let x = gpu.allocate(8);
    gpu.add(2, y, x, 8).unwrap();
    assert!(mock.races().len() > 1);
}

#[test]
fn launches_of_one_graph_in_two_streams_follow_each_other() {
    let mock = mock();
    let gpu = Gpu::open(0, 2).unwrap();
    let (y, one) = (gpu.allocate(8), gpu.allocate(8));
    gpu.write(y, &[0.0; 8]);
    gpu.write(one, &[1.0; 8]);
    begin(&gpu, 0);
    gpu.add(0, one, y, 8).unwrap();
    let exec = instantiate(end(&gpu, 0).unwrap());
    launch(&gpu, exec, 0).unwrap();
    launch(&gpu, exec, 1).unwrap();
    assert_eq!(gpu.read(1, y, 1), [2.0]);
    mock.assert_clean();
}

#[test]
fn what_a_capture_forbids() {
    let _mock = mock();
    let gpu = Gpu::open(0, 2).unwrap();
    let y = gpu.allocate(8);
    let before = gpu.event();
    // SAFETY: event and stream live.
    unsafe { result::event::record(before, gpu.streams[1]) }.unwrap();
    begin(&gpu, 0);
    let flags = sys::CUevent_wait_flags::CU_EVENT_WAIT_DEFAULT;
    // SAFETY: as above.
    let waited = unsafe { result::stream::wait_event(gpu.streams[0], before, flags) };
    assert_eq!(code(waited), 905, "an event from outside");
    assert_eq!(code(end(&gpu, 0)), 901);
    begin(&gpu, 0);
    assert_eq!(code(gpu.wait(0)), 900, "a wait of the host");
    assert_eq!(code(end(&gpu, 0)), 901);
    begin(&gpu, 0);
    assert_eq!(code(gpu.try_allocate(64)), 900, "an allocation");
    assert_eq!(code(end(&gpu, 0)), 0);
    begin(&gpu, 0);
    // SAFETY: the array outlives the call.
    let copied = unsafe { result::memcpy_htod_async(y, &[0f32; 8], gpu.streams[0]) };
    assert_eq!(code(copied), 900, "a copy from pageable memory");
    assert_eq!(code(end(&gpu, 0)), 901);
    begin(&gpu, 0);
    gpu.order(0, (&gpu, 1));
    gpu.fill(1, y, 8, 1.0).unwrap();
    assert_eq!(code(end(&gpu, 0)), 904, "a stream that was not joined");
    assert_eq!(code(end(&gpu, 1)), 903);
    gpu.fill(0, y, 8, 1.0).unwrap();
    assert_eq!(gpu.read(0, y, 1), [1.0], "all is well afterwards");
}

#[test]
fn memory_freed_between_launches_is_missed() {
    let _mock = mock();
    let gpu = Gpu::open(0, 1).unwrap();
    let y = gpu.allocate(8);
    let (count, v) = (8i32, 1f32);
    begin(&gpu, 0);
    gpu.launch(0, "fill", (1, 8), &mut [arg(&y), arg(&count), arg(&v)]).unwrap();
    let exec = instantiate(end(&gpu, 0).unwrap());
    launch(&gpu, exec, 0).unwrap();
    gpu.wait(0).unwrap();
    gpu.free(y).unwrap();
    launch(&gpu, exec, 0).unwrap();
    assert_eq!(code(gpu.wait(0)), 700);
}
