use proptest::collection::btree_map;
use proptest::prelude::*;

use super::*;
use crate::domain::counters::MonthUsage;

fn group(assistant: &str, model: &str) -> Group {
    Group { assistant: Assistant::new(assistant).expect("an id"), model: Model::new(model).expect("an id") }
}

fn to_text(sums: &MonthSums) -> String {
    let mut text = Vec::new();
    write_text(sums, &mut text);
    String::from_utf8(text).expect("text")
}

#[test]
fn a_month_reads_well() {
    let sums = Counters {
        requests: 5,
        tokens_in: 287_350,
        tokens_out: 19_502,
        cost: NanoDollars(1_154_580_000),
        charge: NanoDollars(1_154_580_000),
        ..Counters::default()
    };
    let cached = Counters { requests: 1, cached_tokens: 7, unpriced: 1, charge: NanoDollars(5), ..Counters::default() };
    let groups = [(group("research", "claude-sonnet-4-5"), sums), (group("a b", "x|y"), cached)];
    let tools = [(Tool::new("web:search").expect("an id"), 8)];
    let day = DayUsage { requests: 6, tokens: 306_852, cost: NanoDollars(0), charge: NanoDollars(2) };
    let usage = MonthUsage { groups: groups.into_iter().collect(), tools: tools.into_iter().collect() };
    let noticed = [(Metric::Tokens, Threshold::Percent(80)), (Metric::Cost, Threshold::Hard)].into();
    let month = MonthSums {
        usage,
        days: [(4, day)].into_iter().collect(),
        crowd: 12,
        total: Some(Spent { tokens: 306_852, cost: 0 }),
        noticed,
    };
    let text = "a%20b|x%7Cy 1 0 0 0 0 0 7 0 5 1\nresearch|claude-sonnet-4-5 5 287350 19502 1154580000\ntool:web%3Asearch 8\n04 6 306852 0 2\ncrowd 12\ntotal 306852\nnoticed tokens:80 cost:hard";
    assert_eq!(to_text(&month), text);
    assert_eq!(from_text(text), Ok(month));
    assert_eq!(from_text(""), Ok(MonthSums::default()));
}

#[test]
fn what_was_never_written_is_damage() {
    let damaged = [
        "x",
        "x 1",
        "a|m",
        "a|m ",
        "a|m x",
        "a|m 1  2",
        "a|m 1 2 3 4 5 6 7 8 9 10 11",
        "a|m 1 0 0 5 0 0 0 0 -6",
        "noticed ",
        "noticed tokens",
        "noticed tokens:x",
        "noticed money:80",
        "total x",
        "|m 1",
        "a|%FF 1",
        "tool: 1",
        "tool:x 1 2",
        "tool:x 1.5",
        "4 1",
        "32 1",
        "00 1",
        "04 1 2 3 4 5",
        "a|m 9223372036854775808",
        "\n",
    ];
    for text in damaged {
        assert!(from_text(text).is_err(), "{text:?}");
    }
}

/// Amounts that a sum of the program can have.
fn amount(number: i64) -> NanoDollars {
    NanoDollars(number & i64::MAX)
}

fn counters_of(numbers: [i64; 10]) -> Counters {
    let [requests, tokens_in, tokens_out, cost, latency_ms, latency_count, cached, reasoning, charge, unpriced] =
        numbers;
    Counters {
        requests,
        tokens_in,
        tokens_out,
        cached_tokens: cached,
        reasoning_tokens: reasoning,
        cost: amount(cost),
        charge: amount(charge),
        unpriced,
        latency_ms,
        latency_count,
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn any_month_is_read_back(
        groups in btree_map(("\\PC{1,20}", "\\PC{1,20}"), any::<[i64; 10]>(), 0..5),
        tools in btree_map("\\PC{1,20}", any::<i64>(), 0..5),
        days in btree_map(1..=31_u32, any::<[i64; 4]>(), 0..5),
    ) {
        let mut month = MonthSums::default();
        for ((assistant, model), numbers) in groups {
            let (Ok(assistant), Ok(model)) = (Assistant::new(&assistant), Model::new(&model)) else { continue };
            month.usage.groups.insert(Group { assistant, model }, counters_of(numbers));
        }
        month.usage.tools = tools.into_iter().filter_map(|(tool, calls)| Some((Tool::new(&tool).ok()?, calls))).collect();
        let day = |[requests, tokens, cost, charge]: [i64; 4]| {
            DayUsage { requests, tokens, cost: amount(cost), charge: amount(charge) }
        };
        month.days = days.into_iter().map(|(number, sums)| (number, day(sums))).collect();
        prop_assert_eq!(from_text(&to_text(&month)), Ok(month));
    }
}
