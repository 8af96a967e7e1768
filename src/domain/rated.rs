//! What a request costs, once a price was found for it.

use super::money::NanoDollars;

/// What one request costs. The default is that of an event that costs nothing by its kind, such as a saved output.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Rated {
    /// What the provider takes.
    pub cost: NanoDollars,
    /// What the customer is charged: the cost with the markup.
    pub charge: NanoDollars,
    /// Neither the event nor the price table says what it costs; cost and charge are 0.
    pub unpriced: bool,
    /// What the table says, where the event says otherwise beyond the tolerance.
    pub mismatch: Option<NanoDollars>,
}

impl Rated {
    /// The cost that the event itself gives, with nothing on top; unpriced where it gives none.
    pub fn given(cost: Option<NanoDollars>) -> Self {
        let unpriced = cost.is_none();
        let cost = cost.unwrap_or_default();
        Self { cost, charge: cost, unpriced, mismatch: None }
    }
}
