//! The row "memory": what a user's month, a saved output and a seen id take in Redis.
//!
//! All three come out of differences, so that what is there anyway is in none of them:
//!
//! - A *seen id*: 1,000 users, one of each tenant, and more and more requests of theirs. The users' months have all they
//!   ever have after the first few; what is added is ids, and a digit here and there. From the first measurement to the
//!   last, by the ids between.
//! - A *user's month*: many users with two requests each, one by each of two pairs of assistant and model, against the
//!   same number of requests of the 1,000. The ids are as many, so they fall out; what remains is all that Redis keeps
//!   for there being that many more users, wherever it keeps it.
//! - A *saved output*: users with ten requests each that all save one, against the same without. The outputs are named
//!   by UUIDs, 36 bytes long.
//!
//! Bytes are what Redis has allocated for data: `used_memory` without buffers of connections and of the log.

use std::time::Duration;

use rand::SeedableRng;
use rand::rngs::StdRng;

use crate::bench::Bench;
use crate::catch_up::{self, Counting};
use crate::event::{Person, Record, Request};
use crate::goal;
use crate::mix::{now, output_id};
use crate::people::{Spread, TENANTS};
use crate::process::{peak_resident, resident};
use crate::report::{Report, Row};
use crate::support::deployment::Deployment;
use crate::support::program::Program;
use crate::support::redis::Redis;
use crate::topic::{Topic, produce};

/// Requests of each user who saves outputs.
const SAVED: u64 = 10;

/// Requests of so many users in turn, of two pairs of assistant and model in turn.
#[derive(Debug, Clone, Copy)]
struct Requests {
    users: u64,
    saves: bool,
}

impl Requests {
    /// From one number to another.
    fn records(self, from: u64, to: u64) -> impl Iterator<Item = Record> {
        let (time, mut rng) = (now(), StdRng::seed_from_u64(from));
        (from..to).map(move |number| {
            let user = number % self.users;
            let output = self.saves.then(|| output_id(&mut rng));
            let pair = (number / self.users % 2) as usize;
            Request {
                number,
                time: &time,
                person: Person { tenant: user % TENANTS, user },
                assistant: pair,
                model: pair,
                tokens_in: 1_000 + number % 9_000,
                tokens_out: 100 + number % 900,
                latency_ms: 1_000 + number % 9_000,
                searches: 1,
                output: output.as_deref(),
            }
            .record()
        })
    }
}

/// A deployment that is given requests bit by bit.
struct Filling {
    requests: Requests,
    topic: Topic,
    deployment: Deployment,
    counting: Counting,
    sent: u64,
}

impl Filling {
    fn start(bench: &Bench, requests: Requests) -> Self {
        let topic = Topic::empty(Spread::InTurn { users: requests.users });
        let deployment = bench.deployment(&topic.name);
        let counting = Counting::of(vec![Program::serve(&deployment.env())], 0);
        Self { requests, topic, deployment, counting, sent: 0 }
    }

    /// What Redis holds when so many are counted in all, in bytes.
    fn up_to(&mut self, records: u64, patience: Duration) -> f64 {
        produce(&self.topic.name, self.requests.records(self.sent, records));
        self.sent = records;
        self.counting.expect(records);
        self.counting.await_all(patience);
        assert_eq!(self.counting.look().counted, records, "every request is counted");
        stored(&self.deployment.redis)
    }

    fn end(self) {
        catch_up::end(self.counting.workers);
    }
}

pub(crate) fn memory(bench: &mut Bench, report: &mut Report) {
    let (users, ids, few) = (bench.size.users, bench.size.ids, TENANTS);
    let same = 2 * users;
    assert!(few < users && same <= ids, "more users than tenants, and more ids than requests of the users");
    let patience = bench.patience(ids);

    let mut plain = Filling::start(bench, Requests { users: few, saves: false });
    // Each of the few has both pairs.
    let first = plain.up_to(2 * few, patience);
    let as_many = plain.up_to(same, patience);
    let last = plain.up_to(ids, patience);
    let worker = plain.counting.workers[0].child.pid();
    let (rests, peak) = (resident(worker), peak_resident(worker));
    plain.end();
    let of = |requests: Requests| {
        let mut filling = Filling::start(bench, requests);
        let bytes = filling.up_to(same, patience);
        filling.end();
        bytes
    };
    let many = of(Requests { users, saves: false });
    let savers = same / SAVED;
    let [without, with] = [false, true].map(|saves| of(Requests { users: savers, saves }));

    let mut row = Row::new("memory: bytes in Redis");
    row.judge("a user's month with two pairs", (many - as_many) / (users - few) as f64, "bytes", goal::USER_MONTH);
    row.judge("a seen id", (last - first) / (ids - 2 * few) as f64, "bytes", goal::SEEN_ID);
    row.judge("a saved output", (with - without) / same as f64, "bytes", goal::SAVED_OUTPUT);
    row.add("worker resident, when all was counted", (rests >> 20) as f64, "MiB");
    row.add("worker resident, peak", (peak >> 20) as f64, "MiB");
    row.note(format!("{users} users, {ids} ids, {same} outputs of {savers} users; differences of used_memory"));
    report.add(row);
}

fn stored(redis: &Redis) -> f64 {
    let info: String = redis.ask("INFO", &["memory"]);
    let field = |name: &str| {
        let value = info.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        value.and_then(|value| value.trim().parse::<f64>().ok()).expect("a field of INFO")
    };
    field("used_memory") - field("mem_clients_normal") - field("mem_aof_buffer")
}
