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
