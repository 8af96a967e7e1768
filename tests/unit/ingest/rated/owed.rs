use super::*;
use crate::domain::calendar::TimeMs;
use crate::domain::position::Position;
use crate::store::Priced;

fn fingerprint(hash: u64) -> Fingerprint {
    Fingerprint { timestamp: TimeMs(0), hash }
}

fn bucket(index: usize) -> Bucket {
    Bucket::all().nth(index).expect("one of 64")
}

/// A flush that began at `from`; the record before has the offset's number as its hash.
fn unrated(from: i64, offsets: &[i64]) -> Unrated {
    let from = Position::after(Offset(from - 1), fingerprint((from - 1).unsigned_abs()));
    let offsets = offsets.iter().copied().map(Offset).collect();
    Unrated { from, priced: Priced { version: "v".into(), offsets } }
}

fn owed(log_begins: i64, debts: &[(usize, Unrated)]) -> (Owed, Vec<Unreachable>) {
    let (mut owed, table) = (Owed::default(), Arc::new(Table::builtin()));
    let lost = debts
        .iter()
        .flat_map(|(index, unrated)| owed.add(bucket(*index), unrated, Some(&table), Offset(log_begins)))
        .collect();
    (owed, lost)
}

/// The offsets, of these that come by, which are to be written once more.
fn written(owed: &mut Owed, offsets: impl IntoIterator<Item = i64>) -> Vec<i64> {
    let is_due = |offset: &i64| owed.settle(Offset(*offset), fingerprint(offset.unsigned_abs())).is_some();
    offsets.into_iter().filter(is_due).collect()
}

#[test]
fn reading_starts_one_record_before_the_flush_that_owes() {
    let (owed, lost) = owed(0, &[(0, unrated(10, &[11, 12])), (1, unrated(5, &[7]))]);
    assert_eq!((owed.start(Offset(20)), lost), (Offset(4), Vec::new()));
    assert_eq!(owed.start(Offset(2)), Offset(2), "a bucket is further behind");
    assert_eq!(Owed::default().start(Offset(20)), Offset(20));
}

#[test]
fn exactly_what_was_counted_is_written_and_each_bucket_waits_for_its_own() {
    let (mut owed, _) = owed(0, &[(0, unrated(10, &[11, 13])), (1, unrated(5, &[7]))]);
    assert!(owed.holds(bucket(0)) && owed.holds(bucket(1)) && !owed.holds(bucket(2)));
    assert_eq!(written(&mut owed, 4..=7), [7]);
    assert!(owed.holds(bucket(0)) && !owed.holds(bucket(1)));
    assert_eq!(written(&mut owed, 8..=20), [11, 13]);
    assert!(!owed.holds(bucket(0)));
    assert_eq!(owed.take_lost(), 0);
}

#[test]
fn what_the_log_no_longer_holds_is_named_and_the_rest_is_written() {
    let (mut owed, lost) = owed(12, &[(0, unrated(10, &[10, 11, 12, 14]))]);
    let why = "the log no longer holds them";
    assert_eq!(lost, [Unreachable { first: Offset(10), last: Offset(11), requests: 2, why }]);
    assert_eq!(owed.start(Offset(20)), Offset(12));
    assert_eq!(written(&mut owed, 12..20), [12, 14]);
    let (owed, lost) = self::owed(15, &[(0, unrated(10, &[10, 11, 12, 14]))]);
    assert_eq!((owed.start(Offset(20)), lost[0].requests), (Offset(20), 4), "nothing is read for it");
}

#[test]
fn without_the_price_table_nothing_is_written() {
    let mut owed = Owed::default();
    let lost = owed.add(bucket(0), &unrated(10, &[10, 12]), None, Offset(0));
    assert_eq!((lost[0].first, lost[0].last, lost[0].requests), (Offset(10), Offset(12), 2));
    assert_eq!((owed.start(Offset(20)), owed.holds(bucket(0))), (Offset(20), false));
}

#[test]
fn another_log_is_found_out_by_the_record_before_and_only_for_its_bucket() {
    let (mut owed, _) = owed(0, &[(0, unrated(10, &[11, 13])), (1, unrated(8, &[12]))]);
    assert!(owed.settle(Offset(7), fingerprint(7)).is_none());
    assert!(owed.settle(Offset(9), fingerprint(99)).is_none());
    assert_eq!((owed.take_lost(), owed.holds(bucket(0))), (2, false));
    assert_eq!(written(&mut owed, 10..20), [12]);
}

#[test]
fn a_record_that_is_gone_from_between_is_lost_and_holds_nobody_up() {
    let (mut owed, _) = owed(0, &[(0, unrated(10, &[11, 13]))]);
    assert_eq!(written(&mut owed, [9, 10, 12, 13]), [13]);
    assert_eq!((owed.take_lost(), owed.holds(bucket(0))), (1, false));
}
