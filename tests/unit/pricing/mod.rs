use super::*;
use crate::domain::counters::Overflow;
use crate::domain::event::{ToolCalls, Usage};
use crate::domain::ids::{Assistant, Model};
use crate::domain::money::NanoDollars;
use crate::domain::rated::Rated;

#[path = "builtin.rs"]
mod builtin;
#[path = "cases.rs"]
mod cases;
#[path = "explain.rs"]
mod explained;
#[path = "faults.rs"]
mod faults;
#[path = "parts.rs"]
mod parts;

const TABLE: &str = include_str!("table.toml");

fn at(text: &str) -> DateTime<Utc> {
    text.parse().unwrap_or_else(|error| panic!("{text}: {error}"))
}

/// `model in=1000 out=500 cached=1 write=1 reason=1 cents=0.5 provider=acme webSearch=2`; any other name is a tool's.
#[track_caller]
fn usage(text: &str) -> Usage {
    let mut words = text.split_whitespace();
    let mut usage = Usage {
        assistant: Assistant::new("a").expect("an id"),
        provider: None,
        model: Model::new(words.next().expect("a model")).expect("an id"),
        tokens_in: 0,
        tokens_out: 0,
        cached_tokens: 0,
        cache_write_tokens: 0,
        reasoning_tokens: 0,
        cost: None,
        latency_ms: None,
        tools: ToolCalls::new(),
        output: None,
    };
    for word in words {
        let (name, value) = word.split_once('=').expect("name=value");
        let count = || value.parse::<i64>().expect("a count");
        match name {
            "in" => usage.tokens_in = count(),
            "out" => usage.tokens_out = count(),
            "cached" => usage.cached_tokens = count(),
            "write" => usage.cache_write_tokens = count(),
            "reason" => usage.reasoning_tokens = count(),
            "cents" => usage.cost = Some(NanoDollars::from_cents(value).expect("cents")),
            "provider" => usage.provider = Some(Provider::new(value).expect("an id")),
            tool => usage.tools.push((Tool::new(tool).expect("an id"), count())),
        }
    }
    assert!(usage.cached_tokens + usage.cache_write_tokens <= usage.tokens_in, "{text}: no event of that form");
    assert!(usage.reasoning_tokens <= usage.tokens_out, "{text}: no event of that form");
    usage
}
