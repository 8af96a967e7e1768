//! A process that does not outlive the test binary, however that ends.
//!
//! Beside every process stands a watchdog, a shell that reads from a pipe which only this binary holds the
//! other end of. When the binary is gone, even by SIGKILL, the kernel closes the pipe, and the watchdog
//! kills the process and removes its folder. (PR_SET_PDEATHSIG would kill it when the *thread* that
//! started it ends, which is after every test.)

use std::fs::{self, File};
use std::io::Write;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{ChildStdin, Command, ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process, kill_process_group};

use super::wait::within;

/// Kills the process when dropped. Its output stands in `NAME.out` of its folder, and is shown when a test
/// panics while it holds the process.
pub(crate) struct Child {
    name: String,
    process: std::process::Child,
    watchdog: Watchdog,
    output: PathBuf,
}

impl Child {
    /// Starts `command` in a process group of its own. `dir` is removed if the test binary dies; otherwise
    /// that is the caller's to do.
    pub(crate) fn spawn(name: &str, dir: &Path, command: &mut Command) -> Self {
        let output = dir.join(format!("{name}.out"));
        let file = File::options().create(true).append(true).open(&output).expect("the folder can be written");
        let mut watchdog = Watchdog::start(dir);
        let process = command
            .stdin(Stdio::null())
            .stdout(file.try_clone().expect("a second handle of an open file"))
            .stderr(file)
            .process_group(0)
            .spawn()
            .unwrap_or_else(|error| panic!("{name} does not start ({error}); run `make setup`"));
        watchdog.guard(process.id());
        Self { name: name.to_owned(), process, watchdog, output }
    }

    /// Of the process itself, not of a shell around it.
    pub(crate) fn pid(&self) -> u32 {
        self.process.id()
    }

    /// SIGKILL, and waits until it is gone.
    pub(crate) fn kill(&mut self) {
        self.signal(Signal::KILL);
        self.process.wait().expect("a child can be waited for");
    }

    /// SIGTERM, and does not wait.
    pub(crate) fn terminate(&mut self) {
        self.signal(Signal::TERM);
    }

    /// SIGHUP: read the files again.
    pub(crate) fn hang_up(&mut self) {
        self.signal(Signal::HUP);
    }

    /// SIGSTOP: the process stands still, as on a machine that swaps.
    pub(crate) fn stop(&mut self) {
        self.signal(Signal::STOP);
    }

    /// SIGCONT.
    pub(crate) fn cont(&mut self) {
        self.signal(Signal::CONT);
    }

    /// Waits until it has ended, and panics if it has not in time.
    #[track_caller]
    pub(crate) fn wait(&mut self, deadline: Duration) -> ExitStatus {
        match within(deadline, || self.exited()) {
            Some(status) => status,
            None => panic!("{} has not ended within {deadline:?}", self.name),
        }
    }

    /// None while it runs.
    pub(crate) fn exited(&mut self) -> Option<ExitStatus> {
        self.process.try_wait().expect("a child can be waited for")
    }

    /// What it has printed so far, on both outputs.
    pub(crate) fn output(&self) -> String {
        fs::read(&self.output).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default()
    }

    /// Closes the guard pipe, as the end of the test binary does.
    pub(crate) fn lose_guard(&mut self) {
        self.watchdog.pipe = None;
    }

    fn signal(&mut self, signal: Signal) {
        // A process that was waited for has given its pid back: never signal that one.
        if self.exited().is_none() {
            kill_process(Pid::from_child(&self.process), signal).expect("our own child can be signalled");
        }
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        if self.exited().is_none() {
            // The group: what it has started itself goes with it.
            let _ = kill_process_group(Pid::from_child(&self.process), Signal::KILL);
            let _ = self.process.wait();
        }
        if std::thread::panicking() {
            eprintln!("---- the end of what {} printed ----\n{}", self.name, tail(&self.output(), 60));
        }
    }
}

fn tail(text: &str, lines: usize) -> String {
    let all: Vec<_> = text.lines().collect();
    all[all.len().saturating_sub(lines)..].join("\n")
}

/// First line: the pid to guard. Second line: it has ended, leave. End of input: the test binary is gone.
/// A process that is dying may still write, so a folder can take more than one try.
const WATCHDOG: &str = r#"
read -r pid || exit 0
read -r _ && exit 0
kill -s KILL -- "-$pid"
for _ in 1 2 3 4 5 6 7 8 9; do
    rm -rf -- "$1" && break
    sleep 0.2
done
"#;

struct Watchdog {
    process: std::process::Child,
    /// The only writing end; none once closed.
    pipe: Option<ChildStdin>,
}

impl Watchdog {
    fn start(dir: &Path) -> Self {
        let mut process = Command::new("sh")
            .args(["-c", WATCHDOG, "watchdog"])
            .arg(dir)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            // Not in the terminal's group: Ctrl-C must end the test binary and not its watchdog.
            .process_group(0)
            .spawn()
            .expect("every system has sh");
        let pipe = process.stdin.take();
        Self { process, pipe }
    }

    fn guard(&mut self, pid: u32) {
        if let Some(pipe) = &mut self.pipe {
            writeln!(pipe, "{pid}").expect("the watchdog reads");
        }
    }
}

impl Drop for Watchdog {
    fn drop(&mut self) {
        if let Some(mut pipe) = self.pipe.take() {
            let _ = writeln!(pipe);
        }
        let _ = self.process.wait();
    }
}
