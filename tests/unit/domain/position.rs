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

#[test]
fn a_partition_is_named_as_the_commands_and_as_redis_have_it() {
    let partition = TopicPartition::new("a.b-c_d", 12);
    assert_eq!((partition.argument().as_str(), partition.to_string().as_str()), ("a.b-c_d:12", "a.b-c_d/12"));
    for text in ["a.b-c_d:12", "a.b-c_d/12"] {
        assert_eq!(text.parse(), Ok(partition.clone()));
    }
    for text in ["", "a", "a:", ":0", "a:-1", "a:x", "a:0.5"] {
        assert_eq!(text.parse::<TopicPartition>(), Err(PartitionFault), "{text:?}");
    }
}
