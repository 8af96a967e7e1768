use super::*;

#[test]
fn tiers_are_read_back() {
    let text = "20781:0 20781:1 20780:0 20782:4 -1:0";
    let tiers: Tiers = text.parse().expect("tiers");
    assert_eq!(tiers.to_string(), text);
    assert_eq!(tiers.open(Generation(20781)), Tier::new(1));
    assert_eq!(tiers.open(Generation(20779)), None);
    assert_eq!(tiers.latest(), Some((Generation(20782), vec![Tier::LARGEST])));
    assert_eq!(tiers.within(20780..=20781).count(), 3);
    assert_eq!("".parse(), Ok(Tiers::default()));
    assert!(["x", "1", "1:5", "1:-1", "1:0:0", "x:0"].iter().all(|text| text.parse::<Tiers>().is_err()));
}
