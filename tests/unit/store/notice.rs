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

#[test]
fn an_id_says_what_the_notice_is_about() {
    let passing = |metric, threshold| Passing {
        metric,
        threshold,
        also: Vec::new(),
        limit: 10,
        used: 8,
        at: crate::domain::calendar::TimeMs(0),
        plan: None,
    };
    let month: Month = "2026-11".parse().expect("a month");
    for user in [None, Some("alice"), Some("a:b é%")] {
        for passing in [passing(Metric::Tokens, Threshold::Percent(80)), passing(Metric::Cost, Threshold::Hard)] {
            let tenant = TenantId::new("x:y z").expect("an id");
            let scope = Scope { tenant, user: user.map(|user| UserId::new(user).expect("an id")) };
            let (metric, threshold) = (passing.metric, passing.threshold);
            let id = Notice { scope: scope.clone(), month, passing }.id();
            assert_eq!(NoticeId::read(&id), Some(NoticeId { scope, month, metric, threshold }), "{id}");
        }
    }
    for none in ["", "acme", "acme::2026-11", "acme::2026-11:tokens", "acme::2026-13:tokens:80", ":a:2026-11:tokens:80"]
    {
        assert_eq!(NoticeId::read(none), None, "{none}");
    }
}
