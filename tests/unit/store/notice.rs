use super::*;

#[test]
fn the_key_is_that_of_the_users_events() {
    for (id, key) in [
        ("acme:alice:2026-11:tokens:80", "acme:alice"),
        ("acme::2026-11:cost:hard", "acme:"),
        ("a%3Ab%20c:%C3%A9:2026-11:tokens:50", "a:b c:é"),
    ] {
        assert_eq!(key_of(id).as_deref(), Some(key), "{id}");
    }
    assert_eq!(key_of("acme"), None);
    assert_eq!(key_of("acme:%FF:2026-11:tokens:50"), None);
}
