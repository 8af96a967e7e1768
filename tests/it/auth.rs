//! Who may ask a running program: how it starts, what SIGHUP changes, and ids of every sort, all the way to Redis.

use std::fs;
use std::path::Path;
use std::time::Duration;

use indelible::auth::api_keys::written_hash;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::json;

use crate::support::deployment::Deployment;
use crate::support::event::bare;
use crate::support::issuer::{AUDIENCE, ISSUER, KeyServer, SigningKey, key_set};
use crate::support::port::free_port;
use crate::support::program::{Answer, Program, Running, fetch};
use crate::support::wait::{START, eventually};

/// Ids that mean something to a path, a key, a pattern or a log; all of 1 to 256 bytes.
fn hostile() -> Vec<String> {
    let texts = ["a:b", "{33h}", "..", "../x", "a/b", "%2e", "*", "a b", "\"'\\", "日本語", "é", "e\u{301}", "%00"];
    let long = ["x".repeat(256), "é".repeat(128)];
    texts.map(str::to_owned).into_iter().chain(long).collect()
}

fn encoded(id: &str) -> String {
    utf8_percent_encode(id, NON_ALPHANUMERIC).to_string()
}

fn bearer(running: &Running, path: &str, credential: &str) -> Answer {
    running.get_with(path, &[("authorization", &format!("Bearer {credential}"))])
}

/// `indelible key new`: the entry of the file and the key.
fn new_key(args: &[&str]) -> (String, String) {
    let output = Program::run(&[&["key", "new", "--name", "test"], args].concat(), &[], "");
    let (entry, said) =
        (String::from_utf8(output.stdout).expect("text"), String::from_utf8(output.stderr).expect("text"));
    assert!(output.status.success(), "{said}");
    let key = said.split_whitespace().find(|word| word.starts_with("idl_")).expect("a key").to_owned();
    assert!(!entry.contains(&key) && entry.contains(&written_hash(&key)), "{entry}");
    (entry, key)
}

#[track_caller]
fn reload(running: &mut Running, file: &str, outcome: &str) {
    let series = format!("indelible_reloads_total{{file=\"{file}\",outcome=\"{outcome}\"}}");
    let before = running.metric(&series).expect("a series");
    running.child.hang_up();
    eventually(START, &series, || (running.metric(&series)? > before).then_some(()));
}

#[test]
fn keys_and_tokens_come_and_go_while_the_program_runs() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let file = dir.path().join("keys.toml");
    let (entry, key) = new_key(&["--tenant", "acme", "--user", "alice", "--scope", "usage:read", "--expires-in", "1d"]);
    let (second, second_key) = new_key(&["--scope", "usage:read:all", "--rate", "100000"]);
    fs::write(&file, &entry).expect("the folder can be written");
    let (old, new) = (SigningKey::p256("old"), SigningKey::rsa("new"));
    let issuer = KeyServer::start(key_set(&[&old]));
    let deployment = Deployment::new(1)
        .set("INDELIBLE_API_KEYS", &file.display().to_string())
        .set("INDELIBLE_JWT_JWKS", &issuer.url())
        .set("INDELIBLE_JWT_ISSUER", ISSUER)
        .set("INDELIBLE_JWT_AUDIENCE", AUDIENCE)
        .set("RUST_LOG", "indelible=debug");
    let mut running = deployment.serve();
    deployment.emit(&format!("{}\n{}", bare("1", "acme", "alice"), bare("2", "globex", "alice")));
    deployment.await_counted();
    let status = |running: &Running, path: &str, credential: &str| bearer(running, path, credential).status;
    let (mine, theirs) = ("/v1/me/stats", "/v1/tenants/globex/stats");

    let answer = bearer(&running, mine, &key).json();
    assert_eq!((&answer["tenantId"], &answer["thisMonth"]["requests"]), (&json!("acme"), &json!(1)));
    assert_eq!([theirs, "/v1/tenants/acme/stats"].map(|path| status(&running, path, &key)), [404, 403]);
    assert_eq!((running.get(mine).status, running.get("/version").status), (401, 200));
    assert_eq!(running.get(mine).header("www-authenticate"), "Bearer realm=\"indelible\"");
    assert_eq!((status(&running, mine, &second_key), status(&running, mine, &old.token(&json!({})))), (401, 200));

    // A file with faults changes nothing; the whole of the next one holds, and what is not in it is none any more.
    fs::write(&file, "[[key]]\nid = 7\n").expect("the folder can be written");
    reload(&mut running, "api_keys", "failed");
    assert_eq!(status(&running, mine, &key), 200);
    fs::write(&file, &second).expect("the folder can be written");
    issuer.set("200 OK", key_set(&[&new]));
    reload(&mut running, "api_keys", "ok");
    eventually(START, "the new key set", || (status(&running, mine, &new.token(&json!({}))) == 200).then_some(()));
    assert_eq!((status(&running, mine, &key), status(&running, theirs, &second_key)), (401, 200));
    assert_eq!(status(&running, mine, &old.token(&json!({}))), 401);

    // Nobody's credential is in the log, whatever the level.
    let log = running.child.output();
    assert!(log.contains("refused an API key") && log.contains("refused a token"), "{log}");
    for secret in [&key, &second_key, &old.token(&json!({}))[..60], &key[17..]] {
        assert!(!log.contains(secret), "{log}");
    }
    assert!(!log.contains("keys?of="), "{log}");
}

#[test]
fn hostile_ids_have_their_own_numbers() {
    let deployment = Deployment::new(2);
    let running = deployment.serve();
    let ids = hostile();
    let pairs: Vec<_> = ids.iter().flat_map(|tenant| ids.iter().map(move |user| (tenant, user))).collect();
    // Each pair has as many requests as its number in the list, less one; so none passes for another.
    let mut lines = String::new();
    for (number, (tenant, user)) in pairs.iter().enumerate() {
        for request in 0..=number % 7 {
            lines += &(bare(&format!("{number}-{request}"), tenant, user) + "\n");
        }
    }
    deployment.emit(&lines);
    deployment.await_counted();
    for (number, (tenant, user)) in pairs.iter().enumerate() {
        let path = format!("/v1/tenants/{}/users/{}/stats", encoded(tenant), encoded(user));
        let stats = running.get(&path).json();
        assert_eq!((&stats["tenantId"], &stats["userId"]), (&json!(tenant), &json!(user)), "{path}");
        assert_eq!(stats["allTime"]["requests"], number % 7 + 1, "{path}");
    }
    for bad in ["%00", "a%0Ab", "%c3%28", &"x".repeat(257)] {
        assert_eq!(running.get(&format!("/v1/tenants/{bad}/stats")).status, 400, "{bad}");
    }
}

#[test]
fn an_api_that_others_reach_does_not_start_without_authentication() {
    let listen = format!("0.0.0.0:{}", free_port());
    let refused = |env: &[(&str, &str)], args: &[&str]| {
        let output = Program::run(args, &[&[("INDELIBLE_LISTEN", listen.as_str())], env].concat(), "");
        (output.status.code(), String::from_utf8(output.stderr).expect("text"))
    };
    for role in ["--role=all", "--role=api"] {
        let (code, said) = refused(&[], &["serve", role]);
        assert_eq!(code, Some(64), "{said}");
        for part in
            ["INDELIBLE_LISTEN (--listen) 0.0.0.0:", "INDELIBLE_API_KEYS", "INDELIBLE_JWT_JWKS", "INDELIBLE_AUTH=none"]
        {
            assert!(said.contains(part), "{part} in {said}");
        }
    }
    let (code, said) = refused(&[("INDELIBLE_AUTH", "required"), ("INDELIBLE_LISTEN", "127.0.0.1:0")], &["serve"]);
    assert!(code == Some(64) && said.contains("INDELIBLE_AUTH (--auth) is required, and nothing is set up"), "{said}");

    // Who says that it is meant so gets it, and a warning.
    let (dir, ops) = (tempfile::tempdir().expect("a temporary folder"), format!("127.0.0.1:{}", free_port()));
    let env =
        [("INDELIBLE_LISTEN", listen.as_str()), ("INDELIBLE_AUTH", "none"), ("INDELIBLE_OPS_LISTEN", ops.as_str())];
    let child = Program::start(&["serve", "--role=api"], &env, dir.path());
    let url = format!("http://{}/version", listen.replace("0.0.0.0", "127.0.0.1"));
    eventually(START, "an answer", || (fetch(&url, &[]).ok()?.status == 200).then_some(()));
    let log = child.output();
    assert!(log.contains("WARN") && log.contains("asks nobody for credentials: INDELIBLE_AUTH is none"), "{log}");
}

#[test]
fn faults_of_authentication_are_settings_faults() {
    let check = |env: &[(&str, &str)]| {
        let output = Program::run(&["config", "check"], env, "");
        (output.status.code(), String::from_utf8(output.stderr).expect("text"))
    };
    let dir = tempfile::tempdir().expect("a temporary folder");
    let path = |name: &str| dir.path().join(name).display().to_string();
    fs::write(Path::new(&path("set")), key_set(&[&SigningKey::p256("k")])).expect("the folder can be written");
    let (set, missing) = (path("set"), path("missing"));
    let issuer = [("INDELIBLE_JWT_ISSUER", "i"), ("INDELIBLE_JWT_AUDIENCE", "a")];
    let jwks = [("INDELIBLE_JWT_JWKS", set.as_str())];
    assert_eq!(check(&[&issuer[..], &jwks].concat()).0, Some(0));
    for (env, parts) in [
        (vec![("INDELIBLE_AUTH", "maybe")], vec!["INDELIBLE_AUTH (--auth) \"maybe\" is neither"]),
        (vec![("INDELIBLE_API_KEYS", missing.as_str())], vec!["INDELIBLE_API_KEYS (--api-keys) ", "can't be opened"]),
        (
            jwks.to_vec(),
            vec!["INDELIBLE_JWT_ISSUER (--jwt-issuer) is missing", "INDELIBLE_JWT_AUDIENCE (--jwt-audience) is"],
        ),
        (issuer.to_vec(), vec!["INDELIBLE_JWT_ISSUER (--jwt-issuer) is set without"]),
        (
            [&issuer[..], &jwks, &[("INDELIBLE_AUTH", "none")]].concat(),
            vec!["INDELIBLE_AUTH (--auth) is none although"],
        ),
        (
            [&issuer[..], &jwks, &[("INDELIBLE_JWT_PEM", "x")]].concat(),
            vec!["INDELIBLE_JWT_PEM (--jwt-pem) is set beside"],
        ),
        (
            [&issuer[..], &jwks, &[("INDELIBLE_JWT_ALGORITHMS", "RS256,HS256,none")]].concat(),
            vec!["INDELIBLE_JWT_ALGORITHMS (--jwt-algorithms) \"HS256\" is no algorithm", "\"none\" is no algorithm"],
        ),
        (
            [&issuer[..], &[("INDELIBLE_JWT_JWKS", missing.as_str())]].concat(),
            vec!["INDELIBLE_JWT_JWKS ", "can't be opened"],
        ),
        (
            [&issuer[..], &[("INDELIBLE_JWT_JWKS", "ftp://user:hunter2@x")]].concat(),
            vec!["INDELIBLE_JWT_JWKS (--jwt-jwks) is neither a file nor an http or https URL"],
        ),
        (vec![("INDELIBLE_JWT_LEEWAY", "6m")], vec![]),
        (
            vec![("INDELIBLE_API_CORS_ORIGINS", "https://a.example/,*,null"), ("INDELIBLE_API_RATE", "-1")],
            vec![
                "\"https://a.example/\" is not an origin",
                "\"*\" is not",
                "\"null\" is not",
                "INDELIBLE_API_RATE (--api-rate)",
            ],
        ),
    ] {
        let (code, said) = check(&env);
        assert_eq!(code, Some(if parts.is_empty() { 0 } else { 64 }), "{env:?}: {said}");
        assert!(parts.iter().all(|part| said.contains(part)), "{parts:?} in {said}");
        assert!(!said.contains("hunter2"), "{said}");
    }
}

#[test]
fn a_key_that_nobody_could_use_is_not_made() {
    for args in [
        &["--scope", "usage:read:tenant"][..],
        &["--scope", "usage:read", "--tenant", "acme"],
        &["--scope", "quota:write", "--tenant", "acme", "--expires-in", "9999999999y"],
        &["--scope", "admin", "--tenant", "acme"],
        &["--tenant", "acme"],
    ] {
        let output = Program::run(&[&["key", "new", "--name", "n"], args].concat(), &[], "");
        assert!(!output.status.success() && output.stdout.is_empty(), "{args:?}");
    }
}

#[test]
fn a_silent_connection_is_closed_and_a_long_head_is_refused() {
    use std::io::{Read as _, Write as _};
    let deployment =
        Deployment::new(1).set("INDELIBLE_API_IDLE_TIMEOUT", "1s").set("INDELIBLE_API_HEADER_BYTES", "8192");
    let running = deployment.serve();
    let connect = || std::net::TcpStream::connect(running.api_url().trim_start_matches("http://")).expect("it listens");
    let ended = |mut stream: std::net::TcpStream| {
        stream.set_read_timeout(Some(Duration::from_secs(20))).expect("a time");
        let mut text = String::new();
        stream.read_to_string(&mut text).expect("the server closes it, and not the time");
        text
    };
    let mut half = connect();
    half.write_all(b"GET /version HTTP/1.1\r\nhost: x\r\n").expect("it is open");
    let mut used = connect();
    used.write_all(b"GET /version HTTP/1.1\r\nhost: x\r\n\r\n").expect("it is open");
    let mut long = connect();
    let _ = long.write_all(format!("GET /version HTTP/1.1\r\nx: {}\r\n\r\n", "y".repeat(20_000)).as_bytes());
    let mut many = connect();
    let _ = many.write_all(format!("GET /version HTTP/1.1\r\n{}\r\n", "x: y\r\n".repeat(65)).as_bytes());
    assert!(ended(used).starts_with("HTTP/1.1 200"), "what was asked is answered before it is closed");
    assert!(!ended(half).contains("200"));
    for stream in [long, many] {
        assert!(ended(stream).starts_with("HTTP/1.1 431"));
    }
}
