use super::*;

#[test]
fn months_are_read_and_written() {
    for good in ["2026-11", "2026-01", "0000-12", "9999-12"] {
        assert_eq!(good.parse::<Month>().map(|m| m.to_string()), Ok(good.to_owned()));
    }
    for bad in ["", "2026", "2026-1", "2026-13", "2026-00", "26-11", "2026-11-01", "+026-11", "2026/11", "٢٠٢٦-11"]
    {
        assert_eq!(bad.parse::<Month>(), Err(MonthFault), "{bad}");
    }
}

#[test]
fn a_year_ends_in_december() {
    let month: Month = "2026-12".parse().expect("a month");
    assert_eq!(month.next().to_string(), "2027-01");
    assert_eq!(month.plus(-12).to_string(), "2025-12");
    assert_eq!(month.plus(-23).to_string(), "2025-01");
    assert_eq!(month.next().start().to_rfc3339(), "2027-01-01T00:00:00+00:00");
}

#[test]
fn the_month_is_that_of_utc() {
    let time = DateTime::parse_from_rfc3339("2026-12-01T00:30:00+01:00").expect("a time");
    assert_eq!(Month::of(time.to_utc()).to_string(), "2026-11");
}
