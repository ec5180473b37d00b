//! Modules, launches, extents.

use crate::gpu::{Gpu, Ptr, arg, code, mock, ptx};
use cudarc::driver::result;
use ilsvrc_cuda_mock::ThreadOrder;

fn last_error(mock: &ilsvrc_cuda_mock::Mock) -> String {
    mock.errors().into_iter().find(|e| !e.contains("unusable")).unwrap_or_default()
}

#[test]
fn structs_go_by_value() {
    let mock = mock();
    let gpu = Gpu::open(0, 1).unwrap();
    let (x, y): (Ptr, Ptr) = (gpu.allocate(6), gpu.allocate(3));
    gpu.write(x, &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
    let shape = [3i32, 2];
    gpu.launch(0, "row_sums", (1, 32), &mut [arg(&x), arg(&y), arg(&shape)]).unwrap();
    assert_eq!(gpu.read(0, y, 3), [3.0, 7.0, 11.0]);
    mock.assert_clean();
    // The extents follow the struct.
    let shape = [4i32, 2];
    assert_eq!(code(gpu.launch(0, "row_sums", (1, 32), &mut [arg(&x), arg(&y), arg(&shape)])), 700);
    let expected = "row_sums (device 0): argument x needs 32 bytes, its allocation has 24 from there";
    assert_eq!(last_error(&mock), expected);
}

#[test]
fn extents_may_use_the_grid() {
    let mock = mock();
    let gpu = Gpu::open(0, 1).unwrap();
    let y = gpu.allocate(3);
    gpu.launch(0, "number_blocks", (3, 32), &mut [arg(&y)]).unwrap();
    assert_eq!(gpu.read(0, y, 3), [0.0, 1.0, 2.0]);
    mock.assert_clean();
    assert_eq!(code(gpu.launch(0, "number_blocks", (4, 32), &mut [arg(&y)])), 700);
}

#[test]
fn an_access_outside_the_extents_is_caught_inside_the_allocation() {
    let mock = mock();
    let cases: [(i64, i64, &str); 6] = [
        (0, 8, "wrote outside the extent of argument y (32 bytes)"),
        (0, -1, "wrote outside the extent of argument y (32 bytes)"),
        (0, 64, "bytes behind the extent of argument y (32 bytes)"),
        (2000, 0, "bytes behind the extent of argument x (32 bytes)"),
        (-2000, 0, "bytes before the extent of argument x (32 bytes)"),
        (0, 1 << 34, "illegal address"),
    ];
    for (at, to, expected) in cases {
        mock.reset();
        let gpu = Gpu::open(0, 1).unwrap();
        let arena = gpu.allocate(1 << 16);
        let (x, y) = (arena + (1 << 16), arena + (1 << 17));
        gpu.move_one(x, y, 8, at, to).unwrap();
        assert_eq!(code(gpu.wait(0)), 700, "{at} {to}");
        assert!(last_error(&mock).contains(expected), "{at} {to}: {:?}", mock.errors());
    }
}

#[test]
fn const_arguments_are_not_written() {
    let mock = mock();
    let gpu = Gpu::open(0, 1).unwrap();
    let x = gpu.allocate(1);
    gpu.launch(0, "write_const", (1, 1), &mut [arg(&x)]).unwrap();
    assert_eq!(code(gpu.wait(0)), 700);
    assert!(last_error(&mock).contains("a write to the const argument x"), "{:?}", mock.errors());
}

#[test]
fn arguments_may_overlap() {
    let mock = mock();
    let gpu = Gpu::open(0, 1).unwrap();
    let x = gpu.allocate(8);
    gpu.write(x, &[1.0; 8]);
    gpu.add(0, x, x, 8).unwrap();
    gpu.add(0, x, x + 16, 4).unwrap();
    assert_eq!(gpu.read(0, x, 8), [2.0, 2.0, 2.0, 2.0, 4.0, 4.0, 4.0, 4.0]);
    mock.assert_clean();
}

#[test]
fn without_extents_a_kernel_reaches_to_the_end_of_the_allocation() {
    let mock = mock();
    let gpu = Gpu::open(0, 2).unwrap();
    let (y, count) = (gpu.allocate(128), 4i32);
    let second = y + 256;
    gpu.launch(0, "undeclared", (1, 64), &mut [arg(&second), arg(&count)]).unwrap();
    gpu.fill(1, y, 64, 0.0).unwrap();
    mock.assert_clean();
    gpu.fill(1, y + 500, 1, 0.0).unwrap();
    assert_eq!(mock.races().len(), 1);
}

#[test]
fn null_and_wrong_pointers() {
    let mock = mock();
    let gpu = Gpu::open(0, 1).unwrap();
    let (y, outside): (Ptr, Ptr) = (gpu.allocate(8), 4096);
    gpu.fill(0, 0, 0, 1.0).unwrap();
    gpu.wait(0).unwrap();
    mock.assert_clean();
    assert_eq!(code(gpu.fill(0, y + 2, 1, 1.0)), 716, "misaligned");
    mock.reset();
    let gpu = Gpu::open(0, 1).unwrap();
    assert_eq!(code(gpu.fill(0, outside, 8, 1.0)), 700);
    mock.reset();
    let gpu = Gpu::open(0, 1).unwrap();
    gpu.fill(0, 0, 8, 1.0).unwrap();
    assert_eq!(code(gpu.wait(0)), 700, "null is written");
}

#[test]
fn launch_limits() {
    let mock = mock();
    let gpu = Gpu::open(0, 1).unwrap();
    let (y, count, v) = (gpu.allocate(8), 8i32, 1f32);
    let mut arguments = [arg(&y), arg(&count), arg(&v)];
    assert_eq!(code(gpu.launch(0, "fill", (1, 128), &mut arguments)), 701, "__launch_bounds__");
    assert_eq!(code(gpu.launch(0, "fill", (0, 64), &mut arguments)), 1);
    assert_eq!(code(gpu.function("nothing")), 500);
    let f = gpu.function("fill").unwrap();
    let mut launch = |shared| {
        // SAFETY: the arguments are those of the kernel.
        let launched = unsafe {
            result::launch_kernel(f, (1, 1, 1), (64, 1, 1), shared, gpu.streams[0], &mut arguments)
        };
        code(launched)
    };
    assert_eq!(launch(64 << 10), 1);
    let shared = cudarc::driver::sys::CUfunction_attribute::CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES;
    // SAFETY: the function lives.
    unsafe { result::function::set_function_attribute(f, shared, 64 << 10) }.unwrap();
    assert_eq!(launch(64 << 10), 0);
    let other = Gpu::open(1, 1).unwrap();
    // SAFETY: the function belongs to another device, which the driver refuses.
    let wrong =
        unsafe { result::launch_kernel(f, (1, 1, 1), (64, 1, 1), 0, other.streams[0], &mut arguments) };
    assert_eq!(code(wrong), 400);
    assert!(mock.errors().iter().any(|e| e.contains("function of device 0, stream of device 1")));
    // SAFETY: all belong to device 0, but the thread has gone over to the other, which the driver refuses.
    let wrong = unsafe { result::launch_kernel(f, (1, 1, 1), (64, 1, 1), 0, gpu.streams[0], &mut arguments) };
    assert_eq!(code(wrong), 201);
}

#[test]
fn modules_are_for_an_architecture() {
    /// The header of a cubin, without sections.
    fn cubin(version: u8, flags: u32) -> Vec<u8> {
        let mut elf = vec![0; 64];
        elf[..4].copy_from_slice(b"\x7fELF");
        elf[8] = version;
        elf[40] = 64;
        elf[48..52].copy_from_slice(&flags.to_le_bytes());
        elf
    }
    let mock = mock();
    let _gpu = Gpu::open(0, 1).unwrap();
    // SAFETY: headers say how long they are.
    let load = |image: &[u8]| code(unsafe { result::module::load_data(image.as_ptr().cast()) });
    // (file, capability, result)
    let cases = [
        (cubin(7, 0x500550), (8, 0), 0),
        (cubin(7, 0x500550), (8, 6), 0),
        (cubin(7, 0x560556), (8, 0), 209),
        (cubin(7, 0x590559), (9, 0), 209),
        (cubin(7, 0x5a0d5a), (9, 0), 0),
        (cubin(7, 0x5a0d5a), (10, 0), 209),
        (cubin(8, 0x6006402), (10, 0), 0),
        (cubin(8, 0x6006402), (10, 3), 0),
        (cubin(8, 0x600640a), (10, 3), 209),
        (cubin(8, 0x6007802), (12, 1), 0),
        (ptx("sm_80").into_bytes_with_nul(), (12, 0), 0),
        (ptx("sm_90a").into_bytes_with_nul(), (12, 0), 209),
        (b"nothing\0".to_vec(), (9, 0), 200),
    ];
    for (image, (major, minor), expected) in cases {
        mock.capability(major, minor);
        assert_eq!(load(&image), expected, "{major}.{minor} {:?}", mock.errors());
    }
}

#[test]
fn the_order_of_threads_shows_a_missing_barrier() {
    let mock = mock();
    let orders = [ThreadOrder::Forward, ThreadOrder::Reverse, ThreadOrder::Random(3)];
    let right = orders.map(|order| {
        mock.reset();
        mock.threads(order);
        let gpu = Gpu::open(0, 1).unwrap();
        let y = gpu.allocate(64);
        gpu.launch(0, "missing_barrier", (1, 64), &mut [arg(&y)]).unwrap();
        gpu.read(0, y, 64).iter().enumerate().all(|(i, &v)| v == (63 - i) as f32)
    });
    assert!(right.contains(&false));
}
