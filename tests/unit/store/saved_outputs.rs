use super::*;

#[test]
fn counts_are_told_by_their_fields() {
    let kind = |text: &str| OutputKind::new(text).expect("an id");
    assert_eq!(SavedCount::read("kinds"), Some(SavedCount::Kinds));
    assert_eq!(SavedCount::read("kinds:created"), Some(SavedCount::Created(kind("kinds"))));
    assert_eq!(SavedCount::read("a%3Ab:deleted"), Some(SavedCount::Deleted(kind("a:b"))));
    let month = "2026-11".parse().expect("a month");
    assert_eq!(SavedCount::read("website:2026-11"), Some(SavedCount::Net(kind("website"), month)));
    for none in ["", "website", "website:", "website:2026-13", ":created", "%FF:created", "a:b:created"] {
        assert_eq!(SavedCount::read(none), None, "{none}");
    }
}

#[test]
fn tombstones_are_told_by_their_members() {
    let read = Tombstone::read("early:acme:a%3Ab:website:x%20y").expect("a tombstone");
    assert_eq!((read.early, read.user.as_str(), read.id.as_str()), (true, "a:b", "x y"));
    assert!(!Tombstone::read("deleted:acme:alice:website:1").expect("a tombstone").early);
    for none in
        ["", "deleted", "deleted:a:b:c", "deleted:a:b:c:d:e", "late:a:b:c:d", "deleted:a::c:d", "deleted:a:%FF:c:d"]
    {
        assert_eq!(Tombstone::read(none), None, "{none}");
    }
}
