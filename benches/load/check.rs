//! That what was counted is what was sent: a wrong run has no figures.

use rand::SeedableRng;
use rand::rngs::StdRng;
use serde_json::Value;

use crate::endings::Endings;
use crate::event::tenant_name;
use crate::http::Http;
use crate::mix::Mix;
use crate::people::Spread;
use crate::support::program::Running;
use crate::tally::Tally;

/// Users who are asked about by themselves.
const SAMPLES: usize = 200;

/// # Panics
/// Unless each record ended as it must.
#[track_caller]
pub(crate) fn endings(found: Endings, tally: &Tally) {
    let expected = Endings { counted: tally.counted(), repeated: tally.repeated, conflict: 0, rejected: 0 };
    assert_eq!(found, expected, "not every record ended as it must");
}

/// Asks the API for every tenant, and for some users.
///
/// # Panics
/// Unless the sums are those of the records sent.
#[track_caller]
pub(crate) fn answers(api: &Running, spread: Spread, mix: &Mix) {
    let mut http = Http::connect(api.api_url().trim_start_matches("http://")).expect("the API listens");
    let mut ask = |path: &str| -> Value {
        let body = http.get(path).unwrap_or_else(|error| panic!("{path}: {error}"));
        serde_json::from_str(body).expect("JSON")
    };
    let mut found = [0; 4];
    for tenant in 0..spread.tenants() {
        let stats = ask(&format!("/v1/tenants/{}/stats", tenant_name(tenant)));
        let all = |field: &str| stats["allTime"][field].as_u64().unwrap_or(0);
        let outputs = stats["outputs"]["allTime"].as_object().into_iter().flatten();
        let saved = outputs.filter_map(|(_, count)| count.as_u64()).sum();
        let sums = [all("requests"), all("tokensIn"), all("tokensOut"), saved];
        found.iter_mut().zip(sums).for_each(|(sum, more)| *sum += more);
    }
    let tally = &mix.tally;
    let sent = [tally.requests, tally.tokens_in, tally.tokens_out, tally.outputs];
    assert_eq!(found, sent, "requests, tokens in, tokens out, saved outputs: the API's sums, and what was sent");

    let mut rng = StdRng::seed_from_u64(2);
    for _ in 0..SAMPLES {
        let person = mix.someone(&mut rng);
        let stats = ask(&person.stats_path());
        let expected = u64::from(tally.by_user[person.user as usize]);
        assert_eq!(stats["allTime"]["requests"], expected, "requests of {person:?}");
    }
}
