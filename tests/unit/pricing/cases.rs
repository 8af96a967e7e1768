//! Requests with their costs in nano-dollars, worked out by hand. A dollar a million tokens is 1,000 nano-dollars a token.

use super::*;

/// When nothing else is said, after all dates of the table.
const NOW: &str = "2026-11-24T18:00:00Z";

#[track_caller]
fn check(table: &Table, asked: &str, time: &str, expected: Result<Rated, Overflow>) {
    assert_eq!(table.rate(&usage(asked), at(time)), expected, "{asked} at {time}");
}

#[track_caller]
fn costs(asked: &str, cost: i64) {
    costs_at(asked, NOW, cost);
}

/// With nothing on top.
#[track_caller]
fn costs_at(asked: &str, time: &str, cost: i64) {
    charged_at(asked, time, cost, cost);
}

#[track_caller]
fn charged_at(asked: &str, time: &str, cost: i64, charge: i64) {
    let table = Table::parse(TABLE).expect("the table of the tests");
    let (cost, charge) = (NanoDollars(cost), NanoDollars(charge));
    check(&table, asked, time, Ok(Rated { cost, charge, unpriced: false, mismatch: None }));
}

#[track_caller]
fn charged(asked: &str, cost: i64, charge: i64) {
    charged_at(asked, NOW, cost, charge);
}

#[track_caller]
fn unpriced_at(asked: &str, time: &str) {
    let table = Table::parse(TABLE).expect("the table of the tests");
    check(&table, asked, time, Ok(Rated { unpriced: true, ..Rated::default() }));
}

#[track_caller]
fn mismatch(asked: &str, cost: i64, expected: i64) {
    let table = Table::parse(TABLE).expect("the table of the tests");
    let (cost, mismatch) = (NanoDollars(cost), Some(NanoDollars(expected)));
    check(&table, asked, NOW, Ok(Rated { cost, charge: cost, unpriced: false, mismatch }));
}

#[track_caller]
fn overflows(asked: &str) {
    check(&Table::parse(TABLE).expect("the table of the tests"), asked, NOW, Err(Overflow));
}

#[test]
fn every_token_is_counted_once_at_its_own_price() {
    costs("fast", 0);
    costs("fast in=1", 3_000);
    costs("fast out=1", 15_000);
    costs("fast in=1000", 3_000_000);
    costs("fast in=1000 out=500", 10_500_000);
    // 600 x 3,000 + 400 x 300 + 500 x 15,000
    costs("fast in=1000 cached=400 out=500", 9_420_000);
    costs("fast in=1000 cached=1000", 300_000);
    // 800 x 3,000 + 200 x 3,750
    costs("fast in=1000 write=200", 3_150_000);
    costs("fast in=1000 cached=500 write=500", 2_025_000);
    // 400 x 15,000 + 100 x 20,000
    costs("fast out=500 reason=100", 8_000_000);
    costs("fast out=100 reason=100", 2_000_000);
    // Without prices of their own they cost what input and output do.
    costs("plain in=100 cached=40 write=20", 200_000);
    costs("plain out=100 reason=60", 800_000);
}

#[test]
fn tools_cost_by_the_call() {
    costs("fast webSearch=1", 10_000_000);
    costs("fast in=10 webSearch=3", 30_030_000);
    costs("fast retrieval=5", 0);
    costs("plain webSearch=5", 0);
    // 800 x 3,000 + 100 x 300 + 100 x 3,750 + 150 x 15,000 + 50 x 20,000 + 2 x 10,000,000
    costs("fast in=1000 cached=100 write=100 out=200 reason=50 webSearch=2", 26_055_000);
}

#[test]
fn a_tier_is_strictly_above_its_bound_and_holds_for_the_whole_request() {
    costs("fast in=1001", 6_006_000);
    costs("fast in=1001 out=10", 6_231_000);
    costs("fast in=1001 cached=1001", 600_600);
    costs("fast in=1001 write=1", 6_007_500);
    costs("fast in=1001 webSearch=1", 16_006_000);
    costs("fast in=2000", 12_000_000);
    costs("fast in=2001", 24_012_000);
    // 2,001 x 12,000 + 60 x 45,000 + 40 x 60,000
    costs("fast in=2001 out=100 reason=40", 29_112_000);
    // The output does not make a context larger.
    costs("fast in=1000 out=100000", 1_503_000_000);
    costs("steep out=1", 1_000);
    costs("steep in=1 out=1", 10_000);
}

#[test]
fn the_price_in_force_at_the_events_own_time_applies() {
    unpriced_at("dated in=10", "2025-12-31T23:59:59.999999999Z");
    costs_at("dated in=10", "2026-01-01T00:00:00Z", 10_000);
    costs_at("dated in=10", "2026-06-01T11:59:59.999999999Z", 10_000);
    costs_at("dated in=10", "2026-06-01T12:00:00Z", 20_000);
    costs_at("dated in=10", "2026-06-01T13:59:59+02:00", 10_000);
    costs_at("dated in=10", "2026-06-01T14:00:00+02:00", 20_000);
    costs_at("dated in=10", "2026-08-31T21:59:59.999Z", 20_000);
    costs_at("dated in=10", "2026-08-31T22:00:00Z", 30_000);
    costs_at("dated in=10", "2099-01-01T00:00:00Z", 30_000);
    costs_at("grown in=10", "2000-02-29T00:00:00Z", 10_000);
    costs_at("grown in=10", "2026-02-28T23:59:59Z", 10_000);
    costs_at("grown in=10", "2026-03-01T00:00:00Z", 40_000);
    // A name of which no entry is in force yet stands back behind a pattern.
    costs_at("preview-x in=10", "2026-06-30T23:59:59Z", 50_000);
    costs_at("preview-x in=10", "2026-07-01T00:00:00Z", 70_000);
}

#[test]
fn names_go_before_patterns_and_long_patterns_before_short_ones() {
    costs("preview-y in=10", 50_000);
    costs("beta-y in=10", 50_000);
    costs("preview- in=10", 50_000);
    unpriced_at("preview in=10", NOW);
    costs("preview-long-name in=10", 60_000);
    costs("preview-exact in=10", 80_000);
    costs("any-embed in=10", 1_000);
    // Nine letters of preview-* against six of *-embed.
    costs("preview-embed in=10", 50_000);
    costs("v1-big-turbo-x-eu in=10", 90_000);
    costs("v1turboeu in=10", 90_000);
    unpriced_at("v1-turbo in=10", NOW);
    unpriced_at("Fast in=10", NOW);
    unpriced_at("unknown in=10 out=10 webSearch=1", NOW);
}

#[test]
fn a_provider_that_is_named_decides_else_the_first_of_the_file() {
    costs("shared in=10", 10_000);
    costs("shared provider=acme in=10", 10_000);
    costs("shared provider=bolt in=10", 20_000);
    unpriced_at("shared provider=other in=10", NOW);
    // bolt's entry stands higher up, but acme's first one higher still.
    costs("shared-1 in=10", 40_000);
    costs("shared-1 provider=bolt in=10", 30_000);
    unpriced_at("fast provider=bolt in=10", NOW);
    // A whole name of the second provider goes before a pattern of the first.
    costs("only-b in=10", 50_000);
    costs("only-b provider=acme in=10", 60_000);
}

#[test]
fn one_rounding_at_the_end_half_to_even() {
    costs("tiny in=1", 0);
    costs("tiny in=2", 1);
    costs("tiny in=3", 2);
    costs("tiny in=5", 2);
    costs("tiny in=7", 4);
    // 1.5 + 1.5; rounded each by itself it would be 4.
    costs("tiny in=3 out=1", 3);
    // 0.5 + 0.5; rounded each by itself it would be none.
    costs("tiny in=2 cached=1", 1);
    costs("finest in=499999999", 0);
    costs("finest in=500000000", 0);
    costs("finest in=500000001", 1);
    costs("finest in=1499999999", 1);
    costs("finest in=1500000000", 2);
    costs("finest in=2500000000", 2);
    costs("finest in=2500000001", 3);
    costs("fast finance=1", 0);
    costs("fast finance=3", 2);
    costs("fast in=1 finance=1", 3_000);
    costs("fast in=1 finance=3", 3_002);
}

#[test]
fn a_charge_is_the_exact_cost_with_the_markup_rounded_once() {
    charged("marked in=1000", 3_000_000, 3_600_000);
    charged("marked in=1 out=1", 18_000, 21_600);
    // 3,000 x 1.33333333 = 3,999.99999
    charged("third in=1", 3_000, 4_000);
    // 3,000,000,000 x 1.33333333
    charged("third in=1000000", 3_000_000_000, 3_999_999_990);
    charged("given-away in=5", 15_000, 0);
    charged("rebated in=1", 1_000, 875);
    // Of the unrounded half a nano-dollar: of the rounded cost it would be 0.
    charged("doubled in=1", 0, 1);
    charged("doubled in=3", 2, 3);
    charged("half-more in=1", 1, 2);
    charged("half-more in=3", 3, 4);
    charged("half-more in=5", 5, 8);
}

#[test]
fn a_cost_of_its_own_stays_and_is_held_against_the_table() {
    // Expected: 1,000 x 2,000; one per cent of it is 20,000.
    costs("plain in=1000 cents=0.2", 2_000_000);
    costs("plain in=1000 cents=0.202", 2_020_000);
    costs("plain in=1000 cents=0.198", 1_980_000);
    mismatch("plain in=1000 cents=0.2020001", 2_020_001, 2_000_000);
    mismatch("plain in=1000 cents=0.1979999", 1_979_999, 2_000_000);
    mismatch("plain in=1000 cents=0", 0, 2_000_000);
    // Five nano-dollars are allowed where that is more than one per cent.
    costs("tiny in=8 cents=0.0000009", 9);
    mismatch("tiny in=8 cents=0.000001", 10, 4);
    costs("plain cents=0.0000005", 5);
    mismatch("plain cents=0.0000006", 6, 0);
    // What there is nothing to hold against has no mismatch and is not unpriced.
    costs("unknown in=5 cents=7", 70_000_000);
    costs("fast provider=bolt in=5 cents=7", 70_000_000);
    costs_at("dated in=10 cents=1", "2025-12-31T00:00:00Z", 10_000_000);
    charged("marked in=1000 cents=0.3", 3_000_000, 3_600_000);
    charged("half-more in=1 cents=0.0000001", 1, 2);
    charged("half-more in=3 cents=0.0000003", 3, 4);
}

#[test]
fn the_tables_own_markup_holds_where_an_entry_has_none() {
    let table = Table::parse(&format!("markup = \"10\"\n{TABLE}")).expect("a table");
    for (asked, cost, charge, unpriced) in [
        ("plain in=1000", 2_000_000, 2_200_000, false),
        ("marked in=1000", 3_000_000, 3_600_000, false),
        ("unknown cents=1", 10_000_000, 11_000_000, false),
        ("unknown in=1", 0, 0, true),
        // 0.5 x 1.1 = 0.55, 5 x 1.1 = 5.5, 15 x 1.1 = 16.5
        ("tiny in=1", 0, 1, false),
        ("nano in=5", 5, 6, false),
        ("nano in=15", 15, 16, false),
    ] {
        let (cost, charge) = (NanoDollars(cost), NanoDollars(charge));
        check(&table, asked, NOW, Ok(Rated { cost, charge, unpriced, mismatch: None }));
    }
}

#[test]
fn what_no_amount_can_hold_is_refused() {
    costs("nano in=9007199254740992", 9_007_199_254_740_992);
    overflows("plain in=9007199254740992");
    overflows("fast webSearch=9007199254740992");
    costs("unknown cents=922337203685.4775807", i64::MAX);
    // The cost fits, the charge does not.
    overflows("marked cents=922337203685.4775807");
    // The event's own cost fits: nothing is to be held against what does not.
    costs("plain in=9007199254740992 cents=1", 10_000_000);
}
