//! What comes in: requests, some of which save an output; now and then a deletion, or a record that comes again.

use chrono::{SecondsFormat, Utc};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use crate::event::{NAMES, Person, Record, Request, deletion};
use crate::people::{People, Spread};
use crate::tally::Tally;

/// Of 1000 requests, so many save an output.
const SAVES: u32 = 50;
/// Of 1000 records, so many delete one.
const DELETES: u32 = 10;
/// Of 1000 records, so many are one of the last [`RECENT`] once more, as a producer sends it that got no answer.
const REPEATS: u32 = 5;
const RECENT: usize = 256;
/// Outputs that may still be deleted; more are kept by their users.
const DELETABLE: usize = 10_000;
/// The clock is read once in so many records.
const TICK: u64 = 1_000;

/// Makes records in an order that a seed decides.
///
/// Each of the 20 assistants uses a model of its own for nine requests of ten, and that of its seventh neighbour for the
/// others: 40 pairs in all. Whoever asks may ask any of them, so those who ask the most have all 40 in their month.
pub(crate) struct Mix {
    people: People,
    rng: StdRng,
    time: String,
    recent: Vec<Record>,
    outputs: Vec<(Person, String)>,
    pub(crate) tally: Tally,
}

impl Mix {
    pub(crate) fn new(spread: Spread) -> Self {
        Self {
            people: People::new(spread),
            rng: StdRng::seed_from_u64(1),
            time: String::new(),
            recent: Vec::with_capacity(RECENT),
            outputs: Vec::new(),
            tally: Tally::default(),
        }
    }

    pub(crate) fn next(&mut self) -> Record {
        let number = self.tick();
        let lot = self.rng.random_range(0..1000);
        if lot < REPEATS && !self.recent.is_empty() {
            self.tally.records += 1;
            self.tally.repeated += 1;
            return self.recent[self.rng.random_range(0..self.recent.len())].clone();
        }
        let deletes = (REPEATS..REPEATS + DELETES).contains(&lot) && !self.outputs.is_empty();
        let record = if deletes { self.delete(number) } else { self.request(number) };
        if self.recent.len() < RECENT {
            self.recent.push(record.clone());
        } else {
            self.recent[number as usize % RECENT].clone_from(&record);
        }
        record
    }

    /// A request of a user whom nobody else is; `user` is beyond all numbers of the spread.
    pub(crate) fn probe(&mut self, user: u64) -> (Person, Record) {
        let number = self.tick();
        let person = self.people.person(user);
        (person, self.request_of(number, person))
    }

    /// A user who has asked.
    pub(crate) fn someone(&self, rng: &mut StdRng) -> Person {
        let users = &self.tally.by_user;
        assert!(users.iter().any(|requests| *requests > 0), "nobody has asked yet");
        loop {
            let user = rng.random_range(0..users.len());
            if users[user] > 0 {
                return self.people.person(user as u64);
            }
        }
    }

    /// The number of the next record, which is its id.
    fn tick(&mut self) -> u64 {
        let number = self.tally.records;
        if number.is_multiple_of(TICK) || self.time.is_empty() {
            self.time = now();
        }
        number
    }

    fn request(&mut self, number: u64) -> Record {
        let person = self.people.next(&mut self.rng);
        self.request_of(number, person)
    }

    fn request_of(&mut self, number: u64, person: Person) -> Record {
        let rng = &mut self.rng;
        let assistant = rng.random_range(0..NAMES);
        let model = if rng.random_range(0..10) == 0 { (assistant + 7) % NAMES } else { assistant };
        let (tokens_in, tokens_out) = (rng.random_range(50..20_000), rng.random_range(10..2_000));
        let saves = rng.random_range(0..1000) < SAVES;
        let output = saves.then(|| output_id(rng));
        let record = Request {
            number,
            time: &self.time,
            person,
            assistant,
            model,
            tokens_in,
            tokens_out,
            latency_ms: rng.random_range(200..20_000),
            searches: rng.random_range(1..4),
            output: output.as_deref(),
        }
        .record();
        self.tally.request(person.user, tokens_in, tokens_out);
        if let Some(output) = output {
            self.tally.outputs += 1;
            if self.outputs.len() < DELETABLE {
                self.outputs.push((person, output));
            }
        }
        record
    }

    fn delete(&mut self, number: u64) -> Record {
        let (person, output) = self.outputs.swap_remove(self.rng.random_range(0..self.outputs.len()));
        self.tally.records += 1;
        self.tally.outputs -= 1;
        deletion(number, &self.time, person, &output)
    }
}

/// As services write it.
pub(crate) fn now() -> String {
    Utc::now().to_rfc3339_opts(SecondsFormat::Millis, true)
}

/// A UUID, as most are.
pub(crate) fn output_id(rng: &mut StdRng) -> String {
    let (a, b): (u64, u64) = (rng.random(), rng.random());
    format!("{:08x}-{:04x}-{:04x}-{:04x}-{:012x}", a >> 32, (a >> 16) as u16, a as u16, (b >> 48) as u16, b << 16 >> 16)
}
