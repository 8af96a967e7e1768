//! Who asks, and how much more often than others.

use rand::Rng;
use rand::rngs::StdRng;

use crate::event::Person;

pub(crate) const TENANTS: u64 = 1_000;
/// Of `Skewed` and `OneTenant`.
const USERS: u64 = 100_000;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Spread {
    /// The n-th of 100,000 users of 1,000 tenants asks 1 / n times as often as the first (Zipf, exponent 1).
    Skewed,
    /// So many users of 1,000 tenants ask in turn: with as many users as events, each event is another user's.
    InTurn { users: u64 },
    /// As `Skewed`, with a single tenant: a single bucket.
    OneTenant,
}

impl Spread {
    pub(crate) fn tenants(self) -> u64 {
        if self == Self::OneTenant { 1 } else { TENANTS }
    }
}

pub(crate) struct People {
    spread: Spread,
    /// Up to each user, the share of all requests in 2^32nds.
    shares: Vec<u32>,
    /// Who is next in turn.
    turn: u64,
}

impl People {
    pub(crate) fn new(spread: Spread) -> Self {
        let weight = |user: u64| 1.0 / (user as f64 + 1.0);
        let all: f64 = (0..USERS).map(weight).sum();
        let shares = (0..USERS).scan(0.0, |sum, user| {
            *sum += weight(user);
            Some((*sum / all * f64::from(u32::MAX)) as u32)
        });
        Self { spread, shares: shares.collect(), turn: 0 }
    }

    pub(crate) fn next(&mut self, rng: &mut StdRng) -> Person {
        let user = match self.spread {
            Spread::InTurn { users } => {
                self.turn += 1;
                (self.turn - 1) % users
            }
            Spread::Skewed | Spread::OneTenant => {
                let at: u32 = rng.random();
                self.shares.partition_point(|share| *share < at) as u64
            }
        };
        self.person(user)
    }

    pub(crate) fn person(&self, user: u64) -> Person {
        // By a stride: the users who ask the most are not of one tenant.
        let tenant = if self.spread == Spread::OneTenant { 0 } else { user * 7_919 % TENANTS };
        Person { tenant, user }
    }
}
