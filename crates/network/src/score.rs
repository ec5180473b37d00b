//! Loss and error of probabilities.

/// Mean cross-entropy of `probabilities`, `images x classes`, in nats.
///
/// An f32 probability may be zero while its logarithm is an ordinary number, so zeros count as the smallest normal f32:
/// one image cannot make the loss infinite. It *is* infinite where most labels have probability zero: the net has
/// diverged though its weights may still be finite. NaN where a probability is.
pub fn cross_entropy(probabilities: &[f32], labels: &[u32]) -> f64 {
    let classes = probabilities.len() / labels.len();
    let (mut sum, mut zeros) = (0.0, 0);
    for (row, &label) in probabilities.chunks_exact(classes).zip(labels) {
        let probability = row[label as usize];
        // Not `max`, which would turn NaN into a number.
        let floored = if probability < f32::MIN_POSITIVE { f32::MIN_POSITIVE } else { probability };
        zeros += usize::from(probability < f32::MIN_POSITIVE);
        sum -= f64::from(floored).ln();
    }
    if 2 * zeros > labels.len() && !sum.is_nan() { f64::INFINITY } else { sum / labels.len() as f64 }
}

/// How many images have the label as their most likely class. Classes with equal probabilities share the hit, so an
/// untrained net scores `1 / classes` an image. An image whose probabilities are NaN scores 0.
pub fn top1_hits(probabilities: &[f32], labels: &[u32]) -> f64 {
    let classes = probabilities.len() / labels.len();
    let hit = |(row, &label): (&[f32], &u32)| {
        let own = row[label as usize];
        let equal = row.iter().filter(|&&other| other == own).count();
        if equal == 0 || row.iter().any(|&other| other > own) { 0.0 } else { 1.0 / equal as f64 }
    };
    probabilities.chunks_exact(classes).zip(labels).map(hit).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_probabilities_share_the_hit() {
        assert_eq!(top1_hits(&[0.25; 4], &[2]), 0.25);
        assert_eq!(top1_hits(&[0.4, 0.4, 0.2, 0.1, 0.2, 0.7], &[1, 2]), 1.5);
        assert_eq!(top1_hits(&[f32::NAN; 2], &[0]), 0.0);
    }

    #[test]
    fn one_impossible_label_is_survived_and_many_are_not() {
        assert_eq!(cross_entropy(&[1.0, 0.0], &[0]), 0.0);
        assert!((cross_entropy(&[1.0, 0.0, 1.0, 0.0], &[0, 1]) - 87.3365 / 2.0).abs() < 1e-3);
        assert_eq!(cross_entropy(&[1.0, 0.0, 1.0, 0.0], &[1, 1]), f64::INFINITY);
        assert!(cross_entropy(&[f32::NAN, 1.0], &[0]).is_nan());
    }
}
