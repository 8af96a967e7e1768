//! Why a quota stands as it does, in words for a person.

use chrono::SecondsFormat;

use crate::domain::calendar::TimeMs;
use crate::domain::money::NanoDollars;
use crate::domain::quota::Metric;

use super::assess::{Assessment, Held, State, Subject};

impl Subject {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Tenant => "tenant",
            Self::User => "user",
        }
    }
}

impl Assessment {
    /// Which limit decides, how much of it is used, and what comes next.
    pub fn reason(&self) -> String {
        let (held, whose) = (self.worst(), self.subject.as_str());
        let Held { metric, limit, used, .. } = *held;
        let Some(base) = limit.base() else { return format!("nothing limits the {whose}") };
        let [used, of] = [used, base].map(|value| amount(metric, value));
        let kind = if limit.soft.is_some() { "soft" } else { "hard" };
        let past = format!("the {whose} has used {used}, and the soft limit is {of}");
        match held.state {
            State::Within => format!("the {whose} has used {used} of {of}"),
            State::Near => format!("the {whose} has used {used} of {of}: the {kind} limit is near"),
            State::SoftExceeded => match limit.hard {
                Some(hard) => format!("{past}; {} will be refused", amount(metric, hard)),
                None => format!("{past}; nothing is refused"),
            },
            State::Grace => match held.grace_until.filter(|until| *until < self.month_end) {
                Some(until) => format!("{past}; that is tolerated until {}, and then refused", instant(until)),
                None => format!("{past}; that is tolerated until the month ends"),
            },
            State::Blocked => format!("{}; refused until {}", self.blocked(held), self.next()),
        }
    }

    fn blocked(&self, held: &Held) -> String {
        let Held { metric, limit, .. } = *held;
        let text = |value| amount(metric, value);
        let used = format!("the {} has used {}", self.subject.as_str(), text(held.used));
        match (limit.hard, limit.soft, held.grace_until) {
            (Some(hard), ..) if held.used >= hard => format!("{used}, and the hard limit is {}", text(hard)),
            (_, Some(soft), Some(until)) => {
                format!("{used}, the soft limit is {}, and its grace ended at {}", text(soft), instant(until))
            }
            _ => used,
        }
    }

    /// When the state may get better, and why then.
    pub(super) fn next(&self) -> String {
        let turns = self.turns();
        let why = if turns == self.month_end { "usage begins at 0 again" } else { "another quota takes effect" };
        format!("{}, when {why}", instant(turns))
    }
}

/// `1,250,000 tokens`, `$25.5`
pub(super) fn amount(metric: Metric, value: i64) -> String {
    match metric {
        Metric::Tokens => format!("{} tokens", grouped(&value.to_string())),
        Metric::Cost => {
            let dollars = NanoDollars(value).to_dollars();
            let (whole, fraction) = dollars.split_at(dollars.find('.').unwrap_or(dollars.len()));
            format!("${}{fraction}", grouped(whole))
        }
    }
}

/// With a comma before every third digit from the end.
fn grouped(digits: &str) -> String {
    let mut text = String::with_capacity(digits.len() * 4 / 3);
    for (index, digit) in digits.char_indices() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

fn instant(time: TimeMs) -> String {
    time.to_utc().to_rfc3339_opts(SecondsFormat::Secs, true)
}
