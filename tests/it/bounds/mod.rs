//! What must stay within bounds whatever comes: memory of Redis and of the worker, and the time that others wait.
//!
//! With all tests they are small; `make bounds` sets `INDELIBLE_BOUNDS=large` and prints what they measure.

mod backlog;
mod fairness;
mod gate;
mod names;
mod seen_ids;

use std::fs;

use crate::support::redis::Redis;

/// What Redis has allocated, in bytes.
fn used_memory(redis: &Redis) -> u64 {
    let info: String = redis.ask("INFO", &["memory"]);
    let used = info.lines().find_map(|line| line.strip_prefix("used_memory:")).expect("a field of INFO");
    used.trim().parse().expect("a number")
}

/// The most memory that the process has ever had resident, in bytes.
fn peak_resident(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("a process that runs");
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("a field of status");
    peak.trim().trim_end_matches(" kB").parse::<u64>().expect("a number") * 1024
}

fn mib(bytes: u64) -> u64 {
    bytes >> 20
}

/// How much of it: little, or as much as is promised.
fn size<T>(small: T, large: T) -> T {
    if std::env::var("INDELIBLE_BOUNDS").is_ok_and(|size| size == "large") { large } else { small }
}
