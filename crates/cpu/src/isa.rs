//! Which vector instructions this processor has, chosen once at run time.

/// A level of vector instructions that the backend has code for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InstructionSet {
    /// What every processor of the target has.
    Portable,
    /// x86-64 with AVX2 and FMA: vectors of 8.
    Avx2,
    /// x86-64 with AVX-512 F, BW, DQ and VL: vectors of 16.
    Avx512,
    /// aarch64, which always has NEON: vectors of 4.
    Neon,
}

impl InstructionSet {
    /// Every level, slowest first.
    pub const ALL: [Self; 4] = [Self::Portable, Self::Avx2, Self::Avx512, Self::Neon];

    /// True where this processor can run it.
    pub fn available(self) -> bool {
        #[cfg(target_arch = "x86_64")]
        match self {
            Self::Portable => true,
            Self::Avx2 => is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma"),
            Self::Avx512 => {
                Self::Avx2.available()
                    && is_x86_feature_detected!("avx512f")
                    && is_x86_feature_detected!("avx512bw")
                    && is_x86_feature_detected!("avx512dq")
                    && is_x86_feature_detected!("avx512vl")
            }
            Self::Neon => false,
        }
        #[cfg(not(target_arch = "x86_64"))]
        match self {
            Self::Portable => true,
            Self::Neon => cfg!(target_arch = "aarch64"),
            Self::Avx2 | Self::Avx512 => false,
        }
    }

    /// The fastest that is available.
    pub fn best() -> Self {
        Self::ALL.into_iter().rev().find(|set| set.available()).unwrap_or(Self::Portable)
    }

    /// Its name for people.
    pub fn name(self) -> &'static str {
        match self {
            Self::Portable => "portable",
            Self::Avx2 => "AVX2+FMA",
            Self::Avx512 => "AVX-512",
            Self::Neon => "NEON",
        }
    }

    /// Runs `work` compiled for this level.
    pub(crate) fn run<W: Work>(self, work: W) {
        debug_assert!(self.available());
        match self {
            // SAFETY: levels are only made by `CpuBackend`, which checks `available`.
            #[cfg(target_arch = "x86_64")]
            Self::Avx512 => unsafe { run_avx512(work) },
            // SAFETY: as above.
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 => unsafe { run_avx2(work) },
            _ => work.run(),
        }
    }
}

/// The name of the level that [`crate::CpuBackend`] uses on this processor.
pub fn instruction_set() -> &'static str {
    InstructionSet::best().name()
}

/// What this processor has of the instructions that matter to products of matrices, by their usual names. Not all are used.
pub fn features() -> Vec<&'static str> {
    macro_rules! detected {
        ($detect:ident: $($name:tt)*) => { [$(($name, $detect!($name))),*] };
    }
    #[cfg(target_arch = "x86_64")]
    let all = detected!(
        is_x86_feature_detected: "avx" "avx2" "fma" "f16c" "avx512f" "avx512bw" "avx512dq" "avx512vl" "avx512vnni" "avx512bf16"
    );
    #[cfg(target_arch = "aarch64")]
    let all = {
        use std::arch::is_aarch64_feature_detected;
        detected!(is_aarch64_feature_detected: "neon" "fp16" "dotprod" "bf16" "i8mm" "sve" "sve2")
    };
    #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
    let all: [(&'static str, bool); 0] = [];
    all.into_iter().filter_map(|(name, has)| has.then_some(name)).collect()
}

/// Asks for the cache line of `p`, which need not exist, ahead of its use. Stable Rust has it for x86-64 only.
#[inline(always)]
pub(crate) fn prefetch(p: *const f32) {
    #[cfg(target_arch = "x86_64")]
    {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        // SAFETY: every x86-64 has it, and it faults nowhere.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(p.cast()) };
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = p;
}

/// [`prefetch`] of `elements` that follow each other.
#[inline(always)]
pub(crate) fn prefetch_run(first: *const f32, elements: usize) {
    const LINE: usize = 64 / size_of::<f32>();
    for element in (0..elements).step_by(LINE) {
        prefetch(first.wrapping_add(element));
    }
}

/// Loops that the compiler vectorises for each level. `run` must be `#[inline(always)]` (and what it calls): it is
/// then compiled inside a function that has the level's target features. Without `mul_add` the results of all levels
/// are the same bits.
pub(crate) trait Work {
    /// The loops.
    fn run(self);
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma")]
fn run_avx512<W: Work>(work: W) {
    work.run();
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
fn run_avx2<W: Work>(work: W) {
    work.run();
}
