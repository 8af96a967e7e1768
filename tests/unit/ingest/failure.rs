use super::*;
use crate::store::Unfit;

/// Every message that an operator acts on. A change of one is a change of the runbook, docs/lost-state.md.
#[test]
fn what_an_operator_reads() {
    let partition = TopicPartition::new("ai.usage.events.v1", 3);
    let lost = |missing, evidence: &str| Failure::StateLost {
        partition: partition.clone(),
        missing,
        evidence: evidence.to_owned(),
    };
    let (key, group) = ("indelible:{00dq}:state".to_owned(), |text: &str| text.to_owned());
    let failures: Vec<Failure> = vec![
        lost(64, "the group has committed offset 120"),
        lost(64, "the log starts at offset 40, not at 0"),
        lost(1, "another bucket stands at offset 120"),
        Failure::LogGap { partition: partition.clone(), wanted: Offset(120), first: Offset(300) },
        Failure::log_ends(&partition, Offset(7), Offset(120)),
        Failure::other_record(&partition, Offset(119)),
        Failure::Unfinished { partition: partition.clone() },
        Failure::WatermarkMoved { partition: partition.clone(), stored: "absent".to_owned() },
        StoreError::from(Unfit::Eviction { policy: "allkeys-lru".to_owned() }).into(),
        StoreError::from(Unfit::Layout { key: key.clone(), found: "2".to_owned(), ours: "1".to_owned() }).into(),
        StoreError::from(Unfit::Buckets { key: key.clone(), found: "128".to_owned(), ours: "64".to_owned() }).into(),
        StoreError::from(Unfit::Group { key: key.clone(), found: group("billing"), ours: group("indelible") }).into(),
        StoreError::NotCounting { key }.into(),
    ];
    let told: Vec<_> = failures.iter().map(|failure| format!("{}\n{failure}\n", failure.name())).collect();
    insta::assert_snapshot!(told.join("\n"));
}

#[test]
fn what_a_person_must_decide_ends_the_worker_and_what_passes_does_not() {
    let partition = TopicPartition::new("t", 0);
    let dies = |failure: Failure| failure.verdict() == Verdict::Die;
    assert!(dies(Failure::LogGap { partition: partition.clone(), wanted: Offset(0), first: Offset(1) }));
    assert!(dies(Failure::Unfinished { partition }));
    assert!(dies(StoreError::from(Unfit::Eviction { policy: String::new() }).into()));
    assert!(dies(StoreError::Corrupt { key: String::new(), detail: String::new() }.into()));
    assert!(!dies(StoreError::Refused("LOADING".to_owned()).into()));
    assert!(!dies(StoreError::Unavailable(String::new()).into()));
}
