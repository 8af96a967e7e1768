use super::*;

#[test]
fn a_position_is_its_text() {
    let position = Position::after(Offset(41), Fingerprint { timestamp: TimeMs(1_732_471_234_567), hash: 0xab });
    assert_eq!(position.to_string(), "42 1732471234567 00000000000000ab");
    for text in ["42 1732471234567 00000000000000ab", "0 - -", "7 -1 ffffffffffffffff"] {
        assert_eq!(text.parse::<Position>().map(|p| p.to_string()), Ok(text.to_owned()));
    }
    for text in ["", "42", "42 1", "042 - -", "42 - ab", "42 1 AB", "42 1 00000000000000ab ", "x - -"] {
        assert_eq!(text.parse::<Position>(), Err(PositionFault), "{text:?}");
    }
}

#[test]
fn a_position_covers_what_lies_before_it() {
    let position = Position::after(Offset(41), Fingerprint { timestamp: TimeMs(0), hash: 0 });
    assert!(position.covers(Offset(41)));
    assert!(!position.covers(Offset(42)));
    assert!(!Position::START.covers(Offset(0)));
}
