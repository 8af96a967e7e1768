//! `indelible demo`, as a newcomer runs it: with nothing but a redis-server on this machine.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::support::child::Child;
use crate::support::port::free_port;
use crate::support::program::{BINARY, Program, fetch};
use crate::support::wait::{START, eventually};

/// What the issue promises of the story, once built.
const STORY: Duration = Duration::from_secs(10);

#[test]
fn once_tells_the_story_and_leaves_nothing() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let started = Instant::now();
    let output = Program::run(&["demo", "--once"], &settings(dir.path(), &ports()), "");
    let took = started.elapsed();
    let (told, logged) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{told}\n{logged}");
    assert_eq!(logged, "", "the story stays readable");
    for row in [
        "alice         3     300,361      18,319           7  $0.87553675   31 %        3         2",
        "alice         3     300,361      18,319           7  $0.87553675   31 %        2         1",
        "alice         4     375,361      23,319           9  $1.17553675   39 %        3         1",
        "all           8     654,699      34,218          20  $2.06634625               5         2",
        "the same event again: counted once",
        "dead letter, too_late: the event's time ",
        "dead letter, not_json: the value is not JSON",
        "bob has used 283,705 tokens: near",
        "may he use 20,000 more? allowed; 36,295 are left.",
        "bob has used 303,705 tokens: grace",
        "may he use 20,000 more? refused; 16,295 are left.",
        "bob has used 320,000 tokens: blocked",
        ":tokens:100\": 303,705 tokens used",
        ":tokens:hard\": 320,000 tokens used",
    ] {
        assert!(told.contains(row), "{row}\nis not in\n{told}");
    }
    assert!(took < STORY, "{took:?}");
    assert!(is_clean(dir.path()), "{:?}", processes_of(dir.path()));
}

#[test]
fn it_goes_on_counting_until_sigterm() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let (mut demo, url, _beside) = start(dir.path(), &ports());
    let requests = || fetch(&url, &[]).expect("an answer").json()["allTime"]["requests"].as_i64();
    let told = requests();
    assert!(told >= Some(4), "{told:?}");
    eventually(START, "more requests than the story has", || (requests() > told).then_some(()));
    assert!(!is_clean(dir.path()), "it has a Redis of its own");

    demo.terminate();
    assert!(demo.wait(START).success(), "{}", demo.output());
    assert!(is_clean(dir.path()), "{:?}", processes_of(dir.path()));
}

#[test]
fn its_redis_goes_with_it_even_when_it_is_killed() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let (mut demo, _, _beside) = start(dir.path(), &ports());
    demo.kill();
    eventually(START, "its redis-server to be gone", || is_clean(dir.path()).then_some(()));
}

#[test]
fn a_taken_port_is_replaced_and_said() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let taken = std::net::TcpListener::bind(("127.0.0.1", 0)).expect("a port");
    let address = taken.local_addr().expect("its address").to_string();
    let output = Program::run(&["demo", "--once"], &settings(dir.path(), &[address.clone(), ports()[1].clone()]), "");
    let told = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{told}\n{}", String::from_utf8_lossy(&output.stderr));
    assert!(told.contains(&format!("INDELIBLE_LISTEN: {address} is taken, so it is 127.0.0.1:")), "{told}");
}

#[test]
fn without_a_redis_server_it_says_what_to_install() {
    let output = Program::run(&["demo", "--once"], &[("PATH", "/nowhere")], "");
    let logged = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && logged.contains("apt-get install redis-server"), "{logged}");
}

fn ports() -> [String; 2] {
    [(); 2].map(|()| format!("127.0.0.1:{}", free_port()))
}

fn settings<'a>(dir: &'a Path, [api, ops]: &'a [String; 2]) -> [(&'a str, &'a str); 3] {
    let dir = dir.to_str().expect("a path of text");
    [("TMPDIR", dir), ("INDELIBLE_LISTEN", api), ("INDELIBLE_OPS_LISTEN", ops)]
}

/// A demo whose story is told, the first URL that it has printed, and the folder of its output: another one than
/// `dir`, which must be empty in the end.
fn start(dir: &Path, ports: &[String; 2]) -> (Child, String, TempDir) {
    let beside = tempfile::tempdir().expect("a temporary folder");
    let mut command = Command::new(BINARY);
    command.arg("demo").envs(settings(dir, ports)).env_remove("RUST_LOG");
    let demo = Child::spawn("demo", beside.path(), &mut command);
    let url = eventually(START, "the URLs of the demo", || {
        let output = demo.output();
        let url = output.split_whitespace().find(|word| word.starts_with("http://"));
        url.filter(|_| output.contains("/readyz")).map(str::to_owned)
    });
    (demo, url, beside)
}

/// Whether no process names the folder, and nothing is left in it.
fn is_clean(dir: &Path) -> bool {
    processes_of(dir).is_empty() && dir.read_dir().is_ok_and(|mut left| left.next().is_none())
}

fn processes_of(dir: &Path) -> Vec<String> {
    let all = Path::new("/proc").read_dir().expect("this is Linux").flatten();
    let commands = all.filter_map(|process| std::fs::read(process.path().join("cmdline")).ok());
    let commands = commands.map(|command| String::from_utf8_lossy(&command).replace('\0', " "));
    commands.filter(|command| command.contains(&format!("{}/indelible-demo-", dir.display()))).collect()
}
