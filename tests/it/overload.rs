//! Far more requests than can be served: what is too much is shed, memory stays where it is, and counting goes on.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use crate::support::deployment::Deployment;
use crate::support::event::bare;
use crate::support::flood::flood;
use crate::support::program::{Program, Running};
use crate::support::proxy::{Mode, Proxy};
use crate::support::wait::eventually;

/// Requests a second that the credential may make.
const SERVED: u32 = 50;
/// Times as many are sent.
const TIMES: u32 = 20;
/// For so long.
const SPAN: Duration = Duration::from_secs(5);
/// Over so many connections.
const CONNECTIONS: u32 = 20;
/// Events that are counted meanwhile, in steps of 20 ms.
const EVENTS: u64 = 5_000;

/// One connection that asks, and reads each answer.
struct Client {
    reader: BufReader<TcpStream>,
    request: String,
}

impl Client {
    fn new(running: &Running, path: &str, key: &str) -> Self {
        let address = running.api_url().trim_start_matches("http://").to_owned();
        let stream = TcpStream::connect(&address).expect("it listens");
        stream.set_nodelay(true).expect("an option");
        stream.set_read_timeout(Some(Duration::from_secs(20))).expect("a time");
        let request = format!("GET {path} HTTP/1.1\r\nhost: {address}\r\nauthorization: Bearer {key}\r\n\r\n");
        Self { reader: BufReader::new(stream), request }
    }

    /// The status, and whether the answer says when to come back.
    fn ask(&mut self) -> (u16, bool) {
        self.reader.get_mut().write_all(self.request.as_bytes()).expect("the connection is open");
        let (mut line, mut length, mut status, mut retry) = (String::new(), 0, 0, false);
        loop {
            line.clear();
            assert!(self.reader.read_line(&mut line).expect("an answer in time") > 0, "the connection is closed");
            let text = line.trim_end().to_lowercase();
            match text.split_once(": ") {
                _ if status == 0 => {
                    status = text.split(' ').nth(1).and_then(|code| code.parse().ok()).expect("a status")
                }
                Some(("content-length", bytes)) => length = bytes.parse().expect("a length"),
                Some(("retry-after", _)) => retry = true,
                Some(_) => {}
                None => break,
            }
        }
        let mut body = vec![0; length];
        self.reader.read_exact(&mut body).expect("a body");
        (status, retry)
    }
}

/// Answers by status, those that say when to come back, and how long the slowest of them took.
#[derive(Debug, Default)]
struct Answers {
    served: u64,
    too_often: u64,
    overloaded: u64,
    with_retry: u64,
    slowest_shed: Duration,
}

impl Answers {
    fn note(&mut self, (status, retry): (u16, bool), took: Duration) {
        match status {
            200 => self.served += 1,
            429 => self.too_often += 1,
            503 => self.overloaded += 1,
            other => panic!("status {other}"),
        }
        self.with_retry += u64::from(retry);
        if status != 200 {
            self.slowest_shed = self.slowest_shed.max(took);
        }
    }
}

/// A new key's entry and the key.
fn key(rate: u32) -> (String, String) {
    let rate = rate.to_string();
    let args = ["key", "new", "--name", "load", "--tenant", "acme", "--scope", "usage:read:tenant", "--rate", &rate];
    let output = Program::run(&args, &[], "");
    let said = String::from_utf8(output.stderr).expect("text");
    let key = said.split_whitespace().find(|word| word.starts_with("idl_")).expect("a key").to_owned();
    (String::from_utf8(output.stdout).expect("text"), key)
}

fn memory(running: &Running) -> u64 {
    running.metric("process_resident_memory_bytes").expect("a series") as u64
}

fn counted(running: &Running) -> u64 {
    running.metric("indelible_records_total{outcome=\"counted\"}").expect("a series") as u64
}

/// Sends events at a steady rate and says how long it took from the first until the last was counted.
fn count_steadily(deployment: &Deployment, running: &Running, name: &str) -> Duration {
    let (start, before, steps) = (Instant::now(), counted(running), SPAN.as_millis() as u64 / 20);
    flood(&deployment.topic, EVENTS, |number| {
        let due = start + SPAN * (number * steps / EVENTS) as u32 / steps as u32;
        std::thread::sleep(due.saturating_duration_since(Instant::now()));
        let user = format!("u{}", number % 50);
        (None, format!("acme:{user}"), bare(&format!("{name}-{number}"), "acme", &user))
    });
    eventually(Duration::from_secs(60), "all events counted", || (counted(running) >= before + EVENTS).then_some(()));
    start.elapsed()
}

/// Each of some connections sends its part of `rate` requests a second, whatever the answers, until `stop`.
fn storm(running: &Running, key: &str, connections: u32, rate: u32, stop: &AtomicBool, sent: &AtomicU64) -> Answers {
    let all = Arc::new(Mutex::new(Answers::default()));
    std::thread::scope(|scope| {
        for number in 0..connections {
            let (all, mut client) = (Arc::clone(&all), Client::new(running, "/v1/tenants/acme/users/u1/stats", key));
            scope.spawn(move || {
                let pause = Duration::from_secs(1) * connections / rate;
                let mut due = Instant::now() + pause * number / connections;
                while !stop.load(Ordering::Relaxed) {
                    std::thread::sleep(due.saturating_duration_since(Instant::now()));
                    let start = Instant::now();
                    let answer = client.ask();
                    sent.fetch_add(1, Ordering::Relaxed);
                    all.lock().expect("a lock").note(answer, start.elapsed());
                    due += pause;
                }
            });
        }
    });
    Arc::into_inner(all).expect("all threads have ended").into_inner().expect("a lock")
}

#[test]
fn twenty_times_too_many_requests_are_shed_while_counting_goes_on() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let file = dir.path().join("keys.toml");
    let (entry, limited) = key(SERVED);
    std::fs::write(&file, entry).expect("the folder can be written");
    let deployment = Deployment::new(2).set("INDELIBLE_API_KEYS", &file.display().to_string());
    let running = deployment.serve();
    let alone = count_steadily(&deployment, &running, "alone");

    let (stop, sent, memory_before) = (AtomicBool::new(false), AtomicU64::new(0), memory(&running));
    let (start, under_load, answers) = std::thread::scope(|scope| {
        let start = Instant::now();
        let storming = scope.spawn(|| storm(&running, &limited, CONNECTIONS, SERVED * TIMES, &stop, &sent));
        let under_load = count_steadily(&deployment, &running, "under-load");
        stop.store(true, Ordering::Relaxed);
        (start, under_load, storming.join().expect("no answer is missing"))
    });
    let (millis, grown) = (start.elapsed().as_millis() as u64, memory(&running).saturating_sub(memory_before) >> 20);
    let sent = sent.into_inner();
    println!(
        "{sent} requests in {millis} ms, {} a second, of which {SERVED} may be served: {answers:?}; {grown} MiB more memory \
         than {}; {EVENTS} events counted in {alone:?} alone, in {under_load:?} meanwhile",
        sent * 1000 / millis,
        memory_before >> 20,
    );
    let most = (millis / 1000 + 2) * u64::from(SERVED);
    assert!((1..=most).contains(&answers.served), "at most {most}: {answers:?}");
    assert!(answers.too_often > 10 * answers.served, "{answers:?}");
    assert_eq!(
        answers.with_retry,
        answers.too_often + answers.overloaded,
        "who is turned away is told when to come back"
    );
    assert!(grown < 32, "{grown} MiB more");
    assert!(under_load * 10 < alone * 11, "{under_load:?} under load, {alone:?} alone");
    assert!(running.is_ready());
}

/// Requests that are answered at a time, of a Redis that takes `SLOW` for each way.
const AT_ONCE: u32 = 4;
const SLOW: Duration = Duration::from_millis(50);

/// Answers a second to so many who ask as soon as they are answered.
fn capacity(running: &Running, key: &str) -> u32 {
    let (start, stop, sent) = (Instant::now(), AtomicBool::new(false), AtomicU64::new(0));
    let answers = std::thread::scope(|scope| {
        let asking = scope.spawn(|| storm(running, key, AT_ONCE, 1_000_000, &stop, &sent));
        eventually(Duration::from_secs(30), "some answers", || (sent.load(Ordering::Relaxed) >= 40).then_some(()));
        stop.store(true, Ordering::Relaxed);
        asking.join().expect("no answer is missing")
    });
    assert_eq!((answers.too_often, answers.overloaded), (0, 0), "{answers:?}");
    (u128::from(answers.served) * 1000).div_ceil(start.elapsed().as_millis()) as u32
}

#[test]
fn twenty_times_what_a_slow_store_can_answer_is_shed_while_counting_goes_on() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let file = dir.path().join("keys.toml");
    let (entry, unlimited) = key(1_000_000);
    std::fs::write(&file, entry).expect("the folder can be written");
    let (deployment, proxy) = (Deployment::new(2), Proxy::start());
    proxy.lead_to(deployment.redis.port());
    let deployment = deployment
        .set("INDELIBLE_REDIS_URL", &format!("redis://127.0.0.1:{}", proxy.port()))
        .set("INDELIBLE_API_KEYS", &file.display().to_string())
        .set("INDELIBLE_API_CONCURRENCY", &AT_ONCE.to_string());
    let running = deployment.serve();
    proxy.set(Mode::Slow(SLOW));
    let alone = count_steadily(&deployment, &running, "alone");
    let capacity = capacity(&running, &unlimited);
    assert!(capacity > 0);

    let (stop, sent, memory_before) = (AtomicBool::new(false), AtomicU64::new(0), memory(&running));
    // A connection that waits for what is served sends late.
    let most = capacity * TIMES * 3 / 2;
    let (start, under_load, answers) = std::thread::scope(|scope| {
        let start = Instant::now();
        let storming = scope.spawn(|| storm(&running, &unlimited, CONNECTIONS, most, &stop, &sent));
        let under_load = count_steadily(&deployment, &running, "under-load");
        stop.store(true, Ordering::Relaxed);
        (start, under_load, storming.join().expect("no answer is missing"))
    });
    let (rate, grown) = (
        sent.into_inner() * 1000 / start.elapsed().as_millis() as u64,
        memory(&running).saturating_sub(memory_before) >> 20,
    );
    println!(
        "{rate} requests a second where {capacity} can be answered: {answers:?}; {grown} MiB more memory than {}; {EVENTS} \
         events counted in {alone:?} alone, in {under_load:?} meanwhile",
        memory_before >> 20,
    );
    assert!(rate >= u64::from(capacity * TIMES), "{rate} a second");
    assert!(answers.served > 0 && answers.too_often == 0, "{answers:?}");
    assert!(answers.overloaded > 10 * answers.served, "{answers:?}");
    assert_eq!(answers.with_retry, answers.overloaded, "who is turned away is told when to come back");
    assert!(answers.slowest_shed < Duration::from_secs(1), "{answers:?}");
    assert!(grown < 32, "{grown} MiB more");
    assert!(under_load * 10 < alone * 11, "{under_load:?} under load, {alone:?} alone");
    assert!(running.child.output().contains("shedding load"), "it is told, and not for each of them");
    assert!(running.is_ready());
}
