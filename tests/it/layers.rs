//! What the design says of the sources, held against the sources: who may name whom, and how long a file is.

use crate::support::source::{SourceFile, paths, tokens};

/// A row of the table in the design, "Layers".
struct Layer {
    name: &'static str,
    /// Parts of ours that it may name beside itself.
    ours: &'static [&'static str],
    others: Others,
}

/// Crates that are not ours.
enum Others {
    All,
    Only(&'static [&'static str]),
    AllBut(&'static [&'static str]),
}

const EVERY_LAYER: &[&str] = &["domain", "pricing", "quota", "auth", "ingest", "store", "api", "ops", "cli", "app"];

/// A new folder under src/ needs a row here.
const LAYERS: &[Layer] = &[
    Layer {
        name: "domain",
        ours: &[],
        others: Others::Only(&[
            "std",
            "chrono",
            "thiserror",
            "xxhash_rust",
            "siphasher",
            "hashbrown",
            "litemap",
            "compact_str",
            "smallvec",
        ]),
    },
    Layer {
        name: "pricing",
        ours: &["domain"],
        others: Others::Only(&["std", "chrono", "thiserror", "serde", "toml", "xxhash_rust", "hashbrown"]),
    },
    Layer {
        name: "quota",
        ours: &["domain"],
        others: Others::Only(&["std", "chrono", "thiserror", "serde", "toml", "humantime"]),
    },
    Layer {
        name: "auth",
        ours: &["domain"],
        // Who asks, and what they may: no HTTP but the fetching of keys, no usage.
        others: Others::AllBut(&["rdkafka", "redis", "axum", "tower_http", "utoipa", "utoipa_axum", "prometheus"]),
    },
    Layer {
        name: "ingest",
        ours: &["domain", "pricing", "quota", "store", "ops"],
        others: Others::AllBut(&["redis", "axum", "tower_http", "utoipa", "utoipa_axum"]),
    },
    Layer {
        name: "store",
        ours: &["domain", "quota"],
        // It returns facts: whoever called it counts and logs.
        others: Others::AllBut(&["rdkafka", "axum", "tracing", "prometheus"]),
    },
    Layer {
        name: "api",
        ours: &["domain", "pricing", "quota", "auth", "store", "ops"],
        others: Others::AllBut(&["rdkafka", "redis"]),
    },
    Layer { name: "ops", ours: &[], others: Others::AllBut(&["rdkafka", "redis"]) },
    Layer { name: "cli", ours: EVERY_LAYER, others: Others::All },
    Layer { name: "app", ours: EVERY_LAYER, others: Others::All },
    Layer { name: "main", ours: EVERY_LAYER, others: Others::All },
    // Declares the modules and the allocator, and no more.
    Layer { name: "lib", ours: &[], others: Others::Only(&["mimalloc"]) },
];

/// These see the store by the names in its mod.rs, the traits and their values, never by a module of it.
const TRAITS_ALONE: &[&str] = &["ingest", "api"];

/// Pure although their layer is not: bytes and values in, values out.
const PURE: &[&str] = &[
    "src/ingest/decode.rs",
    "src/ingest/decode/",
    "src/ingest/batch.rs",
    "src/ingest/letters/",
    "src/ingest/rated/message.rs",
    "src/ingest/rated/owed.rs",
    "src/ingest/cloudevent.rs",
    "src/ingest/quota_event.rs",
    "src/auth/access.rs",
    "src/auth/scopes.rs",
    "src/auth/api_keys.rs",
    "src/auth/rates.rs",
];
const NOT_PURE: &[&str] = &["tokio", "tokio_util", "futures", "rdkafka", "redis", "tracing"];

/// Files that may have floats, and why. Money and counts may not.
const FLOATS: &[(&str, &str)] = &[("src/ops/metrics/make.rs", "Prometheus has no other numbers")];

/// Lines of Rust that are code: neither blank nor a comment. The core was held to 6,000; what an operator needs when
/// state is lost, and what readers of dead letters need, came on top; then prices, quotas and notices; then what a
/// worker keeps of its own writing, what a platform team watches, and who may ask the API how much at a time; then what
/// explains every key in Redis to a person.
const MAX_LINES: usize = 20_200;
const MAX_FILE_LINES: usize = 400;

/// Lists that nobody reads from top to bottom, however long they are.
const DATA: &[&str] = &["src/pricing/builtin.toml"];

#[test]
fn layers_name_only_what_they_may() {
    none(sources().iter().flat_map(forbidden_names));
}

#[test]
fn no_float_comes_near_money() {
    none(sources().iter().filter_map(float));
}

#[test]
fn the_whole_can_be_read_in_an_afternoon() {
    let files = sources();
    none(files.iter().filter_map(too_long));
    let lines: usize = files.iter().filter(|file| file.is_rust()).map(lines_of_code).sum();
    assert!(lines < MAX_LINES, "src has {lines} lines of code, {MAX_LINES} are too many");
}

#[test]
fn every_layer_says_what_it_is() {
    let files = sources();
    let folders = LAYERS.iter().filter(|layer| files.iter().any(|file| file.path.starts_with(&folder(layer))));
    none(folders.filter_map(|layer| undocumented(layer, &files)));
}

#[test]
fn nothing_is_left_undone() {
    let files = sources().into_iter().chain(SourceFile::all_under("tests/it"));
    // This file has to name them.
    let files = files.filter(|file| file.path != "tests/it/layers.rs");
    none(files.filter_map(|file| undone(&file)));
}

fn sources() -> Vec<SourceFile> {
    SourceFile::all_under("src")
}

fn folder(layer: &Layer) -> String {
    format!("src/{}/", layer.name)
}

#[track_caller]
fn none(faults: impl Iterator<Item = String>) {
    let faults: Vec<_> = faults.collect();
    assert!(faults.is_empty(), "\n{}", faults.join("\n"));
}

fn forbidden_names(file: &SourceFile) -> Vec<String> {
    if !file.is_rust() {
        return Vec::new();
    }
    let module = module_of(&file.path);
    let name = module.first().map_or("lib", String::as_str);
    let Some(layer) = LAYERS.iter().find(|layer| layer.name == name) else {
        return vec![format!("{}: `{name}` has no row in the table of layers", file.path)];
    };
    let is_pure = PURE.iter().any(|pure| file.path.starts_with(pure));
    let paths = paths(file.without_tests());
    let faults = paths.iter().filter_map(|path| {
        let why = match resolve(path, &module) {
            Named::Ours(parts) => refuse_ours(layer, &parts),
            Named::Other(name) if is_pure && NOT_PURE.contains(&name.as_str()) => Some("this file is pure"),
            Named::Other(name) => refuse_other(layer, &name),
            Named::Nothing => None,
        }?;
        Some(format!("{}: {} may not name {}: {why}", file.path, layer.name, path.join("::")))
    });
    faults.collect()
}

/// What a path leads to.
enum Named {
    /// From the crate's root.
    Ours(Vec<String>),
    /// Another crate.
    Other(String),
    /// A local name or a type.
    Nothing,
}

fn resolve(path: &[String], module: &[String]) -> Named {
    let up = path.iter().take_while(|part| *part == "super").count();
    let (first, rest) = (path[0].as_str(), &path[1..]);
    match first {
        "crate" | "indelible" => Named::Ours(rest.to_vec()),
        "super" | "self" => {
            let base = &module[..module.len().saturating_sub(up)];
            let rest = if up > 0 { &path[up..] } else { rest };
            Named::Ours([base, rest].concat())
        }
        // A layer that was imported as a whole: `use crate::store; … store::redis::connect()`.
        _ if EVERY_LAYER.contains(&first) && !rest.is_empty() => Named::Ours(path.to_vec()),
        _ if is_crate(first) => Named::Other(first.to_owned()),
        _ => Named::Nothing,
    }
}

fn refuse_ours(layer: &Layer, parts: &[String]) -> Option<&'static str> {
    // The crate's own root has nothing in it but layers.
    let target = parts.first()?;
    if target == layer.name {
        return None;
    }
    if EVERY_LAYER.contains(&target.as_str()) && !layer.ours.contains(&target.as_str()) {
        return Some("see the table of layers");
    }
    let is_module = |name: &String| name.starts_with(|c: char| c.is_lowercase()) && name != "self";
    if target == "store" && TRAITS_ALONE.contains(&layer.name) && parts.get(1).is_some_and(is_module) {
        return Some("of the store only the traits");
    }
    None
}

fn refuse_other(layer: &Layer, name: &str) -> Option<&'static str> {
    let allowed = match layer.others {
        Others::All => true,
        Others::Only(names) => names.contains(&name),
        Others::AllBut(names) => !names.contains(&name),
    };
    (!allowed).then_some("see the table of layers")
}

/// Whether it is a crate that Cargo.toml names, or the standard library.
fn is_crate(name: &str) -> bool {
    let manifest = include_str!("../../Cargo.toml");
    let dependencies = manifest.split_once("\n[dependencies]\n").map_or("", |(_, rest)| rest);
    let dependencies = dependencies.split_once("\n[").map_or(dependencies, |(own, _)| own);
    let mut names = dependencies.lines().filter_map(|line| line.split_once(['=', '.'])).map(|(name, _)| name.trim());
    name == "std" || names.any(|dependency| dependency.replace('-', "_") == name)
}

/// `src/store/redis.rs` is `store::redis`; `src/lib.rs` is the root.
fn module_of(path: &str) -> Vec<String> {
    let path = path.trim_start_matches("src/").trim_end_matches(".rs");
    let path = path.trim_end_matches("/mod");
    if path == "lib" { Vec::new() } else { path.split('/').map(str::to_owned).collect() }
}

fn float(file: &SourceFile) -> Option<String> {
    let is_float = |token: &String| token.ends_with("f64") || token.ends_with("f32");
    let allowed = FLOATS.iter().any(|(path, _)| *path == file.path);
    let found = file.is_rust() && !allowed && tokens(&file.text).iter().any(is_float);
    found.then(|| format!("{}: a float, and no reason for it in the list", file.path))
}

fn lines_of_code(file: &SourceFile) -> usize {
    let is_code = |line: &&str| !line.trim().is_empty() && !line.trim().starts_with("//");
    file.text.lines().filter(is_code).count()
}

fn too_long(file: &SourceFile) -> Option<String> {
    let lines = file.text.lines().count();
    let is_too_long = lines > MAX_FILE_LINES && !DATA.contains(&file.path.as_str());
    is_too_long.then(|| format!("{}: {lines} lines, more than {MAX_FILE_LINES}", file.path))
}

fn undocumented(layer: &Layer, files: &[SourceFile]) -> Option<String> {
    let path = format!("{}mod.rs", folder(layer));
    let documented = files.iter().any(|file| file.path == path && file.text.starts_with("//! "));
    (!documented).then(|| format!("{path}: has to begin with what the layer does (`//! …`)"))
}

fn undone(file: &SourceFile) -> Option<String> {
    let mark = ["TODO", "FIXME", "unimplemented!", "#[ignore"].into_iter().find(|mark| file.text.contains(mark))?;
    Some(format!("{}: {mark}", file.path))
}

/// That the rules bite: made-up sources that break them.
mod bites {
    use super::*;

    fn file(path: &str, text: &str) -> SourceFile {
        SourceFile { path: path.to_owned(), text: text.to_owned() }
    }

    #[track_caller]
    fn refused(path: &str, text: &str) {
        assert_eq!(forbidden_names(&file(path, text)).len(), 1, "{path}: {text}");
    }

    #[track_caller]
    fn allowed(path: &str, text: &str) {
        assert_eq!(forbidden_names(&file(path, text)), [""; 0], "{path}: {text}");
    }

    #[test]
    fn domain_is_alone() {
        refused("src/domain/event.rs", "use serde::Serialize;");
        refused("src/domain/event.rs", "use crate::ops::clock;");
        refused("src/domain/mod.rs", "fn f() { tracing::info!(\"x\") }");
        refused("src/domain/mod.rs", "use super::quota::Limits;");
        refused("src/domain/event.rs", "use super::super::quota::Limits;");
        refused("src/domain/event.rs", "use {std::fmt, tokio};");
        allowed(
            "src/domain/event.rs",
            "use std::fmt; use chrono::Utc; use super::money::NanoDollars; use crate::domain;",
        );
        allowed("src/domain/event.rs", "struct A;\n#[cfg(test)]\nmod tests {\n use serde_json::json;\n}");
    }

    #[test]
    fn quota_knows_the_domain() {
        refused("src/quota/mod.rs", "use crate::store::Usage;");
        refused("src/quota/mod.rs", "use tokio::time;");
        allowed("src/quota/mod.rs", "use crate::domain::money::NanoDollars;");
    }

    #[test]
    fn ingest_knows_the_stores_traits() {
        refused("src/ingest/worker.rs", "use redis::Client;");
        refused("src/ingest/worker.rs", "use axum::Router;");
        refused("src/ingest/worker.rs", "use crate::api::Router;");
        refused("src/ingest/worker.rs", "use crate::store::redis::Connection;");
        refused("src/ingest/worker.rs", "use crate::{domain::event::Event, store::{Ledger, keys}};");
        refused("src/ingest/worker.rs", "fn f() { store::redis_ledger::new() }");
        refused("src/ingest/mod.rs", "use super::store::redis_ledger::RedisLedger;");
        allowed(
            "src/ingest/worker.rs",
            "use crate::store::{self, Ledger}; use crate::ops::clock; use rdkafka::Message;",
        );
        allowed("src/ingest/source.rs", "use super::batch::Batch; use tokio::sync::mpsc;");
    }

    #[test]
    fn decoding_and_batches_are_pure() {
        for path in ["src/ingest/decode.rs", "src/ingest/decode/money.rs", "src/ingest/batch.rs"] {
            refused(path, "use tokio::sync::mpsc;");
            refused(path, "use rdkafka::Message;");
            refused(path, "fn f() { tracing::warn!() }");
            allowed(path, "use serde_json::value::RawValue; use crate::domain::event::Event;");
        }
    }

    #[test]
    fn the_store_returns_facts() {
        refused("src/store/redis.rs", "use rdkafka::Offset;");
        refused("src/store/redis.rs", "use tracing::warn;");
        refused("src/store/redis.rs", "use crate::ops::metrics;");
        refused("src/store/redis.rs", "use crate::pricing::Table;");
        allowed("src/store/redis.rs", "use redis::Client; use super::keys; use crate::domain::delta::Delta;");
    }

    #[test]
    fn the_api_reads() {
        refused("src/api/usage.rs", "use redis::Client;");
        refused("src/api/usage.rs", "use crate::ingest::worker;");
        refused("src/api/usage.rs", "use crate::store::redis::Store;");
        allowed("src/api/usage.rs", "use crate::store::Reader; use crate::quota::assess; use axum::Router;");
    }

    #[test]
    fn ops_knows_nothing_of_ours() {
        refused("src/ops/metrics.rs", "use crate::domain::ids::TenantId;");
        refused("src/ops/mod.rs", "use super::store::Reader;");
        allowed("src/ops/metrics.rs", "use prometheus::Registry; use std::ops;");
        allowed("src/app.rs", "use crate::{api, ingest, ops, store::redis}; use tokio::runtime;");
        allowed("src/main.rs", "use indelible::cli; fn main() { indelible::app::run() }");
    }

    #[test]
    fn a_layer_needs_a_row() {
        refused("src/utils/mod.rs", "");
        refused("src/helpers.rs", "");
    }

    #[test]
    fn sizes_floats_and_leftovers_are_seen() {
        assert!(float(&file("src/domain/money.rs", "fn f(x: f64) {}")).is_some());
        assert!(float(&file("src/domain/money.rs", "let x = 1.5_f32;")).is_some());
        assert!(float(&file("src/domain/money.rs", "// no f64 here\nlet x = \"f64\";")).is_none());
        assert!(float(&file("src/ops/metrics/make.rs", "fn f(x: f64) {}")).is_none());
        assert!(too_long(&file("src/a.rs", &"\n".repeat(401))).is_some());
        assert!(too_long(&file("src/a.rs", &"\n".repeat(400))).is_none());
        assert_eq!(lines_of_code(&file("src/a.rs", "/// doc\n\nfn f() {}\n    // why\n")), 1);
        assert!(undone(&file("src/a.rs", "// TODO: more")).is_some());
        assert!(undone(&file("src/a.rs", "#[ignore = \"slow\"]")).is_some());
        let layer = &LAYERS[0];
        assert!(undocumented(layer, &[file("src/domain/mod.rs", "pub mod a;")]).is_some());
        assert!(undocumented(layer, &[file("src/domain/event.rs", "//! events")]).is_some());
        assert!(undocumented(layer, &[file("src/domain/mod.rs", "//! events")]).is_none());
    }
}
