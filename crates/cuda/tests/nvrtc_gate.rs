//! The gate that machine code passes without a GPU at hand: every kernel is there for every architecture, within its
//! budget, without spills and stack frames, and the cubin says what the compiler's log says. And: the gate bites.

use std::collections::BTreeSet;

use ilsvrc_cuda::cubins::{self, Image, KernelSource};
use ilsvrc_cuda::nvrtc::{NONE, Nvrtc, VARIABLE};
use ilsvrc_cuda::resources::{Resources, parse_log};
use ilsvrc_diagnostics::NO_KERNELS;

#[path = "nvrtc_gate/elf.rs"]
mod elf;
#[path = "nvrtc_gate/source.rs"]
mod source;

use source::Declared;

/// `(major, minor)` of `sm_90a`.
fn capability(arch: &str) -> (i32, i32) {
    let number: i32 = arch.trim_start_matches("sm_").trim_end_matches('a').parse().unwrap();
    (number / 10, number % 10)
}

/// What is wrong with one compiled file.
fn problems(declared: &[Declared], arch: &str, by_log: &[(&str, Resources)], cubin: &[u8]) -> Vec<String> {
    let mut problems = Vec::new();
    let by_elf = elf::parse(cubin);
    let (major, minor) = capability(arch);
    if by_elf.target != (major * 10 + minor) as u32 {
        problems.push(format!("the cubin is for sm_{}", by_elf.target));
    }
    let expected: BTreeSet<&str> = declared.iter().map(|it| it.kernel.as_str()).collect();
    let logged: BTreeSet<&str> = by_log.iter().map(|it| it.0).collect();
    let present: BTreeSet<&str> = by_elf.kernels.keys().map(String::as_str).collect();
    if expected != logged || expected != present {
        problems.push(format!("declared {expected:?}, in the log {logged:?}, in the cubin {present:?}"));
        return problems;
    }
    for (kernel, used) in by_log {
        let own = by_elf.kernels[*kernel];
        let budget = declared.iter().find(|it| it.kernel == *kernel).unwrap();
        let mut refuse = |is: bool, what: String| {
            if is {
                problems.push(format!("{kernel}: {what}"));
            }
        };
        refuse(used.registers == 0, "no registers: the log is not understood".into());
        refuse(used.spill_stores + used.spill_loads > 0, format!("spills {} bytes", used.spill_stores));
        refuse(used.stack > 0, format!("a stack frame of {} bytes (a local array?)", used.stack));
        refuse(
            used.registers > budget.registers,
            format!("{} registers of {}", used.registers, budget.registers),
        );
        refuse(
            used.shared > budget.shared,
            format!("{} bytes of shared memory of {}", used.shared, budget.shared),
        );
        refuse(own.registers != used.registers, format!("the cubin says {} registers", own.registers));
        refuse(own.stack != used.stack, format!("the cubin says {} bytes of stack", own.stack));
        // From sm_90 on 1024 bytes are reserved, which either may count.
        let same = own.shared == used.shared || own.shared == used.shared + 1024;
        refuse(!same, format!("the cubin says {} bytes of shared memory", own.shared));
    }
    problems
}

#[test]
fn every_kernel_passes_on_every_architecture() {
    let Some(version) = cubins::nvrtc_version_at_build() else {
        println!("this build has no NVRTC: nothing to check");
        assert!(cubins::embedded().is_empty() && cubins::report().is_empty());
        assert!(!cubins::sources().is_empty(), "the sources are built in, to be compiled at run time");
        if std::env::var_os(VARIABLE).is_some_and(|place| place == NONE) {
            let error = cubins::images(9, 0).unwrap_err();
            assert_eq!((error.code, error.info.as_deref()), (NO_KERNELS, Some("ILSVRC_NVRTC=none")));
            assert_eq!(cubins::status(9, 0), KernelSource::Unavailable("ILSVRC_NVRTC=none".into()));
        }
        return;
    };
    let mut problems: Vec<String> = cubins::warnings().iter().map(|line| (*line).to_owned()).collect();
    let mut kernels = 0;
    for info in cubins::embedded() {
        let (major, minor) = capability(info.arch);
        let images = cubins::images(major, minor).unwrap();
        for &(file, text) in cubins::sources() {
            let declared = source::kernels(text);
            let image = images.iter().find(|image| image.file == file);
            let Some(Image { cubin, .. }) = image else {
                problems.push(format!("{file} {}: not built in", info.arch));
                continue;
            };
            let by_log: Vec<(&str, Resources)> = cubins::report()
                .iter()
                .filter(|usage| usage.file == file && usage.arch == info.arch)
                .map(|usage| (usage.kernel, usage.resources))
                .collect();
            kernels += by_log.len();
            let found = self::problems(&declared, info.arch, &by_log, cubin);
            problems.extend(found.iter().map(|problem| format!("{file} {}: {problem}", info.arch)));
        }
    }
    println!("NVRTC {version}, {} architectures, {kernels} kernels", cubins::embedded().len());
    assert!(problems.is_empty(), "\n{}", problems.join("\n"));
    assert!(kernels > 0);
    if ["12.8", "12.9"].contains(&version) || version.starts_with("13.") {
        let archs: Vec<&str> = cubins::embedded().iter().map(|info| info.arch).collect();
        assert_eq!(archs, ["sm_80", "sm_86", "sm_89", "sm_90a", "sm_100", "sm_120"]);
    }
}

/// The whole addon stays under 15 MB: this is the share of the kernels.
#[test]
fn the_kernels_stay_small() {
    let bytes: usize = cubins::embedded().iter().map(|info| info.bytes).sum();
    println!("{bytes} bytes of compressed machine code");
    assert!(bytes < 5 << 20, "{bytes} bytes");
}

/// What is wrong with `text`, or the compiler's log. None: this machine has no NVRTC.
fn check(text: &str) -> Option<Result<Vec<String>, String>> {
    let place = option_env!("ILSVRC_NVRTC_OF_BUILD")?;
    let nvrtc = Nvrtc::open(place.as_ref()).expect("the NVRTC of the build");
    let options = ["--std=c++17", "-default-device", "-Xptxas=-v"];
    let compiled = nvrtc.compile("bad.cu", text, &[("part.cuh", "#define PART 1")], "sm_80", &options);
    Some(compiled.map(|it| problems(&source::kernels(text), "sm_80", &parse_log(&it.log), &it.cubin)))
}

const GOOD: &str = "#include \"part.cuh\"
extern \"C\" __global__ void __launch_bounds__(64) good(float* x) { x[threadIdx.x] = PART; }";

#[test]
fn the_gate_bites() {
    let Some(good) = check(GOOD) else { return println!("this build has no NVRTC: nothing to check") };
    assert_eq!(good, Ok(vec![]));
    let refused = |text: &str, part: &str| {
        let problems = check(text).unwrap().unwrap();
        assert!(problems.iter().any(|problem| problem.contains(part)), "{part} not in {problems:?}");
    };

    // 200 live values, 32 registers (2048 threads an SM).
    let spilling = "extern \"C\" __global__ void __launch_bounds__(1024, 2) bad(const float* x, float* y) {
        float v[200];
        #pragma unroll
        for (int i = 0; i < 200; i++) v[i] = x[i * 1024 + threadIdx.x];
        __syncthreads();
        #pragma unroll
        for (int i = 0; i < 200; i++) y[i * 1024 + threadIdx.x] = v[i] * v[199 - i] + v[(i * 7) % 200];
    }";
    refused(spilling, "spills");
    let indexed = "extern \"C\" __global__ void __launch_bounds__(64) bad(const int* x, float* y) {
        float v[32];
        for (int i = 0; i < 32; i++) v[x[i] & 31] = y[i];
        y[threadIdx.x] = v[x[threadIdx.x] & 31];
    }";
    refused(indexed, "stack frame");
    refused(
        &format!("// budget: 2 registers, 1 KiB\n{}", GOOD.lines().last().unwrap().replace("PART", "1")),
        "registers of 2",
    );
    let shared = "// budget: 64 registers, 1 KiB
extern \"C\" __global__ void __launch_bounds__(64) bad(float* x, int n) {
        __shared__ float s[512];
        s[threadIdx.x] = x[threadIdx.x];
        __syncthreads();
        x[threadIdx.x] = s[n];
    }";
    refused(shared, "shared memory of 1024");
    // A kernel that the preprocessor removes is missed.
    refused(&format!("{GOOD}\n#ifdef NEVER\n{}\n#endif", GOOD.replace("good", "lost")), "declared");
}

#[test]
fn an_error_in_a_kernel_is_reported_with_its_line() {
    let Some(result) = check("\n__global__ void bad() { undeclared = 1; }") else { return };
    let log = result.unwrap_err();
    assert!(log.contains("bad.cu(2)") && log.contains("undeclared"), "{log}");
    let log = check("#include \"not_there.cuh\"").unwrap().unwrap_err();
    assert!(log.contains("not_there.cuh"), "{log}");
    assert!(check("int x;\0").unwrap().unwrap_err().contains("zero byte"));
}
