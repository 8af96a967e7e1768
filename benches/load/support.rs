//! The servers and the program, as the integration tests start them: see `tests/it/support`.
//!
//! Only what measuring needs: the rest of it would be built for nothing.

#![allow(dead_code, reason = "a harness offers more than the measurements use")]

#[path = "../../tests/it/support/child.rs"]
pub(crate) mod child;
#[path = "../../tests/it/support/deployment.rs"]
pub(crate) mod deployment;
#[path = "../../tests/it/support/kafka.rs"]
pub(crate) mod kafka;
#[path = "../../tests/it/support/port.rs"]
pub(crate) mod port;
#[path = "../../tests/it/support/program.rs"]
pub(crate) mod program;
#[path = "../../tests/it/support/proxy.rs"]
pub(crate) mod proxy;
#[path = "../../tests/it/support/redis.rs"]
pub(crate) mod redis;
#[path = "../../tests/it/support/redis_cluster.rs"]
pub(crate) mod redis_cluster;
#[path = "../../tests/it/support/wait.rs"]
pub(crate) mod wait;
