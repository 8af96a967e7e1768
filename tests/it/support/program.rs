//! Our own program, as its users run it.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use tempfile::TempDir;

use super::child::Child;
use super::port::free_port;
use super::wait::{START, within};

pub(crate) const BINARY: &str = env!("CARGO_BIN_EXE_indelible");

/// How long the program may take for an answer on a busy machine.
const ANSWER: Duration = Duration::from_secs(30);

pub(crate) struct Program;

impl Program {
    /// Runs a command that ends by itself.
    pub(crate) fn run(args: &[&str], env: &[(&str, &str)], stdin: &str) -> Output {
        let mut process = command(env)
            .args(args)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("cargo has built the program");
        let mut pipe = process.stdin.take().expect("stdin is a pipe");
        let text = stdin.to_owned();
        // On a thread: a program that prints before it has read all would wait for us, and we for it.
        let writer = std::thread::spawn(move || pipe.write_all(text.as_bytes()));
        let output = process.wait_with_output().expect("a child can be waited for");
        // A program that ends without reading all of it closes the pipe, as it may.
        let _ = writer.join().expect("the writer does not panic");
        output
    }

    /// Any command, started and no more; what it prints is kept in `dir`.
    pub(crate) fn start(args: &[&str], env: &[(&str, &str)], dir: &Path) -> Child {
        Child::spawn("indelible", dir, command(env).args(args))
    }

    /// `indelible serve`, ready to answer. Sets the ports; `env` says the rest.
    #[track_caller]
    pub(crate) fn serve(env: &[(&str, &str)]) -> Running {
        for _ in 0..3 {
            let mut running = Self::launch(env);
            if running.is_ready_within(START) {
                return running;
            }
            let output = running.child.output();
            // A port can be taken between its choice and its use.
            assert!(output.to_lowercase().contains("address already in use"), "not ready in time:\n{output}");
        }
        panic!("no free ports for the program");
    }

    /// `indelible serve`, started and no more: for a program that must refuse, or can't be ready yet.
    pub(crate) fn launch(env: &[(&str, &str)]) -> Running {
        let dir = tempfile::Builder::new().prefix("indelible-serve-").tempdir().expect("a temporary folder");
        let (api, ops) = (address(), address());
        let mut command = command(env);
        command.arg("serve").env("INDELIBLE_LISTEN", &api).env("INDELIBLE_OPS_LISTEN", &ops);
        let child = Child::spawn("indelible", dir.path(), &mut command);
        Running { child, api, ops, _dir: dir }
    }
}

/// A program that serves; dropped, it is killed.
pub(crate) struct Running {
    /// To kill, terminate, stop or wait for it, and for what it has printed.
    pub(crate) child: Child,
    api: String,
    ops: String,
    _dir: TempDir,
}

/// An HTTP answer of any status.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: ureq::http::HeaderMap,
    pub(crate) body: String,
}

impl Answer {
    #[track_caller]
    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("not JSON ({error}): {self:?}"))
    }

    /// Empty where there is none.
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }
}

impl Running {
    /// `http://address` of the API.
    pub(crate) fn api_url(&self) -> String {
        format!("http://{}", self.api)
    }

    /// Address and port of metrics and health.
    pub(crate) fn ops_address(&self) -> &str {
        &self.ops
    }

    /// From the API's port; `path` begins with a slash.
    #[track_caller]
    pub(crate) fn get(&self, path: &str) -> Answer {
        self.get_with(path, &[])
    }

    #[track_caller]
    pub(crate) fn get_with(&self, path: &str, headers: &[(&str, &str)]) -> Answer {
        let url = format!("http://{}{path}", self.api);
        fetch(&url, headers).unwrap_or_else(|error| panic!("no answer from {url}: {error}\n{}", self.child.output()))
    }

    /// To the API's port.
    #[track_caller]
    pub(crate) fn put(&self, path: &str, body: &str) -> Answer {
        let url = format!("http://{}{path}", self.api);
        let sent = agent().put(&url).send(body).and_then(answer);
        sent.unwrap_or_else(|error| panic!("no answer from {url}: {error}\n{}", self.child.output()))
    }

    /// From the port of metrics and health.
    #[track_caller]
    pub(crate) fn ops(&self, path: &str) -> Answer {
        let url = format!("http://{}{path}", self.ops);
        fetch(&url, &[]).unwrap_or_else(|error| panic!("no answer from {url}: {error}\n{}", self.child.output()))
    }

    /// The value of a series as /metrics writes it, labels and all; none if it is not there.
    #[track_caller]
    pub(crate) fn metric(&self, series: &str) -> Option<f64> {
        let text = self.ops("/metrics").body;
        let line = text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '))?;
        Some(line.trim().parse().expect("a number ends a line of metrics"))
    }

    pub(crate) fn is_live(&self) -> bool {
        fetch(&format!("http://{}/livez", self.ops), &[]).is_ok_and(|answer| answer.status == 200)
    }

    pub(crate) fn is_ready(&self) -> bool {
        fetch(&format!("http://{}/readyz", self.ops), &[]).is_ok_and(|answer| answer.status == 200)
    }

    /// Waits until readiness says `why`.
    #[track_caller]
    pub(crate) fn await_red(&self, why: &str) {
        let mut last = String::new();
        let red = within(START, || {
            let answer = fetch(&format!("http://{}/readyz", self.ops), &[]).ok()?;
            last = answer.body;
            (answer.status == 503 && last.contains(why)).then_some(())
        });
        assert!(red.is_some(), "/readyz does not say {why:?}, but {last}\n{}", self.child.output());
    }

    #[track_caller]
    pub(crate) fn await_green(&self) {
        let mut last = String::new();
        let green = within(START, || {
            let answer = fetch(&format!("http://{}/readyz", self.ops), &[]).ok()?;
            last = answer.body;
            (answer.status == 200).then_some(())
        });
        assert!(green.is_some(), "/readyz is not green: {last}\n{}", self.child.output());
    }

    fn is_ready_within(&mut self, deadline: Duration) -> bool {
        within(deadline, || {
            if self.child.exited().is_some() {
                return Some(false);
            }
            self.is_ready().then_some(true)
        })
        .unwrap_or(false)
    }
}

fn address() -> String {
    format!("127.0.0.1:{}", free_port())
}

fn command(env: &[(&str, &str)]) -> Command {
    with_settings(Command::new(BINARY), env)
}

/// Without the settings of whoever runs the tests.
pub(super) fn with_settings(mut command: Command, env: &[(&str, &str)]) -> Command {
    for (name, _) in std::env::vars_os() {
        if name == "RUST_LOG" || name.to_string_lossy().starts_with("INDELIBLE_") {
            command.env_remove(name);
        }
    }
    command.current_dir(Path::new(env!("CARGO_MANIFEST_DIR"))).envs(env.iter().copied());
    command
}

pub(crate) fn fetch(url: &str, headers: &[(&str, &str)]) -> Result<Answer, ureq::Error> {
    let mut request = agent().get(url);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.call().and_then(answer)
}

fn agent() -> ureq::Agent {
    let config = ureq::Agent::config_builder().http_status_as_error(false).timeout_global(Some(ANSWER)).proxy(None);
    config.build().new_agent()
}

fn answer(mut response: ureq::http::Response<ureq::Body>) -> Result<Answer, ureq::Error> {
    let body = response.body_mut().read_to_string()?;
    Ok(Answer { status: response.status().as_u16(), headers: response.headers().clone(), body })
}
