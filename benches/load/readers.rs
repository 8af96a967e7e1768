//! Who reads: many connections in one thread, each of which asks again when it has its answer.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use tokio::net::TcpStream;

use crate::http::{Frame, is_good};
use crate::process::Cpu;
use crate::times::Times;

/// A thread that reads.
pub(crate) struct Readers {
    stop: Arc<AtomicBool>,
    answered: Arc<AtomicU64>,
    thread: JoinHandle<Reads>,
}

/// What was read.
pub(crate) struct Reads {
    pub(crate) times: Times,
    pub(crate) took: Duration,
    /// Of the reading thread.
    pub(crate) cpu: Cpu,
}

/// What all connections share.
struct Plan {
    address: String,
    /// Whole requests, which all take from in turn.
    requests: Arc<Vec<String>>,
    connections: usize,
    /// A second, over all connections; as many as there is time for where none is given.
    rate: Option<u64>,
    stop: Arc<AtomicBool>,
    answered: Arc<AtomicU64>,
}

impl Readers {
    pub(crate) fn start(address: &str, requests: &Arc<Vec<String>>, connections: usize, rate: Option<u64>) -> Self {
        let (stop, answered) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let plan = Plan {
            address: address.to_owned(),
            requests: Arc::clone(requests),
            connections,
            rate,
            stop: Arc::clone(&stop),
            answered: Arc::clone(&answered),
        };
        Self { stop, answered, thread: thread::spawn(move || plan.run()) }
    }

    /// Requests that were answered so far.
    pub(crate) fn answered(&self) -> u64 {
        self.answered.load(Ordering::Relaxed)
    }

    pub(crate) fn stop(self) -> Reads {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().expect("every answer is right")
    }
}

impl Plan {
    fn run(self) -> Reads {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let (plan, start) = (Arc::new(self), Instant::now());
        let all = runtime.block_on(async {
            let tasks: Vec<_> =
                (0..plan.connections).map(|number| tokio::spawn(Arc::clone(&plan).read(number))).collect();
            let mut all = Vec::new();
            for task in tasks {
                all.extend(task.await.expect("every answer is right"));
            }
            all
        });
        Reads { times: Times::new(all), took: start.elapsed(), cpu: Cpu::of_thread() }
    }

    /// What one connection does.
    async fn read(self: Arc<Self>, number: usize) -> Vec<Duration> {
        let stream = TcpStream::connect(&self.address).await.expect("the API listens");
        stream.set_nodelay(true).expect("a socket");
        let every = self.rate.map(|rate| Duration::from_secs(self.connections as u64) / rate as u32);
        let (mut times, mut buffer, mut at) = (Vec::new(), vec![0; 64 << 10], number);
        let mut due = Instant::now();
        while !self.stop.load(Ordering::Relaxed) {
            if let Some(every) = every {
                due += every;
                tokio::time::sleep_until(due.into()).await;
            }
            let request = &self.requests[at % self.requests.len()];
            at += self.connections;
            let start = Instant::now();
            ask(&stream, request, &mut buffer).await.unwrap_or_else(|error| panic!("{request}: {error}"));
            times.push(start.elapsed());
            self.answered.fetch_add(1, Ordering::Relaxed);
        }
        times
    }
}

async fn ask(stream: &TcpStream, request: &str, buffer: &mut Vec<u8>) -> io::Result<()> {
    // So little always fits.
    assert_eq!(stream.try_write(request.as_bytes())?, request.len());
    let mut read = 0;
    let mut frame = None;
    loop {
        stream.readable().await?;
        match stream.try_read(&mut buffer[read..]) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(more) => read += more,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => continue,
            Err(error) => return Err(error),
        }
        frame = frame.or_else(|| Frame::of(&buffer[..read]));
        match frame.map(Frame::all) {
            Some(all) if all <= read => break,
            Some(all) if all > buffer.len() => buffer.resize(all, 0),
            _ => {}
        }
    }
    if is_good(buffer) { Ok(()) } else { Err(io::Error::other(String::from_utf8_lossy(&buffer[..read]))) }
}
