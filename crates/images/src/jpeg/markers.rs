//! The segments of a JPEG file (ITU-T T.81, annex B): what libjpeg-turbo's interface does not tell.

/// What the segments before the first scan say.
#[derive(Default)]
pub(crate) struct Segments<'a> {
    /// An Adobe segment (APP14) is there.
    pub(crate) adobe: bool,
    /// The first EXIF block (APP1), a TIFF file in itself.
    pub(crate) exif: Option<&'a [u8]>,
    /// Three bytes for each component: its number, its samples across and down in an MCU, its quantisation table.
    components: &'a [u8],
    /// The frame is progressive, or its first scan lacks components: nothing can be shown before the last scan.
    several_scans: bool,
}

impl<'a> Segments<'a> {
    /// Reads the segments of `file` up to the first scan.
    pub(crate) fn read(file: &'a [u8]) -> Self {
        let mut found = Segments { several_scans: true, ..Self::default() };
        let mut progressive = false;
        for (marker, body) in walk(file) {
            match marker {
                0xee => found.adobe |= body.starts_with(b"Adobe"),
                0xe1 if found.exif.is_none() => found.exif = body.strip_prefix(b"Exif\0\0"),
                // Start of frame; 0xc4, 0xc8 and 0xcc are something else.
                0xc0..=0xcf if !matches!(marker, 0xc4 | 0xc8 | 0xcc) => {
                    progressive = matches!(marker, 0xc2 | 0xc6 | 0xca | 0xce);
                    found.components = body.get(6..).unwrap_or_default();
                }
                0xda => {
                    let scanned = body.first().map_or(0, |&count| usize::from(count));
                    found.several_scans = progressive || scanned != found.sampling().len();
                    break;
                }
                _ => {}
            }
        }
        found
    }

    /// Columns of an MCU.
    pub(crate) fn mcu_width(&self) -> usize {
        // A file of one component has no MCUs of several blocks, whatever it says.
        if self.sampling().len() == 1 { 8 } else { 8 * self.largest()[0] }
    }

    /// Bytes of the coefficients that libjpeg keeps of `width` x `height` pixels: of all of them where there are several
    /// scans, else of none.
    pub(crate) fn coefficients(&self, width: usize, height: usize) -> usize {
        if !self.several_scans {
            return 0;
        }
        let [across, down] = self.largest();
        let mcus = width.div_ceil(8 * across) * height.div_ceil(8 * down);
        mcus * self.sampling().map(|[h, v]| h * v).sum::<usize>() * 64 * size_of::<i16>()
    }

    /// All coefficients are kept until the last scan.
    pub(crate) fn several_scans(&self) -> bool {
        self.several_scans
    }

    /// Samples across and down of each component in an MCU.
    fn sampling(&self) -> impl ExactSizeIterator<Item = [usize; 2]> {
        self.components.chunks_exact(3).map(|it| [usize::from(it[1] >> 4), usize::from(it[1] & 15)])
    }

    fn largest(&self) -> [usize; 2] {
        [0, 1].map(|i| self.sampling().map(|sampling| sampling[i]).max().unwrap_or(1).max(1))
    }
}

/// The end-of-image marker is there, outside of any segment.
pub(crate) fn ended(file: &[u8]) -> bool {
    file.ends_with(&[0xff, 0xd9]) || walk(file).any(|(marker, _)| marker == 0xd9)
}

/// The markers in their order, with the bodies of those that have one. Entropy-coded data hold 0xff only before 0 or a
/// restart marker.
fn walk(file: &[u8]) -> impl Iterator<Item = (u8, &[u8])> {
    let mut at = 2;
    std::iter::from_fn(move || {
        loop {
            at += file.get(at..)?.iter().position(|&byte| byte == 0xff)? + 1;
            match *file.get(at)? {
                // The next round takes this 0xff for the start of a marker, which is what fill bytes mean.
                0xff => {}
                0x00 | 0x01 | 0xd0..=0xd8 => at += 1,
                0xd9 => {
                    at = file.len();
                    return Some((0xd9, &[][..]));
                }
                marker => {
                    let length = file.get(at + 1..at + 3)?;
                    let end = at + 1 + usize::from(u16::from_be_bytes([length[0], length[1]]));
                    let body = file.get(at + 3..end).unwrap_or_default();
                    at = end;
                    return Some((marker, body));
                }
            }
        }
    })
}
