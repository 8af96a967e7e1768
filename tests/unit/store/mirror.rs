use super::*;
use crate::domain::calendar::TimeMs;

const DAY_MS: i64 = 86_400_000;

fn seen(day: i64, id: i64, content: i64) -> SeenId {
    SeenId { at: TimeMs(day * DAY_MS + DAY_MS / 2), id, content }
}

fn mirror(known: &[SeenId]) -> Mirror {
    let mut mirror = Mirror::default();
    mirror.note(known);
    mirror
}

#[test]
fn an_id_is_known_within_its_window_and_no_further() {
    let mirror = mirror(&[seen(10, 1, 1)]);
    let known = |day| mirror.repeats(&[seen(day, 1, 1)], DAY_MS);
    let repeat = vec![Repeat { index: 0, conflict: false }];
    assert_eq!([known(9), known(10), known(11)], [repeat.clone(), repeat.clone(), repeat]);
    assert_eq!([known(8), known(12)], [vec![], vec![]]);
}

#[test]
fn another_content_is_a_conflict_and_its_own_day_is_asked_first() {
    let mirror = mirror(&[seen(9, 1, 7), seen(10, 1, 8), seen(9, 2, 7)]);
    let asked = [seen(10, 3, 0), seen(10, 1, 8), seen(10, 2, 8), seen(9, 1, 8)];
    let repeats = mirror.repeats(&asked, DAY_MS);
    let found: Vec<_> = repeats.iter().map(|repeat| (repeat.index, repeat.conflict)).collect();
    assert_eq!(found, [(1, false), (2, true), (3, true)]);
}

#[test]
fn it_is_of_the_extent_that_its_entries_give() {
    let entries = [seen(10, 1, 1), seen(10, 2, 1)].map(|seen| Entry::of(&seen));
    let mut extent = Extent::default();
    entries.iter().for_each(|entry| extent.push(*entry));
    let (day, mut mirror) = (Generation(10), mirror(&[seen(10, 1, 1)]));
    mirror.extend(day, [entries[1]]);
    assert_eq!(mirror.extent(day), extent);
    mirror.retain(&Logs::default());
    assert_eq!(mirror.extent(day), Extent::default());
}
