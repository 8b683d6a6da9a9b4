//! From shares and weights of version 1 to weights of version 2.

/// The `cpu.weight` for some `cpu.shares`, so that the defaults (1024, 100) and both ends (2 and 1, 262144
/// and 10000) meet. It is the curve that runc and crun agreed on, with which a container of one
/// processor weighs as much as a group that says nothing.
pub(crate) fn of_shares(shares: u64) -> u64 {
    /// The kernel's own bounds.
    const SHARES: (u64, u64) = (2, 262_144);
    let shares = shares.clamp(SHARES.0, SHARES.1);
    let exact = u32::try_from(shares).map_or(f64::from(u32::MAX), f64::from);
    let power = exact.log2();
    let exponent = (power * power + 125.0 * power) / 612.0 - 7.0 / 34.0;
    let weight = 10_f64.powf(exponent).ceil();
    // Between 1 and 10000, as the ends of the curve are.
    (1..=10_000_u32)
        .find(|whole| f64::from(*whole) >= weight)
        .map_or(10_000, u64::from)
}

/// The `io.weight` (1 to 10000) for a `blkio.weight` (10 to 1000).
pub(super) fn of_block_weight(weight: u16) -> u64 {
    let weight = u64::from(weight.clamp(10, 1000));
    1 + (weight - 10) * 9999 / 990
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_and_ends_meet() {
        assert_eq!(of_shares(1024), 100);
        assert_eq!(of_shares(0), 1);
        assert_eq!(of_shares(2), 1);
        assert_eq!(of_shares(262_144), 10_000);
        assert_eq!(of_shares(u64::MAX), 10_000);
    }

    #[test]
    fn more_shares_never_weigh_less() {
        let weights: Vec<u64> = (1..=18).map(|power| of_shares(1 << power)).collect();
        assert!(weights.is_sorted(), "{weights:?}");
    }

    #[test]
    fn block_weights_are_stretched() {
        assert_eq!(of_block_weight(10), 1);
        assert_eq!(of_block_weight(1000), 10_000);
        assert_eq!(of_block_weight(500), 4950);
    }
}
