//! A flush as the keys and arguments of the script, in the order in which `call.lua` reads them.

use std::collections::BTreeMap;

use crate::domain::delta::{OutputChange, OutputVerb};
use crate::domain::ids::OutputKind;
use crate::domain::seen::Generation;

use super::args::Args;
use super::draft::{Cells, Draft};
use super::keys::{self, Keyspace};
use super::seen_log::{self, Entry, Extent, Logs, pieces};
use super::{Caps, Flush, Retention, Stretch};

/// Keys and arguments of one call of the script.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Call {
    pub keys: Args,
    pub args: Args,
}

/// What all calls of a ledger share.
#[derive(Debug, Clone)]
pub struct Frame {
    pub keyspace: Keyspace,
    pub retention: Retention,
    pub caps: Caps,
}

/// The script's own bound, which a call must keep.
pub const MOST_EVENTS: usize = 4000;
/// The same of stretches.
pub const MOST_STRETCHES: usize = 1000;

impl Call {
    /// `next_stamp` is what no other call ever bears.
    pub fn of(flush: &Flush, draft: &Draft, frame: &Frame, next_stamp: &str) -> Self {
        let moves = |stretch: &Stretch| stretch.from != Some(stretch.to);
        assert!(flush.seen.is_empty() || flush.stretches.iter().any(moves), "a flush with events moves a watermark");
        let mut call = Self::default();
        call.keys.push(frame.keyspace.state(flush.bucket));
        call.keys.push(frame.keyspace.tombstones(flush.bucket));
        call.arg(flush.stretches.len());
        flush.stretches.iter().for_each(|stretch| call.stretch(stretch));
        call.arg(flush.seen.len());
        call.args.push(&draft.stamp);
        call.args.push(next_stamp);
        call.tidying(flush, frame);
        call.seen(flush, draft, &frame.keyspace);
        call.arg(draft.hashes.len());
        draft.hashes.iter().for_each(|hash| call.hash(hash));
        call.arg(draft.begun.len());
        for (tenant, month) in &draft.begun {
            call.keys.push(frame.keyspace.months(tenant));
            call.arg(month);
        }
        call.arg(frame.caps.tenant_kinds);
        call.arg(flush.delta.outputs.len());
        flush.delta.outputs.iter().for_each(|change| call.change(change, flush, &frame.keyspace));
        call
    }

    fn arg(&mut self, value: impl std::fmt::Display) {
        self.args.push_display(value);
    }

    fn stretch(&mut self, stretch: &Stretch) {
        self.arg(&stretch.partition);
        self.args.push(stretch.from.map(|from| from.to_string()).unwrap_or_default());
        self.arg(stretch.to);
        self.arg(stretch.log_time.0);
        self.args.push(stretch.unrated().map(|unrated| unrated.to_string()).unwrap_or_default());
    }

    fn tidying(&mut self, flush: &Flush, frame: &Frame) {
        self.args.push(if flush.tidies { "tidy" } else { "" });
        self.arg(flush.partitions);
        self.arg(frame.retention.seen_ms);
        self.arg(frame.retention.tombstones_ms);
        let Some(expired) = flush.expire.filter(|_| flush.tidies) else {
            [&b""[..], b"", b"0"].into_iter().for_each(|none| self.args.push(none));
            return;
        };
        self.arg(expired.generation.0);
        self.args.push(if expired.next().is_none() { "all" } else { "part" });
        self.arg(expired.dropped().count());
        for chunk in expired.dropped() {
            self.keys.push(frame.keyspace.seen(flush.bucket, expired.generation, chunk));
        }
    }

    /// What is appended to the logs of seen ids, and what the logs are then.
    fn seen(&mut self, flush: &Flush, draft: &Draft, keyspace: &Keyspace) {
        let Appended { logs, pieces } = Appended::of(flush, &draft.logs);
        self.arg(logs.len());
        logs.into_iter().for_each(|(generation, extent)| self.args.push(seen_log::text(generation, extent)));
        self.arg(pieces.len());
        for (generation, chunk, at, bytes) in pieces {
            self.keys.push(keyspace.seen(flush.bucket, generation, chunk));
            self.arg(at);
            self.args.push(bytes);
        }
    }

    fn hash(&mut self, Cells { key, cells }: &Cells) {
        self.keys.push(key);
        self.arg(cells.len() / 2);
        self.args.append(cells);
    }

    fn change(&mut self, change: &OutputChange, flush: &Flush, keyspace: &Keyspace) {
        let kind = keys::encode(change.output.kind.as_str());
        let (tenant, user) = (keys::encode(change.tenant.as_str()), keys::encode(change.user.as_str()));
        self.args.push(match change.verb {
            OutputVerb::Created => "created",
            OutputVerb::Deleted => "deleted",
        });
        self.args.push(kind.as_bytes());
        self.args.push(format!("{tenant}:{user}:{kind}:{}", keys::encode(change.output.id.as_str())));
        self.args.push(change.output.id.as_str());
        self.arg(change.time.0);
        self.arg(change.log_time.0);
        self.keys.push(keyspace.saved(&change.tenant, &change.user, &change.output.kind));
        self.keys.push(keyspace.saved(&change.tenant, &change.user, &OutputKind::other()));
        self.keys.push(keyspace.tombstones(flush.bucket));
        self.keys.push(keyspace.saved_counts(&change.tenant));
    }
}

/// The ids of a flush, appended to the logs of their generations.
struct Appended {
    /// As they are then.
    logs: Vec<(Generation, Extent)>,
    /// Generation, chunk, where in it in bytes, and what.
    pieces: Vec<(Generation, u64, usize, Vec<u8>)>,
}

impl Appended {
    fn of(flush: &Flush, before: &Logs) -> Self {
        let mut new: BTreeMap<Generation, Vec<Entry>> = BTreeMap::new();
        for seen in &flush.seen {
            new.entry(Generation::of(seen.at)).or_default().push(Entry::of(seen));
        }
        let mut appended = Self { logs: Vec::new(), pieces: Vec::new() };
        for (generation, entries) in new {
            let mut extent = before.extent(generation);
            let ids = extent.ids..extent.ids + entries.len() as u64;
            let bytes: Vec<u8> = entries.iter().flat_map(|entry| entry.bytes()).collect();
            let mut rest = bytes.as_slice();
            for piece in pieces(ids) {
                let (some, later) = rest.split_at(piece.bytes.len());
                appended.pieces.push((generation, piece.chunk, piece.bytes.start, some.to_vec()));
                rest = later;
            }
            entries.into_iter().for_each(|entry| extent.push(entry));
            appended.logs.push((generation, extent));
        }
        appended
    }
}
