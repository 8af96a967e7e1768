//! When to stop: SIGTERM or Ctrl-C drains, a second one ends the process at once.

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// Exit code after a second signal: killed on request while draining.
const EXIT_INTERRUPTED: i32 = 130;

/// A token that is cancelled by the first SIGTERM or SIGINT.
///
/// # Errors
/// When the process may not listen for signals.
pub fn on_signal() -> std::io::Result<CancellationToken> {
    let token = CancellationToken::new();
    let cancel = token.clone();
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    tokio::spawn(async move {
        for round in 0.. {
            let name = tokio::select! {
                _ = terminate.recv() => "SIGTERM",
                _ = interrupt.recv() => "SIGINT",
            };
            if round > 0 {
                tracing::warn!(signal = name, "second signal, exiting at once; nothing is lost, Kafka still holds it");
                exit_now(EXIT_INTERRUPTED);
            }
            tracing::info!(signal = name, "draining; a second signal exits at once");
            cancel.cancel();
        }
    });
    Ok(token)
}

/// Ends the process without unwinding; for a signal's task and a close that hangs.
#[expect(clippy::disallowed_methods, reason = "the one exit that is not a return from main")]
pub fn exit_now(code: i32) -> ! {
    std::process::exit(code)
}
