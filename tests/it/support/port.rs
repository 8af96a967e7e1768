//! Ports on loopback.

use std::net::{Ipv4Addr, TcpListener};
use std::sync::atomic::{AtomicU16, Ordering};

const FIRST: u16 = 10_000;
/// Below the ports that Linux gives to outgoing connections: a server that is stopped and started again
/// must find its port free, and nobody else takes one from here by chance.
const COUNT: u16 = 22_000;

/// A port that nobody listens on. Another program may still take it first: whoever starts a server on it
/// must be ready to try again with another one.
pub(crate) fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    // Test binaries that run at the same time begin at different places.
    let start = std::process::id().wrapping_mul(7_919);
    for _ in 0..COUNT {
        let step = u32::from(NEXT.fetch_add(1, Ordering::Relaxed));
        let port = FIRST + (start.wrapping_add(step) % u32::from(COUNT)) as u16;
        if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            return port;
        }
    }
    panic!("no free port between {FIRST} and {}", FIRST + COUNT);
}
