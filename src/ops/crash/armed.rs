//! The points of a build for tests: the process ends itself at one pass of one of them.

use std::pin::pin;
use std::str::FromStr;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::process::{Signal, getpid, kill_process};

use super::Point;

const NAMES: [(&str, Point); 12] = [
    ("after_poll", Point::AfterPoll),
    ("before_script", Point::BeforeScript),
    ("after_script_sent", Point::AfterScriptSent),
    ("after_reply", Point::AfterReply),
    ("before_letter_ack", Point::BeforeLetterAck),
    ("after_letter_ack", Point::AfterLetterAck),
    ("before_rated", Point::BeforeRated),
    ("after_rated_ack", Point::AfterRatedAck),
    ("after_notice_ack", Point::AfterNoticeAck),
    ("in_revoke", Point::InRevoke),
    ("in_assign", Point::InAssign),
    ("in_shutdown", Point::InShutdown),
];

/// Where the process ends itself: at the `pass`th time that it comes to `point`.
#[derive(Debug, Clone)]
pub struct Plan {
    name: &'static str,
    point: Point,
    pass: u64,
}

impl FromStr for Plan {
    type Err = String;

    /// Reads `after_reply:7`.
    fn from_str(text: &str) -> Result<Self, String> {
        let (name, pass) = text.split_once(':').ok_or("is not of the form point:pass")?;
        let found = NAMES.iter().find(|(found, _)| *found == name);
        let (name, point) = *found.ok_or_else(|| format!("there is no point {name}"))?;
        match pass.parse() {
            Ok(pass) if pass > 0 => Ok(Self { name, point, pass }),
            _ => Err(format!("{pass:?} is not a whole number from 1")),
        }
    }
}

static PLAN: OnceLock<Plan> = OnceLock::new();
static PASSES: AtomicU64 = AtomicU64::new(0);

/// From now on passes are counted. A process has one plan.
pub fn arm(plan: Plan) {
    assert!(PLAN.set(plan).is_ok(), "armed twice");
}

/// Ends the process if this is the pass.
pub fn point(point: Point) {
    if is_due(point) {
        die();
    }
}

/// Runs `call`; at the pass only until `begun` has ended, which is then the end of the process.
pub async fn cut_off<T, B: Future>(point: Point, call: impl Future<Output = T>, begun: impl FnOnce() -> B) -> T {
    if !is_due(point) {
        return call.await;
    }
    // In this order: whatever both of them wait for, the call gets it first. What it answers nobody learns.
    futures::future::select(pin!(call), pin!(begun())).await;
    die()
}

fn is_due(point: Point) -> bool {
    let Some(plan) = PLAN.get().filter(|plan| plan.point == point) else { return false };
    PASSES.fetch_add(1, Ordering::Relaxed) + 1 == plan.pass
}

/// As `kill -9` from outside: nothing is flushed, dropped or unwound.
fn die() -> ! {
    if let Some(plan) = PLAN.get() {
        eprintln!("crash point {} reached, pass {}", plan.name, plan.pass);
    }
    let _ = kill_process(getpid(), Signal::KILL);
    // The signal may reach another thread first; this one must not take a further step meanwhile.
    loop {
        std::thread::park();
    }
}

#[cfg(test)]
#[path = "../../../tests/unit/ops/crash.rs"]
mod tests;
