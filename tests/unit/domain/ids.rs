use proptest::prelude::*;

use super::*;

#[track_caller]
fn check_fault(text: &str, fault: Option<IdFault>) {
    assert_eq!(TenantId::new(text).err(), fault);
}

#[test]
fn bounds_are_in_bytes_and_inclusive() {
    check_fault("a", None);
    check_fault(&"a".repeat(256), None);
    check_fault(&"a".repeat(257), Some(IdFault::TooLong(257)));
    check_fault(&"é".repeat(128), None);
    check_fault(&"é".repeat(129), Some(IdFault::TooLong(258)));
    check_fault("", Some(IdFault::Empty));
}

#[test]
fn any_printable_text_is_an_id() {
    for text in ["a:b", "{x}", "..", "a b", "日本", "%00", "a|b/c"] {
        check_fault(text, None);
    }
    check_fault("a\nb", Some(IdFault::NotPrintable('\n')));
    check_fault("a\0", Some(IdFault::NotPrintable('\0')));
    check_fault("a\u{85}", Some(IdFault::NotPrintable('\u{85}')));
    check_fault("a\u{2028}", Some(IdFault::NotPrintable('\u{2028}')));
    check_fault("  ", Some(IdFault::Blank));
}

proptest! {
    #[test]
    fn eight_bytes_at_once_are_as_each_alone(text in prop::collection::vec(prop_oneof![b'!'..=b'~', any::<u8>()], 0..40)) {
        prop_assert_eq!(is_visible_ascii(&text), text.iter().all(u8::is_ascii_graphic));
        let visible: Vec<_> = text.into_iter().filter(u8::is_ascii_graphic).collect();
        prop_assert!(is_visible_ascii(&visible));
    }
}
