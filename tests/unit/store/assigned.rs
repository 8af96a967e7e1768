use super::*;
use crate::domain::quota::THRESHOLDS;

fn assignment(effective: i64, grant: Grant) -> Assignment {
    let (source, id) = (Source::new("a b").expect("an id"), EventId::new("e:1").expect("an id"));
    Assignment { effective: TimeMs(effective), set_at: TimeMs(-7), source, id, grant }
}

#[test]
fn assignments_read_well_and_are_read_back() {
    let limits = Limits {
        tokens: Limit { soft: Some(10), hard: Some(20) },
        cost: Limit { soft: None, hard: Some(5) },
        grace_ms: Some(86_400_000),
        thresholds: THRESHOLDS.to_vec(),
    };
    let bare = Limits { tokens: Limit { soft: Some(1), hard: None }, thresholds: Vec::new(), ..Limits::default() };
    let grants =
        [Grant::Plan(PlanName::new("p 1").expect("an id")), Grant::Inherit, Grant::Limits(limits), Grant::Limits(bare)];
    let all: Assignments = (1..=4).rev().zip(grants).map(|(effective, grant)| assignment(effective, grant)).collect();
    let text = "4 -7 a%20b e%3A1 plan p%201\n3 -7 a%20b e%3A1 inherit\n\
                2 -7 a%20b e%3A1 limits tokens=10/20 cost=-/5 grace=86400000 at=50,80,90,100\n\
                1 -7 a%20b e%3A1 limits tokens=1/- cost=-/- grace=- at=";
    assert_eq!(to_text(&all), text);
    assert_eq!(from_text(text), Ok(all));
}

#[test]
fn what_was_never_written_is_damage() {
    for text in ["x", "1 2 s e", "1 2 s e plan", "1 2 s e inherit more", "1 2 s e limits", "x 2 s e inherit"] {
        assert!(from_text(text).is_err(), "{text:?}");
    }
}
