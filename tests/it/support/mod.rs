//! Real servers and our own program, as values: dropped, they are gone.
//!
//! No server outlives the test binary, however that ends: see `child.rs`, and read it first. Nothing in
//! here sleeps for a fixed time; every wait is a poll with a deadline that says what it waited for.

#![allow(dead_code, reason = "a harness offers more than the tests of the day use")]

pub(crate) mod authority;
pub(crate) mod child;
pub(crate) mod deployment;
pub(crate) mod event;
pub(crate) mod flood;
pub(crate) mod issuer;
pub(crate) mod kafka;
pub(crate) mod kafka_cluster;
pub(crate) mod oracle;
pub(crate) mod port;
pub(crate) mod program;
pub(crate) mod prometheus;
pub(crate) mod proxy;
pub(crate) mod redis;
pub(crate) mod redis_cluster;
pub(crate) mod rounds;
pub(crate) mod source;
pub(crate) mod wait;
