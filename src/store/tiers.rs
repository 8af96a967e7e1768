//! In which tiers a bucket keeps its seen ids: the field `tiers` of its state.

use std::fmt;
use std::ops::RangeInclusive;
use std::str::FromStr;

use crate::domain::seen::{Expired, Generation, Tier};

/// Tiers by generation, in the order in which they were begun. Its text is `generation:tier generation:tier …`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tiers(Vec<(Generation, Tier)>);

/// Why a text does not name tiers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("does not name tiers such as \"20781:0 20781:1\"")]
pub struct TiersFault;

impl Tiers {
    /// The tier that takes more ids of the generation; none before its first.
    pub fn open(&self, generation: Generation) -> Option<Tier> {
        self.0.iter().filter(|(of, _)| *of == generation).map(|(_, tier)| *tier).max()
    }

    /// The latest generation and its tiers: what there was lately is a good guess at what will come.
    pub fn latest(&self) -> Option<(Generation, Vec<Tier>)> {
        let latest = self.0.iter().map(|(generation, _)| *generation).max()?;
        Some((latest, self.within(latest.0..=latest.0).map(|(_, tier)| tier).collect()))
    }

    pub fn within(&self, generations: RangeInclusive<i64>) -> impl Iterator<Item = (Generation, Tier)> {
        self.0.iter().copied().filter(move |(generation, _)| generations.contains(&generation.0))
    }
}

impl FromStr for Tiers {
    type Err = TiersFault;

    fn from_str(text: &str) -> Result<Self, TiersFault> {
        text.split_whitespace().map(|name| parse(name).ok_or(TiersFault)).collect::<Result<_, _>>().map(Self)
    }
}

impl fmt::Display for Tiers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = self.0.iter().map(|(generation, tier)| name(*generation, *tier)).collect();
        f.write_str(&names.join(" "))
    }
}

/// A tier in the field `tiers`, and after `seen:` in the field of its size.
pub fn name(generation: Generation, tier: Tier) -> String {
    format!("{}:{}", generation.0, tier.number())
}

fn parse(name: &str) -> Option<(Generation, Tier)> {
    let (generation, tier) = name.split_once(':')?;
    Some((Generation(generation.parse().ok()?), Tier::new(tier.parse().ok()?)?))
}

/// The tier of that name, from its first part on.
pub fn expired(name: &str) -> Option<Expired> {
    parse(name).map(|(generation, tier)| Expired { generation, tier, part: 0 })
}

#[cfg(test)]
#[path = "../../tests/unit/store/tiers.rs"]
mod tests;
