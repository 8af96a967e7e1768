//! Where the issuers' keys come from, and when they are read again: at intervals, on SIGHUP, and when a token names a key
//! that is not known, which is how a rotation shows. The last is bounded: whatever strangers send, one read in
//! [`PAUSE`], and everyone waits for the same one.

use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use hyper::Uri;
use tokio::sync::Mutex;

use super::fetch::Fetch;
use super::key_set::KeySet;

/// Between two reads that unknown keys ask for.
const PAUSE: Duration = Duration::from_secs(10);
/// Between two reads that nobody asks for: a key that was withdrawn is refused after at most so long.
const INTERVAL: Duration = Duration::from_secs(300);
/// The largest key set, in bytes.
const MAX_BYTES: usize = 256 << 10;

/// Where keys are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeyPlace {
    /// A file with a JSON Web Key Set.
    JwksFile(PathBuf),
    /// An http or https URL of one.
    JwksUrl(Uri),
    /// A file with one public key.
    PemFile(PathBuf),
}

/// The keys as they were last read.
pub(super) struct KeySource {
    place: KeyPlace,
    fetch: Option<Fetch>,
    keys: ArcSwap<KeySet>,
    /// When they were last read, well or not. Held while they are.
    last: Mutex<Option<Instant>>,
}

impl KeySource {
    /// With the keys of a file; those of a URL come later.
    ///
    /// # Errors
    /// A sentence: the file has none, or the URL is https and the system trusts nobody.
    pub(super) fn new(place: KeyPlace) -> Result<Self, String> {
        let (fetch, keys) = match &place {
            KeyPlace::JwksUrl(uri) => {
                (Some(Fetch::new(uri.clone()).map_err(|error| format!("{error:#}"))?), KeySet::default())
            }
            KeyPlace::JwksFile(path) => (None, jwks_file(path)?),
            KeyPlace::PemFile(path) => (None, pem_file(path)?),
        };
        Ok(Self { place, fetch, keys: ArcSwap::from_pointee(keys), last: Mutex::new(None) })
    }

    pub(super) fn keys(&self) -> Arc<KeySet> {
        self.keys.load_full()
    }

    /// How long until they should be read again, whoever asks.
    pub(super) fn pause(&self) -> Duration {
        if self.keys.load().is_empty() { PAUSE } else { INTERVAL }
    }

    /// Reads them now. What was known stays where that fails.
    ///
    /// # Errors
    /// A sentence.
    pub(super) async fn read(&self, now: Instant) -> Result<(), String> {
        let mut last = self.last.lock().await;
        self.read_held(&mut last, now).await
    }

    /// Reads them if that has not just been done: for a token whose key is not known.
    pub(super) async fn read_if_due(&self, now: impl Fn() -> Instant) {
        let mut last = self.last.lock().await;
        // Who waited for the lock finds what the other one has read.
        if last.is_some_and(|last| now().saturating_duration_since(last) < PAUSE) {
            return;
        }
        if let Err(why) = self.read_held(&mut last, now()).await {
            tracing::warn!(why, "the keys of tokens can't be read again; those known stay");
        }
    }

    async fn read_held(&self, last: &mut Option<Instant>, now: Instant) -> Result<(), String> {
        *last = Some(now);
        let keys = match (&self.place, &self.fetch) {
            (KeyPlace::JwksFile(path), _) => jwks_file(path)?,
            (KeyPlace::PemFile(path), _) => pem_file(path)?,
            (KeyPlace::JwksUrl(uri), fetch) => {
                // Never the query, which may hold a secret.
                let named = |why| format!("{}{}: {why}", uri.authority().map_or("", |at| at.as_str()), uri.path());
                let text = match fetch {
                    Some(fetch) => fetch.get(MAX_BYTES).await.map_err(named)?,
                    None => return Err(named("there is no way to it".to_owned())),
                };
                KeySet::of_jwks(&text).map_err(named)?
            }
        };
        tracing::debug!(keys = keys.len(), "read the keys of tokens");
        self.keys.store(Arc::new(keys));
        Ok(())
    }
}

fn jwks_file(path: &Path) -> Result<KeySet, String> {
    KeySet::of_jwks(&read_file(path)?).map_err(|why| format!("{}: {why}", path.display()))
}

fn pem_file(path: &Path) -> Result<KeySet, String> {
    KeySet::of_pem(&read_file(path)?).map_err(|why| format!("{}: {why}", path.display()))
}

/// Small, and seldom read: not worth a thread of its own.
fn read_file(path: &Path) -> Result<String, String> {
    let name = path.display();
    let file = File::open(path).map_err(|error| format!("{name}: can't be opened: {error}"))?;
    let mut text = String::new();
    let length = file.take(MAX_BYTES as u64 + 1).read_to_string(&mut text);
    let length = length.map_err(|error| format!("{name}: can't be read: {error}"))?;
    if length > MAX_BYTES { Err(format!("{name}: is larger than {MAX_BYTES} bytes")) } else { Ok(text) }
}
