//! The quick way through a record's value: one pass over its text, in which the fields of its `data` are found too.
//!
//! Nearly every record is read here. Whatever is out of the ordinary is left to serde_json, which knows all of JSON and
//! words the faults: what is not JSON or nests too deep, a field that stands twice, a name with an escape. So this must
//! take nothing that serde_json does not take, and find the same in it; that it leaves something costs time alone.

use std::borrow::Cow;

use super::MAX_DEPTH;
use super::fields::Fields;

/// A record's value.
#[derive(Debug)]
pub(super) struct Object<'a> {
    pub(super) fields: Fields<'a>,
    /// Those of its `data`, where that is an object and they were found on the way.
    pub(super) data: Option<Fields<'a>>,
}

impl<'a> Object<'a> {
    pub(super) const EMPTY: Self = Self { fields: Fields::NONE, data: None };

    /// Reads a JSON object into this one, which is empty; none where serde_json is to do it.
    pub(super) fn scan(&mut self, text: &'a str) -> Option<()> {
        let mut scan = Scan::new(text);
        scan.expect(b'{')?;
        scan.fields(&mut self.fields, Some(&mut self.data))?;
        self.fields.is_plain = scan.is_plain;
        if let Some(data) = &mut self.data {
            data.is_plain = scan.is_plain;
        }
        // Nothing comes after it.
        scan.token().is_none().then_some(())
    }
}

/// The entries of an object in their order, each with the text of its value. None where serde_json is to read it.
pub(super) fn entries(object: &str) -> Option<Vec<(Cow<'_, str>, &str)>> {
    let mut scan = Scan::new(object);
    let mut all = Vec::with_capacity(8);
    scan.expect(b'{')?;
    scan.entries(|scan, name, first| {
        all.push((Cow::Borrowed(name), scan.value(first, MAX_DEPTH)?));
        Some(())
    })?;
    Some(all)
}

/// A place in a text. Each method moves it past what it names, or answers none where that is not there.
struct Scan<'a> {
    text: &'a str,
    at: usize,
    /// No escape stands in it, and no control character: no string need be searched for them.
    is_plain: bool,
}

impl<'a> Scan<'a> {
    fn new(text: &'a str) -> Self {
        Self { text, at: 0, is_plain: is_plain(text) }
    }

    /// The rest of an object: a record's value, or its data, which has no data.
    fn fields(&mut self, fields: &mut Fields<'a>, mut data: Option<&mut Option<Fields<'a>>>) -> Option<()> {
        self.entries(|scan, name, first| {
            let Some((name, place)) = fields.place(name) else {
                return scan.value(first, MAX_DEPTH - 2).map(drop);
            };
            let value = match &mut data {
                Some(data) if first == b'{' && name == "data" => {
                    let start = scan.at - 1;
                    scan.fields(data.insert(Fields::NONE), None)?;
                    scan.since(start)?
                }
                _ => scan.value(first, MAX_DEPTH - 2)?,
            };
            place.replace(value).is_none().then_some(())
        })
    }

    /// The rest of an object without escapes in its names. A reader is given each, and its value's first byte, and has
    /// to move past the rest of that.
    fn entries(&mut self, mut read: impl FnMut(&mut Self, &'a str, u8) -> Option<()>) -> Option<()> {
        let mut token = self.token()?;
        if token == b'}' {
            return Some(());
        }
        loop {
            let name = if token == b'"' { self.string()? } else { return None };
            if !self.is_plain && name.contains('\\') {
                return None;
            }
            self.expect(b':')?;
            let first = self.token()?;
            read(self, name, first)?;
            match self.token()? {
                b',' => token = self.token()?,
                b'}' => return Some(()),
                _ => return None,
            }
        }
    }

    /// The rest of a value of any kind, in which objects and arrays nest at most so deep; all of its text.
    fn value(&mut self, first: u8, depth: usize) -> Option<&'a str> {
        let start = self.at - 1;
        match first {
            b'"' => drop(self.string()?),
            b'0'..=b'9' => self.number(first)?,
            b'-' => {
                let first = self.next()?;
                self.number(first)?;
            }
            b'{' => {
                let depth = depth.checked_sub(1)?;
                self.entries(|scan, _, first| scan.value(first, depth).map(drop))?;
            }
            b'[' => self.elements(depth.checked_sub(1)?)?,
            b'n' => self.literal("ull")?,
            b't' => self.literal("rue")?,
            b'f' => self.literal("alse")?,
            _ => return None,
        }
        self.since(start)
    }

    /// The rest of an array.
    fn elements(&mut self, depth: usize) -> Option<()> {
        let mut first = self.token()?;
        if first == b']' {
            return Some(());
        }
        loop {
            self.value(first, depth)?;
            match self.token()? {
                b',' => first = self.token()?,
                b']' => return Some(()),
                _ => return None,
            }
        }
    }

    /// The rest of a string, as it stands between its quotes.
    #[inline]
    fn string(&mut self) -> Option<&'a str> {
        let rest = self.text.get(self.at..)?;
        let string = rest.get(..quote(rest.as_bytes())?)?;
        if !self.is_plain && !is_plain(string) {
            return self.escaped();
        }
        self.at += string.len() + 1;
        Some(string)
    }

    /// The same of a string with escapes, which may be halves of characters.
    #[cold]
    fn escaped(&mut self) -> Option<&'a str> {
        let start = self.at;
        loop {
            match self.next()? {
                b'"' => return self.text.get(start..self.at - 1),
                b'\\' => match self.next()? {
                    b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => {}
                    b'u' if (0..4).all(|_| self.next().is_some_and(|digit| digit.is_ascii_hexdigit())) => {}
                    _ => return None,
                },
                0..=0x1f => return None,
                _ => {}
            }
        }
    }

    /// The rest of a number after its first digit.
    fn number(&mut self, first: u8) -> Option<()> {
        match first {
            b'0' => {}
            b'1'..=b'9' => self.skip_digits(),
            _ => return None,
        }
        if self.take(b'.') {
            self.digits()?;
        }
        if self.take(b'e') || self.take(b'E') {
            let _ = self.take(b'+') || self.take(b'-');
            self.digits()?;
        }
        Some(())
    }

    fn digits(&mut self) -> Option<()> {
        let start = self.at;
        self.skip_digits();
        (self.at > start).then_some(())
    }

    fn skip_digits(&mut self) {
        let rest = self.text.as_bytes().get(self.at..).unwrap_or_default();
        self.at += rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
    }

    /// The next byte that is not white space.
    fn token(&mut self) -> Option<u8> {
        loop {
            let byte = self.next()?;
            if !matches!(byte, b' ' | b'\n' | b'\r' | b'\t') {
                return Some(byte);
            }
        }
    }

    fn expect(&mut self, token: u8) -> Option<()> {
        (self.token()? == token).then_some(())
    }

    fn literal(&mut self, rest: &str) -> Option<()> {
        let read = self.text.as_bytes().get(self.at..self.at + rest.len())?;
        self.at += rest.len();
        (read == rest.as_bytes()).then_some(())
    }

    fn take(&mut self, byte: u8) -> bool {
        let is_next = self.peek() == Some(byte);
        self.at += usize::from(is_next);
        is_next
    }

    fn next(&mut self) -> Option<u8> {
        let byte = self.peek()?;
        self.at += 1;
        Some(byte)
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn since(&self, start: usize) -> Option<&'a str> {
        self.text.get(start..self.at)
    }
}

/// Without escapes, and without characters that a string must escape.
fn is_plain(text: &str) -> bool {
    // To the end in any case: so the compiler can look at many bytes at once.
    text.bytes().fold(true, |all, byte| all & (byte != b'\\') & (byte >= b' '))
}

/// Where the first quote stands. Names and texts are too short for a search that has to be called and set up.
#[inline]
fn quote(bytes: &[u8]) -> Option<usize> {
    let (words, rest) = bytes.as_chunks();
    for (number, word) in words.iter().enumerate() {
        let word = u64::from_le_bytes(*word) ^ each(b'"');
        // The high bit of the lowest byte that is 0, and perhaps of bytes above it.
        let zeros = word.wrapping_sub(each(1)) & !word & each(0x80);
        if zeros != 0 {
            return Some(number * 8 + zeros.trailing_zeros() as usize / 8);
        }
    }
    rest.iter().position(|byte| *byte == b'"').map(|at| bytes.len() - rest.len() + at)
}

const fn each(byte: u8) -> u64 {
    u64::from_ne_bytes([byte; 8])
}
