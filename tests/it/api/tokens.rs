//! JSON Web Tokens: which let somebody in, and every way known to forge one.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use chrono::Utc;
use indelible::auth::authenticator::Clock;
use indelible::auth::jwt::JwtSettings;
use indelible::auth::{Authenticator, KeyPlace};
use indelible::ops::clock;
use ring::hmac;
use serde_json::json;

use crate::support::issuer::{AUDIENCE, ISSUER, KeyServer, SigningKey, claims, key_set, message};

use super::authorisation::{ask, guarded};
use super::*;

const MINE: &str = "/v1/me/stats";

fn settings(keys: KeyPlace) -> JwtSettings {
    let texts = |list: &[&str]| list.iter().map(|text| (*text).to_owned()).collect();
    JwtSettings {
        keys,
        issuer: ISSUER.to_owned(),
        audience: texts(&["first", AUDIENCE]),
        algorithms: texts(&["RS256", "PS256", "ES256", "EdDSA"]),
        leeway_s: 30,
        tenant_claim: "tenant".to_owned(),
        user_claim: "sub".to_owned(),
        scope_claim: "scope".to_owned(),
    }
}

/// Milliseconds that the clock of the tests of rotation is ahead.
static AHEAD: AtomicU64 = AtomicU64::new(0);

fn ahead() -> Instant {
    clock::instant() + Duration::from_millis(AHEAD.load(Ordering::SeqCst))
}

fn authenticator(settings: JwtSettings) -> Arc<Authenticator> {
    let clock = Clock { now: Utc::now, instant: ahead };
    Arc::new(Authenticator::new(None, Some(settings), clock).expect("keys that can be read"))
}

fn app_of(auth: &Arc<Authenticator>) -> Router {
    let state = state(world(), Arc::new(Metrics::new(&[]).expect("metrics")));
    router(state, Door::new(Some(Arc::clone(auth)), limits()))
}

/// An API that knows the keys of a file.
fn app_with_file(place: fn(std::path::PathBuf) -> KeyPlace, text: &str) -> Router {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let path = dir.path().join("keys");
    std::fs::write(&path, text).expect("the folder can be written");
    app_of(&authenticator(settings(place(path))))
}

#[track_caller]
fn check_refused(answer: &Answer, what: &str) {
    assert_eq!((answer.status.as_u16(), answer.problem().as_str()), (401, "unauthenticated"), "{what}");
    let challenge = answer.header("www-authenticate");
    assert_eq!(challenge, "Bearer realm=\"indelible\", error=\"invalid_token\"", "{what}");
    let detail = answer.json()["detail"].as_str().expect("a text").to_owned();
    assert_eq!(detail, "the credential is not valid here, or not any more", "{what}: one text for every reason");
}

#[tokio::test]
async fn good_tokens_let_in_whom_they_name() {
    let keys = [SigningKey::rsa("rsa"), SigningKey::p256("ec"), SigningKey::ed25519("ed")];
    let app = app_with_file(KeyPlace::JwksFile, &key_set(&keys.each_ref()));
    for key in &keys {
        let mine = ask(&app, "get", MINE, Some(&key.token(&json!({})))).await;
        assert_eq!((mine.status.as_u16(), &mine.json()["userId"]), (200, &json!("alice")), "{}", key.id);
        let unnamed = key.sign(&json!({"alg": key.algorithm()}), &claims(&json!({})));
        assert_eq!(ask(&app, "get", MINE, Some(&unnamed)).await.status.as_u16(), 200, "{} by its algorithm", key.id);
    }
    let pss = keys[0].sign(&json!({"alg": "PS256", "kid": "rsa"}), &claims(&json!({})));
    assert_eq!(ask(&app, "get", MINE, Some(&pss)).await.status.as_u16(), 200);

    let now = Utc::now().timestamp();
    for (other, path, status) in [
        (json!({"exp": now - 20}), MINE, 200),
        (json!({"nbf": now + 20}), MINE, 200),
        (json!({"aud": AUDIENCE}), MINE, 200),
        (json!({"scope": ["x", "usage:read"]}), MINE, 200),
        (json!({"scope": "usage:read:tenant"}), "/v1/tenants/acme/stats", 200),
        (json!({"scope": "usage:read:all", "tenant": null}), "/v1/tenants/globex/stats", 200),
        (json!({"scope": "usage:read:all", "tenant": null}), MINE, 403),
        (json!({"sub": null}), MINE, 403),
        (json!({"scope": "usage:reader usage"}), MINE, 403),
        (json!({"scope": null}), MINE, 403),
        (json!({"scope": 7}), MINE, 403),
        (json!({"tenant": "globex"}), "/v1/tenants/acme/stats", 404),
        (json!({"tenant": null}), "/v1/tenants/acme/stats", 404),
    ] {
        let answer = ask(&app, "get", path, Some(&keys[1].token(&other))).await;
        assert_eq!(answer.status.as_u16(), status, "{other}: {}", answer.text());
    }
}

#[tokio::test]
async fn forged_tokens_let_nobody_in() {
    let (rsa, ec) = (SigningKey::rsa("rsa"), SigningKey::p256("ec"));
    let mut bound = SigningKey::ed25519("bound").jwk();
    bound["alg"] = json!("EdDSA");
    let mut only_rs256 = rsa.jwk();
    (only_rs256["alg"], only_rs256["kid"]) = (json!("RS256"), json!("only-rs256"));
    let secret = json!({"kty": "oct", "kid": "shared", "k": BASE64.encode("secret")});
    let set = json!({"keys": [rsa.jwk(), ec.jwk(), bound, only_rs256, secret]}).to_string();
    let apps = [app_with_file(KeyPlace::JwksFile, &set), app_with_file(KeyPlace::PemFile, &rsa.pem())];
    let (good, now) = (rsa.token(&json!({})), Utc::now().timestamp());
    for app in &apps {
        assert_eq!(ask(app, "get", MINE, Some(&good)).await.status.as_u16(), 200, "the keys are those that it takes");
    }

    let hmac_of = |secret: &[u8], header: Value| {
        let message = message(&header, &claims(&json!({})));
        let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret), message.as_bytes());
        format!("{message}.{}", BASE64.encode(tag))
    };
    let parts: Vec<_> = good.split('.').collect();
    let strangers = SigningKey::p256("ec");
    let admin = BASE64.encode(claims(&json!({"scope": "usage:read:all"})).to_string());
    let mut forged: Vec<(String, String)> = Vec::new();
    let mut forge = |what: &str, token: String| forged.push((what.to_owned(), token));
    for name in ["none", "None", "NONE", "nOnE", ""] {
        let unsigned = message(&json!({"alg": name}), &claims(&json!({})));
        forge(name, format!("{unsigned}."));
        forge(name, format!("{unsigned}.{}", parts[2]));
    }
    // The public key as the secret of an HMAC, in every form in which it lies about.
    for text in [rsa.pem(), rsa.pem().trim_end().to_owned(), rsa.jwk()["n"].as_str().expect("a text").to_owned()] {
        forge("confused", hmac_of(text.as_bytes(), json!({"alg": "HS256", "kid": "rsa"})));
        forge("confused", hmac_of(text.as_bytes(), json!({"alg": "HS256"})));
        forge("confused, and says RS256", hmac_of(text.as_bytes(), json!({"alg": "RS256", "kid": "rsa"})));
    }
    forge("a shared secret of the set", hmac_of(b"secret", json!({"alg": "HS256", "kid": "shared"})));
    forge("an algorithm that is not allowed", rsa.sign(&json!({"alg": "RS512", "kid": "rsa"}), &claims(&json!({}))));
    forge("a key of another sort", ec.sign(&json!({"alg": "ES256", "kid": "rsa"}), &claims(&json!({}))));
    forge("a stranger's key under a known id", strangers.token(&json!({})));
    let brought = json!({"alg": "ES256", "kid": "brought", "jwk": strangers.jwk(), "jku": "http://127.0.0.1:1/"});
    forge("a key that it brings along", strangers.sign(&brought, &claims(&json!({}))));
    let brought = json!({"alg": "ES256", "jwk": strangers.jwk()});
    forge("a key that it brings along, with no id", strangers.sign(&brought, &claims(&json!({}))));
    forge("other claims", format!("{}.{admin}.{}", parts[0], parts[2]));
    forge("no signature", format!("{}.{}.", parts[0], parts[1]));
    forge("no third part", format!("{}.{}", parts[0], parts[1]));
    forge("four parts", format!("{good}.{}", parts[2]));
    forge(
        "critical extensions",
        rsa.sign(&json!({"alg": "RS256", "crit": ["b64"], "b64": false}), &claims(&json!({}))),
    );
    forge("too long", rsa.token(&json!({"padding": "x".repeat(9_000)})));
    for other in [
        json!({"aud": "another"}),
        json!({"aud": null}),
        json!({"aud": []}),
        json!({"aud": 7}),
        json!({"aud": "Indelible"}),
        json!({"iss": "https://issuer.example/"}),
        json!({"iss": "https://stranger.example"}),
        json!({"iss": null}),
        json!({"exp": now - 31}),
        json!({"exp": null}),
        json!({"exp": (now + 600).to_string()}),
        json!({"exp": -1}),
        json!({"nbf": now + 120}),
        json!({"nbf": "now"}),
        json!({"tenant": 7}),
        json!({"tenant": ""}),
        json!({"tenant": "a\u{0}"}),
        json!({"tenant": ["acme"]}),
        json!({"sub": ["alice"]}),
        json!({"sub": " "}),
    ] {
        forge(&other.to_string(), rsa.token(&other));
    }
    for (what, token) in &forged {
        for (app, keys) in apps.iter().zip(["JWKS", "PEM"]) {
            check_refused(&ask(app, "get", MINE, Some(token)).await, &format!("{what} ({keys}): {token}"));
        }
    }
    // Of PEM nothing is known but the key.
    let unknown = ec.sign(&json!({"alg": "ES256", "kid": "unknown"}), &claims(&json!({})));
    let bound = rsa.sign(&json!({"alg": "PS256", "kid": "only-rs256"}), &claims(&json!({})));
    for (what, token) in [("a key id that is in no set", unknown), ("another algorithm than the key's", bound)] {
        check_refused(&ask(&apps[0], "get", MINE, Some(&token)).await, what);
    }
}

#[tokio::test]
async fn a_key_rotates_while_the_api_runs_and_strangers_cause_no_flood() {
    let (old, new) = (SigningKey::p256("old"), SigningKey::ed25519("new"));
    let server = KeyServer::start(key_set(&[&old]));
    let place = KeyPlace::of_jwks(&server.url()).expect("a URL");
    let auth = authenticator(settings(place));
    let app = app_of(&auth);
    let status = async |key: &SigningKey| ask(&app, "get", MINE, Some(&key.token(&json!({})))).await.status.as_u16();

    // Nothing was read yet, so the first token asks for it.
    assert_eq!((status(&old).await, server.asked()), (200, 1));
    assert_eq!((status(&old).await, server.asked()), (200, 1), "what is known is not asked for");
    server.set("200 OK", key_set(&[&new]));
    check_refused(&ask(&app, "get", MINE, Some(&new.token(&json!({})))).await, "it was just read");
    assert_eq!(server.asked(), 1);

    AHEAD.fetch_add(10_001, Ordering::SeqCst);
    assert_eq!((status(&new).await, server.asked()), (200, 2), "an unknown id is a rotation");
    assert_eq!(status(&old).await, 401, "who is no longer in the set signs in vain");

    AHEAD.fetch_add(10_001, Ordering::SeqCst);
    let strangers: Vec<_> = (0..200)
        .map(|number| new.sign(&json!({"alg": "EdDSA", "kid": format!("k{number}")}), &claims(&json!({}))))
        .collect();
    let asking = strangers.iter().map(|token| ask(&app, "get", MINE, Some(token)));
    for answer in futures::future::join_all(asking).await {
        check_refused(&answer, "an id that is in no set");
    }
    assert_eq!(server.asked(), 3, "all of them wait for the same read");

    // An issuer that is away, or talks nonsense, changes nothing.
    for (status_line, body) in
        [("500 Oops", String::new()), ("200 OK", "<html>".to_owned()), ("200 OK", "{\"keys\":[]}".to_owned())]
    {
        server.set(status_line, body);
        AHEAD.fetch_add(10_001, Ordering::SeqCst);
        assert_eq!(status(&old).await, 401);
        assert_eq!(status(&new).await, 200);
    }
    assert_eq!(server.asked(), 6);
    server.set("200 OK", key_set(&[&old]));
    assert_eq!(auth.read_token_keys().await, Some(Ok(())));
    assert_eq!((status(&new).await, status(&old).await), (401, 200), "SIGHUP reads at once");
}

#[tokio::test]
async fn without_any_key_nobody_can_say_who_is_who() {
    let key = SigningKey::p256("k");
    let server = KeyServer::start(String::new());
    server.set("503 Away", "secret text".to_owned());
    let app = app_of(&authenticator(settings(KeyPlace::of_jwks(&server.url()).expect("a URL"))));
    let answer = ask(&app, "get", MINE, Some(&key.token(&json!({})))).await;
    assert_eq!((answer.status.as_u16(), answer.problem().as_str()), (503, "auth-unavailable"));
    assert_eq!((answer.header("retry-after"), answer.header("www-authenticate")), ("10", ""));
    assert!(!answer.text().contains("secret text") && !answer.text().contains("127.0.0.1"), "{}", answer.text());
}

#[test]
fn what_is_no_key_set_is_told_at_the_start() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let path = dir.path().join("keys");
    let refused = |place: KeyPlace, text: &str| {
        std::fs::write(&path, text).expect("the folder can be written");
        let clock = Clock { now: Utc::now, instant: clock::instant };
        Authenticator::new(None, Some(settings(place)), clock).expect_err("no keys")
    };
    let (jwks, pem) = (KeyPlace::JwksFile(path.clone()), KeyPlace::PemFile(path.clone()));
    let secret = json!({"keys": [{"kty": "oct", "k": "c2VjcmV0"}]}).to_string();
    for (place, text, part) in [
        (&jwks, "{}", "is no JSON Web Key Set"),
        (&jwks, "{\"keys\":[]}", "has no public key for signatures"),
        (&jwks, secret.as_str(), "has no public key for signatures"),
        (&pem, "-----BEGIN PRIVATE KEY-----\n", "holds no PUBLIC KEY in PEM"),
        (&pem, "-----BEGIN CERTIFICATE-----\n", "holds no PUBLIC KEY in PEM"),
        (&pem, "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n", "that can be read"),
    ] {
        let why = refused(place.clone(), text);
        assert!(why.contains(part) && why.contains("keys: "), "{why}");
    }
    let many = json!({"keys": (0..65).map(|_| SigningKey::ed25519("k").jwk()).collect::<Vec<_>>()});
    assert!(refused(jwks, &many.to_string()).contains("more than 64"));
    assert!(refused(KeyPlace::JwksFile(dir.path().join("missing")), "").contains("can't be opened"));
}

#[tokio::test]
async fn the_claims_names_are_settings() {
    let key = SigningKey::ed25519("k");
    let dir = tempfile::tempdir().expect("a temporary folder");
    let path = dir.path().join("keys.pem");
    std::fs::write(&path, key.pem()).expect("the folder can be written");
    let named = |text: &str| text.to_owned();
    let settings = JwtSettings {
        tenant_claim: named("https://example.com/org"),
        user_claim: named("email"),
        scope_claim: named("scp"),
        ..settings(KeyPlace::PemFile(path))
    };
    let clock = Clock { now: Utc::now, instant: clock::instant };
    let app = guarded(Authenticator::new(None, Some(settings), clock).expect("a key"), limits());
    let other = json!({"https://example.com/org": "acme", "email": "bob", "scp": ["usage:read"], "tenant": "globex"});
    let answer = ask(&app, "get", MINE, Some(&key.token(&other))).await;
    assert_eq!((&answer.json()["tenantId"], &answer.json()["userId"]), (&json!("acme"), &json!("bob")));
}
