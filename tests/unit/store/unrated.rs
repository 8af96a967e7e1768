use super::*;
use crate::domain::calendar::TimeMs;
use crate::domain::position::Fingerprint;

fn unrated(offsets: &[i64]) -> Unrated {
    let from = Position::after(Offset(41), Fingerprint { timestamp: TimeMs(7), hash: 0xab });
    let offsets = offsets.iter().copied().map(Offset).collect();
    Unrated { from, priced: Priced { version: "v1".into(), offsets } }
}

#[track_caller]
fn check(offsets: &[i64], distances: &str) {
    let text = format!("42 7 00000000000000ab v1 {distances}");
    assert_eq!(unrated(offsets).to_string(), text);
    assert_eq!(text.parse(), Ok(unrated(offsets)));
}

#[test]
fn a_text_and_back() {
    check(&[42], "0");
    check(&[43, 44, 45, 49], "1-3,7");
    check(&[42, 44, 46, 47], "0,2,4-5");
    let first = Unrated { from: Position::START, ..unrated(&[0, 1]) };
    assert_eq!(first.to_string(), "0 - - v1 0-1");
    assert_eq!("0 - - v1 0-1".parse(), Ok(first));
}

#[test]
fn what_was_never_written_is_refused() {
    for distances in ["", "a", "-1", "3-1", "2,1", "1,1", "0-2,2", "0,", "0-4000", "0-3999,4001", "0-4294967296"] {
        let text = format!("42 7 00000000000000ab v1 {distances}");
        assert_eq!(text.parse::<Unrated>(), Err(UnratedFault), "{distances}");
    }
    for text in ["", "42", "v1 0", "42 7 00000000000000ab 0"] {
        assert_eq!(text.parse::<Unrated>(), Err(UnratedFault), "{text}");
    }
    assert!("42 7 00000000000000ab v1 0-3999".parse::<Unrated>().is_ok());
}
