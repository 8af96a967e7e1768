//! The command line: what it prints, and its exit codes.

use std::process::Output;

use serde_json::Value;

use crate::support::deployment::Deployment;
use crate::support::event::bare;
use crate::support::kafka::Kafka;
use crate::support::program::Program;

fn run(args: &[&str], env: &[(&str, &str)]) -> (Option<i32>, String, String) {
    let Output { status, stdout, stderr } = Program::run(args, env, "");
    (status.code(), String::from_utf8(stdout).expect("text"), String::from_utf8(stderr).expect("text"))
}

#[test]
fn all_faults_of_the_settings_are_reported_at_once() {
    let env = [
        ("INDELIBLE_LISTEN", "8080"),
        ("INDELIBLE_MAX_AGE", "soon"),
        ("INDELIBLE_NAMESPACE", "a:b"),
        ("INDELIBLE_QUOTA_TOKENS", "0"),
        ("INDELIBLE_REDIS_URL", "http://user:hunter2@localhost"),
        ("INDELIBLE_KAFKA_PROPERTIES", "enable.auto.commit=true,no.such.property=1"),
        ("INDELIBLE_LOG_FORMAT", "xml"),
        ("RUST_LOG", "a=b=c"),
    ];
    for args in [["config", "check"], ["serve", "--role=all"]] {
        let (code, _, stderr) = run(&args, &env);
        assert_eq!(code, Some(64), "{stderr}");
        for name in ["LISTEN", "MAX_AGE", "NAMESPACE", "QUOTA_TOKENS", "REDIS_URL", "KAFKA_PROPERTIES", "LOG_FORMAT"] {
            assert!(stderr.contains(&format!("INDELIBLE_{name} ")), "{name} in {stderr}");
        }
        assert!(
            stderr.contains("enable.auto.commit") && stderr.contains("no.such.property") && stderr.contains("RUST_LOG")
        );
        assert!(!stderr.contains("hunter2"), "{stderr}");
    }
    assert_eq!(run(&["config", "check"], &[]).0, Some(0));
    assert_eq!(run(&["serve", "--no-such-flag"], &[]).0, Some(64));
}

#[test]
fn every_fault_of_a_plan_file_is_one_of_the_settings() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let path = dir.path().join("plans.toml");
    let check = |text: &[u8]| {
        std::fs::write(&path, text).expect("the folder can be written");
        run(&["config", "check"], &[("INDELIBLE_PLANS", path.to_str().expect("a path")), ("INDELIBLE_LISTEN", "8080")])
    };
    let (code, _, stderr) = check(b"default = \"gold\"\n[plans.free.user]\ntokens = { soft = 0 }\ngrace = 72\n");
    assert_eq!(code, Some(64), "{stderr}");
    let name = path.display();
    for fault in [
        "INDELIBLE_LISTEN ".to_owned(),
        format!(
            "INDELIBLE_PLANS (--plans) {name}: line 1: default is not the name of a plan of this file; the plans: free"
        ),
        format!("INDELIBLE_PLANS (--plans) {name}: line 3: plans.free.user.tokens.soft 0 is not a whole number"),
        format!("INDELIBLE_PLANS (--plans) {name}: line 4: plans.free.user.grace 72 is not a duration"),
    ] {
        assert!(stderr.contains(&fault), "{fault} in {stderr}");
    }
    for (text, fault) in
        [(&b"\xff"[..], "can't be read: "), (&vec![b'\n'; 1 << 20 | 1], "is larger than 1048576 bytes")]
    {
        let (code, _, stderr) = check(text);
        assert_eq!(code, Some(64), "{stderr}");
        assert!(stderr.contains(&format!("INDELIBLE_PLANS (--plans) {name}: {fault}")), "{stderr}");
    }
    std::fs::remove_file(&path).expect("it is there");
    let missing = [("INDELIBLE_PLANS", path.to_str().expect("a path"))];
    let (code, _, stderr) = run(&["config", "check"], &missing);
    assert_eq!(code, Some(64), "{stderr}");
    assert!(stderr.contains(&format!("{name}: can't be opened: ")), "{stderr}");
    std::fs::write(&path, "[plans.free.user]\ntokens = { soft = 1 }\n").expect("the folder can be written");
    assert_eq!(run(&["config", "check"], &missing).0, Some(0));
}

#[test]
fn settings_are_shown_without_their_secrets() {
    let env = [
        ("INDELIBLE_REDIS_URL", "redis://user:hunter2@redis:6379/1"),
        ("INDELIBLE_KAFKA_PROPERTIES", "security.protocol=SASL_SSL,sasl.username=u,sasl.password=hunter2"),
        ("INDELIBLE_NOTICE_WEBHOOK", "https://example.com/notices?token=hunter2"),
        ("INDELIBLE_NOTICE_WEBHOOK_SECRET", "hunter2hunter2hunter2"),
    ];
    let (code, stdout, _) = run(&["config", "show", "--namespace", "billing"], &env);
    assert_eq!(code, Some(0));
    assert!(stdout.contains("redis://user:***@redis:6379/1") && stdout.contains("sasl.password=***"), "{stdout}");
    assert!(!stdout.contains("hunter2"), "{stdout}");
    assert!(stdout.contains(" https://example.com/notices\n"), "{stdout}");
    let namespace = stdout.lines().find(|line| line.starts_with("INDELIBLE_NAMESPACE ")).expect("a line");
    assert!(namespace.contains("--namespace") && namespace.ends_with("billing"), "{namespace}");
}

/// `UPDATE=1` writes the table that it asks for.
#[test]
fn the_table_of_settings_is_the_programs() {
    let (code, table, _) = run(&["config", "markdown"], &[]);
    assert_eq!(code, Some(0));
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/configure.md");
    let text = std::fs::read_to_string(path).expect("the page is there");
    let start = text.find("| variable |").expect("a table");
    let end = text[start..].find("\n\n").map_or(text.len(), |end| start + end + 1);
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(path, format!("{}{table}{}", &text[..start], &text[end..])).expect("the page can be written");
    } else {
        assert_eq!(text[start..end], table, "docs/configure.md is not what the program says; UPDATE=1 writes it");
    }
    for variable in ["INDELIBLE_ROLE", "INDELIBLE_API_KEYS", "RUST_LOG"] {
        assert_eq!(table.matches(&format!("| `{variable}` |")).count(), 1, "{variable}");
    }
    assert!(!table.contains("INDELIBLE_CRASH"), "what is for tests alone");
}

#[test]
fn schemas_completions_and_help_are_printed() {
    let (code, names, _) = run(&["schema"], &[]);
    assert_eq!((code, names.lines().count()), (Some(0), 7));
    for name in names.lines() {
        let schema: Value = serde_json::from_str(&run(&["schema", name], &[]).1).expect("JSON");
        assert!(schema["$id"].as_str().is_some_and(|id| id.contains(name)), "{name}");
    }
    assert_eq!(run(&["schema", "ai.other.v1"], &[]).0, Some(64));
    assert!(
        run(&["completions", "bash"], &[]).1.contains("INDELIBLE")
            || run(&["completions", "bash"], &[]).1.contains("indelible")
    );
    let (code, help, _) = run(&["--help"], &[]);
    assert_eq!(code, Some(0));
    for word in [
        "serve",
        "demo",
        "emit",
        "dlq",
        "price",
        "schema",
        "config",
        "offsets",
        "quota",
        "inspect",
        "healthcheck",
        "completions",
        "INDELIBLE_KAFKA_BROKERS",
    ] {
        assert!(help.contains(word), "{word} in {help}");
    }
}

#[test]
fn emit_stops_at_the_first_line_that_is_no_event_and_says_which() {
    let deployment = Deployment::new(1);
    let lines = format!(
        "{}\n\n{}\n{{\"tenantId\": 1}}\n{}\n",
        bare("1", "acme", "alice"),
        bare("2", "acme", "alice"),
        bare("3", "acme", "alice")
    );
    let output = deployment.emit_output(&lines);
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    assert!(stderr.contains("line 4: ") && stderr.contains("2 events before it"), "{stderr}");
    assert_eq!(Kafka::shared().read_all(&deployment.topic).len(), 2);

    let output = Program::run(&["emit", "-", "--lenient"], &deployment.env(), &lines);
    let stdout = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success() && stdout.contains("4 events acknowledged"), "{output:?}");
    assert!(stdout.contains("1 of them not"), "{stdout}");
    assert_eq!(Kafka::shared().read_all(&deployment.topic).len(), 6);
}

#[test]
fn emit_fails_when_the_file_or_the_brokers_are_missing() {
    let (code, _, stderr) = run(&["emit", "/no/such/file"], &[]);
    assert_eq!(code, Some(1));
    assert!(stderr.contains("/no/such/file"), "{stderr}");
}

#[test]
fn healthcheck_asks_the_process_that_serves() {
    let (code, _, stderr) = run(&["healthcheck"], &[("INDELIBLE_OPS_LISTEN", "127.0.0.1:1")]);
    assert_eq!(code, Some(1));
    assert!(stderr.contains("nothing answers at 127.0.0.1:1"), "{stderr}");
    let deployment = Deployment::new(1);
    let running = deployment.serve();
    let (code, stdout, stderr) = run(&["healthcheck"], &[("INDELIBLE_OPS_LISTEN", running.ops_address())]);
    assert_eq!((code, stdout.trim()), (Some(0), "ready"), "{stderr}");
}
