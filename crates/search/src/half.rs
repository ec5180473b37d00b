//! Half-precision floats (IEEE 754 binary16) as bits: the language does not have the type yet.

/// The nearest half of `x`, ties to even; beyond 65,504 infinity.
pub(crate) fn from_f32(x: f32) -> u16 {
    let bits = x.to_bits();
    let sign = (bits >> 16 & 0x8000) as u16;
    let magnitude = bits & 0x7fff_ffff;
    if magnitude >= 0x4780_0000 {
        // 65,536 and more, infinity, NaN.
        return sign | if magnitude > 0x7f80_0000 { 0x7e00 } else { 0x7c00 };
    }
    if magnitude < 0x3880_0000 {
        // Below 2^-14 steps are 2^-24: adding 0.5 to a float leaves just those bits, rounded.
        let rounded = (f32::from_bits(magnitude) + 0.5).to_bits() - 0.5_f32.to_bits();
        return sign | rounded as u16;
    }
    let rounded = magnitude + 0x0fff + (magnitude >> 13 & 1);
    sign | ((rounded - 0x3800_0000) >> 13) as u16
}

/// The value of a half.
pub(crate) fn to_f32(half: u16) -> f32 {
    let sign = u32::from(half & 0x8000) << 16;
    let magnitude = u32::from(half & 0x7fff);
    let bits = match magnitude {
        0x7c00.. => magnitude << 13 | 0x7f80_0000,
        0x0400.. => (magnitude << 13) + 0x3800_0000,
        _ => (magnitude as f32 * (1.0 / 16_777_216.0)).to_bits(),
    };
    f32::from_bits(sign | bits)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_half_survives_the_way_there_and_back() {
        for half in 0..=u16::MAX {
            let value = to_f32(half);
            assert!(value.is_nan() || from_f32(value) == half, "{half:04x}");
        }
    }

    #[test]
    fn known_values_and_ties() {
        let cases = [(1.0, 0x3c00), (-2.0, 0xc000), (65504.0, 0x7bff), (65520.0, 0x7c00), (65519.9, 0x7bff)];
        for (value, half) in cases {
            assert_eq!(from_f32(value), half, "{value}");
        }
        // Halfway between two halves: the even one.
        assert_eq!(from_f32(1.0 + 1.0 / 2048.0), 0x3c00);
        assert_eq!(from_f32(1.0 + 3.0 / 2048.0), 0x3c02);
        assert_eq!(from_f32(2.0_f32.powi(-25)), 0);
        assert_eq!(from_f32(2.0_f32.powi(-24)), 1);
    }
}
