//! Bytes by chance into what strangers reach: the decoder, the names of keys, the API's paths and queries. Nothing may
//! panic, and what must hold of every input does.
//!
//! Mutations of a corpus: the examples of the schemas, and what is kept in `tests/fuzz`. An input that has an outcome
//! of a new sort joins the corpus. `make test` makes a fixed number of tries; `make fuzz` goes on by the clock, and
//! keeps the inputs that it learned from.

mod bodies;
mod mutate;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

/// Tries of each target where no time is set.
const TRIES: u64 = 50_000;
/// Sorts of outcomes that are told apart: a text that is quoted makes them as many as one likes.
const MOST_SORTS: usize = 5_000;
/// Inputs of one target that are kept, and bytes of each.
const MOST_KEPT: usize = 400;
const MOST_BYTES: usize = 4_096;

struct Fuzz {
    name: &'static str,
    rng: StdRng,
    corpus: Vec<Vec<u8>>,
    /// What inputs came to, and one input for each.
    outcomes: BTreeMap<String, Vec<u8>>,
}

impl Fuzz {
    fn new(name: &'static str, seeds: impl IntoIterator<Item = Vec<u8>>) -> Self {
        let kept = files(&folder(name)).into_iter().map(|path| fs::read(path).expect("a kept input"));
        let corpus: Vec<_> = seeds.into_iter().chain(kept).collect();
        assert!(!corpus.is_empty(), "{name} has nothing to begin with");
        let seed = setting("INDELIBLE_SEED").unwrap_or_else(rand::random);
        println!("{name}: INDELIBLE_SEED={seed}");
        Self { name, rng: StdRng::seed_from_u64(seed), corpus, outcomes: BTreeMap::new() }
    }

    /// Every input of the corpus as it is, then mutations of them. `body` says what an input came to.
    fn run(mut self, body: impl Fn(&[u8]) -> String) {
        for input in self.corpus.clone() {
            self.one(input, &body);
        }
        let seconds = setting("INDELIBLE_FUZZ_SECONDS");
        let (start, mut tries) = (Instant::now(), 0);
        while seconds.map_or(tries < TRIES, |seconds| start.elapsed() < Duration::from_secs(seconds)) {
            let (one, other) = (self.pick(), self.pick());
            let mut input = mutate::mutate(&mut self.rng, one, &other);
            input.truncate(MOST_BYTES);
            self.one(input, &body);
            tries += 1;
        }
        println!("{}: {tries} tries in {:?}, {} sorts of outcomes", self.name, start.elapsed(), self.outcomes.len());
        if seconds.is_some() {
            self.keep();
        }
    }

    fn pick(&mut self) -> Vec<u8> {
        let index = self.rng.random_range(0..self.corpus.len());
        self.corpus[index].clone()
    }

    fn one(&mut self, input: Vec<u8>, body: &impl Fn(&[u8]) -> String) {
        let outcome = catch_unwind(AssertUnwindSafe(|| body(&input))).unwrap_or_else(|panic| {
            eprintln!("{}: this input: {}", self.name, input.escape_ascii());
            resume_unwind(panic)
        });
        if self.outcomes.len() < MOST_SORTS && !self.outcomes.contains_key(&outcome) {
            self.corpus.push(input.clone());
            self.outcomes.insert(outcome, input);
        }
    }

    /// Writes an input of each sort of outcome, in the place of what was kept.
    fn keep(&self) {
        let folder = folder(self.name);
        fs::create_dir_all(&folder).expect("the folder can be made");
        files(&folder).into_iter().for_each(|path| fs::remove_file(path).expect("it can go"));
        let inputs: BTreeSet<_> = self.outcomes.values().take(MOST_KEPT).collect();
        for (number, input) in inputs.into_iter().enumerate() {
            fs::write(folder.join(format!("{number:03}")), input).expect("the folder can be written");
        }
    }
}

fn setting(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().unwrap_or_else(|_| panic!("{name} is a whole number")))
}

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz").join(name)
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten();
    let mut paths: Vec<_> = entries.map(|entry| entry.expect("a readable folder").path()).collect();
    paths.sort();
    paths
}

fn examples() -> Vec<Vec<u8>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("schemas/examples");
    let files = ["valid", "invalid"].into_iter().flat_map(|kind| files(&root.join(kind)));
    files.map(|path| fs::read(path).expect("an example")).collect()
}

#[test]
fn decode() {
    Fuzz::new("decode", examples()).run(bodies::decode);
}

#[test]
fn keys() {
    let seeds = ["acme\nalice\nacme\nbob", "a:b\nc\na\nb:c", "{33h}\n*\n%7B\n..", "日本\né\ne\u{301}\n|"];
    Fuzz::new("keys", seeds.map(|text| text.as_bytes().to_vec())).run(bodies::keys);
}

#[test]
fn queries() {
    let seeds = [
        "/v1/tenants/acme/users/alice/stats?month=2026-11",
        "/v1/tenants/acme/users?sort=cost&limit=1&cursor=",
        "/v1/tenants/acme/usage?from=2026-11-01&to=2026-12-01&granularity=day",
        "/v1/tenants/acme/users/alice/allow?tokens=1",
        "/v1/tenants/acme/users/alice/quota?month=2026-11",
        "/v1/prices?model=gpt-4o&at=2026-11-01T00:00:00Z",
        "/v1/price-mismatches?month=2026-11",
        "/v1/tenants/%2e%2e/users/a%3Ab/stats",
    ];
    Fuzz::new("queries", seeds.map(|text| text.as_bytes().to_vec())).run(bodies::queries());
}
