use super::*;
use crate::domain::position::Fingerprint;

const NOW: TimeMs = TimeMs(5);

fn at(next: i64) -> Position {
    Position::after(Offset(next - 1), Fingerprint { timestamp: TimeMs(0), hash: 0 })
}

fn partition() -> TopicPartition {
    TopicPartition::new("t", 0)
}

fn marked(watermark: Option<Position>) -> PartitionState {
    PartitionState { watermark, ..PartitionState::default() }
}

/// All buckets at 12 but for the first ones.
fn surveyed(some: &[PartitionState], (first, end): (i64, i64), verdict: Result<Offset, Failure>) -> Surveyed {
    let mut states = vec![marked(Some(at(12))); 64];
    states[..some.len()].clone_from_slice(some);
    let facts = LogFacts { first: Offset(first), end: Offset(end), committed: None };
    Surveyed { partition: partition(), facts, states, verdict }
}

fn gap(first: i64) -> Result<Offset, Failure> {
    Err(Failure::LogGap { partition: partition(), wanted: Offset(0), first: Offset(first) })
}

fn changed() -> Result<Offset, Failure> {
    Err(Failure::other_record(&partition(), Offset(11)))
}

/// The texts of a change: from, to, gaps.
fn told(change: &Change) -> [String; 3] {
    let to = match change.to {
        Target::At(position) => position.to_string(),
        Target::Parked(position) => format!("parked {position}"),
    };
    let text = |position: Option<Position>| position.map_or("none".to_owned(), |position| position.to_string());
    [text(change.from), to, change.gaps.as_ref().map(ToString::to_string).unwrap_or_default()]
}

#[test]
fn only_what_is_behind_the_start_of_the_log_skips_to_it() {
    let mut before = marked(Some(at(9)));
    before.gaps.accept(Gap { from: Offset(2), to: Offset(5), kind: GapKind::Deleted, accepted: TimeMs(1) });
    let of = surveyed(&[marked(Some(at(7))), before], (12, 20), gap(12));
    let [step] = accept(&of, None, NOW).expect("a gap").try_into().expect("one step");
    assert_eq!(step.iter().map(|change| change.bucket.index()).collect::<Vec<_>>(), [0, 1]);
    assert_eq!(told(&step[0]), [at(7).to_string().as_str(), "12 - -", "7..12 deleted 5"]);
    assert_eq!(told(&step[1])[2], "2..5 deleted 1, 9..12 deleted 5");
}

#[test]
fn another_log_is_gone_on_with_only_after_every_watermark_of_the_earlier_one_is_gone() {
    let of = surveyed(&[marked(Some(at(7)))], (3, 20), changed());
    for (resume, offset) in [(Resume::Start, 3), (Resume::End, 20), (Resume::At(Offset(9)), 9)] {
        let [park, place] = accept(&of, Some(resume), NOW).expect("a plan").try_into().expect("two steps");
        assert_eq!((park.len(), place.len()), (64, 64));
        let (to, gaps) = (format!("parked {offset} - -"), format!("7..{offset} replaced 5"));
        assert_eq!(told(&park[0]), [at(7).to_string(), to, gaps]);
        assert_eq!(told(&place[0]), ["none".to_owned(), format!("{offset} - -"), String::new()]);
    }
}

#[test]
fn what_was_interrupted_is_ended_as_it_was_begun() {
    let parked = PartitionState { resume: Some(Position::accepted(Offset(3))), ..marked(None) };
    let placed = marked(Some(Position::accepted(Offset(3))));
    let unfinished = Err(Failure::Unfinished { partition: partition() });
    let of = surveyed(&[parked, placed], (3, 20), unfinished);
    let [park, place] = accept(&of, None, NOW).expect("a plan").try_into().expect("two steps");
    let buckets = |step: &[Change]| step.iter().map(|change| change.bucket.index()).collect::<Vec<_>>();
    assert_eq!(buckets(&park), (2..64).collect::<Vec<_>>());
    assert_eq!(buckets(&place), std::iter::once(0).chain(2..64).collect::<Vec<_>>());
}

#[track_caller]
fn refuses(of: &Surveyed, resume: Option<Resume>, why: &str) {
    let refused = accept(of, resume, NOW).expect_err("nothing to accept").to_string();
    assert!(refused.contains(why), "{refused}");
}

#[test]
fn there_is_nothing_to_accept_where_there_is_no_gap_or_another_one() {
    refuses(&surveyed(&[], (0, 20), Ok(Offset(11))), None, "there is no gap in the log of t:0");
    refuses(&surveyed(&[], (0, 20), Ok(Offset(11))), Some(Resume::Start), "there is no gap in the log of t:0");
    refuses(&surveyed(&[], (13, 20), gap(13)), Some(Resume::Start), "leave out --resume-at");
    refuses(&surveyed(&[], (0, 20), changed()), None, "accept-gap t:0 --resume-at start");
    refuses(&surveyed(&[], (3, 20), changed()), Some(Resume::At(Offset(2))), "has the offsets from 3 to 20");
    refuses(&surveyed(&[], (3, 20), changed()), Some(Resume::At(Offset(21))), "has the offsets from 3 to 20");
    let lost = Err(Failure::StateLost { partition: partition(), missing: 64, evidence: String::new() });
    refuses(&surveyed(&[], (3, 20), lost), None, "`indelible offsets bootstrap`");
}

#[test]
fn a_place_to_resume_at_is_read() {
    for (text, resume) in [("start", Resume::Start), ("end", Resume::End), ("7", Resume::At(Offset(7)))] {
        assert_eq!(text.parse(), Ok(resume));
    }
    for text in ["", "begin", "-1", "1.5"] {
        assert_eq!(text.parse::<Resume>(), Err(ResumeFault));
    }
}
