//! The state of a bucket, field by field.

use std::str::FromStr;

use crate::domain::calendar::TimeMs;
use crate::domain::gap::{Gap, Gaps};
use crate::domain::position::{Position, TopicPartition};
use crate::store::keys;
use crate::store::seen_log::{Extent, Logs};
use crate::store::unrated::Unrated;

use super::table::{Cell, Damaged, Explained};

/// Fields that are of no partition, and what they say.
const PLAIN: [(&str, &str); 6] = [
    ("layout", "version of the layout in Redis"),
    ("buckets", "buckets of the namespace"),
    ("group", "consumer group that counts here"),
    ("applied", "events counted in this bucket"),
    ("stamp", "changes with every event counted here"),
    ("partitions", "partitions of all topics"),
];
const SEEN: &str = "seen";

/// A field of a partition: its name, its value, and whose it is.
struct Of<'a> {
    field: &'a str,
    value: &'a str,
    partition: TopicPartition,
}

impl Of<'_> {
    fn read<T: FromStr>(&self) -> Result<T, Damaged> {
        self.value.parse().map_err(|_| Damaged::value(self.field, self.value))
    }
}

pub(super) fn state(fields: &[(&str, &str)]) -> Explained {
    let mut explained = Explained::default();
    let plain = fields.iter().filter_map(|(field, value)| {
        let (_, about) = PLAIN.iter().find(|(name, _)| name == field)?;
        Some((*field, *value, *about))
    });
    explained.rows("bucket", ["field", "value", "about"], plain, |(field, value, about)| {
        let is_number = matches!(field, "stamp" | "group") || value.parse::<u64>().is_ok();
        let row = [Cell::text(field), Cell::text(value), Cell::text(about)];
        if is_number { Ok(row) } else { Err(Damaged::value(field, value)) }
    });
    positions(&mut explained, "watermarks", &of_partitions(fields, keys::WATERMARK));
    positions(&mut explained, "resume", &of_partitions(fields, keys::RESUME));
    explained.rows("logTimes", ["partition", "logTime"], of_partitions(fields, keys::LOG), |of| {
        Ok([Cell::text(of.partition.argument()), Cell::Time(TimeMs(of.read()?))])
    });
    gaps(&mut explained, &of_partitions(fields, keys::GAP));
    unrated(&mut explained, of_partitions(fields, keys::UNRATED));
    seen(&mut explained, fields);
    let unknown = fields.iter().filter(|(field, _)| !is_known(field));
    explained.damaged.extend(unknown.map(|(field, _)| Damaged::new(field, "is no field that this program writes")));
    explained
}

fn is_known(field: &str) -> bool {
    let of_partition = [keys::WATERMARK, keys::RESUME, keys::LOG, keys::GAP, keys::UNRATED];
    field == SEEN
        || PLAIN.iter().any(|(name, _)| *name == field)
        || of_partition.iter().any(|what| of(field, what).is_some())
}

/// The partition of a field `what:TOPIC/PARTITION`.
fn of(field: &str, what: &str) -> Option<TopicPartition> {
    let (found, partition) = field.split_once(':')?;
    partition.parse().ok().filter(|_| found == what)
}

fn of_partitions<'a>(fields: &[(&'a str, &'a str)], what: &str) -> Vec<Of<'a>> {
    let named = fields.iter().filter_map(|(field, value)| Some(Of { field, value, partition: of(field, what)? }));
    let mut named: Vec<_> = named.collect();
    // By number: partition 10 comes after 9.
    named.sort_by(|a, b| a.partition.cmp(&b.partition));
    named
}

fn positions(explained: &mut Explained, name: &'static str, of: &[Of]) {
    let columns = ["partition", "nextOffset", "lastOffset", "lastTimestamp", "lastFingerprint"];
    explained.rows(name, columns, of, |of| {
        let position: Position = of.read()?;
        let last = position.last();
        Ok([
            Cell::text(of.partition.argument()),
            Cell::Count(position.next().0),
            Cell::maybe(last, |(offset, _)| Cell::Count(offset.0)),
            Cell::maybe(last, |(_, print)| Cell::Time(print.timestamp)),
            Cell::maybe(last, |(_, print)| Cell::text(format_args!("{:016x}", print.hash))),
        ])
    });
}

fn gaps(explained: &mut Explained, of: &[Of]) {
    let mut all = Vec::new();
    for of in of {
        match of.read::<Gaps>() {
            Ok(gaps) => all.extend(gaps.iter().map(|gap| (of.partition.argument(), *gap))),
            Err(damaged) => explained.damaged.push(damaged),
        }
    }
    let row = |(partition, Gap { from, to, kind, accepted })| {
        let (from, to) = (Cell::Count(from.0), Cell::Count(to.0));
        [Cell::Text(partition), from, to, Cell::text(kind.as_str()), Cell::Time(accepted)]
    };
    explained.table("gaps", ["partition", "fromOffset", "toOffset", "kind", "acceptedAt"], all.into_iter().map(row));
}

fn unrated(explained: &mut Explained, of: Vec<Of>) {
    let columns = ["partition", "fromOffset", "prices", "requests", "firstOffset", "lastOffset"];
    explained.rows("unrated", columns, of, |of| {
        let unrated: Unrated = of.read()?;
        let offsets = &unrated.priced.offsets;
        Ok([
            Cell::text(of.partition.argument()),
            Cell::Count(unrated.from.next().0),
            Cell::text(&unrated.priced.version),
            Cell::number(offsets.len() as u64),
            Cell::maybe(offsets.first(), |offset| Cell::Count(offset.0)),
            Cell::maybe(offsets.last(), |offset| Cell::Count(offset.0)),
        ])
    });
}

fn seen(explained: &mut Explained, fields: &[(&str, &str)]) {
    let Some((_, text)) = fields.iter().find(|(field, _)| *field == SEEN) else { return };
    let logs: Logs = match text.parse() {
        Ok(logs) => logs,
        Err(_) => return explained.damaged.push(Damaged::value(SEEN, text)),
    };
    let row = |(generation, extent): (_, Extent)| {
        let digest = Cell::text(format_args!("{:016x}", extent.digest()));
        [Cell::day(generation), Cell::number(extent.ids), Cell::number(extent.chunks()), digest]
    };
    explained.table("seenIds", ["day", "ids", "chunks", "digest"], logs.iter().map(row));
}
