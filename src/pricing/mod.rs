//! What a request costs by the price table: decimals in, one rounding, nano-dollars out. Pure; knows `domain` alone.

use chrono::{DateTime, Utc};

use crate::domain::counters::Overflow;
use crate::domain::event::Usage;
use crate::domain::rated::Rated;

/// Prices by provider, model and date.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Table {}

impl Table {
    /// The table that is built in.
    pub fn builtin() -> Self {
        Self::default()
    }

    /// What a request at an instant costs.
    ///
    /// # Errors
    /// [`Overflow`], when that is more than an amount can hold.
    pub fn rate(&self, usage: &Usage, _at: DateTime<Utc>) -> Result<Rated, Overflow> {
        Ok(Rated::given(usage.cost))
    }
}
