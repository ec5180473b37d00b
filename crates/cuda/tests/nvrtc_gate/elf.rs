//! Reads a cubin's own account of its kernels, to compare with the compiler's log.

use std::collections::BTreeMap;

/// Attributes of `.nv.info` whose payload is (symbol, value).
const FRAME_SIZE: u8 = 0x11;
const REGISTER_COUNT: u8 = 0x2f;
/// The format of `.nv.info` records that carry a payload of the given size.
const SIZED: u8 = 4;

#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Kernel {
    pub(crate) registers: u32,
    pub(crate) stack: u32,
    pub(crate) shared: u32,
}

pub(crate) struct Cubin {
    /// Compute capability times ten.
    pub(crate) target: u32,
    pub(crate) kernels: BTreeMap<String, Kernel>,
}

struct Section {
    name: u32,
    offset: usize,
    size: usize,
    link: usize,
    info: u32,
}

/// ELF64, little endian. `.text.K` holds kernel K, the size of `.nv.shared.K` is its static shared memory, `.nv.info` has
/// registers and stack frames. Spills are not recorded. Panics on anything else: this is a test.
pub(crate) fn parse(data: &[u8]) -> Cubin {
    assert_eq!(&data[..4], b"\x7fELF");
    let flags = u32_at(data, 48);
    let (table, size, count, names) =
        (u64_at(data, 40), u16_at(data, 58), u16_at(data, 60), u16_at(data, 62));
    let sections: Vec<Section> = (0..count).map(|i| section(data, table + i * size)).collect();
    let text = |table: usize, offset: u32| {
        let bytes = &data[sections[table].offset + offset as usize..];
        String::from_utf8(bytes.split(|byte| *byte == 0).next().unwrap().to_vec()).unwrap()
    };
    let by_name: BTreeMap<String, &Section> = sections.iter().map(|it| (text(names, it.name), it)).collect();
    let symbols = by_name[".symtab"];
    let symbol = |index: u32| text(symbols.link, u32_at(data, symbols.offset + index as usize * 24));

    let mut kernels: BTreeMap<String, Kernel> = BTreeMap::new();
    for (name, it) in &by_name {
        if let Some(kernel) = name.strip_prefix(".text.") {
            let shared = by_name.get(&format!(".nv.shared.{kernel}")).map_or(0, |it| it.size as u32);
            // sh_info has the registers up to the layout of CUDA 12, .nv.info in all of them.
            kernels.insert(kernel.to_owned(), Kernel { registers: it.info >> 24, stack: 0, shared });
        }
    }
    let (mut at, end) = by_name.get(".nv.info").map_or((0, 0), |it| (it.offset, it.offset + it.size));
    while at < end {
        let (format, attribute, size) = (data[at], data[at + 1], u16_at(data, at + 2));
        at += 4;
        if format != SIZED {
            continue;
        }
        let known = size == 8 && matches!(attribute, FRAME_SIZE | REGISTER_COUNT);
        if known && let Some(kernel) = kernels.get_mut(&symbol(u32_at(data, at))) {
            let field = if attribute == FRAME_SIZE { &mut kernel.stack } else { &mut kernel.registers };
            *field = u32_at(data, at + 4);
        }
        at += size;
    }
    // The eighth layout moved the target.
    let target = if data[8] >= 8 { flags >> 8 } else { flags };
    Cubin { target: target & 0xff, kernels }
}

fn section(data: &[u8], at: usize) -> Section {
    Section {
        name: u32_at(data, at),
        offset: u64_at(data, at + 24),
        size: u64_at(data, at + 32),
        link: u32_at(data, at + 40) as usize,
        info: u32_at(data, at + 44),
    }
}

fn u16_at(data: &[u8], at: usize) -> usize {
    u16::from_le_bytes(data[at..at + 2].try_into().unwrap()).into()
}

fn u32_at(data: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(data[at..at + 4].try_into().unwrap())
}

fn u64_at(data: &[u8], at: usize) -> usize {
    u64::from_le_bytes(data[at..at + 8].try_into().unwrap()) as usize
}
