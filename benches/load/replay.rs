//! The row "limit, Redis": what the worker asked, once more without the worker, as fast as Redis takes it.

use std::fs::File;
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use crate::bench::{Bench, KEPT};
use crate::catch_up;
use crate::check;
use crate::people::Spread;
use crate::process::Cpu;
use crate::recorder::Recorder;
use crate::report::{Report, Row, rate, us_each};
use crate::support::program::Program;
use crate::support::redis::Redis;

/// Asked for at the very end: its answer is the last one.
const LAST: &str = "the last of all answers";

/// A backlog is counted through a recorder. A second Redis is then asked the same, over one connection that waits for
/// no answer, and must hold the same in the end.
pub(crate) fn limit_redis(bench: &mut Bench, report: &mut Report) {
    let topic = bench.topic(Spread::Skewed, bench.size.lesser);
    let dir = tempfile::Builder::new().prefix("indelible-recording-").tempdir().expect("a temporary folder");
    let file = dir.path().join("requests");
    let counted = bench.deployment(&topic.name);
    let recorder = Recorder::start(counted.redis.port(), &file);
    let counted = counted.set("INDELIBLE_REDIS_URL", &recorder.url()).set("INDELIBLE_ROLE", "worker");
    let done = catch_up::run(&counted, &topic.mix.tally, 1, u64::MAX, bench.patience(topic.records()));
    let (running, count) = done.running;
    catch_up::end(done.workers);
    let recorded = recorder.end();
    let first = Facts::of(&counted.redis);

    let redis = Redis::start_with(&KEPT);
    let cpu = || Cpu::of(redis.pid().expect("it runs"));
    let (start, before, client) = (Instant::now(), cpu(), Cpu::here());
    replay(&file, redis.port()).expect("redis takes and answers all");
    let (took, used, client) = (start.elapsed(), cpu() - before, Cpu::here() - client);
    let second = Facts::of(&redis);
    assert_eq!(first.keys, second.keys, "keys after the worker, and after the replay");
    assert_eq!(first.errors, second.errors, "errors that the worker got, and the replay");
    let same = first.digest == second.digest;

    // Nobody was to ask while it was recorded.
    let url = counted.redis.url();
    let counted = counted.set("INDELIBLE_REDIS_URL", &url).set("INDELIBLE_ROLE", "api");
    check::answers(&Program::serve(&counted.env()), topic.spread, &topic.mix);

    let mut row = Row::new("limit, Redis: the worker's requests by pipeline, without the worker");
    row.add("events that they are for", topic.records() as f64, "");
    row.add("events", rate(topic.records(), took), "/s");
    row.add("the worker's own rate, while it was recorded", rate(count, running), "/s");
    row.add("requests", rate(recorded.requests, took), "/s");
    row.add("commands, those within scripts included", rate(second.commands, took), "/s");
    row.add("requests of an event", recorded.requests as f64 / topic.records() as f64, "");
    row.add("sent", recorded.bytes as f64 / topic.records() as f64, "bytes/event");
    row.add("redis", us_each(used.own, topic.records()), "us/event");
    row.add("redis, its child that rewrites the log", us_each(used.children, topic.records()), "us/event");
    row.add("who asks", us_each(client.own, topic.records()), "us/event");
    row.note(if same {
        "Redis held the very same afterwards, to the last value".to_owned()
    } else {
        format!("{} keys in both; not every value is the same: leases and what they hold run by the clock", first.keys)
    });
    report.add(row);
}

/// What tells whether two servers did the same.
#[derive(Debug)]
struct Facts {
    keys: u64,
    /// Of everything stored.
    digest: String,
    /// That Redis answered with, by kind; a script that is not known yet, for one. Without `ERR`, which is what an old
    /// Redis says to a client that introduces itself: also to those that look on.
    errors: Vec<String>,
    commands: u64,
}

impl Facts {
    fn of(redis: &Redis) -> Self {
        let [stats, errors] = ["stats", "errorstats"].map(|part| redis.ask::<String>("INFO", &[part]));
        let commands =
            stats.lines().find_map(|line| line.strip_prefix("total_commands_processed:")?.trim().parse().ok());
        let errors =
            errors.lines().filter(|line| line.starts_with("errorstat_") && !line.starts_with("errorstat_ERR:"));
        Self {
            keys: redis.ask("DBSIZE", &[]),
            digest: redis.ask("DEBUG", &["DIGEST"]),
            errors: errors.map(str::to_owned).collect(),
            commands: commands.expect("a field of INFO"),
        }
    }
}

fn replay(file: &Path, port: u16) -> io::Result<()> {
    let mut asking = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
    asking.set_read_timeout(Some(Duration::from_secs(60)))?;
    let answers = asking.try_clone()?;
    let reading = thread::spawn(move || drop_answers(answers));
    // More than one write at a time is on its way, and Redis is never without work.
    let mut requests = io::BufReader::with_capacity(1 << 20, File::open(file)?);
    io::copy(&mut requests, &mut asking)?;
    write!(asking, "*2\r\n$4\r\nECHO\r\n${}\r\n{LAST}\r\n", LAST.len())?;
    reading.join().expect("the reader does not panic")
}

/// Reads up to the last one.
fn drop_answers(mut answers: TcpStream) -> io::Result<()> {
    let (mut chunk, mut tail) = (vec![0; 256 << 10], Vec::new());
    let end = format!("{LAST}\r\n");
    while !tail.ends_with(end.as_bytes()) {
        let length = answers.read(&mut chunk)?;
        if length == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        tail.extend_from_slice(&chunk[length.saturating_sub(end.len())..length]);
        tail.drain(..tail.len().saturating_sub(end.len()));
    }
    Ok(())
}
