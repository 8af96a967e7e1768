//! The closed sets of labels. Each starts at 0, so that a rate is there before the first of its kind.

macro_rules! labels {
    ($($(#[$doc:meta])+ $set:ident { $($(#[$what:meta])* $variant:ident = $name:literal,)+ })+) => {
        $(
            $(#[$doc])+
            #[derive(Debug, Clone, Copy, PartialEq, Eq)]
            pub enum $set {
                $($(#[$what])* $variant,)+
            }

            impl $set {
                #[allow(dead_code, reason = "which ways to Redis there are depends on the process")]
                pub(super) const ALL: [Self; [$($name),+].len()] = [$(Self::$variant),+];

                pub(super) const fn as_str(self) -> &'static str {
                    match self {
                        $(Self::$variant => $name,)+
                    }
                }
            }
        )+
    };
}

labels! {
    /// How a record ended.
    Ending {
        /// Its event was added to the counters.
        Counted = "counted",
        /// Its event was counted before.
        Repeated = "repeated",
        /// Its id was counted before with other content; the content of the first stays counted.
        Conflict = "conflict",
        /// It is in the dead-letter topic.
        Rejected = "rejected",
        /// A restart read it again; the watermark says that it is in the counters.
        Passed = "passed",
    }

    /// What became of a counted request on its way to the rated topic.
    Audited {
        Written = "written",
        /// Once more, since a crash may have kept it from the topic.
        Rewritten = "rewritten",
        /// It may be missing from the topic, and can't be written any more.
        Skipped = "skipped",
    }

    /// How reading a file again ended.
    ReloadOutcome {
        Ok = "ok",
        /// The file has faults; what was in place stays.
        Failed = "failed",
    }

    /// What became of a try to send a notice.
    Sent {
        /// It was taken.
        Sent = "sent",
        /// It will be tried again.
        Failed = "failed",
        /// It is in the dead-letter topic.
        DeadLettered = "dead_lettered",
    }

    /// Whose way to Redis it is.
    RedisClient {
        Worker = "worker",
        /// Who sends the notices.
        Notices = "notices",
        Api = "api",
    }

    /// What Redis is asked for.
    RedisOperation {
        /// A flush, or notices that were sent: atomic, and Redis does nothing else meanwhile.
        Script = "script",
        /// Several commands in one round trip.
        Pipeline = "pipeline",
        Info = "info",
        Read = "read",
        Write = "write",
    }
}

/// Kinds of failed calls to the store.
pub(super) const STORE_ERRORS: [&str; 7] =
    ["unavailable", "refused", "corrupt", "unusable", "unfit", "not_counting", "crowded"];
/// What may be counted under "other".
pub(super) const CAPPED: [&str; 4] = ["group", "tool", "user", "kind"];
/// Files that are read again.
pub(super) const RELOADED: [&str; 4] = ["prices", "plans", "api_keys", "token_keys"];
/// Sinks of notices, and how tries can end there.
pub(super) const NOTICES: [(&str, &[Sent]); 2] = [("topic", &[Sent::Sent, Sent::Failed]), ("webhook", &Sent::ALL)];
pub(super) const REBALANCES: [&str; 2] = ["assigned", "revoked"];
/// What ends a session and not the process.
pub(super) const SESSION_FAILURES: [&str; 5] = ["kafka", "watermark_moved", "unavailable", "refused", "not_counting"];
