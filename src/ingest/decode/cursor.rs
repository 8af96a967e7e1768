//! The grammar of JSON: what stands at a place of a text, and where it ends. Builds no values.
//!
//! It leaves some of JSON to serde_json, see `scan.rs`, and takes nothing that is none.

/// A place in a text. Each method moves it past what it names, or answers none where that is not there.
pub(super) struct Cursor<'a> {
    text: &'a str,
    pub(super) at: usize,
    /// No escape stands in it, and no control character: no string need be searched for them.
    pub(super) is_plain: bool,
}

impl<'a> Cursor<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        Self { text, at: 0, is_plain: is_plain(text) }
    }

    /// The rest of an object without escapes in its names. A reader is given each, and its value's first byte, and has
    /// to move past the rest of that.
    pub(super) fn entries(&mut self, mut read: impl FnMut(&mut Self, &'a str, u8) -> Option<()>) -> Option<()> {
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
    pub(super) fn value(&mut self, first: u8, depth: usize) -> Option<&'a str> {
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
                self.entries(|cursor, _, first| cursor.value(first, depth).map(drop))?;
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
        if !matches!(self.peek(), Some(b'.' | b'e' | b'E')) {
            return Some(());
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
    pub(super) fn token(&mut self) -> Option<u8> {
        loop {
            let byte = self.next()?;
            if !matches!(byte, b' ' | b'\n' | b'\r' | b'\t') {
                return Some(byte);
            }
        }
    }

    pub(super) fn expect(&mut self, token: u8) -> Option<()> {
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

    pub(super) fn since(&self, start: usize) -> Option<&'a str> {
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
