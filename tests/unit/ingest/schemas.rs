use super::*;

#[test]
fn a_schema_is_found_by_its_name() {
    for (name, text) in ALL {
        assert_eq!(get(name), Some(text));
        assert!(text.contains(&format!("\"$id\": \"urn:indelible:schema:{name}\"")), "{name}");
    }
    assert_eq!(get("ai.usage.recorded.v2"), None);
}
