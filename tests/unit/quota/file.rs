use super::*;
use crate::domain::calendar::TimeMs;
use crate::domain::quota::{Assignments, THRESHOLDS};

const TOKENS: i64 = 1_000_000;

#[test]
fn a_whole_file() {
    let text = r#"
default = "free"

[plans.free.user]
tokens = { soft = 1_000_000, hard = 1_200_000 }
cost = { hard = "25.00" }
grace = "72h"
thresholds = [90, 50, 50]

[plans.free.tenant]
cost = { soft = "400", hard = "9223372036.854775807" }

[plans.unlimited]

[plans."no tenant".user.tokens]
hard = 1
"#;
    let plans = read(text, TOKENS).expect("no fault");
    let free = Plan {
        user: Limits {
            tokens: Limit { soft: Some(1_000_000), hard: Some(1_200_000) },
            cost: Limit { soft: None, hard: Some(25_000_000_000) },
            grace_ms: Some(72 * 3_600_000),
            thresholds: vec![50, 90],
        },
        tenant: Limits { cost: Limit { soft: Some(400_000_000_000), hard: Some(i64::MAX) }, ..Limits::default() },
    };
    let name = |name| PlanName::new(name).expect("a name");
    assert_eq!(plans.default, (Some(name("free")), free.clone()));
    assert_eq!(plans.by_name[&name("free")], free);
    assert_eq!(plans.by_name[&name("unlimited")], Plan::default());
    assert_eq!(plans.by_name[&name("no tenant")].user.tokens, Limit { soft: None, hard: Some(1) });
    assert_eq!(plans.by_name[&name("no tenant")].user.thresholds, THRESHOLDS);
    assert_eq!(plans.by_name.len(), 3);
}

#[test]
fn without_a_default_a_user_has_the_tokens_of_the_settings_and_a_tenant_no_limit() {
    for text in ["", "[plans.free.user]\ntokens = { hard = 5 }"] {
        let plans = read(text, TOKENS).expect("no fault");
        let none = Assignments::default();
        let user = plans.of_user(&none, &none, TimeMs(0)).expect("no plan to be unknown");
        assert_eq!((user.limits.tokens, user.plan), (Limit { soft: Some(TOKENS), hard: None }, None));
        let tenant = plans.of_tenant(&none, TimeMs(0)).expect("no plan to be unknown");
        assert_eq!(tenant.limits, &Limits::default());
    }
}

/// `text` stands in the lines after `[plans.p.user]`, from line 2.
#[track_caller]
fn check(text: &str, faults: &[&str]) {
    whole(&format!("[plans.p.user]\n{text}\n"), faults);
}

#[track_caller]
fn whole(text: &str, faults: &[&str]) {
    let found: Vec<_> = read(text, TOKENS).expect_err(text).iter().map(ToString::to_string).collect();
    assert_eq!(found, faults, "{text}");
}

#[test]
fn each_fault_of_a_limit_has_its_line() {
    check(
        "tokens = { soft = 0 }",
        &["line 2: plans.p.user.tokens.soft 0 is not a whole number from 1 to 9007199254740992"],
    );
    check(
        "tokens = { hard = -1 }",
        &["line 2: plans.p.user.tokens.hard -1 is not a whole number from 1 to 9007199254740992"],
    );
    check(
        "tokens = { hard = 9007199254740993 }",
        &["line 2: plans.p.user.tokens.hard 9007199254740993 is not a whole number from 1 to 9007199254740992"],
    );
    check(
        "tokens = { hard = 99999999999999999999 }",
        &["line 2: plans.p.user.tokens.hard 99999999999999999999 is not a whole number from 1 to 9007199254740992"],
    );
    check(
        "tokens = { soft = 1e6 }",
        &["line 2: plans.p.user.tokens.soft 1e6 is not a whole number from 1 to 9007199254740992"],
    );
    check(
        "tokens = { soft = \"1000\" }",
        &["line 2: plans.p.user.tokens.soft \"1000\" is not a whole number from 1 to 9007199254740992"],
    );
    check("tokens = 1000", &["line 2: plans.p.user.tokens is 1000; it must be a table"]);
    check("tokens = {}", &["line 2: plans.p.user.tokens has neither soft nor hard"]);
    check(
        "\ntokens = { soft = 2, hard = 1 }",
        &["line 3: plans.p.user.tokens.soft is above plans.p.user.tokens.hard; a soft limit is reached first"],
    );
    check("tokens = { soft = 1, firm = 2 }", &["line 2: plans.p.user.tokens.firm is unknown; known here: soft, hard"]);
}

#[test]
fn an_amount_is_text_and_exact() {
    let amount = "is not an amount of dollars above 0 with at most 9 decimals, such as \"25.00\"";
    for bad in
        ["", "0", "0.000000000", "-1", "+1", "1.", ".5", "1e3", "1,000", "$5", "0.0000000001", "9223372036.854775808"]
    {
        check(&format!("cost = {{ hard = {bad:?} }}"), &[&format!("line 2: plans.p.user.cost.hard {bad:?} {amount}")]);
    }
    check(
        "cost = { soft = 25.00 }",
        &["line 2: plans.p.user.cost.soft 25.00 must be text, \"25.00\": a float is not exact"],
    );
    check("cost = { soft = 25 }", &["line 2: plans.p.user.cost.soft 25 must be text, \"25\": a float is not exact"]);
    check(
        "cost = { soft = true }",
        &["line 2: plans.p.user.cost.soft true is not an amount of dollars such as \"25.00\""],
    );
    let least = read("[plans.p.user]\ncost = { hard = \"0.000000001\" }", TOKENS).expect("no fault");
    assert_eq!(least.by_name.values().next().and_then(|plan| plan.user.cost.hard), Some(1));
}

#[test]
fn grace_and_thresholds() {
    let soft = "tokens = { soft = 1 }";
    for (bad, shown) in
        [("\"3 fortnights\"", "\"3 fortnights\""), ("72", "72"), ("\"\"", "\"\""), ("\"-1h\"", "\"-1h\"")]
    {
        let fault = format!("line 3: plans.p.user.grace {shown} is not a duration such as \"72h\" or \"3d\"");
        check(&format!("{soft}\ngrace = {bad}"), &[&fault]);
    }
    check(
        "tokens = { hard = 1 }\ngrace = \"72h\"",
        &["line 3: plans.p.user.grace needs a soft limit, of tokens or cost, to begin at"],
    );
    check(
        "grace = \"72h\"",
        &[
            "line 1: plans.p.user limits nothing; give it tokens or cost, or leave it out",
            "line 2: plans.p.user.grace needs a soft limit, of tokens or cost, to begin at",
        ],
    );
    check(
        &format!("{soft}\nthresholds = 50"),
        &["line 3: plans.p.user.thresholds is not a list of percents such as [50, 80, 90, 100]"],
    );
    check(
        &format!("{soft}\nthresholds = [\n0,\n50,\n1001, 2.5\n]"),
        &[
            "line 4: plans.p.user.thresholds: 0 is not a whole percent from 1 to 1000",
            "line 6: plans.p.user.thresholds: 1001 is not a whole percent from 1 to 1000",
            "line 6: plans.p.user.thresholds: 2.5 is not a whole percent from 1 to 1000",
        ],
    );
    let many: Vec<_> = (1..=17).map(|percent| percent.to_string()).collect();
    check(
        &format!("{soft}\nthresholds = [{}]", many.join(",")),
        &["line 3: plans.p.user.thresholds has 17 percents; 16 is the most"],
    );
}

#[test]
fn the_shape_of_the_file() {
    whole("defalt = \"free\"", &["line 1: defalt is unknown; known here: default, plans"]);
    whole("plans = 3", &["line 1: plans is 3; it must be a table"]);
    whole("[plans]\nfree = 3", &["line 2: plans.free is 3; it must be a table"]);
    whole("[plans.free.users]\n", &["line 1: plans.free.users is unknown; known here: user, tenant"]);
    whole("[plans.free]\nuser = 3", &["line 2: plans.free.user is 3; it must be a table"]);
    whole(
        "\ndefault = \"gold\"\n[plans.free]\n[plans.pro]",
        &["line 2: default is not the name of a plan of this file; the plans: free, pro"],
    );
    whole("default = \"gold\"", &["line 1: default is not the name of a plan of this file; the plans: there are none"]);
    whole("default = 3\n[plans.free]", &["line 1: default is not the name of a plan of this file; the plans: free"]);
    whole("[plans.\"\"]", &["line 1: the plan's name is empty; an id is 1 to 256 bytes of printable text"]);
}

#[test]
fn what_is_no_toml_and_what_is_wrong_besides_are_found_together() {
    let text = "default = \"gold\"\n[plans.free.user]\ntokens = { soft = 0 }\n[plans.free.user]\ncost = { hard = 1.5 }\ngrace = \n";
    whole(
        text,
        &[
            "line 3: plans.free.user.tokens.soft 0 is not a whole number from 1 to 9007199254740992",
            "line 4: `[plans.free.user]` can't be read: duplicate key",
            "line 5: plans.free.user.cost.hard 1.5 must be text, \"1.5\": a float is not exact",
            "line 6: `grace =` can't be read: string values must be quoted, expected literal string",
        ],
    );
    let text = "[plans.a.user]\ntokens { soft = 1 }\n[plans.b.user]\ntokens = { soft = 1\ngrace = 72h\n[plans.b]\n";
    let lines: Vec<_> = read(text, TOKENS).expect_err("three faults").iter().map(|fault| fault.line).collect();
    assert_eq!(lines, [2, 5, 6]);
}
