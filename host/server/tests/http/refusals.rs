//! Every token that is not one, and the one answer to all.

use aws_lc_rs::hmac;
use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::{
    client::message as json_rpc,
    harness::TestServer,
    issuer::{Answer, Issuer, access, claims, claims_but, in_seconds},
    signing::{TestKey, base64, message},
};

struct Bed {
    server: TestServer,
    /// An attacker's server, with an attacker's keys.
    evil: Issuer,
    issuer: Issuer,
    key: TestKey,
    rsa: TestKey,
    attackers: TestKey,
}

impl Bed {
    async fn new() -> Self {
        let (key, rsa, attackers) = (TestKey::es256("k-1"), TestKey::rs256("r-1"), TestKey::es256("k-1"));
        // This one does not say for which algorithm it is.
        let mut any = rsa.jwk();
        any.as_object_mut().expect("an object").remove("alg");
        let issuer = Issuer::start(Answer::Keys(vec![key.jwk(), any])).await;
        let evil = Issuer::with(&[&attackers]).await;
        let lines = format!("jwks_url = '{}'\njwks_refetch_s = 3600", issuer.url);
        let server = TestServer::with_access(access(&lines)).await;
        Self { server, evil, issuer, key, rsa, attackers }
    }

    fn with_header(&self, changes: Value) -> String {
        let mut header = self.key.header();
        header.as_object_mut().expect("an object").extend(changes.as_object().cloned().expect("an object"));
        self.key.token_with(&header, &claims())
    }

    /// The same, signed by the attacker.
    fn forged(&self, changes: Value) -> String {
        let mut header = self.attackers.header();
        header.as_object_mut().expect("an object").extend(changes.as_object().cloned().expect("an object"));
        self.attackers.token_with(&header, &claims())
    }

    fn hs256(&self, kid: &str, secret: &[u8]) -> String {
        let message = message(&json!({ "alg": "HS256", "kid": kid, "typ": "JWT" }), &claims());
        let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret), message.as_bytes());
        format!("{message}.{}", base64(tag))
    }

    fn unsigned(&self, algorithm: &str) -> String {
        format!("{}.", message(&json!({ "alg": algorithm, "kid": "k-1" }), &claims()))
    }
}

fn malformed(bed: &Bed) -> Vec<(&'static str, String)> {
    let good = bed.key.token(&claims());
    let parts: Vec<_> = good.split('.').collect();
    let (header, payload, signature) = (parts[0], parts[1], parts[2]);
    let other = bed.key.token(&claims_but("sub", Some(json!("p-bob"))));
    vec![
        ("no JWT", "token-nobody".to_owned()),
        ("two parts", format!("{header}.{payload}")),
        ("four parts", format!("{good}.{signature}")),
        ("empty parts", "..".to_owned()),
        ("no header", format!(".{payload}.{signature}")),
        ("no claims", format!("{header}..{signature}")),
        ("no signature", format!("{header}.{payload}.")),
        ("another's claims", format!("{header}.{}.{signature}", other.split('.').nth(1).expect("claims"))),
        ("a signature of nothing", format!("{header}.{payload}.{}", base64([0; 64]))),
        ("a signature cut short", good[..good.len() - 4].to_owned()),
        ("a signature too long", format!("{good}AAAA")),
        ("padding", format!("{good}==")),
        ("claims that are no JSON", {
            let message = format!("{header}.{}", base64("claims"));
            format!("{message}.{}", base64(bed.key.sign(&message)))
        }),
        ("claims that are a list", bed.key.token(&json!([claims()]))),
        ("claims that are null", bed.key.token(&Value::Null)),
        ("a claim twice", {
            let twice = claims().to_string().replacen('{', "{\"exp\":99999999999,", 1);
            let message = format!("{header}.{}", base64(twice));
            format!("{message}.{}", base64(bed.key.sign(&message)))
        }),
        ("as long as a header may be", bed.key.token(&claims_but("pad", Some(json!("x".repeat(30_000)))))),
        ("a little too long", bed.key.token(&claims_but("pad", Some(json!("x".repeat(12_500)))))),
    ]
}

fn wrong_header(bed: &Bed) -> Vec<(&'static str, String)> {
    let evil = bed.evil.url.as_str();
    let public = bed.rsa.public_bytes();
    let pem = format!("-----BEGIN RSA PUBLIC KEY-----\n{}\n-----END RSA PUBLIC KEY-----\n", base64(&public));
    vec![
        ("alg none", bed.unsigned("none")),
        ("alg None", bed.unsigned("None")),
        ("alg NONE", bed.unsigned("NONE")),
        ("alg nOnE", bed.unsigned("nOnE")),
        ("alg none, signed", bed.with_header(json!({ "alg": "none" }))),
        ("alg empty", bed.with_header(json!({ "alg": "" }))),
        ("alg null", bed.with_header(json!({ "alg": null }))),
        ("alg a list", bed.with_header(json!({ "alg": ["ES256"] }))),
        ("alg in other letters", bed.with_header(json!({ "alg": "es256" }))),
        ("alg not allowed", bed.with_header(json!({ "alg": "ES384" }))),
        ("alg of another key", bed.with_header(json!({ "alg": "RS256" }))),
        ("RS256 by the key of ES256", bed.rsa.token_with(&json!({ "alg": "RS256", "kid": "k-1" }), &claims())),
        ("PS256 by the key of RS256", bed.rsa.token_with(&json!({ "alg": "PS256", "kid": "r-1" }), &claims())),
        ("RS512, which is not allowed", bed.rsa.rs512_token(&claims())),
        ("HS256 with the public key, DER", bed.hs256("r-1", &public)),
        ("HS256 with the public key, PEM", bed.hs256("r-1", pem.as_bytes())),
        ("HS256 with the public key, JWK", bed.hs256("r-1", bed.rsa.jwk().to_string().as_bytes())),
        ("HS256 with the public key, n", bed.hs256("r-1", bed.rsa.jwk()["n"].as_str().expect("n").as_bytes())),
        ("HS256 with the public point", bed.hs256("k-1", &bed.key.public_bytes())),
        ("HS256 with nothing", bed.hs256("k-1", b"")),
        ("no kid", bed.key.token_with(&json!({ "alg": "ES256" }), &claims())),
        ("kid null", bed.with_header(json!({ "kid": null }))),
        ("kid empty", bed.with_header(json!({ "kid": "" }))),
        ("kid a number", bed.with_header(json!({ "kid": 1 }))),
        ("kid a list", bed.with_header(json!({ "kid": ["k-1"] }))),
        ("kid with a space", bed.with_header(json!({ "kid": "k-1 " }))),
        ("kid a path", bed.with_header(json!({ "kid": "../../../../dev/null" }))),
        ("kid a path with its end", bed.with_header(json!({ "kid": "/proc/sys/kernel/randomize_va_space\u{0}k-1" }))),
        ("kid SQL", bed.with_header(json!({ "kid": "x' UNION SELECT 'k-1' --" }))),
        ("kid a command", bed.with_header(json!({ "kid": "k-1|/bin/true" }))),
        ("kid an address", bed.forged(json!({ "kid": evil }))),
        ("kid very long", bed.with_header(json!({ "kid": "k".repeat(8_000) }))),
        ("kid of lines", bed.with_header(json!({ "kid": "k-1\r\nk-1" }))),
        ("an attacker's key", bed.forged(json!({}))),
        ("jku", bed.forged(json!({ "jku": evil }))),
        ("x5u", bed.forged(json!({ "x5u": evil }))),
        ("jwk", bed.forged(json!({ "jwk": bed.attackers.jwk() }))),
        ("jku and another kid", bed.forged(json!({ "jku": evil, "kid": "evil" }))),
        ("x5c", bed.forged(json!({ "x5c": [base64(bed.attackers.public_bytes())] }))),
        ("crit", bed.with_header(json!({ "crit": ["exp"] }))),
        ("crit of nothing", bed.with_header(json!({ "crit": [] }))),
        ("claims as they are", bed.with_header(json!({ "b64": false, "crit": ["b64"] }))),
    ]
}

fn wrong_claims(bed: &Bed) -> Vec<(&'static str, String)> {
    let cases = [
        ("expired", "exp", json!(in_seconds(-60))),
        ("expired long ago", "exp", json!(0)),
        ("before time", "exp", json!(-1)),
        ("no end", "exp", Value::Null),
        ("an end as text", "exp", json!(in_seconds(300).to_string())),
        ("an end in no time", "exp", json!(1e300)),
        ("an end that is true", "exp", json!(true)),
        ("not yet valid", "nbf", json!(in_seconds(60))),
        ("a beginning as text", "nbf", json!("0")),
        ("another audience", "aud", json!("https://other.example.com/mcp")),
        ("an audience that begins alike", "aud", json!("https://mcp.example.com/mcp/")),
        ("an audience in other letters", "aud", json!("https://MCP.example.com/mcp")),
        ("no audience", "aud", Value::Null),
        ("no audience in a list", "aud", json!([])),
        ("other audiences", "aud", json!(["a", "b"])),
        ("an audience that is a number", "aud", json!(1)),
        ("an audience that is an object", "aud", json!({ "https://mcp.example.com/mcp": true })),
        ("another issuer", "iss", json!("https://evil.example.com")),
        ("an issuer that begins alike", "iss", json!("https://id.example.com/")),
        ("no issuer", "iss", Value::Null),
        ("an issuer in a list", "iss", json!(["https://id.example.com"])),
        ("an issuer that is an address of keys", "iss", json!(bed.evil.url)),
        ("no principal", "sub", Value::Null),
        ("a principal that is a number", "sub", json!(1)),
        ("a principal with a space", "sub", json!("p ann")),
        ("a principal that is long", "sub", json!("p".repeat(1_000))),
        ("a tenant that is not mapped", "org", json!("o3")),
        ("a tenant by its name here", "org", json!("acme")),
        ("no tenant", "org", Value::Null),
        ("two tenants", "org", json!(["o1", "o2"])),
        ("a tenant in an object", "org", json!({ "o1": true })),
        ("no role", "roles", json!([])),
        ("a role that is not mapped", "roles", json!(["root"])),
        ("a role that is a number", "roles", json!([1])),
        ("roles that contradict", "roles", json!(["reader", "admin"])),
        ("a scope that is an object", "scope", json!({ "tools:call": true })),
        ("a name that is a list", "name", json!(["Ann"])),
    ];
    let with = |(what, claim, value): (_, &str, _)| (what, bed.key.token(&claims_but(claim, Some(value))));
    let mut tokens: Vec<_> = cases.map(with).into();
    for absent in ["exp", "iss", "aud", "sub", "org", "roles"] {
        tokens.push((absent, bed.key.token(&claims_but(absent, None))));
    }
    tokens
}

/// Headers that are not one bearer token, though the tokens in them are good.
fn wrong_headers(bed: &Bed) -> Vec<(&'static str, Vec<String>)> {
    let good = bed.key.token(&claims());
    let bearer = format!("Bearer {good}");
    vec![
        ("absent", vec![]),
        ("empty", vec![String::new()]),
        ("no token", vec!["Bearer".to_owned()]),
        ("no scheme", vec![good.clone()]),
        ("another scheme", vec![format!("Basic {good}")]),
        ("DPoP", vec![format!("DPoP {good}")]),
        ("two in a header", vec![format!("{bearer}, {bearer}")]),
        ("two of a kind", vec![bearer.clone(), bearer.clone()]),
        ("a good one and ours", vec![bearer.clone(), "Bearer token-north".to_owned()]),
        ("a good one and nothing", vec![bearer.clone(), String::new()]),
        ("a good one and a bad one", vec![bearer.clone(), "Bearer x".to_owned()]),
        ("quotes", vec![format!("Bearer \"{good}\"")]),
        ("letters that are none", vec![format!("Bearer {good}ü")]),
    ]
}

#[tokio::test]
async fn whatever_is_wrong_there_is_one_answer() {
    let bed = Bed::new().await;
    let mut cases = wrong_headers(&bed);
    for tokens in [malformed(&bed), wrong_header(&bed), wrong_claims(&bed)] {
        cases.extend(tokens.into_iter().map(|(what, token)| (what, vec![format!("Bearer {token}")])));
    }
    let good = bed.key.token(&claims());
    let http = reqwest::Client::new();
    let mut answers = Vec::new();
    for (what, headers) in &cases {
        let request = http.post(bed.server.url("/mcp")).body(json_rpc("tools/list", json!({})));
        let request = headers.iter().fold(request, |request, value| request.header("authorization", value.as_bytes()));
        let response = request.send().await.expect("a reply");
        let challenge =
            response.headers().get("www-authenticate").map(|value| value.to_str().expect("text").to_owned());
        let mut names: Vec<_> = response.headers().keys().map(|name| name.as_str().to_owned()).collect();
        names.sort();
        answers.push((*what, (response.status(), challenge, names, response.text().await.expect("a body"))));
    }
    let one = &answers[0].1;
    assert_eq!(one.0, StatusCode::UNAUTHORIZED);
    let others: Vec<_> = answers.iter().filter(|(_, answer)| answer != one).collect();
    assert!(others.is_empty(), "{others:#?}");
    assert!(cases.len() >= 110, "{} cases", cases.len());
    assert_eq!(bed.evil.asked(), 0, "nobody asked the attacker's server");
    assert_eq!(bed.issuer.asked(), 1, "unknown key ids do not make the server ask again and again");
    // A token elsewhere than in the header is none.
    for address in [format!("/mcp?access_token={good}"), format!("/mcp?token={good}")] {
        let response = http.post(bed.server.url(&address)).body("access_token=").send().await.expect("a reply");
        assert_eq!(response.status(), StatusCode::UNAUTHORIZED);
    }
    let reply = bed.server.client(&good).call("who", json!({})).await;
    assert_eq!(reply["result"]["structuredContent"]["name"], "Ann", "a good one is still good");
    println!("{} tokens refused with one answer", cases.len() + 2);
}

#[tokio::test]
async fn a_head_that_is_larger_than_any_is_refused_before_it_is_looked_at() {
    let bed = Bed::new().await;
    let request = bed.server.client(&"x".repeat(200_000)).post(json_rpc("tools/list", json!({})));
    let response = request.send().await.expect("a reply");
    assert_eq!(response.status(), StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE);
}
