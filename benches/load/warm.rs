//! Waits until nothing of before is in a steady load's way: what earlier rows wrote is on the disk, and Kafka is warm.
//!
//! Kafka's virtual machine compiles what it runs often, for the first half minute or so of a new load: on a machine of two
//! cores, of which that takes half of one, it is what a steady load waits for. A broker that has run for a while doesn't.

use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use crate::process::Cpu;
use crate::support::kafka::Kafka;

/// The threads that compile, by how their names begin.
const COMPILERS: [&str; 2] = ["C1 Compil", "C2 Compil"];
/// Between two looks.
const LOOK: Duration = Duration::from_secs(2);
/// The part of a core that they may take when they are done, for what they go on to improve.
const AT_REST: f64 = 0.1;
/// Looks in a row that must find them at rest.
const IN_A_ROW: u32 = 3;

/// What earlier rows wrote, gigabytes of it, the kernel would write half a minute later, beside what is measured.
pub(crate) fn settle_disk() {
    let done = Command::new("sync").status().expect("sync is part of every system");
    assert!(done.success(), "{done}");
}

/// Until the compilers rest, at most so long. The part of a core that they took at last.
pub(crate) fn await_kafka(most: Duration) -> f64 {
    let pid = Kafka::shared().pid().expect("it runs");
    let compiling = || COMPILERS.iter().map(|name| Cpu::of_threads(pid, name)).sum::<Cpu>().own;
    let (start, mut at_rest, mut part) = (Instant::now(), 0, 1.0);
    while at_rest < IN_A_ROW && start.elapsed() < most {
        let (before, look) = (compiling(), Instant::now());
        thread::sleep(LOOK.min(most));
        part = compiling().saturating_sub(before).as_secs_f64() / look.elapsed().as_secs_f64();
        at_rest = if part <= AT_REST { at_rest + 1 } else { 0 };
    }
    part
}
