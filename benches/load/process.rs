//! What a process has used, as the kernel counts it.

use std::fs;
use std::time::Duration;

/// Processor time so far, in user and system mode together: of the process, and of its children that have ended and
/// were waited for. Of Redis these are what rewrites the append-only file.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Cpu {
    pub(crate) own: Duration,
    pub(crate) children: Duration,
}

impl Cpu {
    pub(crate) fn of(pid: u32) -> Self {
        Self::read(&format!("/proc/{pid}/stat"))
    }

    /// Of this process: the producers and consumers of the measurement run in it.
    pub(crate) fn here() -> Self {
        Self::read("/proc/self/stat")
    }

    /// Of the calling thread.
    pub(crate) fn of_thread() -> Self {
        Self::read("/proc/thread-self/stat")
    }

    /// Of the threads of a process whose names begin so, and that run now.
    pub(crate) fn of_threads(pid: u32, name: &str) -> Self {
        let threads = fs::read_dir(format!("/proc/{pid}/task")).expect("a process that runs").flatten();
        let stats = threads.filter_map(|thread| fs::read_to_string(thread.path().join("stat")).ok());
        stats.filter(|stat| stat.contains(&format!(" ({name}"))).map(|stat| Self::parse(&stat)).sum()
    }

    fn read(path: &str) -> Self {
        Self::parse(&fs::read_to_string(path).expect("a process that runs"))
    }

    fn parse(stat: &str) -> Self {
        let (_, rest) = stat.rsplit_once(") ").expect("a name in parentheses");
        let fields: Vec<&str> = rest.split(' ').collect();
        // Fields 14 to 17 of proc(5), in hundredths of a second, which is as fine as this gets.
        let both = |first: usize| {
            let ticks = |index: usize| fields[index].parse::<u64>().expect("clock ticks");
            Duration::from_millis((ticks(first) + ticks(first + 1)) * 10)
        };
        Self { own: both(11), children: both(13) }
    }
}

impl std::ops::Sub for Cpu {
    type Output = Self;

    fn sub(self, earlier: Self) -> Self {
        Self { own: self.own.saturating_sub(earlier.own), children: self.children.saturating_sub(earlier.children) }
    }
}

impl std::iter::Sum for Cpu {
    fn sum<I: Iterator<Item = Self>>(all: I) -> Self {
        all.fold(Self::default(), |sum, one| Self { own: sum.own + one.own, children: sum.children + one.children })
    }
}

/// Memory that is resident now, in bytes.
pub(crate) fn resident(pid: u32) -> u64 {
    memory(pid, "VmRSS:")
}

/// The most that ever was.
pub(crate) fn peak_resident(pid: u32) -> u64 {
    memory(pid, "VmHWM:")
}

fn memory(pid: u32, field: &str) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("a process that runs");
    let line = status.lines().find_map(|line| line.strip_prefix(field)).expect("a field of status");
    line.trim().trim_end_matches(" kB").parse::<u64>().expect("a number") * 1024
}
