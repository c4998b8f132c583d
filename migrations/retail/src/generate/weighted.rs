//! Drawing by weight.

use rand::{Rng, RngExt};

/// Indices, drawn in proportion to their weights.
#[derive(Debug, Clone)]
pub(super) struct Weighted {
    /// Running totals; the last is the whole.
    totals: Vec<f64>,
}

impl Weighted {
    /// Over weights that are not negative, one of them positive.
    pub(super) fn new(weights: impl IntoIterator<Item = f64>) -> Self {
        let mut total = 0.0;
        let totals = weights
            .into_iter()
            .map(|weight| {
                total += weight;
                total
            })
            .collect();
        Self { totals }
    }

    /// The sum of the weights.
    pub(super) fn total(&self) -> f64 {
        self.totals.last().copied().unwrap_or(0.0)
    }

    /// An index below the number of weights.
    pub(super) fn draw(&self, rng: &mut impl Rng) -> usize {
        let at = rng.random::<f64>() * self.total();
        self.totals.partition_point(|total| *total <= at).min(self.totals.len().saturating_sub(1))
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;

    use super::*;

    #[test]
    fn draws_follow_the_weights_and_never_hit_a_zero() {
        let weighted = Weighted::new([1.0, 0.0, 3.0]);
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let mut counts = [0; 3];
        for _ in 0..10_000 {
            counts[weighted.draw(&mut rng)] += 1;
        }
        assert_eq!(counts[1], 0);
        assert!((2_300..2_700).contains(&counts[0]), "{counts:?}");
    }
}
