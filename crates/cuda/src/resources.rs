//! What each kernel takes of a GPU, as ptxas reports it.

/// The resources of one kernel on one architecture.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Resources {
    /// Registers of a thread.
    pub registers: u32,
    /// Bytes of a thread's stack frame: local arrays and spilled registers, both in device memory.
    pub stack: u32,
    /// Bytes stored because registers ran out.
    pub spill_stores: u32,
    /// Bytes loaded again because registers ran out.
    pub spill_loads: u32,
    /// Bytes of a block's static shared memory.
    pub shared: u32,
}

/// One line of the build's report.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Usage {
    /// The source file.
    pub file: &'static str,
    /// The architecture.
    pub arch: &'static str,
    /// The kernel.
    pub kernel: &'static str,
    /// What it takes.
    pub resources: Resources,
}

/// The kernels in a log of NVRTC with `-Xptxas=-v`, in its order. A function that was not inlined counts for the kernel
/// before it: the larger values stay.
pub fn parse_log(log: &str) -> Vec<(&str, Resources)> {
    let mut kernels: Vec<(&str, Resources)> = Vec::new();
    for line in log.lines() {
        if let Some((_, rest)) = line.split_once("Compiling entry function '") {
            kernels.push((rest.split('\'').next().unwrap_or(rest), Resources::default()));
        }
        let Some((_, kernel)) = kernels.last_mut() else { continue };
        let fields = [
            (&mut kernel.stack, "bytes stack frame"),
            (&mut kernel.spill_stores, "bytes spill stores"),
            (&mut kernel.spill_loads, "bytes spill loads"),
            (&mut kernel.registers, "registers"),
            (&mut kernel.shared, "bytes smem"),
        ];
        for (field, unit) in fields {
            *field = (*field).max(number_before(line, unit).unwrap_or(0));
        }
    }
    kernels
}

/// The lines of a log that a person should see: warnings, and losses that ptxas announces.
pub fn complaints(log: &str) -> impl Iterator<Item = &str> {
    log.lines()
        .filter(|line| line.to_lowercase().contains("warning") || line.contains("Potential Performance Loss"))
}

/// `128` in `Used 128 registers, used 1 barriers`.
fn number_before(line: &str, unit: &str) -> Option<u32> {
    let words = line.split(',').find_map(|part| part.trim_end().strip_suffix(unit))?;
    words.split_whitespace().last()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOG: &str = "ptxas info    : 0 bytes gmem
ptxas info    : Compiling entry function 'a_kernel' for 'sm_80'
ptxas info    : Function properties for a_kernel
    16 bytes stack frame, 8 bytes spill stores, 12 bytes spill loads
ptxas info    : Used 128 registers, used 1 barriers, 16 bytes cumulative stack size, 32768 bytes smem, 400 bytes cmem[0]
ptxas info    : Compiling entry function 'b' for 'sm_80'
ptxas info    : Function properties for b
    0 bytes stack frame, 0 bytes spill stores, 0 bytes spill loads
ptxas info    : Used 8 registers, used 0 barriers
ptxas info    : Function properties for helper
    4 bytes stack frame, 0 bytes spill stores, 0 bytes spill loads";

    #[test]
    fn a_log_is_read() {
        let a = Resources { registers: 128, stack: 16, spill_stores: 8, spill_loads: 12, shared: 32768 };
        let b = Resources { registers: 8, stack: 4, ..Resources::default() };
        assert_eq!(parse_log(LOG), [("a_kernel", a), ("b", b)]);
        assert_eq!(parse_log(""), []);
    }

    #[test]
    fn warnings_are_found() {
        assert_eq!(complaints("x.cu(3): warning #177-D: unused\nptxas info : fine").count(), 1);
    }
}
