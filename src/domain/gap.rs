//! Stretches of the log that an operator has accepted as never counted.

use std::fmt;
use std::str::FromStr;

use super::calendar::TimeMs;
use super::position::Offset;

/// What was accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum GapKind {
    /// The log held no longer what was to be counted next.
    Deleted,
    /// The log no longer began at 0 when counting began.
    BeforeStart,
    /// The log is another one than was counted before.
    Replaced,
}

impl GapKind {
    const ALL: [Self; 3] = [Self::Deleted, Self::BeforeStart, Self::Replaced];

    /// The name that Redis, the API and the commands bear.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Deleted => "deleted",
            Self::BeforeStart => "before_start",
            Self::Replaced => "replaced",
        }
    }
}

/// An accepted gap of one partition: records from `from` up to `to`, itself not included, are not in the counters.
///
/// Where the log was replaced, `from` is where counting stood in the earlier log and `to` where it went on in the
/// present one: two logs, so that `to` may be the smaller.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Gap {
    pub from: Offset,
    pub to: Offset,
    pub kind: GapKind,
    /// When an operator accepted it.
    pub accepted: TimeMs,
}

impl fmt::Display for Gap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}..{} {} {}", self.from.0, self.to.0, self.kind.as_str(), self.accepted.0)
    }
}

/// Gaps are kept one by one up to this many; then two of a kind become one.
const MOST: usize = 16;

/// The accepted gaps of one partition, in the order in which they were accepted.
///
/// Its text, `from..to kind accepted_ms` separated by `, `, is what Redis holds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Gaps(Vec<Gap>);

impl Gaps {
    /// Adds a gap; one that goes on where the last of its kind ends makes that one longer.
    pub fn accept(&mut self, gap: Gap) {
        match self.0.last_mut() {
            Some(last) if last.kind == gap.kind && last.to == gap.from => {
                (last.to, last.accepted) = (gap.to, gap.accepted)
            }
            _ => self.0.push(gap),
        }
        if self.0.len() > MOST {
            self.merge();
        }
    }

    /// Makes one of the first two of a kind. It may cover what was counted between them: of a gap rather too much is
    /// told than too little.
    fn merge(&mut self) {
        let later_of_its_kind = |first: usize| {
            let later = self.0[first + 1..].iter().position(|gap| gap.kind == self.0[first].kind)?;
            Some((first, first + 1 + later))
        };
        // There are more gaps than kinds.
        let Some((first, second)) = (0..self.0.len()).find_map(later_of_its_kind) else { return };
        let second = self.0.remove(second);
        let merged = &mut self.0[first];
        (merged.to, merged.accepted) = (second.to, second.accepted);
    }

    pub fn iter(&self) -> impl Iterator<Item = &Gap> {
        self.0.iter()
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Display for Gaps {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, gap) in self.0.iter().enumerate() {
            let separator = if index == 0 { "" } else { ", " };
            write!(f, "{separator}{gap}")?;
        }
        Ok(())
    }
}

/// Why a text is not a list of gaps.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("is not a list of gaps such as \"7..12 deleted 1732471234567\"")]
pub struct GapFault;

impl FromStr for Gap {
    type Err = GapFault;

    fn from_str(text: &str) -> Result<Self, GapFault> {
        let mut parts = text.split(' ');
        let (Some(range), Some(kind), Some(accepted), None) = (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(GapFault);
        };
        let (from, to) = range.split_once("..").ok_or(GapFault)?;
        let number = |text: &str| text.parse().map_err(|_| GapFault);
        let kind = GapKind::ALL.into_iter().find(|known| known.as_str() == kind).ok_or(GapFault)?;
        Ok(Self { from: Offset(number(from)?), to: Offset(number(to)?), kind, accepted: TimeMs(number(accepted)?) })
    }
}

impl FromStr for Gaps {
    type Err = GapFault;

    fn from_str(text: &str) -> Result<Self, GapFault> {
        text.split(", ").map(str::parse).collect::<Result<_, _>>().map(Self)
    }
}

#[cfg(test)]
#[path = "../../tests/unit/domain/gap.rs"]
mod tests;
