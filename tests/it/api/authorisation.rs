//! Who may ask for what: every route of the description, by every sort of credential, about one's own tenant and another.

use indelible::api::openapi;
use indelible::auth::Authenticator;
use indelible::auth::api_keys::{ApiKeys, generate, written_hash};
use indelible::auth::authenticator::Clock;
use indelible::ops::clock;

use super::protocol::check_described;
use super::*;

/// Credentials, by what stands in a key file.
const CREDENTIALS: [(&str, &str); 7] = [
    ("alice", "tenant = \"acme\"\nuser = \"alice\"\nscopes = [\"usage:read\"]"),
    ("acme", "tenant = \"acme\"\nscopes = [\"usage:read:tenant\"]"),
    ("writer", "tenant = \"acme\"\nscopes = [\"quota:write\"]"),
    ("bare", "tenant = \"acme\"\nuser = \"alice\"\nscopes = []"),
    ("globex", "tenant = \"globex\"\nuser = \"alice\"\nscopes = [\"usage:read:tenant\"]"),
    ("operator", "scopes = [\"usage:read:all\"]"),
    ("admin", "scopes = [\"usage:read:all\", \"quota:write\"]"),
];

/// What a route is about, and the rows of the table that hold for it: where it leads, and the answer to no credential, to
/// one that is none, and to each of [`CREDENTIALS`] in their order.
type Rows = &'static [(&'static str, [u16; 9])];

const USER: Rows = &[
    ("acme alice", [401, 401, 200, 200, 403, 403, 404, 200, 200]),
    ("acme bob", [401, 401, 403, 200, 403, 403, 404, 200, 200]),
    ("globex alice", [401, 401, 404, 404, 404, 404, 200, 200, 200]),
];
const TENANT: Rows = &[
    ("acme -", [401, 401, 403, 200, 403, 403, 404, 200, 200]),
    ("globex -", [401, 401, 404, 404, 404, 404, 200, 200, 200]),
];
const WRITE: Rows = &[
    ("acme alice", [401, 401, 403, 403, 200, 403, 404, 403, 200]),
    ("globex alice", [401, 401, 404, 404, 404, 404, 403, 403, 200]),
];
const EVERYONE: Rows = &[("- -", [401, 401, 403, 403, 403, 403, 403, 200, 200])];
const ANYONE: Rows = &[("- -", [401, 401, 200, 200, 200, 200, 200, 200, 200])];
const ME: Rows = &[("- -", [401, 401, 200, 403, 403, 403, 200, 403, 403])];
const PUBLIC: Rows = &[("- -", [200; 9])];

/// A route without a row fails the test.
const ROUTES: [(&str, &str, Rows); 15] = [
    ("get", "/openapi.json", PUBLIC),
    ("get", "/version", PUBLIC),
    ("get", "/v1/me/stats", ME),
    ("get", "/v1/prices", ANYONE),
    ("get", "/v1/prices/mismatches", EVERYONE),
    ("get", "/v1/tenants/{tenant}/quota", TENANT),
    ("put", "/v1/tenants/{tenant}/quota", WRITE),
    ("get", "/v1/tenants/{tenant}/stats", TENANT),
    ("get", "/v1/tenants/{tenant}/usage", TENANT),
    ("get", "/v1/tenants/{tenant}/users", TENANT),
    ("get", "/v1/tenants/{tenant}/users/{user}/allow", USER),
    ("get", "/v1/tenants/{tenant}/users/{user}/quota", USER),
    ("put", "/v1/tenants/{tenant}/users/{user}/quota", WRITE),
    ("get", "/v1/tenants/{tenant}/users/{user}/stats", USER),
    ("get", "/v1/tenants/{tenant}/users/{user}/usage", USER),
];

/// An entry of a key file, and its key.
pub(super) fn api_key(fields: &str) -> (String, String) {
    let (id, key) = generate().expect("random bytes");
    (format!("[[key]]\nid = \"{id}\"\nhash = \"{}\"\nname = \"test\"\n{fields}\n", written_hash(&key)), key)
}

pub(super) fn guarded_by(file: &str) -> Authenticator {
    let keys = ApiKeys::parse(file).expect("no fault");
    let clock = Clock { now: || time("2026-11-24T18:00:00Z"), instant: clock::instant };
    Authenticator::new(Some(("keys.toml".into(), keys)), None, clock).expect("no tokens")
}

/// An API that lets in whoever the authenticator does.
pub(super) fn guarded(auth: Authenticator, limits: DoorLimits) -> Router {
    router(state(world(), Arc::new(Metrics::new(&[]).expect("metrics"))), Door::new(Some(Arc::new(auth)), limits))
}

/// With an id of its own, so that two answers can be compared whole.
pub(super) async fn ask(app: &Router, method: &str, path: &str, credential: Option<&str>) -> Answer {
    let mut request = Request::builder().method(method.to_uppercase().as_str()).uri(path).header("x-request-id", "r");
    if let Some(credential) = credential {
        request = request.header("authorization", format!("Bearer {credential}"));
    }
    let body = if method == "put" { r#"{"limits":{"tokens":{"soft":1}}}"# } else { "" };
    send(app, request.body(Body::from(body)).expect("a request")).await
}

#[tokio::test]
async fn every_route_by_every_credential() {
    let made = CREDENTIALS.map(|(name, fields)| (name, api_key(fields)));
    let file: String = made.iter().map(|(_, (entry, _))| entry.as_str()).collect();
    let app = guarded(guarded_by(&file), limits());
    let stranger = api_key("scopes = [\"usage:read:all\", \"quota:write\"]").1;
    let credentials: Vec<(&str, Option<&str>)> = [("none", None), ("stranger", Some(stranger.as_str()))]
        .into_iter()
        .chain(made.iter().map(|(name, (_, key))| (*name, Some(key.as_str()))))
        .collect();
    let description = serde_json::to_value(openapi()).expect("JSON");
    let mut routes: Vec<(String, String)> = Vec::new();
    for (path, item) in description["paths"].as_object().expect("paths") {
        routes.extend(item.as_object().expect("operations").keys().map(|method| (path.clone(), method.clone())));
    }
    let mut listed = ROUTES.map(|(method, path, _)| (path.to_owned(), method.to_owned()));
    listed.sort();
    routes.sort();
    assert_eq!(routes, listed, "each route needs its row in the table, and no other");

    for (method, route, rows) in ROUTES {
        for (place, expected) in rows {
            let (tenant, user) = place.split_once(' ').expect("two words");
            let path = route.replace("{tenant}", tenant).replace("{user}", user);
            for ((name, credential), status) in credentials.iter().zip(expected) {
                let answer = ask(&app, method, &path, *credential).await;
                let what = format!("{method} {path} by {name}: {}", answer.text());
                assert_eq!(answer.status.as_u16(), *status, "{what}");
                check_refusal(&answer, *credential, &what);
                if *status >= 400 {
                    let problem = "application/problem+json";
                    check_described(&description, (method, route), &status.to_string(), problem, &answer);
                }
            }
        }
    }
}

fn check_refusal(answer: &Answer, credential: Option<&str>, what: &str) {
    let challenge = answer.header("www-authenticate");
    match answer.status.as_u16() {
        401 if credential.is_none() => assert_eq!(challenge, "Bearer realm=\"indelible\"", "{what}"),
        401 => assert_eq!(challenge, "Bearer realm=\"indelible\", error=\"invalid_token\"", "{what}"),
        403 => {
            assert!(
                challenge.starts_with("Bearer realm=\"indelible\", error=\"insufficient_scope\", scope=\""),
                "{what}"
            );
        }
        _ => assert_eq!(challenge, "", "{what}"),
    }
    if answer.status.as_u16() >= 400 {
        assert_eq!(answer.header("cache-control"), "no-store", "{what}");
        assert!(credential.is_none_or(|credential| !answer.text().contains(credential)), "{what}");
    }
}

#[tokio::test]
async fn another_tenants_path_is_no_path_at_all() {
    let (entry, key) = api_key("tenant = \"acme\"\nscopes = [\"usage:read:tenant\", \"quota:write\"]");
    let (other, other_key) = api_key("tenant = \"globex\"\nscopes = [\"usage:read:tenant\"]");
    let app = guarded(guarded_by(&(entry + &other)), limits());
    let nowhere = ask(&app, "get", "/nowhere", None).await;
    assert_eq!(nowhere.status, StatusCode::NOT_FOUND);
    // `acme` has numbers and `initech` has none; neither shows it to globex.
    for (credential, tenants) in [(&other_key, ["acme", "initech"]), (&key, ["globex", "initech"])] {
        for (tenant, rest) in tenants.iter().flat_map(|tenant| {
            [
                "stats",
                "users",
                "usage",
                "quota",
                "users/alice/stats",
                "users/alice/allow",
                "stats?month=never",
                "users?cursor=x",
            ]
            .map(|rest| (tenant, rest))
        }) {
            let answer = ask(&app, "get", &format!("/v1/tenants/{tenant}/{rest}"), Some(credential)).await;
            assert_eq!(answer.status, nowhere.status, "{tenant} {rest}");
            assert_eq!(answer.text(), nowhere.text(), "{tenant} {rest}");
            assert_eq!(answer.headers, nowhere.headers, "{tenant} {rest}");
        }
        let put = ask(&app, "put", &format!("/v1/tenants/{}/quota", tenants[0]), Some(credential)).await;
        assert_eq!((put.status, put.text()), (nowhere.status, nowhere.text()));
    }
}

#[tokio::test]
async fn me_is_whoever_the_credential_names() {
    let (entry, key) = api_key("tenant = \"acme\"\nuser = \"alice\"\nscopes = [\"usage:read\"]");
    let app = guarded(guarded_by(&entry), limits());
    let mine = ask(&app, "get", "/v1/me/stats?month=2025-12", Some(&key)).await;
    let named = ask(&app, "get", "/v1/tenants/acme/users/alice/stats?month=2025-12", Some(&key)).await;
    assert_eq!((mine.status, mine.text()), (StatusCode::OK, named.text()));
    assert_eq!(mine.json()["userId"], "alice");
    let anyone = get(&super::app(world()), "/v1/me/stats").await;
    assert_eq!((anyone.status.as_u16(), anyone.problem().as_str()), (404, "not-found"), "nobody is anyone");
}

#[tokio::test]
async fn what_is_no_credential() {
    let (entry, key) = api_key("tenant = \"acme\"\nscopes = [\"usage:read:tenant\"]");
    let (expired, expired_key) =
        api_key("tenant = \"acme\"\nscopes = [\"usage:read:tenant\"]\nexpires = \"2026-11-24T18:00:00Z\"");
    let (valid, valid_key) =
        api_key("tenant = \"acme\"\nscopes = [\"usage:read:tenant\"]\nexpires = \"2026-11-24T18:00:01Z\"");
    let app = guarded(guarded_by(&format!("{entry}{expired}{valid}")), limits());
    let path = "/v1/tenants/acme/stats";
    let with = |values: &[&str]| {
        let given = values.iter().map(|value| ("authorization", *value)).collect::<Vec<_>>();
        let request = given.iter().fold(Request::get(path), |request, (name, value)| request.header(*name, *value));
        let (app, request) = (app.clone(), request.body(Body::empty()).expect("a request"));
        async move { send(&app, request).await }
    };
    let bearer = |text: &str| format!("Bearer {text}");
    for good in [bearer(&key), format!("bearer {key}"), format!("BEARER   {key} "), bearer(&valid_key)] {
        assert_eq!(with(&[&good]).await.status, StatusCode::OK, "{good}");
    }
    let (id, secret) = (&key[..16], &key[17..]);
    let flipped = format!("{}{}", &key[..key.len() - 1], if key.ends_with('A') { 'B' } else { 'A' });
    let of_other = format!("{}{}", &valid_key[..17], secret);
    for bad in [
        flipped.as_str(),
        &of_other,
        &expired_key,
        id,
        secret,
        &key[..key.len() - 1],
        &format!("{key}A"),
        "idl_",
        "idl__",
        "",
        "x",
        "a.b.c",
    ] {
        let answer = with(&[&bearer(bad)]).await;
        assert_eq!((answer.status.as_u16(), answer.problem().as_str()), (401, "unauthenticated"), "{bad}");
        let detail = answer.json()["detail"].as_str().expect("a text").to_owned();
        assert_eq!(detail, "the credential is not valid here, or not any more", "one text for every reason");
    }
    for scheme in [format!("Basic {key}"), key.clone(), "Bearer".to_owned(), String::new()] {
        let answer = with(&[&scheme]).await;
        assert_eq!((answer.status.as_u16(), answer.header("www-authenticate")), (401, "Bearer realm=\"indelible\""));
    }
    assert_eq!(with(&[&bearer(&key), &bearer(&key)]).await.status.as_u16(), 401, "two of them");
    // In the query it would be in every log on the way.
    let query = get(&app, &format!("{path}?access_token={key}")).await;
    assert_eq!(query.status.as_u16(), 401);
}

#[test]
fn faults_of_a_key_file_are_told_and_no_hash() {
    let (entry, _) = api_key("tenant = \"acme\"\nscopes = [\"usage:read:tenant\"]");
    let hash = entry.lines().find_map(|line| line.strip_prefix("hash = \"sha256:")).expect("a hash").trim_matches('"');
    let faults = |text: &str| ApiKeys::parse(text).map(|keys| keys.len()).expect_err("a fault").join("\n");
    for (text, part) in [
        (entry.repeat(2), "[[key]] 2: id "),
        (entry.replace("usage:read:tenant", "usage:raed"), "\"usage:raed\" is no scope; there are usage:read, "),
        (entry.replace("tenant = \"acme\"\n", ""), "tenant is missing"),
        (entry.replace("acme", "a\\u0000"), "tenant holds the control character"),
        (entry.replace("read:tenant", "read"), "user is missing"),
        (entry.replace("sha256:", "sha1:"), "it is not sha256: and 64 hexadecimal digits"),
        (entry.replace(hash, &hash[1..]), "it is not sha256:"),
        (entry.replace("name = \"test\"", "name = \" \""), "name is empty"),
        (entry.clone() + "owner = 1\n", "unknown field `owner`"),
        (entry.clone() + "requests_per_second = 0\n", "requests_per_second is 0"),
        (entry.clone() + "expires = \"soon\"\n", "it is not an instant"),
        (entry.clone() + "]", "line 7: missing table open"),
        (entry.replace("id = \"", "id = \"é"), "is not one that `indelible key new` makes"),
    ] {
        let told = faults(&text);
        assert!(told.contains(part), "{part} in {told}");
        assert!(!told.contains(&hash[1..]), "{told}");
    }
    assert!(ApiKeys::parse("").expect("no keys, no fault").is_empty());
}
