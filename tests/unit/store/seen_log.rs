use proptest::prelude::*;

use super::*;
use crate::domain::calendar::TimeMs;

fn entry(id: i64, content: i64) -> Entry {
    Entry::of(&SeenId { at: TimeMs(0), id, content })
}

#[test]
fn an_entry_is_stored_in_twelve_bytes() {
    let stored = entry(0x0807_0605_0403_0201, 0x7777_7777_0c0b_0a09).bytes();
    assert_eq!(stored, [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]);
    assert_eq!(size_of::<Entry>(), ENTRY_BYTES);
}

#[test]
fn logs_are_read_back() {
    let mut extent = Extent::default();
    extent.push(entry(1, 2));
    let text = text(Generation(20781), extent);
    let logs: Logs = format!("-3:0:0000000000000000 {text}").parse().expect("logs");
    assert_eq!(logs.extent(Generation(20781)), extent);
    assert_eq!(logs.within(20780..=20782).collect::<Vec<_>>(), [(Generation(20781), extent)]);
    assert_eq!(logs.extent(Generation(1)), Extent::default());
    assert_eq!(expired(&text), Some(Expired { generation: Generation(20781), chunks: 1, first: 0 }));
    for damaged in ["20781", "20781:1", "20781:1:x", "20781:-1:00", "20781:1:00:00"] {
        assert_eq!(damaged.parse::<Logs>(), Err(LogsFault), "{damaged}");
    }
}

#[test]
fn a_digest_is_of_the_entries_and_of_their_order() {
    let of = |entries: &[Entry]| {
        let mut extent = Extent::default();
        entries.iter().for_each(|entry| extent.push(*entry));
        extent
    };
    let (a, b, c) = (entry(1, 1), entry(2, 1), entry(1, 2));
    let all = [of(&[a, b]), of(&[b, a]), of(&[c, b]), of(&[a]), of(&[])];
    for (index, one) in all.iter().enumerate() {
        assert!(all[index + 1..].iter().all(|other| one != other));
    }
}

proptest! {
    #[test]
    fn pieces_are_all_of_a_stretch_in_order(start in 0..3 * CHUNK_IDS, count in 0..3 * CHUNK_IDS) {
        let mut next = start;
        for Piece { chunk, bytes } in pieces(start..start + count) {
            let at = |byte: usize| chunk * CHUNK_IDS + (byte / ENTRY_BYTES) as u64;
            prop_assert_eq!(at(bytes.start), next);
            prop_assert!(!bytes.is_empty() && bytes.end <= CHUNK_IDS as usize * ENTRY_BYTES);
            next = at(bytes.end);
        }
        prop_assert_eq!(next, start + count);
    }

    #[test]
    fn entries_are_read_back(ids in proptest::collection::vec((any::<i64>(), any::<i64>()), 0..20)) {
        let entries: Vec<_> = ids.iter().map(|(id, content)| entry(*id, *content)).collect();
        let bytes: Vec<u8> = entries.iter().flat_map(|entry| entry.bytes()).collect();
        prop_assert_eq!(read_entries(&bytes), Some(entries));
        prop_assert_eq!(read_entries(&[&bytes[..], b"x"].concat()), None);
    }
}
