//! The oracle of `tests/oracle`, run as one runs it on a system of one's own.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use super::child::Child;
use super::program::with_settings;

/// Made by `make setup`; see scripts/common.sh.
const PYTHON: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/target/oracle-venv/bin/python");
const SOURCES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests");

/// For the whole log of a test on a busy machine.
const DEADLINE: Duration = Duration::from_secs(300);

/// Its summary if all is equal to what the log says, else its differences. `env` are the program's settings;
/// without `api` only Redis is looked at.
///
/// # Panics
/// When it can't tell.
#[track_caller]
pub(crate) fn differences(env: &[(&str, &str)], api: Option<&str>, args: &[&str]) -> Result<String, String> {
    let mut command = python(env);
    command.args(["-m", "oracle", "--most", "1000"]).args(args);
    command.args(api.iter().flat_map(|url| ["--api", url]));
    match run(command) {
        (Some(0), summary) => Ok(summary),
        (Some(1), differences) => Err(differences),
        (code, output) => panic!("the oracle can't tell ({code:?}):\n{output}"),
    }
}

/// Holds everything to what the log says: Redis, the API, the dead letters.
#[track_caller]
pub(crate) fn assert_equal(env: &[(&str, &str)], api: Option<&str>) {
    if let Err(differences) = differences(env, api, &["--dlq"]) {
        panic!("{differences}");
    }
}

/// What the oracle's own arithmetic says of requests, a line each; by the table that is built in where none is named.
#[track_caller]
pub(crate) fn ratings(requests: &Path, table: Option<&Path>) -> Vec<String> {
    let mut command = python(&[]);
    command.args(["-m", "oracle.prices"]).arg(requests).args(table);
    match run(command) {
        (Some(0), lines) => lines.lines().map(str::to_owned).collect(),
        (code, output) => panic!("the oracle can't rate ({code:?}):\n{output}"),
    }
}

/// Exit code and output of its own tests.
pub(crate) fn unit_tests() -> (Option<i32>, String) {
    let mut command = python(&[]);
    command.args(["-m", "unittest", "discover", "-s", "tests/oracle", "-t", "tests"]);
    run(command)
}

fn python(env: &[(&str, &str)]) -> Command {
    let mut command = with_settings(Command::new(PYTHON), env);
    // -B: no bytecode among the sources.
    command.env("PYTHONPATH", SOURCES).arg("-B");
    command
}

#[track_caller]
fn run(mut command: Command) -> (Option<i32>, String) {
    let dir = tempfile::Builder::new().prefix("indelible-oracle-").tempdir().expect("a temporary folder");
    let mut child = Child::spawn("oracle", dir.path(), &mut command);
    let status = child.wait(DEADLINE);
    (status.code(), child.output())
}
