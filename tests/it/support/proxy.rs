//! A TCP proxy between the program and one server, which does to their connections what networks do.

use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU16, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use super::port::free_port;

/// Servers that speak to each other come from here, and are left in peace: what is broken is the way of clients.
pub(crate) const SERVERS: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    Pass,
    /// Everything arrives this much later, in both directions.
    Slow(Duration),
    /// A connection with a script call under way is cut: the server carries the call out, the reply is lost.
    Cut,
    /// Half-open: nothing arrives any more, and nobody is told. Who was connected meanwhile never hears again.
    Silent,
    /// The same for replies only: requests arrive, and are carried out.
    Mute,
}

/// Passes everything on; dropped, it closes what is open.
pub(crate) struct Proxy {
    port: u16,
    state: Arc<State>,
}

struct State {
    /// And until when; then all passes again.
    mode: Mutex<(Mode, Option<Instant>)>,
    /// A port; 0 while there is no server yet.
    server: AtomicU16,
    pairs: Mutex<Vec<Weak<Pair>>>,
    cut: AtomicU64,
    closed: AtomicBool,
}

/// A client's connection, and ours to the server.
struct Pair {
    client: TcpStream,
    server: TcpStream,
    /// Requests, and replies, come to nothing.
    lost: [AtomicBool; 2],
    /// A script call has gone through that must get no reply.
    doomed: AtomicBool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    Request,
    Reply,
}

impl Proxy {
    /// Listens; clients are refused until there is a server.
    pub(crate) fn start() -> Self {
        // A port can be taken between its choice and its use.
        let listener = (0..3).find_map(|_| TcpListener::bind((Ipv4Addr::LOCALHOST, free_port())).ok());
        let listener = listener.expect("one of three ports that were free a moment ago");
        let port = listener.local_addr().expect("it listens").port();
        let state = Arc::new(State {
            mode: Mutex::new((Mode::Pass, None)),
            server: AtomicU16::new(0),
            pairs: Mutex::default(),
            cut: AtomicU64::new(0),
            closed: AtomicBool::new(false),
        });
        let accepting = Arc::clone(&state);
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                if accepting.closed.load(Ordering::SeqCst) {
                    return;
                }
                // Who can't be connected is closed again.
                let _ = accepting.connect(client);
            }
        });
        Self { port, state }
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    pub(crate) fn lead_to(&self, server: u16) {
        self.state.server.store(server, Ordering::SeqCst);
    }

    pub(crate) fn set(&self, mode: Mode) {
        self.change(mode, None);
    }

    /// Whatever happens meanwhile: nobody has to end it.
    pub(crate) fn set_for(&self, mode: Mode, time: Duration) {
        self.change(mode, Some(Instant::now() + time));
    }

    fn change(&self, mode: Mode, until: Option<Instant>) {
        *self.state.mode.lock().unwrap_or_else(PoisonError::into_inner) = (mode, until);
        for pair in self.state.pairs().iter().filter_map(Weak::upgrade) {
            pair.note(mode);
        }
    }

    /// How many connections were cut so far between a call and its reply.
    pub(crate) fn cut(&self) -> u64 {
        self.state.cut.load(Ordering::SeqCst)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.state.closed.store(true, Ordering::SeqCst);
        // The one that accepts sees it with the next client.
        let _ = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port));
        for pair in self.state.pairs().iter().filter_map(Weak::upgrade) {
            let _ = pair.client.shutdown(Shutdown::Both);
            let _ = pair.server.shutdown(Shutdown::Both);
        }
    }
}

impl State {
    fn pairs(&self) -> MutexGuard<'_, Vec<Weak<Pair>>> {
        self.pairs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn mode(&self) -> Mode {
        let (mode, until) = *self.mode.lock().unwrap_or_else(PoisonError::into_inner);
        if until.is_some_and(|until| until <= Instant::now()) { Mode::Pass } else { mode }
    }

    fn connect(self: &Arc<Self>, client: TcpStream) -> std::io::Result<()> {
        let ours = client.peer_addr()?.ip() != IpAddr::V4(SERVERS);
        let server = TcpStream::connect((Ipv4Addr::LOCALHOST, self.server.load(Ordering::SeqCst)))?;
        client.set_nodelay(true)?;
        server.set_nodelay(true)?;
        let pair = Arc::new(Pair { client, server, lost: Default::default(), doomed: AtomicBool::new(false) });
        if ours {
            let mut pairs = self.pairs();
            pairs.retain(|pair| pair.strong_count() > 0);
            pairs.push(Arc::downgrade(&pair));
            drop(pairs);
            pair.note(self.mode());
        }
        for way in [Way::Request, Way::Reply] {
            let (state, pair) = (Arc::clone(self), Arc::clone(&pair));
            std::thread::spawn(move || state.pump(&pair, way, ours));
        }
        Ok(())
    }

    /// Hands on what comes one way until its sender closes; an end is handed on, too.
    fn pump(&self, pair: &Pair, way: Way, ours: bool) {
        let (mut from, mut to) = match way {
            Way::Request => (&pair.client, &pair.server),
            Way::Reply => (&pair.server, &pair.client),
        };
        let mut buffer = vec![0; 64 << 10];
        while let Ok(length @ 1..) = from.read(&mut buffer) {
            let bytes = &buffer[..length];
            let handed_on = !ours || self.lets_through(pair, way, bytes);
            if handed_on && to.write_all(bytes).is_err() {
                break;
            }
        }
        match way {
            // What was asked before is still carried out.
            Way::Request => drop(pair.server.shutdown(Shutdown::Write)),
            Way::Reply => drop(pair.client.shutdown(Shutdown::Both)),
        }
    }

    fn lets_through(&self, pair: &Pair, way: Way, bytes: &[u8]) -> bool {
        let mode = self.mode();
        if let Mode::Slow(time) = mode {
            std::thread::sleep(time);
        }
        match way {
            Way::Request if mode == Mode::Cut && is_call(bytes) => pair.doomed.store(true, Ordering::SeqCst),
            // The client is gone at once; the server gets an end after the requests, and carries them out.
            Way::Reply if pair.doomed.load(Ordering::SeqCst) => {
                if pair.client.shutdown(Shutdown::Both).is_ok() {
                    self.cut.fetch_add(1, Ordering::SeqCst);
                }
                return false;
            }
            Way::Request | Way::Reply => {}
        }
        !pair.lost[way as usize].load(Ordering::SeqCst)
    }
}

impl Pair {
    fn note(&self, mode: Mode) {
        let lost = match mode {
            Mode::Silent => [true, true],
            Mode::Mute => [false, true],
            Mode::Pass | Mode::Slow(_) | Mode::Cut => return,
        };
        for (all, lost) in self.lost.iter().zip(lost) {
            all.fetch_or(lost, Ordering::SeqCst);
        }
    }
}

/// EVALSHA and EVAL.
fn is_call(bytes: &[u8]) -> bool {
    bytes.windows(4).any(|word| word == b"EVAL")
}
