//! The documents of an operator, held to the program and to the alerts.

use std::collections::BTreeSet;

use super::scrape::Scrape;

const METRICS: &str = include_str!("../../../docs/metrics.md");
const RUNBOOK: &str = include_str!("../../../docs/runbook.md");
const ALERTS: &str = include_str!("../../../helm/indelible/files/alerts.yaml");

/// docs/metrics.md has a row for each exported metric, and no other: name, kind and labels.
#[track_caller]
pub(super) fn lists_what_is_exported(scrape: &Scrape) {
    let exported: BTreeSet<String> = scrape.kinds.iter().map(|(name, kind)| row(scrape, name, kind)).collect();
    // The last column says what it means, for people.
    let rows = METRICS.lines().filter(|line| line.starts_with("| `"));
    let listed = rows.map(|line| line.rsplitn(2, " | ").last().expect("a row has columns").to_owned()).collect();
    let missing: Vec<_> = exported.difference(&listed).collect();
    let strange: Vec<_> = listed.difference(&exported).collect();
    assert!(
        missing.is_empty() && strange.is_empty(),
        "docs/metrics.md lacks {missing:#?}\nand should not have {strange:#?}"
    );
}

fn row(scrape: &Scrape, name: &str, kind: &str) -> String {
    let labels: Vec<_> = scrape.labels_of(name).into_iter().map(|label| format!("`{label}`")).collect();
    format!("| `{name}` | {kind} | {}", labels.join(", "))
}

/// And the other way round: a section that no alert leads to is one that nobody is sent to.
#[track_caller]
pub(super) fn runbook_has_a_section_for_each_alert() {
    let values = |key: &'static str| ALERTS.lines().filter_map(move |line| line.trim().strip_prefix(key));
    let alerts: Vec<_> = values("- alert: ").collect();
    let links: Vec<_> = values("runbook_url: ").collect();
    assert!(alerts.len() > 30 && alerts.len() == links.len(), "{} alerts, {} links", alerts.len(), links.len());
    for (alert, link) in alerts.iter().zip(links) {
        // As GitHub makes an anchor of a heading of one word.
        assert_eq!(link, format!("docs/runbook.md#{}", alert.to_lowercase()), "{alert}");
    }
    let sections: Vec<_> = RUNBOOK.lines().filter_map(|line| line.strip_prefix("### ")).collect();
    let [alerts, sections] = [alerts, sections].map(BTreeSet::from_iter);
    let (missing, strange): (Vec<_>, Vec<_>) =
        (alerts.difference(&sections).collect(), sections.difference(&alerts).collect());
    assert!(
        missing.is_empty() && strange.is_empty(),
        "the runbook lacks {missing:?}, and has {strange:?} for no alert"
    );
}
