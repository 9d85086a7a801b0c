//! Single observations and their percentiles. Criterion reports medians with intervals; tails need the observations themselves.

use std::time::Duration;

/// Observed durations, sorted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Samples(Vec<Duration>);

impl Samples {
    /// Takes observations in any order; `None` if there are none.
    pub fn new(mut observed: Vec<Duration>) -> Option<Self> {
        observed.sort_unstable();
        (!observed.is_empty()).then_some(Self(observed))
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.0.len()
    }

    /// The smallest observation that at least `percent` of all do not exceed (nearest rank): always one that really occurred.
    /// With fewer than 100 observations, the 99th percentile is the maximum.
    pub fn percentile(&self, percent: u8) -> Duration {
        let rank = (self.0.len() * usize::from(percent.min(100))).div_ceil(100);
        self.0.get(rank.saturating_sub(1)).copied().unwrap_or_default()
    }

    /// The median.
    pub fn p50(&self) -> Duration {
        self.percentile(50)
    }

    /// The tail.
    pub fn p99(&self) -> Duration {
        self.percentile(99)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn samples(millis: impl IntoIterator<Item = u64>) -> Samples {
        Samples::new(millis.into_iter().map(Duration::from_millis).collect()).unwrap()
    }

    #[test]
    fn a_percentile_is_an_observation_whatever_the_order() {
        let hundred = samples((1..=100).rev());
        assert_eq!(hundred.p50(), Duration::from_millis(50));
        assert_eq!(hundred.p99(), Duration::from_millis(99));
        assert_eq!(hundred.percentile(100), Duration::from_millis(100));
    }

    #[test]
    fn the_tail_of_few_observations_is_their_maximum() {
        let few = samples([3, 1, 2]);
        assert_eq!((few.p50(), few.p99()), (Duration::from_millis(2), Duration::from_millis(3)));
        assert_eq!(samples([7]).percentile(0), Duration::from_millis(7));
    }

    #[test]
    fn nothing_observed_has_no_percentile() {
        assert_eq!(Samples::new(Vec::new()), None);
    }
}
