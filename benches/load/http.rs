//! HTTP/1.1 over one connection that is kept: as little as answers of ours need, so that asking costs little.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

/// An answer takes no longer on a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);

pub(crate) struct Http {
    address: String,
    stream: TcpStream,
    /// What was read; the last answer, between two requests.
    bytes: Vec<u8>,
}

impl Http {
    /// `address` is host and port.
    ///
    /// # Errors
    /// When nobody listens there.
    pub(crate) fn connect(address: &str) -> io::Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        Ok(Self { address: address.to_owned(), stream, bytes: Vec::new() })
    }

    /// The body of an answer of status 200.
    ///
    /// # Errors
    /// Any other status; a connection that breaks.
    pub(crate) fn get(&mut self, path: &str) -> io::Result<&str> {
        self.stream.write_all(request(path, &self.address).as_bytes())?;
        self.bytes.clear();
        let mut chunk = [0; 16 << 10];
        let head = loop {
            let read = self.stream.read(&mut chunk)?;
            if read == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            self.bytes.extend_from_slice(&chunk[..read]);
            if let Some(frame) = Frame::of(&self.bytes).filter(|frame| frame.all() <= self.bytes.len()) {
                break frame.head;
            }
        };
        let text = str::from_utf8(&self.bytes).map_err(io::Error::other)?;
        if is_good(&self.bytes) { Ok(&text[head..]) } else { Err(io::Error::other(format!("{path}: {text}"))) }
    }
}

pub(crate) fn request(path: &str, address: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nhost: {address}\r\n\r\n")
}

/// Whether an answer begins with status 200.
pub(crate) fn is_good(answer: &[u8]) -> bool {
    answer.starts_with(b"HTTP/1.1 200")
}

/// How long an answer is, in bytes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Frame {
    pub(crate) head: usize,
    body: usize,
}

impl Frame {
    /// None until the whole head is there.
    pub(crate) fn of(bytes: &[u8]) -> Option<Self> {
        let end = bytes.windows(4).position(|four| four == b"\r\n\r\n")?;
        let head = str::from_utf8(&bytes[..end]).expect("a head is text");
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
        let body = length.expect("an answer of ours says its length").parse().expect("a length");
        Some(Self { head: end + 4, body })
    }

    pub(crate) fn all(self) -> usize {
        self.head + self.body
    }
}
