use super::*;

const START: i64 = 1_795_548_619_792;

/// Seconds after the first try at which all are made, where each fails at once.
fn tries(asked: Option<Duration>) -> Vec<i64> {
    let (mut now, mut tries) = (START, vec![0]);
    while let Some(next) = Schedule::STANDARD.next(TimeMs(START), TimeMs(now), tries.len() as u32, asked) {
        assert!(next.0 > now, "a next try is later");
        now = next.0;
        assert_eq!((now - START) % 1000, 0);
        tries.push((now - START) / 1000);
        assert!(tries.len() < 10_000, "it ends");
    }
    tries
}

#[test]
fn a_day_of_tries() {
    let mut expected = vec![0, 10, 30, 70, 150, 310, 630, 1270, 2550, 5110];
    expected.extend((1..=22).map(|hour| 5110 + hour * 3600));
    expected.push(86_400);
    assert_eq!(tries(None), expected);
    assert_eq!(expected.len(), 33);
}

#[test]
fn who_asks_to_be_left_alone_is_for_an_hour_at_most() {
    let asks = |seconds| Some(Duration::from_secs(seconds));
    assert_eq!(tries(asks(0)), tries(None));
    assert_eq!(tries(asks(60))[..6], [0, 60, 120, 180, 260, 420]);
    assert_eq!(tries(asks(u64::MAX)), (0..=24).map(|hour| hour * 3600).collect::<Vec<_>>());
}

#[test]
fn a_late_try_is_the_last() {
    let schedule = Schedule::STANDARD;
    let at = |ms| TimeMs(START + ms);
    assert_eq!(schedule.next(at(0), at(86_399_999), 3, None), Some(at(86_400_000)));
    assert_eq!(schedule.next(at(0), at(86_400_000), 3, None), None);
    // Workers stood still for three days after the first.
    assert_eq!(schedule.next(at(0), at(3 * 86_400_000), 1, None), None);
    // A clock that went back.
    assert_eq!(schedule.next(at(0), at(-5000), 1, None), Some(at(5000)));
    assert_eq!(schedule.next(at(0), at(0), u32::MAX, None), Some(at(3_600_000)));
}
