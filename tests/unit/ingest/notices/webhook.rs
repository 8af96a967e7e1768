use super::*;

#[test]
fn the_signature_is_that_of_standard_webhooks() {
    // The example that its libraries are tested with.
    let secret = BASE64.decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").expect("base64");
    let key = hmac::Key::new(hmac::HMAC_SHA256, &secret);
    let signed = signature(&key, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, "{\"test\": 2432232314}");
    assert_eq!(signed, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    // By `openssl dgst -sha256 -hmac`.
    let key = hmac::Key::new(hmac::HMAC_SHA256, b"sixteen bytes!!!");
    let id = "acme:alice:2026-11:tokens:80";
    let signed = signature(&key, id, 1_795_548_619, &format!("{{\"id\":\"{id}\"}}"));
    assert_eq!(signed, "v1,x6SqvfUYZZNebnm71OQvLswknOUMJ926IzRdrtMuLu4=");
}

#[test]
fn how_long_to_wait_is_said_in_seconds_or_by_a_date() {
    let now = TimeMs(1_795_548_619_792);
    let said = |value: &str| {
        let headers = HeaderMap::from_iter([(RETRY_AFTER, value.parse().expect("a header's value"))]);
        retry_after(&headers, now).map(|wait| wait.as_millis())
    };
    assert_eq!(retry_after(&HeaderMap::new(), now), None);
    assert_eq!(said("120"), Some(120_000));
    assert_eq!(said(" 0 "), Some(0));
    assert_eq!(said("Tue, 24 Nov 2026 19:31:00 GMT"), Some(1_795_548_660_000 - 1_795_548_619_792));
    assert_eq!(said("Tue, 24 Nov 2026 19:00:00 GMT"), Some(0));
    for nonsense in ["", "-1", "soon", "1.5", "99999999999999999999"] {
        assert_eq!(said(nonsense), None, "{nonsense}");
    }
}

#[test]
fn a_secret_is_not_shown() {
    let receiver =
        Receiver { url: Uri::from_static("http://localhost/"), secret: Secret(b"hunter2hunter2hunter2".to_vec()) };
    assert!(!format!("{receiver:?}").contains("hunter2") && !format!("{receiver:?}").contains("104"));
}
