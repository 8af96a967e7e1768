//! What a request costs: held to Python's decimals, and told by the command line.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Output;

use chrono::{DateTime, TimeDelta, Utc};
use indelible::domain::event::{MAX_COUNT, ToolCalls, Usage};
use indelible::domain::ids::{Assistant, Model, Provider, Tool};
use indelible::domain::money::NanoDollars;
use indelible::domain::rated::Rated;
use indelible::pricing::Table;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom as _;
use rand::{Rng, SeedableRng as _};
use serde_json::{Value, json};

use crate::support::oracle;
use crate::support::program::Program;

const TESTS_TABLE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/unit/pricing/table.toml");

#[test]
fn the_table_that_is_built_in_agrees_with_pythons_decimals() {
    agree(&Table::builtin(), None, 100_000);
}

#[test]
fn a_table_with_markups_and_the_finest_prices_agrees_with_pythons_decimals() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let text = format!("markup = \"7.654321\"\n{}", fs::read_to_string(TESTS_TABLE).expect("the table of the tests"));
    let path = dir.path().join("prices.toml");
    fs::write(&path, &text).expect("a file");
    agree(&Table::parse(&text).expect("a table"), Some(&path), 50_000);
}

#[track_caller]
fn agree(table: &Table, path: Option<&Path>, count: usize) {
    let seed = std::env::var("INDELIBLE_SEED").ok().map_or_else(rand::random, |seed| seed.parse().expect("a number"));
    println!("INDELIBLE_SEED={seed}");
    let mut maker = Maker::new(table, StdRng::seed_from_u64(seed));
    let requests: Vec<_> = (0..count).map(|_| maker.request()).collect();
    let dir = tempfile::tempdir().expect("a temporary folder");
    let file = dir.path().join("requests");
    let mut lines = String::new();
    for (usage, at) in &requests {
        writeln!(lines, "{}", as_json(usage, *at)).expect("a string takes all");
    }
    fs::write(&file, lines).expect("a file");
    let ratings = oracle::ratings(&file, path);
    assert_eq!(ratings.len(), requests.len());
    let mut seen = [0_usize; 5];
    for ((usage, at), rating) in requests.iter().zip(&ratings) {
        let ours = match table.rate(usage, *at) {
            Err(_) => {
                seen[0] += 1;
                "too large".to_owned()
            }
            Ok(Rated { cost, charge, unpriced, mismatch }) => {
                let kind = if unpriced {
                    1
                } else if mismatch.is_some() {
                    2
                } else if usage.cost.is_some() {
                    3
                } else {
                    4
                };
                seen[kind] += 1;
                let expected = mismatch.map_or_else(|| "-".to_owned(), |expected| expected.0.to_string());
                format!("{} {} {} {expected}", cost.0, charge.0, u8::from(unpriced))
            }
        };
        assert_eq!(&ours, rating, "INDELIBLE_SEED={seed}: {}", as_json(usage, *at));
    }
    // Or the comparison shows less than it claims: too large, unpriced, a mismatch, a cost that agrees, priced.
    assert!(seen.iter().all(|count| *count > requests.len() / 1_000), "INDELIBLE_SEED={seed}: {seen:?}");
}

fn as_json(usage: &Usage, at: DateTime<Utc>) -> Value {
    let tools: Vec<_> = usage.tools.iter().map(|(tool, calls)| json!([tool.as_str(), calls])).collect();
    json!({
        "model": usage.model.as_str(), "provider": usage.provider.as_ref().map(Provider::as_str),
        "tokens_in": usage.tokens_in, "tokens_out": usage.tokens_out, "cached": usage.cached_tokens,
        "cache_write": usage.cache_write_tokens, "reasoning": usage.reasoning_tokens,
        "nanousd": usage.cost.map(|cost| cost.0), "tools": tools,
        "at_ns": at.timestamp_nanos_opt().expect("within the years that have nanoseconds"),
    })
}

/// Makes requests of the models of a table, at and around every bound that it has.
struct Maker<'a> {
    table: &'a Table,
    names: Vec<String>,
    providers: Vec<String>,
    instants: Vec<DateTime<Utc>>,
    bounds: Vec<i64>,
    rng: StdRng,
}

impl<'a> Maker<'a> {
    fn new(table: &'a Table, rng: StdRng) -> Self {
        let start: DateTime<Utc> = "2024-01-01T00:00:00Z".parse().expect("a time");
        let (mut names, mut providers, mut instants, mut bounds) = (vec![], vec!["nobody".to_owned()], vec![], vec![]);
        // All that is in force at any time: a day is short enough to see every entry.
        for day in 0..1_100 {
            for price in table.in_force(start + TimeDelta::days(day)).prices {
                names.extend(price.models.iter().map(|name| (*name).to_owned()));
                providers.push(price.provider.to_owned());
                instants.extend(price.from);
                bounds.extend(price.tiers.iter().map(|tier| tier.above));
            }
        }
        for list in [&mut names, &mut providers] {
            list.sort_unstable();
            list.dedup();
        }
        instants.sort_unstable();
        instants.dedup();
        bounds.sort_unstable();
        bounds.dedup();
        Self { table, names, providers, instants, bounds, rng }
    }

    fn request(&mut self) -> (Usage, DateTime<Utc>) {
        let at = self.instant();
        let model = self.model();
        let provider = self.rng.random_bool(0.2).then(|| self.providers.choose(&mut self.rng).cloned()).flatten();
        let (tokens_in, tokens_out) = (self.tokens(), self.tokens());
        let cached_tokens = self.some_of(tokens_in);
        let mut usage = Usage {
            assistant: Assistant::new("a").expect("an id"),
            provider: provider.map(|provider| Provider::new(&provider).expect("an id")),
            model: Model::new(&model).expect("an id"),
            tokens_in,
            tokens_out,
            cached_tokens,
            cache_write_tokens: self.some_of(tokens_in - cached_tokens),
            reasoning_tokens: self.some_of(tokens_out),
            cost: None,
            latency_ms: None,
            tools: self.tools(),
            output: None,
        };
        usage.cost = self.own_cost(&usage, at);
        (usage, at)
    }

    fn instant(&mut self) -> DateTime<Utc> {
        match self.instants.choose(&mut self.rng) {
            Some(change) if self.rng.random_bool(0.3) => {
                *change + TimeDelta::nanoseconds(self.rng.random_range(-1..=1))
            }
            _ => {
                let ns = self.rng.random_range(1_704_067_200_000_000_000..1_800_000_000_000_000_000);
                DateTime::from_timestamp_nanos(ns)
            }
        }
    }

    fn model(&mut self) -> String {
        let name = self.names.choose(&mut self.rng).cloned().unwrap_or_default();
        let filled = ["", "-20250929", "x", "us."].choose(&mut self.rng).copied().unwrap_or_default();
        match self.rng.random_range(0..20) {
            0 => "no-such-model".to_owned(),
            1 => format!("{name}{filled}").replace('*', filled),
            _ => name.replace('*', filled),
        }
    }

    fn tokens(&mut self) -> i64 {
        match (self.rng.random_range(0..10), self.bounds.choose(&mut self.rng)) {
            (0, _) => 0,
            (1, Some(bound)) => (bound + self.rng.random_range(-1..=1)).max(0),
            (2, _) => MAX_COUNT >> self.rng.random_range(0..20),
            (3, _) => self.rng.random_range(0..10_000_000_000),
            (4 | 5, _) => self.rng.random_range(0..10),
            _ => self.rng.random_range(0..1_000_000),
        }
    }

    fn some_of(&mut self, all: i64) -> i64 {
        match self.rng.random_range(0..4) {
            0 => all,
            1 => self.rng.random_range(0..=all),
            _ => 0,
        }
    }

    fn tools(&mut self) -> ToolCalls {
        let names = ["finance", "retrieval", "webSearch"];
        let called = names.into_iter().filter(|_| self.rng.random_bool(0.2)).collect::<Vec<_>>();
        called.into_iter().map(|name| (Tool::new(name).expect("an id"), self.rng.random_range(1..=9))).collect()
    }

    /// None, any, or one near what the table says and around where the tolerance ends.
    fn own_cost(&mut self, usage: &Usage, at: DateTime<Utc>) -> Option<NanoDollars> {
        if self.rng.random_bool(0.6) {
            return None;
        }
        let expected = self.table.rate(usage, at).map_or(0, |rated| rated.cost.0);
        let apart = match self.rng.random_range(0..4) {
            0 => 0,
            1 => self.rng.random_range(-6..=6),
            2 => expected / 100 + self.rng.random_range(-1..=1),
            _ => return Some(NanoDollars(self.rng.random_range(0..100_000_000))),
        };
        let apart = if self.rng.random_bool(0.5) { -apart } else { apart };
        Some(NanoDollars(expected.saturating_add(apart).max(0)))
    }
}

fn run(args: &[&str], env: &[(&str, &str)], stdin: &str) -> (Option<i32>, String, String) {
    let Output { status, stdout, stderr } = Program::run(args, env, stdin);
    (status.code(), String::from_utf8(stdout).expect("text"), String::from_utf8(stderr).expect("text"))
}

fn file(dir: &Path, name: &str, text: &str) -> PathBuf {
    let path = dir.join(name);
    fs::write(&path, text).expect("a file");
    path
}

#[test]
fn a_price_file_with_faults_ends_every_command_with_64_and_all_of_them() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let text = "[[price]]\nprovider = \"p\"\nmodel = \"m\"\ninput = \"-1\"\nouptut = \"2\"\n";
    let path = file(dir.path(), "prices.toml", text).display().to_string();
    let absent = dir.path().join("absent.toml").display().to_string();
    for args in [&["config", "check"][..], &["serve"], &["price", "-"], &["emit", "-"]] {
        let (code, _, stderr) = run(args, &[("INDELIBLE_PRICES", &path)], "");
        assert_eq!(code, Some(64), "{args:?}: {stderr}");
        for fault in ["line 1: [[price]] has no `output`", "line 4: `input` is \"-1\"", "line 5: [[price]] has a key"] {
            assert!(stderr.contains(&format!("INDELIBLE_PRICES (--prices) {path}: {fault}")), "{fault} in {stderr}");
        }
        let (code, _, stderr) = run(args, &[("INDELIBLE_PRICES", &absent)], "");
        assert!(code == Some(64) && stderr.contains(&format!("{absent}: can't be opened")), "{args:?}: {stderr}");
    }
    let not_text = dir.path().join("latin1.toml");
    fs::write(&not_text, b"# caf\xe9\n").expect("a file");
    let (code, _, stderr) = run(&["config", "check", "--prices", &not_text.display().to_string()], &[], "");
    assert!(code == Some(64) && stderr.contains("can't be read"), "{stderr}");
    assert_eq!(run(&["config", "check", "--prices", TESTS_TABLE], &[], "").0, Some(0));
}

fn event(more: Value) -> String {
    let mut event = json!({
        "requestId": "r", "createdAt": "2026-11-24T18:00:00Z", "tenantId": "acme", "userId": "alice",
        "assistant": "chat", "model": "claude-sonnet-4-5", "tokensIn": 1000, "tokensOut": 500,
    });
    event.as_object_mut().expect("an object").extend(more.as_object().cloned().unwrap_or_default());
    event.to_string()
}

#[test]
fn a_request_is_explained() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let path =
        file(dir.path(), "event.json", &event(json!({"cachedTokens": 400, "toolInvocations": {"webSearch": 2}})));
    let (code, told, _) = run(&["price", &path.display().to_string()], &[], "");
    assert_eq!(code, Some(0), "{told}");
    for part in [
        "anthropic claude-sonnet-4-5*, always, no tier",
        "input                       600 x $3 a million tokens = $0.0018",
        "cache_read                  400 x $0.3 a million tokens = $0.00012",
        "output                      500 x $15 a million tokens = $0.0075",
        "tool webSearch                2 x $0.01 a call = $0.02",
        "cost      $0.02942",
    ] {
        assert!(told.contains(part), "{part} in {told}");
    }
    // An event of any time is explained: no record's timestamp bounds it.
    for time in ["1999-01-01T00:00:00Z", "9999-01-01T00:00:00Z"] {
        let old = event(json!({"createdAt": time, "costCents": "0.5"}));
        let (code, json, stderr) = run(&["price", "-", "--json"], &[], &old);
        let json: Value = serde_json::from_str(&json).unwrap_or_else(|error| panic!("{error}: {stderr}"));
        assert_eq!((code, &json["at"], &json["given"]), (Some(0), &json!(time), &json!("0.005")));
        assert_eq!((&json["expected"], &json["mismatch"]), (&json!("0.0105"), &json!(true)));
    }
}

#[test]
fn what_is_no_usage_event_is_refused_in_the_decoders_words() {
    let deleted = json!({
        "specversion": "1.0", "type": "ai.output.deleted.v1", "source": "s", "id": "1", "time": "2026-11-24T18:00:00Z",
        "data": {"tenantId": "acme", "userId": "alice", "outputId": "o", "kind": "website"},
    });
    for (text, words) in [
        ("nonsense".to_owned(), "the value is not JSON"),
        (event(json!({"tokensIn": -1})), "tokensIn"),
        (event(json!({"cachedTokens": 1001})), "cachedTokens is 1001, but tokensIn is 1000"),
        (deleted.to_string(), "only ai.usage.recorded.v1 has a cost"),
    ] {
        let (code, stdout, stderr) = run(&["price", "-"], &[], &text);
        assert_eq!((code, stdout.as_str()), (Some(64), ""), "{stderr}");
        assert!(stderr.contains(words), "{words} in {stderr}");
    }
    let (code, _, stderr) = run(&["price", "/no/such/file"], &[], "");
    assert!(code == Some(1) && stderr.contains("/no/such/file"), "{stderr}");
}
