//! What a seen id costs in Redis, and that it is known again.

use std::time::Instant;

use indelible::domain::bucket::Bucket;
use indelible::domain::calendar::TimeMs;
use indelible::domain::delta::Delta;
use indelible::domain::position::{Fingerprint, Offset, Position, TopicPartition};
use indelible::domain::seen::SeenId;
use indelible::store::keys::Keyspace;
use indelible::store::redis_ledger::RedisLedger;
use indelible::store::{Flush, Ledger, Outcome, Retention, Stretch};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::{size, used_memory};
use crate::made::{DAY_MS, START_MS};
use crate::script_conformance::link;
use crate::support::redis::Redis;

const RETENTION: Retention = Retention { seen_ms: DAY_MS, tombstones_ms: DAY_MS };
const CALL: usize = 1000;
const SAMPLES: usize = 10_000;
/// Of an id.
const MOST_BYTES: u64 = 25;

/// How ids fall to buckets.
#[derive(Debug, Clone, Copy)]
enum Spread {
    Evenly,
    /// Bucket number n has the share 1 / (n + 1).
    Zipf,
    OneBucket,
}

/// Adds the ids of one day to a Redis as Debian ships it, then asks for some of them again.
async fn measure(count: usize, spread: Spread) {
    let redis = Redis::start();
    let ledger = RedisLedger::new(link(&redis), Keyspace::new("indelible"), RETENTION, "g");
    ledger.prepare().await.expect("an empty Redis");
    let before = used_memory(&redis);
    let start = Instant::now();
    let mut rng = StdRng::seed_from_u64(1);
    let mut samples = Vec::new();
    for (bucket, ids) in shares(count, spread) {
        let mut from = None;
        for first in (0..ids).step_by(CALL) {
            let some = (ids - first).min(CALL);
            let seen: Vec<_> = (0..some).map(|index| id(&mut rng, first + index, ids)).collect();
            let sampled = seen.iter().enumerate().filter(|(index, _)| (first + index).is_multiple_of(count / SAMPLES));
            samples.extend(sampled.map(|(_, seen)| (bucket, *seen)));
            let flush = flush(bucket, from, first + some, seen);
            from = Some(flush.stretches[0].to);
            let outcome = ledger.apply(&flush).await.expect("an answer");
            assert!(matches!(outcome, Outcome::Applied { .. }), "{outcome:?}");
        }
    }
    let (took, bytes, asked) = (start.elapsed(), used_memory(&redis) - before, samples.len());
    assert!(asked >= SAMPLES, "{asked}");
    for (bucket, seen) in samples {
        let at = ledger.standing(&partition()).await.expect("an answer").watermarks[bucket.index()];
        let next = at.map_or(0, |at| at.next().0 as usize) + 1;
        let outcome = ledger.apply(&flush(bucket, at, next, vec![seen])).await.expect("an answer");
        assert!(matches!(outcome, Outcome::Repeated(_)), "{outcome:?}");
    }
    let tenths = bytes * 10 / count as u64;
    let (whole, tenth) = (tenths / 10, tenths % 10);
    println!("{count} ids, {spread:?}: {whole}.{tenth} bytes an id, {took:.1?}, {asked} asked for again, all known");
    assert!(bytes <= MOST_BYTES * count as u64, "{whole}.{tenth} bytes an id");
}

fn shares(count: usize, spread: Spread) -> Vec<(Bucket, usize)> {
    let buckets: Vec<_> = Bucket::all().collect();
    let weight = |n: usize| match spread {
        Spread::Evenly => 1,
        Spread::Zipf => 1_000_000 / (n + 1),
        Spread::OneBucket => usize::from(n == 0),
    };
    let all: usize = (0..buckets.len()).map(weight).sum();
    let mut shares: Vec<_> = buckets.into_iter().enumerate().map(|(n, b)| (b, count * weight(n) / all)).collect();
    shares[0].1 += count - shares.iter().map(|(_, ids)| ids).sum::<usize>();
    shares
}

/// Over a day, in order.
fn id(rng: &mut StdRng, number: usize, of: usize) -> SeenId {
    let day = START_MS / DAY_MS * DAY_MS;
    let at = TimeMs(day + (number as i64 * DAY_MS / of as i64));
    SeenId { at, id: rng.random(), content: rng.random() }
}

fn partition() -> TopicPartition {
    TopicPartition::new("usage", 0)
}

fn flush(bucket: Bucket, from: Option<Position>, next: usize, seen: Vec<SeenId>) -> Flush {
    let last = Fingerprint { timestamp: seen.last().map_or(TimeMs(0), |seen| seen.at), hash: next as u64 };
    Flush {
        bucket,
        stretches: vec![Stretch {
            partition: partition(),
            from,
            to: Position::after(Offset(next as i64 - 1), last),
            log_time: last.timestamp,
            prices: None,
        }],
        seen,
        repeats: Vec::new(),
        delta: Delta::default(),
        partitions: 1,
        tidies: false,
        expire: None,
    }
}

#[tokio::test]
async fn a_seen_id_is_small_and_known_again() {
    measure(size(300_000, 10_000_000), Spread::OneBucket).await;
    measure(size(1_500_000, 10_000_000), Spread::Evenly).await;
    measure(size(300_000, 10_000_000), Spread::Zipf).await;
}
