//! The wrappers of `tile.cuh` one by one: whether the emulation on CPUs, which the tests run on, agrees with the hardware.

use cudarc::driver::{DriverError, result, sys};
use ilsvrc_cuda::cubins;
use std::ffi::{CString, c_void};

/// Checks the wrappers on GPU `ordinal`.
///
/// # Panics
/// Where a result is not what it should be.
pub(crate) fn check(ordinal: usize, (major, minor): (i32, i32)) -> Result<(), String> {
    let images = cubins::images(major, minor).map_err(|error| error.message)?;
    let image = images
        .iter()
        .find(|image| image.file == "tile_selftest.cu")
        .ok_or("no tile_selftest.cu was built in")?;
    let gpu = Gpu::open(ordinal, &image.cubin).map_err(|error| format!("GPU {ordinal}: {error}"))?;
    let work = || {
        gpu.mma_bf16()?;
        gpu.mma_tf32()?;
        gpu.ldmatrix()?;
        gpu.conversions()
    };
    work().map_err(|error: DriverError| format!("GPU {ordinal}: {error}"))
}

struct Gpu {
    module: sys::CUmodule,
    device: sys::CUdevice,
}

/// An argument of a kernel: memory that is read, memory that is written, or a number.
enum Argument<'a> {
    In(&'a [u8]),
    Out(&'a mut [u8]),
    Number(i32),
}

impl Gpu {
    fn open(ordinal: usize, cubin: &[u8]) -> Result<Self, DriverError> {
        result::init()?;
        let device = result::device::get(ordinal as i32)?;
        // SAFETY: the device is valid; the context is released in `drop`; the driver checks the cubin.
        unsafe {
            let context = result::primary_ctx::retain(device)?;
            result::ctx::set_current(context)?;
            Ok(Self { module: result::module::load_data(cubin.as_ptr().cast())?, device })
        }
    }

    /// Runs a kernel with one warp.
    fn run(&self, kernel: &str, arguments: &mut [Argument]) -> Result<(), DriverError> {
        let name = CString::new(kernel).expect("names of kernels are identifiers");
        let mut values: Vec<u64> = Vec::new();
        for argument in arguments.iter() {
            values.push(match argument {
                Argument::Number(number) => u64::from(number.cast_unsigned()),
                // SAFETY: new memory, filled with as many bytes as it has.
                Argument::In(bytes) => unsafe {
                    let at = result::malloc_sync(bytes.len())?;
                    result::memcpy_htod_sync(at, bytes)?;
                    at
                },
                // SAFETY: as above.
                Argument::Out(bytes) => unsafe {
                    let at = result::malloc_sync(bytes.len())?;
                    result::memset_d8_sync(at, 0, bytes.len())?;
                    at
                },
            });
        }
        let mut pointers: Vec<*mut c_void> =
            values.iter_mut().map(|value| (value as *mut u64).cast()).collect();
        // SAFETY: the arguments are those that the kernel's source declares, in its order; memory was just made.
        unsafe {
            let function = result::module::get_function(self.module, name)?;
            result::launch_kernel(function, (1, 1, 1), (32, 1, 1), 0, std::ptr::null_mut(), &mut pointers)?;
        }
        result::ctx::synchronize()?;
        for (argument, at) in arguments.iter_mut().zip(values) {
            if let Argument::Out(bytes) = argument {
                // SAFETY: as many bytes as were allocated.
                unsafe { result::memcpy_dtoh_sync(bytes, at)? };
            }
            if !matches!(argument, Argument::Number(_)) {
                // SAFETY: allocated above, and nobody uses it any more.
                unsafe { result::free_sync(at)? };
            }
        }
        Ok(())
    }

    /// 16 x 8 = 16 x 16 times 16 x 8.
    fn mma_bf16(&self) -> Result<(), DriverError> {
        let mut draw = Draws(5);
        let a: Vec<u16> = (0..256).map(|_| narrow(draw.uniform())).collect();
        let b: Vec<u16> = (0..128).map(|_| narrow(draw.uniform())).collect();
        let mut c = vec![0; 128 * 4];
        let (a_bytes, b_bytes) = (bytes_of_u16(&a), bytes_of_u16(&b));
        let arguments = &mut [Argument::In(&a_bytes), Argument::In(&b_bytes), Argument::Out(&mut c)];
        self.run("selftest_mma_bf16", arguments)?;
        let expected = product(16, |row, k| widen(a[row * 16 + k]), |k, col| widen(b[k * 8 + col]));
        near("mma bf16", &floats(&c), &expected);
        Ok(())
    }

    /// 16 x 8 = 16 x 8 times 8 x 8, with the operands' last bits cut off by the hardware, and rounded before.
    fn mma_tf32(&self) -> Result<(), DriverError> {
        let mut draw = Draws(6);
        let a: Vec<f32> = (0..128).map(|_| draw.uniform()).collect();
        let b: Vec<f32> = (0..64).map(|_| draw.uniform()).collect();
        for round in [0, 1] {
            let mut c = vec![0; 128 * 4];
            let (a_bytes, b_bytes) = (bytes_of_f32(&a), bytes_of_f32(&b));
            let arguments = &mut [
                Argument::In(&a_bytes),
                Argument::In(&b_bytes),
                Argument::Out(&mut c),
                Argument::Number(round),
            ];
            self.run("selftest_mma_tf32", arguments)?;
            let short = |x: f32| f32::from_bits((x.to_bits() + round as u32 * 0x1000) & 0xffff_e000);
            let expected = product(8, |row, k| short(a[row * 8 + k]), |k, col| short(b[k * 8 + col]));
            near(if round == 0 { "mma tf32, raw" } else { "mma tf32, rounded" }, &floats(&c), &expected);
        }
        Ok(())
    }

    /// `cp.async` with rows that are filled with zeros, then `ldmatrix`, plain and transposed.
    fn ldmatrix(&self) -> Result<(), DriverError> {
        let values: Vec<u16> = (1..=256).collect();
        let rows = 11;
        let mut out = vec![0; 256 * 4];
        let arguments = &mut [
            Argument::In(&bytes_of_u16(&values)),
            Argument::Out(&mut out),
            Argument::Number(rows as i32),
        ];
        self.run("selftest_ldmatrix", arguments)?;
        let at = |row: usize, col: usize| if row < rows { u32::from(values[row * 16 + col]) } else { 0 };
        let expected = (0..256).map(|i| {
            let (lane, register) = (i % 128 / 4, i % 4);
            let (row, col, group, thread) = (register % 2 * 8, register / 2 * 8, lane / 4, lane % 4);
            if i < 128 {
                at(row + group, col + 2 * thread) | at(row + group, col + 2 * thread + 1) << 16
            } else {
                at(row + 2 * thread, col + group) | at(row + 2 * thread + 1, col + group) << 16
            }
        });
        assert!(words(&out).into_iter().eq(expected), "ldmatrix or cp.async differs");
        Ok(())
    }

    /// To bfloat16 and TensorFloat-32, with ties, NaN and infinity; sums and maxima of a warp.
    fn conversions(&self) -> Result<(), DriverError> {
        let mut draw = Draws(7);
        let mut x: Vec<f32> = (0..32).map(|_| 100.0 * draw.uniform()).collect();
        x[..4].copy_from_slice(&[
            f32::from_bits(0x3f80_8000),
            f32::from_bits(0x3f81_8000),
            f32::NAN,
            f32::INFINITY,
        ]);
        let (mut bf, mut packed, mut tf, mut sums) = (vec![0; 64], vec![0; 64], vec![0; 128], vec![0; 8]);
        let x_bytes = bytes_of_f32(&x);
        let outs = [&mut bf, &mut packed, &mut tf, &mut sums].map(|out| Argument::Out(out));
        let mut arguments = vec![Argument::In(&x_bytes)];
        arguments.extend(outs);
        self.run("selftest_convert", &mut arguments)?;
        let expected: Vec<u16> = x.iter().map(|x| if x.is_nan() { 0x7fff } else { narrow(*x) }).collect();
        assert!(bf == bytes_of_u16(&expected), "conversions to bf16 differ");
        assert!(packed == bytes_of_u16(&expected), "conversions to pairs of bf16 differ");
        for (tf, x) in words(&tf).iter().zip(&x) {
            let right = if x.is_finite() {
                tf & 0xffff_e000 == (x.to_bits() + 0x1000) & 0xffff_e000
            } else {
                x.is_nan() || *tf == x.to_bits()
            };
            assert!(right, "{x} to tf32 is {tf:#x}");
        }
        assert_eq!(floats(&sums), [496.0, 31.0], "warp_sum, warp_max");
        Ok(())
    }
}

impl Drop for Gpu {
    fn drop(&mut self) {
        // SAFETY: loaded and retained in `open`. A failure has nobody to be told.
        unsafe {
            let _ = result::module::unload(self.module);
            let _ = result::primary_ctx::release(self.device);
        }
    }
}

/// Rows of 8 sums of `terms` products, in f64.
fn product(terms: usize, a: impl Fn(usize, usize) -> f32, b: impl Fn(usize, usize) -> f32) -> Vec<f64> {
    let sum = |i: usize| (0..terms).map(|k| f64::from(a(i / 8, k)) * f64::from(b(k, i % 8))).sum();
    (0..128).map(sum).collect()
}

fn near(what: &str, results: &[f32], expected: &[f64]) {
    for (i, (result, expected)) in results.iter().zip(expected).enumerate() {
        assert!(
            (f64::from(*result) - expected).abs() < 1e-5,
            "{what}: element {i} is {result}, not {expected}"
        );
    }
}

/// A small generator: values in -1..1.
struct Draws(u64);

impl Draws {
    fn uniform(&mut self) -> f32 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 40) as f32 / (1 << 23) as f32 - 1.0
    }
}

/// To bfloat16, ties to even.
fn narrow(x: f32) -> u16 {
    let bits = x.to_bits();
    ((bits + 0x7fff + (bits >> 16 & 1)) >> 16) as u16
}

fn widen(x: u16) -> f32 {
    f32::from_bits(u32::from(x) << 16)
}

fn bytes_of_u16(values: &[u16]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_ne_bytes()).collect()
}

fn bytes_of_f32(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_ne_bytes()).collect()
}

fn words(bytes: &[u8]) -> Vec<u32> {
    bytes.as_chunks().0.iter().map(|bytes| u32::from_ne_bytes(*bytes)).collect()
}

fn floats(bytes: &[u8]) -> Vec<f32> {
    words(bytes).into_iter().map(f32::from_bits).collect()
}
