//! A real Redis server; `redis_cluster.rs` has six of them.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use redis::{Client, Connection, FromRedisValue, RedisResult, cmd};
use tempfile::TempDir;

use super::child::Child;
use super::port::free_port;
use super::wait::{START, within};

/// How long a command may take on a busy machine.
const ANSWER: Duration = Duration::from_secs(10);

/// A private server that keeps nothing on disk; dropped, it is gone.
pub(crate) struct Redis {
    server: Option<Child>,
    port: u16,
    args: Vec<String>,
    dir: TempDir,
}

impl Redis {
    pub(crate) fn start() -> Self {
        Self::start_with(&[])
    }

    /// With settings as on the command line of redis-server, `["--maxmemory", "4mb"]`; later ones win.
    pub(crate) fn start_with(args: &[&str]) -> Self {
        // A port can be taken between its choice and its use.
        for _ in 0..3 {
            let dir = tempfile::Builder::new().prefix("indelible-redis-").tempdir().expect("a temporary folder");
            let args = args.iter().map(|arg| (*arg).to_owned()).collect();
            let mut redis = Self { server: None, port: free_port(), args, dir };
            match redis.launch() {
                Ok(()) => return redis,
                Err(output) => eprintln!("a redis-server did not start:\n{output}"),
            }
        }
        panic!("no redis-server has started; what each printed stands above");
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    pub(crate) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}/", self.port)
    }

    pub(crate) fn socket(&self) -> PathBuf {
        self.dir.path().join("redis.sock")
    }

    /// Where it keeps what it writes to disk.
    pub(crate) fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// A new connection. Commands on it fail after ten seconds.
    #[track_caller]
    pub(crate) fn connection(&self) -> Connection {
        self.connect().unwrap_or_else(|error| panic!("redis at {} is not reachable: {error}", self.url()))
    }

    /// One command on a connection of its own: `redis.ask("GET", &["key"])`.
    #[track_caller]
    pub(crate) fn ask<T: FromRedisValue>(&self, name: &str, args: &[&str]) -> T {
        cmd(name).arg(args).query(&mut self.connection()).unwrap_or_else(|error| panic!("{name} {args:?}: {error}"))
    }

    /// The same, where an error is an answer, too.
    pub(crate) fn try_ask<T: FromRedisValue>(&self, name: &str, args: &[&str]) -> RedisResult<T> {
        cmd(name).arg(args).query(&mut self.connection())
    }

    /// SIGKILL. Unless its settings say otherwise, all it held is lost.
    pub(crate) fn kill(&mut self) {
        if let Some(mut server) = self.server.take() {
            server.kill();
        }
    }

    /// Starts it again on the same port with the same settings, after killing it if it still runs.
    pub(crate) fn restart(&mut self) {
        self.kill();
        if let Err(output) = self.launch() {
            panic!("redis has not come back:\n{output}");
        }
    }

    /// The same without waiting until it answers: it may have much to load.
    pub(crate) fn restart_unready(&mut self) {
        self.kill();
        self.server = Some(self.spawn());
    }

    /// The server's process, to stop and continue it; none while it is not running.
    pub(crate) fn process(&mut self) -> Option<&mut Child> {
        self.server.as_mut()
    }

    /// None while it is not running.
    pub(crate) fn pid(&self) -> Option<u32> {
        self.server.as_ref().map(Child::pid)
    }

    /// Returns what the server printed if it ends, or does not answer in time.
    fn launch(&mut self) -> Result<(), String> {
        let mut server = self.spawn();
        let ready = within(START, || {
            if server.exited().is_some() {
                return Some(false);
            }
            let answer: RedisResult<String> = cmd("PING").query(&mut self.connect().ok()?);
            (answer.ok()? == "PONG").then_some(true)
        });
        if ready != Some(true) {
            return Err(server.output());
        }
        self.server = Some(server);
        Ok(())
    }

    fn spawn(&self) -> Child {
        let mut command = Command::new("redis-server");
        command
            .args(["--bind", "127.0.0.1", "--port", &self.port.to_string()])
            .arg("--unixsocket")
            .arg(self.socket())
            .arg("--dir")
            .arg(self.dir.path())
            .args(["--save", "", "--appendonly", "no", "--maxmemory-policy", "noeviction"])
            .args(&self.args);
        Child::spawn("redis-server", self.dir.path(), &mut command)
    }

    /// The same, for a server that may not be there.
    pub(super) fn connect(&self) -> RedisResult<Connection> {
        let connection = Client::open(self.url())?.get_connection_with_timeout(ANSWER)?;
        connection.set_read_timeout(Some(ANSWER))?;
        connection.set_write_timeout(Some(ANSWER))?;
        Ok(connection)
    }
}
