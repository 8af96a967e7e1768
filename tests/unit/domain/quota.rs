use super::*;

fn assignment(effective: i64, set_at: i64, id: &str) -> Assignment {
    Assignment {
        effective: TimeMs(effective),
        set_at: TimeMs(set_at),
        source: Source::new("s").expect("an id"),
        id: EventId::new(id).expect("an id"),
        grant: Grant::Inherit,
    }
}

#[test]
fn the_order_in_which_assignments_come_does_not_matter() {
    let some = [assignment(5, 1, "a"), assignment(5, 2, "b"), assignment(5, 2, "c"), assignment(9, 0, "d")];
    let forwards: Assignments = some.iter().cloned().collect();
    let backwards: Assignments = some.iter().rev().cloned().collect();
    assert_eq!(forwards, backwards);
    let in_force = |time| forwards.at(TimeMs(time)).map(|found| found.id.as_str());
    assert_eq!([4, 5, 8, 9, 100].map(in_force), [None, Some("c"), Some("c"), Some("d"), Some("d")]);
}

#[test]
fn the_latest_hundred_are_kept() {
    let all: Assignments = (0..150).map(|time| assignment(time, 0, "a")).collect();
    assert_eq!(all.iter().count(), Assignments::MOST);
    assert_eq!(all.at(TimeMs(49)), None);
    assert_eq!(all.at(TimeMs(50)).map(|found| found.effective), Some(TimeMs(50)));
}
