//! Requests to Redis as they lie in a stream of bytes: where one ends, and which must stay together.

/// Cuts what one connection sends into whole requests.
#[derive(Debug, Default)]
pub(crate) struct Requests {
    /// The beginning of one whose end has not come yet, and, within a transaction, all of it so far.
    bytes: Vec<u8>,
    /// Up to here, `bytes` holds whole requests of a transaction that is not over.
    held: usize,
    transaction: bool,
}

impl Requests {
    /// Takes more of the stream, and gives what is whole by now: requests, one after the other, and how many. A
    /// transaction comes as a whole: another connection's requests must not get into it.
    pub(crate) fn take(&mut self, more: &[u8]) -> (Vec<u8>, u64) {
        self.bytes.extend_from_slice(more);
        let (mut given, mut count, mut waiting) = (0, 0, 0);
        while let Some(request) = first(&self.bytes[self.held..]) {
            self.transaction = match request.name {
                b"MULTI" => true,
                b"EXEC" | b"DISCARD" => false,
                _ => self.transaction,
            };
            self.held += request.length;
            waiting += 1;
            if !self.transaction {
                (given, count, waiting) = (self.held, count + waiting, 0);
            }
        }
        let rest = self.bytes.split_off(given);
        self.held -= given;
        (std::mem::replace(&mut self.bytes, rest), count)
    }
}

struct First<'a> {
    length: usize,
    name: &'a [u8],
}

/// The request at the beginning, if its end is there: an array of strings, each with its length before it.
fn first(bytes: &[u8]) -> Option<First<'_>> {
    let (parts, mut at) = number(bytes, b'*', 0)?;
    let mut name = None;
    for _ in 0..parts {
        let (length, start) = number(bytes, b'$', at)?;
        at = start + length + 2;
        if at > bytes.len() {
            return None;
        }
        name.get_or_insert(&bytes[start..start + length]);
    }
    Some(First { length: at, name: name.unwrap_or_default() })
}

/// The number on the line that begins here with `sign`, and where the next line begins.
fn number(bytes: &[u8], sign: u8, at: usize) -> Option<(usize, usize)> {
    let line = &bytes[at..];
    let end = line.iter().position(|byte| *byte == b'\n')?;
    assert_eq!(line[0], sign, "not a request of Redis's protocol");
    let digits = str::from_utf8(&line[1..end - 1]).expect("digits");
    Some((digits.parse().expect("a number"), at + end + 1))
}
