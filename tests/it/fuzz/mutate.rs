//! Small changes by chance.

use rand::Rng;
use rand::rngs::StdRng;

/// What means something to one of the readers.
const TOKENS: [&str; 30] = [
    "\"",
    "\\",
    "{",
    "}",
    "[",
    "]",
    ":",
    ",",
    "null",
    "true",
    "-1",
    "0",
    "1e400",
    "0.1",
    "9223372036854775807",
    "9223372036854775808",
    "\\u0000",
    "\\ud800",
    "\u{0}",
    "\u{2028}",
    "%",
    "%2F",
    "&",
    "=",
    "?",
    "/",
    "..",
    "\n",
    "2026-02-30T25:61:61Z",
    "\u{1F600}",
];

/// One to eight changes of `input`, some with pieces of `other`.
pub(super) fn mutate(rng: &mut StdRng, mut input: Vec<u8>, other: &[u8]) -> Vec<u8> {
    for _ in 0..rng.random_range(1..=8) {
        let at = rng.random_range(0..=input.len());
        let end = (at + rng.random_range(0..=16)).min(input.len());
        match rng.random_range(0..7) {
            0 => drop(input.drain(at..end)),
            1 => input.insert(at, rng.random()),
            2 => input.get_mut(at).into_iter().for_each(|byte| *byte ^= 1 << rng.random_range(0..8)),
            3 => {
                let token = TOKENS[rng.random_range(0..TOKENS.len())];
                input.splice(at..end.min(at + rng.random_range(0..=4)), token.bytes());
            }
            4 => {
                let again = input[at..end].to_vec();
                input.splice(at..at, again);
            }
            5 if !other.is_empty() => {
                let from = rng.random_range(0..other.len());
                let to = (from + rng.random_range(1..=64)).min(other.len());
                input.splice(at..end, other[from..to].iter().copied());
            }
            _ => {
                // A number becomes another one.
                let digit = input[at..].iter().position(u8::is_ascii_digit);
                digit.into_iter().for_each(|index| input[at + index] = rng.random_range(b'0'..=b'9'));
            }
        }
    }
    input
}
