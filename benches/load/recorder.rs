//! A proxy before Redis that keeps what is asked, in the order in which Redis was asked it.
//!
//! All connections go into one recording, request by request: what is asked because of an answer comes after what was
//! answered, whichever connections they are. So one connection can ask all of it again and get the same done.

use std::fs::File;
use std::io::{BufWriter, Read, Write};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use crate::resp::Requests;

/// Of a recording; a backlog's takes a tenth of it.
const MOST_BYTES: u64 = 8 << 30;

pub(crate) struct Recorder {
    port: u16,
    recording: Arc<Mutex<Recording>>,
}

struct Recording {
    file: BufWriter<File>,
    bytes: u64,
    requests: u64,
}

/// How much was recorded.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Recorded {
    pub(crate) bytes: u64,
    pub(crate) requests: u64,
}

impl Recorder {
    /// Passes on to the server at that port, and keeps what is asked in a file.
    pub(crate) fn start(server: u16, file: &Path) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        let port = listener.local_addr().expect("it listens").port();
        let file = BufWriter::with_capacity(1 << 20, File::create(file).expect("the folder can be written"));
        let recording = Arc::new(Mutex::new(Recording { file, bytes: 0, requests: 0 }));
        let keeping = Arc::clone(&recording);
        // Ends with the process; nobody connects any more once the worker is gone.
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let server = TcpStream::connect((Ipv4Addr::LOCALHOST, server)).expect("redis listens");
                for stream in [&client, &server] {
                    stream.set_nodelay(true).expect("a socket");
                }
                let [client_too, server_too] =
                    [&client, &server].map(|stream| stream.try_clone().expect("a second handle"));
                let keeping = Arc::clone(&keeping);
                thread::spawn(move || ask(client, server, &keeping));
                thread::spawn(move || answer(server_too, client_too));
            }
        });
        Self { port, recording }
    }

    pub(crate) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}/", self.port)
    }

    /// Whole when whoever asked has ended.
    pub(crate) fn end(self) -> Recorded {
        let mut recording = self.recording.lock().unwrap_or_else(PoisonError::into_inner);
        recording.file.flush().expect("the disk has room");
        Recorded { bytes: recording.bytes, requests: recording.requests }
    }
}

fn ask(mut client: TcpStream, mut server: TcpStream, recording: &Mutex<Recording>) {
    let (mut requests, mut chunk) = (Requests::default(), vec![0; 64 << 10]);
    while let Ok(length @ 1..) = client.read(&mut chunk) {
        let (whole, count) = requests.take(&chunk[..length]);
        if count > 0 {
            // Before Redis has it: what follows from its answer can't come first.
            recording.lock().unwrap_or_else(PoisonError::into_inner).keep(&whole, count);
        }
        if server.write_all(&chunk[..length]).is_err() {
            break;
        }
    }
    let _ = server.shutdown(Shutdown::Write);
}

fn answer(mut server: TcpStream, mut client: TcpStream) {
    let _ = std::io::copy(&mut server, &mut client);
    let _ = client.shutdown(Shutdown::Both);
}

impl Recording {
    fn keep(&mut self, whole: &[u8], count: u64) {
        self.file.write_all(whole).expect("the disk has room");
        self.bytes += whole.len() as u64;
        self.requests += count;
        assert!(self.bytes < MOST_BYTES, "more than {MOST_BYTES} bytes were asked");
    }
}
