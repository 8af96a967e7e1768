use super::*;

#[test]
fn a_sum_beyond_an_i64_is_refused() {
    let mut sum = Counters { cost: NanoDollars(i64::MAX), ..Counters::default() };
    let one = Counters { cost: NanoDollars(1), ..Counters::default() };
    assert_eq!(sum.add(&one), Err(Overflow));
}

#[test]
fn the_average_counts_only_requests_with_a_latency() {
    let sum = Counters { requests: 5, latency_ms: 301, latency_count: 3, ..Counters::default() };
    assert_eq!(sum.average_latency_ms(), Some(100));
    assert_eq!(Counters::default().average_latency_ms(), None);
}

fn group(name: &str) -> Group {
    Group { assistant: Assistant::new(name).expect("an id"), model: Model::new("m").expect("an id") }
}

#[test]
fn what_there_is_no_room_for_goes_to_other() {
    let one = Counters { requests: 1, tokens_in: 5, ..Counters::default() };
    let tool = |name: &str| Tool::new(name).expect("an id");
    let more = MonthUsage {
        groups: ["a", "b", "c"].map(|name| (group(name), one)).into_iter().collect(),
        tools: [(tool("s"), 2), (tool("t"), 3)].into_iter().collect(),
    };
    let mut month =
        MonthUsage { groups: [(group("c"), one)].into_iter().collect(), tools: [(tool("t"), 1)].into_iter().collect() };
    let others = month.add_within(&more, Room { groups: 1, tools: 0 });
    assert_eq!(others, Ok(Others { requests: 1, tool_calls: 2 }));
    let two = Counters { requests: 2, tokens_in: 10, ..Counters::default() };
    assert_eq!(month.groups, [(group("a"), one), (group("c"), two), (Group::other(), one)].into_iter().collect());
    assert_eq!(month.tools, [(tool("t"), 4), (Tool::other(), 2)].into_iter().collect());
    // The sum is what it would be with room for all.
    assert_eq!(month.total().expect("small sums").requests, 4);
}
