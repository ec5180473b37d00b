//! Allocations, pinned memory, peers.

use crate::gpu::{Gpu, arg, code, mock};
use cudarc::driver::{result, sys};
use ilsvrc_cuda_mock::Order;

#[test]
fn memory_is_counted_and_runs_out() {
    let mock = mock();
    mock.memory(4);
    let gpu = Gpu::open(0, 1).unwrap();
    let a = gpu.try_allocate(3 << 20).unwrap();
    assert_eq!(mock.used(0), 3 << 20);
    assert_eq!(code(gpu.try_allocate(2 << 20)), 2);
    assert_eq!(result::mem_get_info().unwrap(), (1 << 20, 4 << 20));
    gpu.free(a).unwrap();
    assert_eq!(mock.used(0), 0);
    assert_eq!(code(gpu.try_allocate(2 << 20)), 0);
    assert_eq!(code(gpu.free(a)), 1, "freed twice");
}

#[test]
fn fresh_memory_is_nan() {
    let _mock = mock();
    let gpu = Gpu::open(0, 1).unwrap();
    assert!(gpu.read(0, gpu.allocate(50), 50).iter().all(|x| x.is_nan()));
}

#[test]
fn bytes_behind_an_allocation_are_watched() {
    let mock = mock();
    mock.isolate(false);
    let gpu = Gpu::open(0, 1).unwrap();
    let (x, y) = (gpu.allocate(1), gpu.allocate(50));
    gpu.move_one(x, y, 1, 0, 50).unwrap();
    gpu.wait(0).unwrap();
    assert_eq!(code(gpu.free(y)), 700);
    assert!(mock.errors()[0].contains("bytes behind the allocation of 200 bytes"), "{:?}", mock.errors());
    // Beyond the 256 bytes that an allocation is rounded to lies no memory.
    mock.reset();
    mock.isolate(false);
    let gpu = Gpu::open(0, 1).unwrap();
    let (x, y) = (gpu.allocate(1), gpu.allocate(50));
    gpu.move_one(x, y, 1, 0, 64).unwrap();
    assert_eq!(code(gpu.wait(0)), 700);
}

#[test]
fn use_after_free_is_an_illegal_address() {
    let mock = mock();
    let gpu = Gpu::open(0, 1).unwrap();
    let y = gpu.allocate(64);
    gpu.free(y).unwrap();
    assert_eq!(code(gpu.fill(0, y, 64, 1.0)), 700);
    assert!(
        mock.errors()[0].contains("argument y needs 256 bytes, its allocation has 0"),
        "{:?}",
        mock.errors()
    );
    assert_eq!(code(gpu.wait(0)), 700, "the device stays unusable");
    mock.reset();
    let gpu = Gpu::open(0, 1).unwrap();
    let y = gpu.allocate(64);
    gpu.fill(0, y, 64, 1.0).unwrap();
    assert_eq!(gpu.read(0, y, 1), [1.0], "until the reset");
}

#[test]
fn stream_ordered_memory_is_ordered() {
    let mock = mock();
    let gpu = Gpu::open(0, 2).unwrap();
    // SAFETY: the streams live.
    let y = unsafe { result::malloc_async(gpu.streams[0], 256) }.unwrap();
    gpu.fill(1, y, 64, 1.0).unwrap();
    assert!(mock.races()[0].contains("alloc (writes"), "{:?}", mock.races());
    // SAFETY: as above.
    unsafe { result::free_async(y, gpu.streams[0]) }.unwrap();
    assert!(mock.races().iter().any(|r| r.contains("free (writes")), "{:?}", mock.races());
    assert_eq!(code(gpu.fill(0, y, 64, 1.0)), 700, "freed in this stream");
}

#[test]
fn peers_need_access() {
    let mock = mock();
    let (a, b) = (Gpu::open(0, 1).unwrap(), Gpu::open(1, 1).unwrap());
    let (x, y) = (a.allocate(64), b.allocate(64));
    assert_eq!(code(b.copy_from(0, y, &a, x, 256)), 705);
    assert_eq!(code(b.add(0, x, y, 64)), 700, "a kernel reads the other GPU's memory");
    assert!(mock.errors().last().unwrap().contains("device 1"), "{:?}", mock.errors());
    assert_eq!(code(a.wait(0)), 0, "the other GPU works on");
    mock.reset();
    let (a, b) = (Gpu::open(0, 1).unwrap(), Gpu::open(1, 1).unwrap());
    let (x, y) = (a.allocate(64), b.allocate(64));
    b.enable(&a).unwrap();
    assert_eq!(code(b.enable(&a)), 704);
    a.fill(0, x, 64, 1.0).unwrap();
    b.fill(0, y, 64, 1.0).unwrap();
    a.order(0, (&b, 0));
    b.add(0, x, y, 64).unwrap();
    assert_eq!(b.read(0, y, 1), [2.0]);
    mock.reset();
    mock.peers(false);
    let (a, b) = (Gpu::open(0, 1).unwrap(), Gpu::open(1, 1).unwrap());
    assert_eq!(code(b.enable(&a)), 217);
}

#[test]
fn copies_stay_inside_allocations_and_belong_to_their_contexts() {
    let mock = mock();
    let (a, b) = (Gpu::open(0, 1).unwrap(), Gpu::open(1, 1).unwrap());
    b.enable(&a).unwrap();
    let (x, y) = (a.allocate(64), b.allocate(64));
    assert_eq!(code(b.copy_from(0, y, &a, x, 260)), 1);
    assert_eq!(code(b.copy_from(0, x, &a, y, 256)), 1, "pointers swapped");
    // SAFETY: the driver checks the range.
    assert_eq!(code(unsafe { result::memset_d8_async(y + 4, 0, 256, b.streams[0]) }), 1);
    assert_eq!(mock.errors().len(), 3, "{:?}", mock.errors());
}

#[test]
fn pinned_memory_is_read_when_the_copy_runs() {
    let mock = mock();
    for order in [Order::Lazy, Order::Eager] {
        mock.reset();
        mock.order(order);
        let gpu = Gpu::open(0, 2).unwrap();
        let y = gpu.allocate(64);
        // SAFETY: 256 bytes, as the slices below.
        let pinned = unsafe { result::malloc_host(256, 0) }.unwrap().cast::<f32>();
        // SAFETY: the memory is live, and nothing else refers to it.
        let values = unsafe { std::slice::from_raw_parts_mut(pinned, 64) };
        values.fill(1.0);
        // SAFETY: pinned memory that lives until freed below.
        unsafe { result::memcpy_htod_async(y, values, gpu.streams[0]) }.unwrap();
        values.fill(2.0);
        assert_eq!(gpu.read(0, y, 1), [if order == Order::Lazy { 2.0 } else { 1.0 }]);
        mock.assert_clean();
        // Two copies that use it at once are a race.
        // SAFETY: as above.
        unsafe { result::memcpy_htod_async(y, values, gpu.streams[0]) }.unwrap();
        let z = gpu.allocate(64);
        // SAFETY: as above.
        unsafe { result::memcpy_dtoh_async(values, z, gpu.streams[1]) }.unwrap();
        assert!(
            mock.races()[0].contains("256 of pinned memory") || mock.races()[0].contains("of 256 of pinned"),
            "{:?}",
            mock.races()
        );
        // SAFETY: allocated above; nothing uses it any more.
        unsafe { result::free_host(pinned.cast()) }.unwrap();
    }
}

#[test]
fn kernels_can_read_pinned_memory() {
    let mock = mock();
    let gpu = Gpu::open(0, 1).unwrap();
    // SAFETY: a context is current.
    let pinned = unsafe { result::malloc_host(8, 0) }.unwrap();
    // SAFETY: 8 live bytes.
    unsafe { pinned.cast::<[f32; 2]>().write([3.0, 4.0]) };
    let (x, y, count) = (pinned as u64, gpu.allocate(2), 2i32);
    gpu.fill(0, y, 2, 1.0).unwrap();
    gpu.launch(0, "add", (1, 64), &mut [arg(&x), arg(&y), arg(&count)]).unwrap();
    assert_eq!(gpu.read(0, y, 2), [4.0, 5.0]);
    mock.assert_clean();
    let mut device = 0;
    // SAFETY: pinned memory, and a place for the address.
    unsafe { sys::cuMemHostGetDevicePointer_v2(&mut device, pinned, 0) }.result().unwrap();
    assert_eq!(device, x);
}
