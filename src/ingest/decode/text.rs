//! The value as text: there, not too long, UTF-8, not nested too deep. Checked before any JSON is read.

use super::reason::{Reason, Reject};
use super::{MAX_DEPTH, MAX_RECORD_BYTES};

/// The record's value, if it has one of a size that we read.
pub(super) fn value(value: Option<&[u8]>) -> Result<&[u8], Reject> {
    let Some(value) = value else {
        let detail = "the record has no value; a tombstone counts nothing, send ai.output.deleted.v1 to delete";
        return Err(Reject::new(Reason::NullValue, detail));
    };
    if value.len() > MAX_RECORD_BYTES {
        let detail = format!("the value has {} bytes; send at most {MAX_RECORD_BYTES}", value.len());
        return Err(Reject::new(Reason::TooLarge, detail));
    }
    Ok(value)
}

/// The value as text of bounded depth; still to be shown to be JSON.
pub(super) fn text(value: &[u8]) -> Result<&str, Reject> {
    let text = std::str::from_utf8(value).map_err(|fault| {
        let detail = format!("the value is not UTF-8 at byte {}; send UTF-8", fault.valid_up_to());
        Reject::new(Reason::NotUtf8, detail)
    })?;
    if nests_too_deep(value) {
        let detail = format!("the value nests more than {MAX_DEPTH} objects or arrays; send flat data");
        return Err(Reject::new(Reason::TooDeep, detail));
    }
    Ok(text)
}

fn nests_too_deep(json: &[u8]) -> bool {
    // Without that many openings there is no such depth; the count is cheap and settles nearly every record.
    count_openings(json) > MAX_DEPTH && depth(json) > MAX_DEPTH
}

/// How many `[` and `{` there are, in strings or not.
fn count_openings(json: &[u8]) -> usize {
    // The two differ in one bit. Sums of bytes over short chunks let the compiler use vector instructions.
    let openings = |chunk: &[u8]| chunk.iter().map(|b| u8::from(b | 0x20 == b'{')).sum::<u8>();
    json.chunks(255).map(|chunk| usize::from(openings(chunk))).sum()
}

/// How deep objects and arrays nest, outside strings. Of a text that is not JSON, any number.
fn depth(json: &[u8]) -> usize {
    let (mut depth, mut deepest) = (0_usize, 0);
    let mut bytes = json.iter();
    while let Some(byte) = bytes.next() {
        match byte {
            b'[' | b'{' => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            b']' | b'}' => depth = depth.saturating_sub(1),
            b'"' => skip_string(&mut bytes),
            _ => {}
        }
    }
    deepest
}

fn skip_string(bytes: &mut std::slice::Iter<'_, u8>) {
    while let Some(byte) = bytes.next() {
        match byte {
            b'"' => return,
            b'\\' => {
                bytes.next();
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(bytes: &[u8], expected: Option<Reason>) {
        let found = value(Some(bytes)).and_then(text).err().map(|reject| reject.reason);
        assert_eq!(found, expected);
    }

    #[test]
    fn a_record_has_a_value_of_bounded_size() {
        assert_eq!(value(None).err().map(|reject| reject.reason), Some(Reason::NullValue));
        check(&vec![b' '; MAX_RECORD_BYTES], None);
        check(&vec![b' '; MAX_RECORD_BYTES + 1], Some(Reason::TooLarge));
    }

    #[test]
    fn the_value_is_utf_8() {
        check("日本".as_bytes(), None);
        check(b"\"\xff\"", Some(Reason::NotUtf8));
        check(b"\xed\xa0\x80", Some(Reason::NotUtf8));
        check(b"\xc0\x80", Some(Reason::NotUtf8));
    }

    #[test]
    fn depth_is_bounded_outside_strings() {
        check("[".repeat(64).as_bytes(), None);
        check("[".repeat(65).as_bytes(), Some(Reason::TooDeep));
        check(r#"{"a":"#.repeat(65).as_bytes(), Some(Reason::TooDeep));
        check("[{".repeat(33).as_bytes(), Some(Reason::TooDeep));
        check("[],{},".repeat(1000).as_bytes(), None);
        check(format!("[\"{}\"]", "[".repeat(1000)).as_bytes(), None);
        check(format!("[\"\\\"{}\"]", "{".repeat(1000)).as_bytes(), None);
        check(format!("[\"\\\\\"{}", "{".repeat(1000)).as_bytes(), Some(Reason::TooDeep));
    }

    #[test]
    fn openings_are_counted_over_chunks() {
        assert_eq!(count_openings("[{".repeat(1000).as_bytes()), 2000);
        assert_eq!(count_openings("]};".repeat(1000).as_bytes()), 0);
    }
}
