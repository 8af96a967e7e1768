use super::*;

#[test]
fn the_table_that_is_built_in_is_a_table() {
    let read = Table::parse(BUILTIN).unwrap_or_else(|faults| panic!("{faults:#?}"));
    assert_eq!(read, Table::builtin());
    assert_eq!(&**read.source(), BUILTIN);
    assert!(read.version().len() == 16 && read.version().bytes().all(|b| b.is_ascii_hexdigit()), "{}", read.version());
    let other = Table::parse(&format!("{BUILTIN}# changed\n")).expect("a table");
    assert_ne!(other.version(), read.version());
}

#[test]
fn the_current_models_cost_what_their_providers_list() {
    let table = Table::builtin();
    for (asked, nanos) in [
        ("claude-sonnet-4-5 in=1000000", 6_000_000_000),
        ("claude-sonnet-4-5 in=200000", 600_000_000),
        ("claude-sonnet-4-5-20250929 out=1000", 15_000_000),
        ("claude-sonnet-4-5 in=100000 cached=50000 write=50000", 15_000_000 + 187_500_000),
        ("claude-sonnet-4-5 in=200001 out=1000", 1_200_006_000 + 22_500_000),
        ("claude-sonnet-4-5 webSearch=1", 10_000_000),
        ("claude-opus-4-5-20251101 in=1000 out=1000", 30_000_000),
        ("claude-opus-4-1-20250805 in=1000 out=1000", 90_000_000),
        ("claude-haiku-4-5 in=1000 out=1000", 6_000_000),
        ("gpt-5 in=1000 cached=1000 out=1000", 125_000 + 10_000_000),
        ("gpt-5-2025-08-07 in=1000", 1_250_000),
        ("gpt-5-mini in=1000 out=1000", 2_250_000),
        ("gpt-4o-mini-2024-07-18 in=1000 out=1000", 750_000),
        ("gpt-4o-2024-05-13 in=1000 out=1000", 20_000_000),
        ("o3 in=1000 out=1000", 10_000_000),
        ("gemini-2.5-pro in=200000", 250_000_000),
        ("gemini-2.5-pro in=200001", 500_002_500),
        ("mistral-large-2411 in=1000 out=1000", 8_000_000),
        ("deepseek-chat in=1000 cached=500 out=1000", 140_000 + 14_000 + 420_000),
        ("grok-4 in=1000 out=1000", 18_000_000),
        ("command-r-08-2024 in=1000 out=1000", 750_000),
        ("us.amazon.nova-pro-v1:0 in=1000 out=1000", 4_000_000),
        ("meta.llama3-3-70b-instruct-v1:0 in=1000 out=1000", 1_440_000),
    ] {
        let rated = table.rate(&usage(asked), at("2026-11-24T00:00:00Z")).expect("it fits");
        assert_eq!((rated.cost.0, rated.charge.0, rated.unpriced), (nanos, nanos, false), "{asked}");
    }
}

#[test]
fn a_price_that_was_lowered_keeps_its_date() {
    let table = Table::builtin();
    for (time, nanos) in [
        ("2025-04-15T23:59:59Z", None),
        ("2025-04-16T00:00:00Z", Some(50_000_000)),
        ("2025-06-09T23:59:59Z", Some(50_000_000)),
        ("2025-06-10T00:00:00Z", Some(10_000_000)),
    ] {
        let rated = table.rate(&usage("o3-2025-04-16 in=1000 out=1000"), at(time)).expect("it fits");
        assert_eq!((!rated.unpriced).then_some(rated.cost.0), nanos, "{time}");
    }
}
