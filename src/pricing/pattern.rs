//! A model's name with `*` in it.

/// `*`, at the end or anywhere, stands for any text, also for none; all else for itself, byte for byte.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Pattern {
    text: Box<str>,
    /// What stands between the stars; the first and the last may be empty.
    parts: Vec<Box<str>>,
}

impl Pattern {
    /// None for a name without a star.
    pub(super) fn new(text: &str) -> Option<Self> {
        text.contains('*').then(|| Self { text: text.into(), parts: text.split('*').map(Into::into).collect() })
    }

    pub(super) fn as_str(&self) -> &str {
        &self.text
    }

    /// Bytes that are not stars: how much it says of a name.
    pub(super) fn length(&self) -> usize {
        self.parts.iter().map(|part| part.len()).sum()
    }

    /// The first byte of every name that matches; none where the pattern begins with a star.
    pub(super) fn start(&self) -> Option<u8> {
        self.text.bytes().next().filter(|byte| *byte != b'*')
    }

    pub(super) fn matches(&self, name: &str) -> bool {
        let [first, middle @ .., last] = self.parts.as_slice() else { return false };
        let Some(rest) = name.strip_prefix(&**first) else { return false };
        let Some(mut rest) = rest.strip_suffix(&**last) else { return false };
        // The leftmost place of each leaves the most for those after it.
        middle.iter().all(|part| match rest.split_once(&**part) {
            Some((_, after)) => {
                rest = after;
                true
            }
            None => false,
        })
    }
}
