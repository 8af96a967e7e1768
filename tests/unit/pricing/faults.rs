//! Every class of fault of a table, with its line.

use super::*;

/// The words of all faults, each after its line.
#[track_caller]
fn faults(text: &str) -> Vec<String> {
    match Table::parse(text) {
        Ok(_) => panic!("no fault is found in:\n{text}"),
        Err(faults) => faults.iter().map(ToString::to_string).collect(),
    }
}

/// Exactly one fault, which stands in a line and holds all words.
#[track_caller]
fn fault(text: &str, line: usize, words: &[&str]) {
    let found = faults(text);
    let [only] = found.as_slice() else { panic!("not one fault but {found:#?}") };
    assert!(only.starts_with(&format!("line {line}: ")), "{only}, and not line {line}");
    for word in words {
        assert!(only.contains(word), "{word} in {only}");
    }
}

/// An entry that is right but for what is put in; its own lines are 1 to 5, and then come the others.
fn entry(more: &str) -> String {
    format!("[[price]]\nprovider = \"p\"\nmodel = \"m\"\ninput = \"1\"\noutput = \"2\"\n{more}\n")
}

#[test]
fn each_class_of_fault_is_named_with_its_line() {
    Table::parse(&entry("")).expect("the entry is right");
    fault("", 1, &["no [[price]]"]);
    fault("\n\nmarkup = \"1\"\n", 1, &["no [[price]]"]);
    fault(&entry("[[price"), 6, &["is not TOML"]);
    fault(&entry("input = \"3\""), 6, &["is not TOML", "duplicate key"]);
    fault(&entry("inptu = \"3\""), 6, &["\"inptu\" that means nothing", "cache_read"]);
    fault(&entry("[prices]"), 6, &["\"prices\" that means nothing", "markup, tolerance, price"]);
    fault(&entry("[tolerance]\nper_cent = 1"), 7, &["[tolerance] has a key \"per_cent\"", "percent, floor"]);
    fault(&entry("[tolerance]\npercent = -1"), 7, &["`percent`", "negative"]);
    fault(&entry("[tolerance]\nfloor = \"0.0000000001\""), 7, &["`floor`", "10 digits after the point; at most 9"]);
    fault("[[price]]\nmodel = \"m\"\ninput = \"1\"\noutput = \"2\"\n", 1, &["[[price]] has no `provider`; add it"]);
    fault("[[price]]\nprovider = \"p\"\ninput = \"1\"\noutput = \"2\"\n", 1, &["no `model`"]);
    fault("[[price]]\nprovider = \"p\"\nmodel = \"m\"\noutput = \"2\"\n", 1, &["no `input`"]);
    fault("[[price]]\nprovider = \"p\"\nmodel = \"m\"\ninput = \"1\"\n", 1, &["no `output`"]);
    fault(&entry("cache_read = \"-0.1\""), 6, &["`cache_read` is \"-0.1\"", "negative"]);
    fault(&entry("cache_read = \"0.1234567890123\""), 6, &["13 digits after the point; at most 12"]);
    fault(&entry("cache_read = \"1234567890\""), 6, &["10 digits before the point; at most 9"]);
    fault(&entry("cache_read = \"cheap\""), 6, &["\"cheap\"", "not a decimal number such as"]);
    fault(&entry("cache_read = 1e-3"), 6, &["\"1e-3\"", "not a decimal number"]);
    fault(&entry("cache_read = nan"), 6, &["not a decimal number"]);
    fault(&entry("cache_read = 0x10"), 6, &["`cache_read` holds a TOML integer; write a decimal number"]);
    fault(&entry("cache_read = true"), 6, &["`cache_read` holds a TOML boolean"]);
    fault(&entry("from = \"2026-13-01\""), 6, &["`from` is \"2026-13-01\", which is no date", "2025-09-29"]);
    fault(&entry("from = 2026-01-01T00:00:00"), 6, &["`from`", "no instant"]);
    fault(&entry("from = 2026"), 6, &["`from` holds a TOML integer"]);
    fault(&entry("from = \"24.11.2026\""), 6, &["no date"]);
    fault(&entry("markup = \"-100.000001\""), 6, &["`markup` is below -100"]);
    fault(&entry("markup = \"1.0000001\""), 6, &["7 digits after the point; at most 6"]);
    fault(&entry("tools = 3"), 6, &["[price.tools]", "write a table"]);
    fault(&entry("[price.tools]\nwebSearch = \"-1\""), 7, &["`webSearch`", "negative"]);
    fault(&entry("[price.tools]\n\"\" = \"1\""), 7, &["the tool is empty"]);
    fault(&entry("tier = 5"), 6, &["[[price.tier]]", "double brackets"]);
    fault(&entry("[[price.tier]]\ninput = 1\noutput = 1"), 6, &["[[price.tier]] has no `above`"]);
    fault(&entry("[[price.tier]]\nabove = \"5\"\ninput = 1\noutput = 1"), 7, &["`above`", "whole number of tokens"]);
    fault(&entry("[[price.tier]]\nabove = -5\ninput = 1\noutput = 1"), 7, &["`above` is -5", "0 to 9007199254740992"]);
    fault(&entry("[[price.tier]]\nabove = 5\ninput = 1"), 6, &["[[price.tier]] has no `output`"]);
    fault(&entry("[[price.tier]]\nabove = 5\ninput = 1\noutput = 1\nfrom = 1"), 10, &["\"from\" that means nothing"]);
    fault(
        &entry("cache_read = 1\n[[price.tier]]\nabove = 5\ninput = 1\noutput = 1"),
        7,
        &["[[price.tier]] has no `cache_read`, but its [[price]] has; add it"],
    );
    fault(
        &entry("[[price.tier]]\nabove = 5\ninput = 1\noutput = 1\n[[price.tier]]\nabove = 5\ninput = 1\noutput = 1"),
        11,
        &["`above`", "ascending order"],
    );
    fault(&entry(&entry("")), 6, &["p has \"m\" from the same instant in line 1 already"]);
    fault(
        &entry(&format!("from = 2026-01-01\n{}from = \"2026-01-01T01:00:00+01:00\"", entry(""))),
        7,
        &["from the same instant in line 1 already"],
    );
    fault(
        "[[price]]\nprovider = 5\nmodel = \"m\"\ninput = \"1\"\noutput = \"2\"\n",
        2,
        &["`provider`", "text in quotes"],
    );
    fault("[[price]]\nprovider = \"\"\nmodel = \"m\"\ninput = \"1\"\noutput = \"2\"\n", 2, &["provider is empty"]);
    fault("[[price]]\nprovider = \"p\"\nmodel = []\ninput = \"1\"\noutput = \"2\"\n", 3, &["`model` is an empty list"]);
    fault(
        "[[price]]\nprovider = \"p\"\nmodel = [\n\"m\",\n5]\ninput = \"1\"\noutput = \"2\"\n",
        5,
        &["`model`", "text"],
    );
    fault(
        "[[price]]\nprovider = \"p\"\nmodel = [\"m\", \"m\"]\ninput = \"1\"\noutput = \"2\"\n",
        1,
        &["line 1 already"],
    );
    fault("price = 5\n", 1, &["[[price]]", "double brackets"]);
    fault("price = [5]\n", 1, &["[[price]]", "write a table"]);
}

#[test]
fn all_faults_are_named_at_once_in_the_order_of_their_lines() {
    let text = "markup = \"much\"\ncolour = \"red\"\n[[price]]\nprovider = \"p\"\nmodel = \"m\"\ninput = \"-1\"\n\
                outptu = \"2\"\n[[price]]\nprovider = \"p\"\nmodel = \"m\"\ninput = \"1\"\noutput = \"1\" 5\n";
    let lines: Vec<_> = faults(text).iter().map(|fault| fault.split(':').next().expect("a line").to_owned()).collect();
    assert_eq!(lines, ["line 1", "line 2", "line 3", "line 6", "line 7", "line 12"]);
}

#[test]
fn too_many_patterns_are_refused() {
    let names: Vec<_> = (0..1_001).map(|n| format!("\"m{n}*\"")).collect();
    let text = format!("[[price]]\nprovider = \"p\"\nmodel = [{}]\ninput = 1\noutput = 1\n", names.join(", "));
    fault(&text, 1, &["1001 patterns; at most 1000"]);
}
