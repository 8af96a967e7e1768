//! Names that come again and again share a text: it is held, hashed and compared where the processor has it at hand.
//!
//! Of each thread its own, and of bounded size. It changes nothing but where a text lies.

use std::cell::RefCell;
use std::sync::Arc;

use xxhash_rust::xxh3::xxh3_64;

/// Texts that a thread holds: each in the one place that its hash names, until another comes there.
const PLACES: usize = 1024;
/// Uses of a text until it is made anew. Those who use it count so in one word of memory; a thread that takes some and
/// another that has done with them would take that word from each other all the time.
const USES: u32 = 1024;

struct Place {
    text: Arc<str>,
    uses: u32,
}

thread_local! {
    static PLACES_OF_THREAD: RefCell<Vec<Option<Place>>> = RefCell::new((0..PLACES).map(|_| None).collect());
}

/// The text as others hold it, or as `make` makes it.
///
/// # Errors
/// Those of `make`.
pub(super) fn recurring<E>(text: &str, make: impl FnOnce() -> Result<Arc<str>, E>) -> Result<Arc<str>, E> {
    PLACES_OF_THREAD.with_borrow_mut(|places| {
        let place = &mut places[xxh3_64(text.as_bytes()) as usize % PLACES];
        if let Some(Place { text: held, uses }) = place
            && **held == *text
            && *uses > 0
        {
            *uses -= 1;
            return Ok(Arc::clone(held));
        }
        let text = make()?;
        *place = Some(Place { text: Arc::clone(&text), uses: USES });
        Ok(text)
    })
}

#[cfg(test)]
#[path = "../../tests/unit/domain/recurring.rs"]
mod tests;
