//! `indelible healthcheck`: for containers without a shell or curl.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Context, bail};

const PATIENCE: Duration = Duration::from_secs(3);

/// Asks `/readyz` of the process that listens at `ops`, on this machine where it listens everywhere.
///
/// # Errors
/// When it does not answer, or answers that it is not ready.
pub fn run(mut ops: SocketAddr) -> anyhow::Result<()> {
    // Whoever listens at every address of the machine is asked at one.
    ops.set_ip(if ops.ip().is_unspecified() { Ipv4Addr::LOCALHOST.into() } else { ops.ip() });
    let answer = ask(ops).with_context(|| format!("nothing answers at {ops}"))?;
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
    if !head.starts_with("HTTP/1.1 200") {
        bail!("not ready: {}", body.trim());
    }
    println!("ready");
    Ok(())
}

fn ask(ops: SocketAddr) -> std::io::Result<String> {
    let mut stream = TcpStream::connect_timeout(&ops, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.write_all(b"GET /readyz HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n")?;
    let mut answer = String::new();
    stream.take(1 << 16).read_to_string(&mut answer)?;
    Ok(answer)
}
