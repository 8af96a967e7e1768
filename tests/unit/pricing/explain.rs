use super::*;

#[track_caller]
fn explain(asked: &str) -> String {
    let table = Table::parse(TABLE).expect("the table of the tests");
    let explained = table.explain(&usage(asked), at("2026-11-24T18:00:00Z")).expect("it fits").to_string();
    explained.replace(&**table.version(), "VERSION")
}

#[test]
fn a_request_is_told_line_by_line() {
    insta::assert_snapshot!(explain("fast in=2001 cached=1000 write=1 out=100 reason=40 webSearch=2 retrieval=1"));
    insta::assert_snapshot!(explain("doubled in=1"));
    insta::assert_snapshot!(explain("beta-y in=10 cents=1"));
    insta::assert_snapshot!(explain("grown in=10 cents=0.004"));
    insta::assert_snapshot!(explain("unknown in=10"));
    insta::assert_snapshot!(explain("plain in=9007199254740992 cents=1"));
}

#[test]
fn what_is_told_is_what_is_counted() {
    let (table, time) = (Table::builtin(), at("2026-11-24T18:00:00Z"));
    for asked in
        ["claude-sonnet-4-5 in=250000 cached=9 out=7", "gpt-5 in=3", "unknown in=1", "unknown cents=5", "o3 cents=5"]
    {
        let (rated, told) = (table.rate(&usage(asked), time), table.explain(&usage(asked), time).expect("it fits"));
        let rated = rated.expect("it fits");
        assert_eq!((told.cost, told.charge), (rated.cost.to_dollars(), rated.charge.to_dollars()), "{asked}");
        assert_eq!((told.unpriced, told.mismatch), (rated.unpriced, rated.mismatch.is_some()), "{asked}");
    }
}

#[test]
fn only_what_is_in_force_is_shown() {
    let table = Table::parse(TABLE).expect("the table of the tests");
    let input = |model: &str, time: &str| {
        let shown = table.in_force(at(time));
        shown
            .prices
            .iter()
            .filter(|price| price.models.contains(model))
            .map(|p| p.rates.input.clone())
            .collect::<Vec<_>>()
    };
    assert_eq!(input("dated", "2025-12-31T23:59:59Z"), [""; 0]);
    assert_eq!(input("dated", "2026-01-01T00:00:00Z"), ["1"]);
    assert_eq!(input("dated", "2026-06-01T12:00:00Z"), ["2"]);
    assert_eq!(input("grown", "2020-01-01T00:00:00Z"), ["1"]);
    assert_eq!(input("preview-*", "2026-01-01T00:00:00Z"), ["5"]);
    let shown = table.in_force(at("2026-01-01T00:00:00Z"));
    let fast = &shown.prices[0];
    assert_eq!((fast.provider, fast.tools["webSearch"].as_str(), fast.tiers[1].above), ("acme", "0.01", 2_000));
    assert_eq!((fast.tiers[0].rates.cache_read.as_str(), fast.tools["finance"].as_str()), ("0.6", "0.0000000005"));
    assert_eq!(
        (shown.markup.as_str(), shown.tolerance.as_str(), shown.tolerance_floor.as_str()),
        ("0", "1", "0.000000005")
    );
}
