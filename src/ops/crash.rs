//! Steps at which a test ends the worker by SIGKILL, to prove that nothing is lost or counted twice wherever it dies.
//!
//! The steps are named in the code for good, and do nothing: only the feature `crash-points`, which no release has,
//! puts `armed.rs` in the place of the two empty functions here.

#[cfg(feature = "crash-points")]
mod armed;

#[cfg(feature = "crash-points")]
pub use armed::{Plan, arm, cut_off, point};

/// A step of the worker. Those of `In…` are passed twice each time: at the entrance, and when all is done and nobody
/// was told so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Point {
    /// Records were polled from Kafka; nothing has been done with them.
    AfterPoll,
    /// The next thing is the script's call.
    BeforeScript,
    /// Redis has the call and carries it out; its reply is never looked at.
    AfterScriptSent,
    /// The reply is there; nothing has been concluded from it.
    AfterReply,
    /// The Kafka client has a dead letter; the broker has not acknowledged it, and mostly has not got it.
    BeforeLetterAck,
    /// The broker has a dead letter; its batch goes on.
    AfterLetterAck,
    /// Requests are counted; the Kafka client has none of their rated records.
    BeforeRated,
    /// The brokers have the rated records; the bucket's next flush has not told the store.
    AfterRatedAck,
    /// The broker has some notices; they are still in the outbox.
    AfterNoticeAck,
    InRevoke,
    InAssign,
    InShutdown,
}

/// Marks a step.
#[cfg(not(feature = "crash-points"))]
pub fn point(_: Point) {}

/// Runs `call`, whose outcome a worker that dies at the point never learns. `begun` says what the point waits for
/// after the call was begun.
#[cfg(not(feature = "crash-points"))]
pub async fn cut_off<T, B: Future>(_: Point, call: impl Future<Output = T>, _begun: impl FnOnce() -> B) -> T {
    call.await
}
