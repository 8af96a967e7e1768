//! What must be shown, and whether it was.

use serde::Serialize;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Verdict {
    Met,
    /// Short of the goal, and not below what is the least to be accepted.
    Minimum,
    Missed,
}

impl Verdict {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Met => "met",
            Self::Minimum => "at least the minimum",
            Self::Missed => "MISSED",
        }
    }
}

/// A bound on a figure, in its unit.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Goal {
    AtLeast(f64),
    /// A goal, and a minimum below it.
    Towards(f64, f64),
    AtMost(f64),
}

impl Goal {
    pub(crate) fn judge(self, value: f64) -> Verdict {
        let met = match self {
            Self::AtLeast(goal) | Self::Towards(goal, _) => value >= goal,
            Self::AtMost(goal) => value <= goal,
        };
        match self {
            _ if met => Verdict::Met,
            Self::Towards(_, minimum) if value >= minimum => Verdict::Minimum,
            _ => Verdict::Missed,
        }
    }

    /// The goal with the verdict on a value, as a reader of the table wants it.
    pub(crate) fn verdict(self, value: f64) -> String {
        let bound = match self {
            Self::AtLeast(goal) => format!("at least {goal}"),
            Self::Towards(goal, minimum) => format!("goal {goal}, at least {minimum}"),
            Self::AtMost(goal) => format!("at most {goal}"),
        };
        format!("{bound}: {}", self.judge(value).as_str())
    }

    pub(crate) fn json(self, value: f64) -> serde_json::Value {
        let (goal, minimum) = match self {
            Self::AtLeast(goal) | Self::AtMost(goal) => (goal, None),
            Self::Towards(goal, minimum) => (goal, Some(minimum)),
        };
        serde_json::json!({ "goal": goal, "minimum": minimum, "verdict": self.judge(value) })
    }
}

// What "Fast" must show: ratios within one run.

/// Of the raw consume rate: a skewed backlog, and one of a single tenant.
pub(crate) const CATCH_UP: Goal = Goal::Towards(0.35, 0.22);
/// Events a second of a skewed backlog, where the raw rate is above [`FAST_RAW`].
pub(crate) const CATCH_UP_RATE: Goal = Goal::AtLeast(200_000.0);
pub(crate) const FAST_RAW: f64 = 900_000.0;
/// Of the raw consume rate, where folding can't help.
pub(crate) const DIFFERENT: Goal = Goal::Towards(0.12, 0.07);
/// The worker's processor time of an event, in those of reading and decoding it.
pub(crate) const WORKER: Goal = Goal::AtMost(1.5);
/// The cost of an event in the last million, in those of the first.
pub(crate) const FLAT: Goal = Goal::AtMost(1.1);
/// From produce to visible, p99 in milliseconds.
pub(crate) const VISIBLE_MS: Goal = Goal::AtMost(150.0);
/// Stats reads a second over many connections.
pub(crate) const READS: Goal = Goal::AtLeast(15_000.0);
/// p99 of a read, in milliseconds.
pub(crate) const READ_MS: Goal = Goal::AtMost(5.0);
/// The share of its rate that counting loses to readers.
pub(crate) const LOST: Goal = Goal::AtMost(0.2);
/// From start to the first count, in seconds.
pub(crate) const RESTART_S: Goal = Goal::AtMost(3.0);
/// Bytes of a user's month with two pairs, of a seen id, of a saved output.
pub(crate) const USER_MONTH: Goal = Goal::AtMost(450.0);
pub(crate) const SEEN_ID: Goal = Goal::AtMost(25.0);
pub(crate) const SAVED_OUTPUT: Goal = Goal::AtMost(150.0);
