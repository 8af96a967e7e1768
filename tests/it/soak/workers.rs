//! The workers of a soak. None ever ends by itself.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::Instant;

use serde_json::Value;

use super::stage::Stage;
use crate::support::program::{Program, Running, fetch};
use crate::support::wait::{START, eventually};

pub(super) struct Worker {
    running: Running,
    /// Stands still until then.
    frozen: Option<Instant>,
}

#[derive(Default)]
pub(super) struct Workers {
    all: Vec<Worker>,
    /// What those that are gone had printed.
    printed: Vec<String>,
}

impl Workers {
    pub(super) fn count(&self) -> usize {
        self.all.len()
    }

    pub(super) fn launch(&mut self, stage: &Stage) {
        let env = stage.env();
        let mut env: Vec<_> = env.iter().map(|(name, value)| (*name, value.as_str())).collect();
        env.push(("INDELIBLE_ROLE", "worker"));
        // Six seconds are the least that a broker takes.
        env.push(("INDELIBLE_KAFKA_PROPERTIES", "session.timeout.ms=6000,heartbeat.interval.ms=1500"));
        self.all.push(Worker { running: Program::launch(&env), frozen: None });
    }

    /// SIGKILL.
    pub(super) fn kill(&mut self, at: usize) {
        let mut worker = self.all.swap_remove(at);
        worker.running.child.kill();
        self.printed.push(worker.running.child.output());
    }

    /// SIGTERM, after which it ends in order. One that stands still is woken for it.
    pub(super) fn remove(&mut self, at: usize) {
        let child = &mut self.all[at].running.child;
        child.cont();
        child.terminate();
        let status = child.wait(START);
        assert!(status.success(), "SIGTERM ended a worker with {status}");
        self.kill(at);
    }

    /// SIGSTOP until then.
    pub(super) fn freeze(&mut self, at: usize, until: Instant) {
        let worker = &mut self.all[at];
        worker.running.child.stop();
        worker.frozen.get_or_insert(until);
    }

    pub(super) fn look_after(&mut self, wake_all: bool) {
        for worker in &mut self.all {
            if worker.frozen.is_some_and(|until| wake_all || until <= Instant::now()) {
                worker.running.child.cont();
                worker.frozen = None;
            }
            if let Some(status) = worker.running.child.exited() {
                panic!("a worker ended by itself with {status}");
            }
        }
    }

    /// Waits until one that is awake says that it is not ready, and `why`.
    pub(super) fn await_red(&mut self, why: &str) {
        eventually(START, &format!("a worker to say {why}"), || {
            self.look_after(false);
            let mut awake = self.all.iter().filter(|worker| worker.frozen.is_none());
            let says = |worker: &Worker| {
                let answer = fetch(&format!("http://{}/readyz", worker.running.ops_address()), &[]);
                answer.is_ok_and(|answer| answer.body.contains(why))
            };
            awake.any(says).then_some(())
        });
    }

    pub(super) fn are_ready(&self) -> bool {
        self.all.iter().all(|worker| worker.running.is_ready())
    }

    /// Records that are read later than others, by what the workers' own metrics say.
    pub(super) fn lag(&self) -> i64 {
        let of = |worker: &Worker| -> i64 {
            let text = worker.running.ops("/metrics").body;
            let lags = text.lines().filter(|line| line.starts_with("indelible_lag_records{"));
            lags.map(|line| line.rsplit(' ').next().and_then(|lag| lag.parse::<i64>().ok()).expect("a lag")).sum()
        };
        self.all.iter().map(of).sum()
    }

    /// Ends all. Returns what was an error to them, and how often which failure ended a session.
    pub(super) fn end(&mut self) -> (Vec<String>, BTreeMap<String, u32>) {
        while !self.all.is_empty() {
            self.kill(0);
        }
        if let Ok(folder) = std::env::var("INDELIBLE_SOAK_LOGS") {
            for (number, printed) in self.printed.iter().enumerate() {
                let file = Path::new(&folder).join(format!("worker-{number}.log"));
                fs::write(file, printed).expect("INDELIBLE_SOAK_LOGS is a folder for logs");
            }
        }
        let (mut errors, mut sessions) = (Vec::new(), BTreeMap::new());
        for line in self.printed.iter().flat_map(|printed| printed.lines()) {
            let parsed: Value = serde_json::from_str(line).unwrap_or_default();
            let ours = parsed["target"].as_str().is_none_or(|target| target.starts_with("indelible"));
            if ours && (parsed["level"] == "ERROR" || parsed.is_null()) {
                errors.push(format!("a worker printed: {line}"));
            }
            if let Some(failure) = parsed["failure"].as_str() {
                *sessions.entry(failure.to_owned()).or_default() += 1;
            }
        }
        (errors, sessions)
    }
}
