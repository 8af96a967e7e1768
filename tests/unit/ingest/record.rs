use super::*;

fn record(key: Option<&[u8]>, value: Option<&[u8]>) -> Record {
    let mut chunk = Chunk::default();
    let headers = [("a", Some(&b"1"[..])), ("b", None)];
    chunk.push(("t", 0), Offset(7), Some(TimeMs(9)), key, value, headers.into_iter());
    Record { chunk: Arc::new(chunk), index: 0 }
}

#[test]
fn a_record_is_what_was_pushed() {
    let record = record(Some(b"k"), None);
    assert_eq!((record.key(), record.value(), record.offset()), (Some(&b"k"[..]), None, Offset(7)));
    assert_eq!(record.headers().collect::<Vec<_>>(), [("a", Some(&b"1"[..])), ("b", None)]);
    assert_eq!(record.size(), 4);
}

#[test]
fn a_fingerprint_tells_key_from_value_and_missing_from_empty() {
    let all = [
        record(Some(b"ab"), Some(b"c")),
        record(Some(b"a"), Some(b"bc")),
        record(None, Some(b"abc")),
        record(Some(b""), Some(b"abc")),
        record(Some(b"abc"), None),
        record(Some(b"abc"), Some(b"")),
    ];
    let hashes: std::collections::BTreeSet<_> = all.iter().map(|record| record.fingerprint().hash).collect();
    assert_eq!(hashes.len(), all.len());
}
