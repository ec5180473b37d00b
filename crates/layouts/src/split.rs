//! Which images are for validation where the layout does not say.

use sha2::{Digest, Sha256};

/// One image in this many.
const EVERY: u32 = 10;

/// Whether the image of that file name is for validation. It depends on the name and the seed alone, so an image stays
/// on its side when others are added, and copies of one file under the same name never face each other.
pub(crate) fn belongs_to_validation(file_name: &[u8], seed: u64) -> bool {
    let hash = Sha256::new().chain_update(format!("{seed}/")).chain_update(file_name).finalize();
    u32::from_le_bytes([hash[0], hash[1], hash[2], hash[3]]) % EVERY == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    /// From Node's `createHash('sha256').update(`${seed}/${name}`).digest().readUInt32LE(0) % 10`: data sets prepared
    /// earlier keep their split.
    #[test]
    fn the_rule_is_fixed() {
        let chosen = |seed: u64| -> Vec<u32> {
            (0..40).filter(|i| belongs_to_validation(format!("{i}.jpg").as_bytes(), seed)).collect()
        };
        assert_eq!((chosen(0), chosen(1)), (vec![0, 5, 10, 22], vec![0, 1, 2, 33, 35]));
    }
}
