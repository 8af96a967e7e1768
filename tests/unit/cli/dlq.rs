use super::*;

#[test]
fn a_time_is_a_date_or_a_duration_back() {
    assert_eq!(parse_when("2026-11-24T01:00:00+01:00"), Ok(TimeMs(1_795_478_400_000)));
    let (before, back, after) = (clock::now_ms(), parse_when("2h").expect("a duration").0, clock::now_ms());
    assert!((before - 7_200_000..=after - 7_200_000).contains(&back), "{back}");
    assert!(parse_when("yesterday").is_err() && parse_when("2026-11-24").is_err());
}

#[test]
fn a_producers_text_cannot_steer_a_terminal() {
    assert_eq!(printable("a\u{1b}[2Jb\nc\tü", &[]), "a\\u{1b}[2Jb\\nc\\tü");
    assert_eq!(printable("a\r\nb", &['\n']), "a\\r\nb");
}
