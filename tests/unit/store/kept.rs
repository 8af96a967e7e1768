use super::*;
use crate::domain::calendar::TimeMs;

fn tenant(name: &str) -> TenantId {
    TenantId::new(name).expect("an id")
}

fn user(number: usize) -> UserId {
    UserId::new(&format!("user{number}")).expect("an id")
}

fn month() -> Month {
    Month::of(TimeMs(0).to_utc())
}

fn sums(crowd: i64) -> MonthSums {
    MonthSums { crowd, ..MonthSums::default() }
}

fn after(users: std::ops::Range<usize>) -> After {
    let kept = KeptTenant { sums: sums(7), cells: 3, users: 2 };
    let users = users.map(|number| (tenant("acme"), month(), user(number), sums(number as i64)));
    let quotas = vec![(tenant("acme"), Assignments::default())];
    After { tenants: vec![(tenant("acme"), month(), kept)], users: users.collect(), quotas }
}

#[test]
fn what_a_flush_has_left_is_there_for_the_next_one_and_used_up_by_it() {
    let mut kept = Kept::default();
    kept.note("a".to_owned(), after(0..2));
    assert_eq!(kept.take_tenant(&tenant("acme"), month()).map(|kept| kept.cells), Some(3));
    assert_eq!(kept.take_user(&tenant("acme"), month(), &user(1)), Some(sums(1)));
    assert_eq!(kept.take_user(&tenant("acme"), month(), &user(1)), None);
    assert_eq!(kept.take_quota(&tenant("acme")), Some(Assignments::default()));
    assert_eq!(kept.take_quota(&tenant("acme")), None, "the flush that took it may assign another");
    assert_eq!(kept.take_user(&tenant("globex"), month(), &user(0)), None, "a user is one of a tenant");
    assert!(kept.is_of("a"));
    assert_eq!(kept.take_user(&tenant("acme"), month(), &user(0)), Some(sums(0)));
}

#[test]
fn under_another_stamp_nothing_holds_until_a_reading_has_shown_that_no_other_worker_comes_between() {
    let mut kept = Kept::default();
    kept.note("a".to_owned(), after(0..2));
    assert!(!kept.is_of("b"));
    kept.note("c".to_owned(), after(0..1));
    assert_eq!(kept.take_user(&tenant("acme"), month(), &user(0)), None, "another worker may go on counting");
    assert_eq!(kept.take_quota(&tenant("acme")), None);
    assert!(kept.is_of("c"));
    assert_eq!(kept.take_user(&tenant("acme"), month(), &user(0)), Some(sums(0)));
    assert_eq!(kept.take_user(&tenant("acme"), month(), &user(1)), None, "it was of stamp a");
}

#[test]
fn those_that_were_not_used_for_long_are_forgotten() {
    let mut kept = Kept::default();
    for first in (0..4 * MOST_USERS).step_by(2) {
        // This one comes again and again.
        kept.take_user(&tenant("acme"), month(), &user(1));
        kept.note("a".to_owned(), after(first..first + 2));
        kept.note("a".to_owned(), after(1..2));
    }
    let mut known = |number| kept.take_user(&tenant("acme"), month(), &user(number)).is_some();
    assert_eq!([known(1), known(2), known(4 * MOST_USERS - 1)], [true, false, true]);
    let left = kept.users.now.len() + kept.users.before.len();
    assert!(left <= 2 * MOST_USERS, "{left}");
}
