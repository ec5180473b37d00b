//! The kernels that a source file declares, with their budgets.

/// Static shared memory of any kernel; more is dynamic.
const SHARED: u32 = 48 << 10;
/// Registers of a streaming multiprocessor.
const REGISTERS: u32 = 65536;
/// No thread can have more.
const REGISTERS_OF_THREAD: u32 = 255;

#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Declared {
    pub(crate) kernel: String,
    /// Registers of a thread.
    pub(crate) registers: u32,
    /// Bytes of static shared memory.
    pub(crate) shared: u32,
}

/// All kernels of `source`. The budget is what a line `// budget: 128 registers, 48 KiB` among the comments directly above
/// a kernel says, else: two blocks of the size in its launch bounds fit the registers, and 48 KiB.
pub(crate) fn kernels(source: &str) -> Vec<Declared> {
    let mut declared = Vec::new();
    let mut rest = source;
    while let Some((before, after)) = rest.split_once("extern \"C\" __global__ void") {
        rest = after;
        let Some((head, _)) = after.split_once("__launch_bounds__(").filter(|it| it.0.trim().is_empty())
        else {
            panic!("a kernel without __launch_bounds__: {}", after.lines().next().unwrap_or_default());
        };
        let bounds = &after[head.len() + "__launch_bounds__(".len()..];
        let (bounds, name) = bounds.split_once(')').unwrap();
        let kernel: String =
            name.trim_start().chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
        let (registers, shared) = budget(before).unwrap_or_else(|| {
            let threads: u32 = bounds.split(',').next().unwrap().trim().parse().expect("a number of threads");
            ((REGISTERS / 2 / threads).min(REGISTERS_OF_THREAD), SHARED)
        });
        declared.push(Declared { kernel, registers, shared });
    }
    declared
}

/// The budget in the comment that ends `before`.
fn budget(before: &str) -> Option<(u32, u32)> {
    let line = before
        .lines()
        .rev()
        .take_while(|line| line.starts_with("//"))
        .find_map(|line| line.strip_prefix("// budget:"))?;
    let numbers: Vec<u32> =
        line.split(|c: char| !c.is_ascii_digit()).filter_map(|word| word.parse().ok()).collect();
    let [registers, kibibytes] = numbers[..] else {
        panic!("expected `// budget: N registers, N KiB`: {line}")
    };
    Some((registers, kibibytes << 10))
}

#[test]
fn kernels_and_budgets_are_found() {
    let source = "// A comment on extern \"C\".
// budget: 168 registers, 16 KiB
// extents: x = 1
extern \"C\" __global__ void __launch_bounds__(256, 1) first(const float* x) {}
// budget: of nobody, a blank line follows

extern \"C\" __global__ void __launch_bounds__(256)
    second_(int n) {}
extern \"C\" __global__ void __launch_bounds__(32) third() {}";
    let declared = |kernel: &str, registers, shared| Declared { kernel: kernel.into(), registers, shared };
    assert_eq!(
        kernels(source),
        [
            declared("first", 168, 16 << 10),
            declared("second_", 128, 48 << 10),
            declared("third", 255, 48 << 10)
        ]
    );
}
