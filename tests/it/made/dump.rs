//! All that a server holds, as the in-memory twin has it.

use crate::memory::{Content, Entry};

/// A score; those above 2^53 are no more than near.
fn time(score: &str) -> i64 {
    score.parse().unwrap_or_else(|_| score.parse::<f64>().expect("a score") as i64)
}

/// All keys of a server's database that begin with `prefix`, as the in-memory twin has them.
pub(crate) fn dump(connection: &mut redis::Connection, prefix: &str) -> Content {
    let keys: Vec<String> = redis::cmd("KEYS").arg(format!("{prefix}*")).query(connection).expect("keys");
    let mut ask = redis::pipe();
    for key in &keys {
        ask.cmd("TYPE").arg(key);
    }
    let types: Vec<String> = ask.query(connection).expect("types");
    let mut ask = redis::pipe();
    for (key, is) in keys.iter().zip(&types) {
        match is.as_str() {
            "hash" => ask.cmd("HGETALL").arg(key),
            "zset" => ask.cmd("ZRANGE").arg(key).arg(0).arg(-1).arg("WITHSCORES"),
            "set" => ask.cmd("SMEMBERS").arg(key),
            "string" => ask.cmd("MGET").arg(key),
            other => panic!("{key} is a {other}"),
        };
    }
    let values: Vec<Vec<Vec<u8>>> = ask.query(connection).expect("values");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("text");
    let entries = types.iter().zip(values).map(|(is, value)| match is.as_str() {
        "string" => Entry::Bytes(value.concat()),
        "set" => Entry::Set(value.into_iter().map(text).collect()),
        "hash" => Entry::Hash(pairs(value.into_iter().map(text)).collect()),
        _ => Entry::Scored(pairs(value.into_iter().map(text)).map(|(member, score)| (member, time(&score))).collect()),
    });
    keys.iter().cloned().zip(entries).collect()
}

fn pairs(mut flat: impl Iterator<Item = String>) -> impl Iterator<Item = (String, String)> {
    std::iter::from_fn(move || Some((flat.next()?, flat.next()?)))
}
