use super::*;
use crate::domain::position::{Fingerprint, Position};
use crate::ingest::failure::Failure;
use crate::ingest::start::LogFacts;
use crate::store::PartitionState;

fn at(next: i64) -> PartitionState {
    let position = Position::after(Offset(next - 1), Fingerprint { timestamp: TimeMs(0), hash: 0 });
    PartitionState { watermark: Some(position), ..PartitionState::default() }
}

/// One partition that is well and has seen gaps, one without some watermarks, and one with a gap.
fn surveyed() -> Vec<Surveyed> {
    let partition = |number| TopicPartition::new("ai.usage.events.v1", number);
    let facts = |first, end, committed| LogFacts { first: Offset(first), end: Offset(end), committed };
    let mut well = vec![at(120); 64];
    for (bucket, state) in well.iter_mut().enumerate() {
        let (from, accepted) = (Offset(40 + bucket as i64), TimeMs(1_795_548_619_792));
        state.gaps.accept(Gap { from, to: Offset(110), kind: GapKind::Deleted, accepted });
    }
    let mut lost = vec![at(7); 64];
    lost[5] = PartitionState::default();
    let evidence = "another bucket stands at offset 7".to_owned();
    vec![
        Surveyed {
            partition: partition(0),
            facts: facts(110, 125, Some(Offset(119))),
            states: well,
            verdict: Ok(Offset(119)),
        },
        Surveyed {
            partition: partition(1),
            facts: facts(0, 7, None),
            states: lost,
            verdict: Err(Failure::StateLost { partition: partition(1), missing: 1, evidence }),
        },
        Surveyed {
            partition: partition(2),
            facts: facts(300, 300, Some(Offset(120))),
            states: vec![at(120); 64],
            verdict: Err(Failure::LogGap { partition: partition(2), wanted: Offset(120), first: Offset(300) }),
        },
    ]
}

#[test]
fn a_table_says_where_everything_stands_and_what_can_be_done() {
    let rows: Vec<_> = surveyed().iter().map(Row::of).collect();
    insta::assert_snapshot!(text(&rows));
}

#[test]
fn json_says_the_same() {
    let rows: Vec<_> = surveyed().iter().map(Row::of).collect();
    insta::assert_json_snapshot!(rows);
}

#[test]
fn buckets_that_still_hold_counters_are_named_with_what_can_be_done() {
    let keys = |tag: &str| vec![format!("indelible:{{{tag}}}:months:acme"), format!("indelible:{{{tag}}}:tombstones")];
    insta::assert_snapshot!(still_holding(&[("33h", keys("33h")), ("05ax", keys("05ax"))], &surveyed()));
}
