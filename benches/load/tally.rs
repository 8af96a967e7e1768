//! What was sent, and so what must be counted.

/// Sums over all records of a topic.
#[derive(Debug, Clone, Default)]
pub(crate) struct Tally {
    pub(crate) records: u64,
    /// Of the records, those that had been sent before.
    pub(crate) repeated: u64,
    pub(crate) requests: u64,
    pub(crate) tokens_in: u64,
    pub(crate) tokens_out: u64,
    /// Saved, and not deleted.
    pub(crate) outputs: u64,
    /// Requests by the user's number.
    pub(crate) by_user: Vec<u32>,
}

impl Tally {
    /// Records that each add something.
    pub(crate) fn counted(&self) -> u64 {
        self.records - self.repeated
    }

    pub(crate) fn users(&self) -> u64 {
        self.by_user.iter().filter(|requests| **requests > 0).count() as u64
    }

    pub(crate) fn request(&mut self, user: u64, tokens_in: u64, tokens_out: u64) {
        self.records += 1;
        self.requests += 1;
        self.tokens_in += tokens_in;
        self.tokens_out += tokens_out;
        let user = user as usize;
        if self.by_user.len() <= user {
            self.by_user.resize(user + 1, 0);
        }
        self.by_user[user] += 1;
    }

    /// What came after an earlier one.
    pub(crate) fn since(&self, earlier: &Self) -> Self {
        let before = earlier.by_user.iter().copied().chain(std::iter::repeat(0));
        Self {
            records: self.records - earlier.records,
            repeated: self.repeated - earlier.repeated,
            requests: self.requests - earlier.requests,
            tokens_in: self.tokens_in - earlier.tokens_in,
            tokens_out: self.tokens_out - earlier.tokens_out,
            by_user: self.by_user.iter().zip(before).map(|(now, before)| now - before).collect(),
            // Outputs of before may have been deleted since.
            outputs: self.outputs.saturating_sub(earlier.outputs),
        }
    }
}
