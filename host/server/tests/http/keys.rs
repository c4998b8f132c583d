//! The issuer's keys: rotated, gone, slow, rubbish.

use std::time::Duration;

use reqwest::StatusCode;
use serde_json::json;

use crate::{
    client::Client,
    harness::TestServer,
    issuer::{Answer, Issuer, access, claims, jwks},
    signing::TestKey,
};

async fn server(issuer: &Issuer, lines: &str) -> TestServer {
    TestServer::with_access(access(&format!("jwks_url = '{}'\n{lines}", issuer.url))).await
}

async fn status(client: &Client) -> StatusCode {
    client.modern("tools/list", json!({})).send().await.expect("a reply").status()
}

async fn until(client: &Client, expected: StatusCode) {
    let work = async {
        while status(client).await != expected {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), work).await.expect("it happens");
}

async fn until_asked(issuer: &Issuer, times: usize) {
    let work = async {
        while issuer.asked() < times {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), work).await.expect("it is asked");
}

#[tokio::test]
async fn a_new_key_is_found_and_a_withdrawn_one_is_refused() {
    let (first, second) = (TestKey::es256("first"), TestKey::eddsa("second"));
    let issuer = Issuer::with(&[&first]).await;
    let server = server(&issuer, "jwks_refetch_s = 1").await;
    let (old, new) = (server.client(&first.token(&claims())), server.client(&second.token(&claims())));
    assert_eq!((status(&old).await, status(&new).await), (StatusCode::OK, StatusCode::UNAUTHORIZED));
    issuer.now_answers(Answer::Keys(jwks(&[&first, &second])));
    until(&new, StatusCode::OK).await;
    assert_eq!(status(&old).await, StatusCode::OK, "both are good while both are published");
    issuer.now_answers(Answer::Keys(jwks(&[&second])));
    let unknown = server.client(&TestKey::es256("third").token(&claims()));
    let asked = issuer.asked();
    while issuer.asked() == asked {
        assert_eq!(status(&unknown).await, StatusCode::UNAUTHORIZED);
    }
    until(&old, StatusCode::UNAUTHORIZED).await;
    assert_eq!(status(&new).await, StatusCode::OK);
}

#[tokio::test]
async fn a_key_under_a_name_that_another_has_had_replaces_it() {
    let (first, second) = (TestKey::es256("k"), TestKey::es256("k"));
    let issuer = Issuer::with(&[&first]).await;
    let server = server(&issuer, "jwks_refetch_s = 1\njwks_max_age_s = 1").await;
    let (old, new) = (server.client(&first.token(&claims())), server.client(&second.token(&claims())));
    assert_eq!((status(&old).await, status(&new).await), (StatusCode::OK, StatusCode::UNAUTHORIZED));
    issuer.now_answers(Answer::Keys(jwks(&[&second])));
    until(&new, StatusCode::OK).await;
    assert_eq!(status(&old).await, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn known_keys_serve_while_the_issuer_is_down_and_not_for_ever() {
    let key = TestKey::es256("k");
    let issuer = Issuer::with(&[&key]).await;
    let patient = server(&issuer, "jwks_refetch_s = 1\njwks_max_age_s = 1").await;
    let strict = server(&issuer, "jwks_refetch_s = 1\njwks_max_age_s = 1\njwks_stale_max_s = 1").await;
    let (patient, strict) = (patient.client(&key.token(&claims())), strict.client(&key.token(&claims())));
    assert_eq!((status(&patient).await, status(&strict).await), (StatusCode::OK, StatusCode::OK));
    issuer.now_answers(Answer::Status(StatusCode::SERVICE_UNAVAILABLE));
    until(&strict, StatusCode::UNAUTHORIZED).await;
    let asked = issuer.asked();
    while issuer.asked() < asked + 2 {
        assert_eq!(status(&patient).await, StatusCode::OK);
        tokio::task::yield_now().await;
    }
    issuer.now_answers(Answer::Keys(jwks(&[&key])));
    until(&strict, StatusCode::OK).await;
}

#[tokio::test]
async fn a_crowd_asks_once_and_whoever_leaves_takes_nothing_with_it() {
    let key = TestKey::es256("k");
    let issuer = Issuer::start(Answer::KeysWhenTold(jwks(&[&key]))).await;
    let server = server(&issuer, "jwks_refetch_s = 3600").await;
    let token = key.token(&claims());
    until_asked(&issuer, 1).await;
    let leaves = tokio::spawn({
        let client = server.client(&token);
        async move { status(&client).await }
    });
    let crowd: Vec<_> = (0..20)
        .map(|_| {
            let client = server.client(&token);
            tokio::spawn(async move { status(&client).await })
        })
        .collect();
    tokio::task::yield_now().await;
    leaves.abort();
    issuer.state.gate.add_permits(1);
    for one in crowd {
        assert_eq!(one.await.expect("no panic"), StatusCode::OK);
    }
    assert_eq!(issuer.asked(), 1);
}

#[tokio::test]
async fn unknown_key_ids_do_not_make_the_server_ask() {
    let key = TestKey::es256("k");
    let issuer = Issuer::with(&[&key]).await;
    let server = server(&issuer, "jwks_refetch_s = 3600").await;
    assert_eq!(status(&server.client(&key.token(&claims()))).await, StatusCode::OK);
    let stranger = TestKey::es256("stranger");
    for n in 0..100 {
        let mut header = stranger.header();
        header["kid"] = json!(format!("stranger-{n}"));
        let client = server.client(&stranger.token_with(&header, &claims()));
        assert_eq!(status(&client).await, StatusCode::UNAUTHORIZED);
    }
    assert_eq!(issuer.asked(), 1);
}

#[tokio::test]
async fn what_is_no_set_of_keys_lets_nobody_in_and_a_good_answer_mends_it() {
    let key = TestKey::es256("k");
    let elsewhere = Issuer::with(&[&key]).await;
    for answer in [
        Answer::Text("<html>"),
        Answer::Text("{}"),
        Answer::Text("{\"keys\":[]}"),
        Answer::Text("{\"keys\":[{\"kty\":\"oct\",\"kid\":\"k\",\"k\":\"c2VjcmV0\"}]}"),
        Answer::Status(StatusCode::NO_CONTENT),
        Answer::RedirectTo(elsewhere.url.clone()),
        Answer::Megabytes(50),
        Answer::Nothing,
    ] {
        let issuer = Issuer::start(answer).await;
        let server = server(&issuer, "jwks_refetch_s = 1\njwks_timeout_ms = 300").await;
        let client = server.client(&key.token(&claims()));
        assert_eq!(status(&client).await, StatusCode::UNAUTHORIZED);
        // Buffers between the two take a few; the rest was never asked for.
        assert!(issuer.megabytes() < 20, "{} MB were sent", issuer.megabytes());
        assert_eq!(server.north().call("who", json!({})).await["result"]["isError"], false, "others notice nothing");
        issuer.now_answers(Answer::Keys(jwks(&[&key])));
        until(&client, StatusCode::OK).await;
    }
    assert_eq!(elsewhere.asked(), 0);
}

#[tokio::test]
async fn an_issuer_that_is_not_there_keeps_nobody_else_out() {
    let port = std::net::TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("an address").port();
    let server = TestServer::with_access(access(&format!("jwks_url = 'http://127.0.0.1:{port}/keys'"))).await;
    let client = server.client(&TestKey::es256("k").token(&claims()));
    assert_eq!(status(&client).await, StatusCode::UNAUTHORIZED);
    assert_eq!(server.north().call("who", json!({})).await["result"]["isError"], false);
}

#[tokio::test]
async fn keys_may_stand_in_a_file_that_changes() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("keys.json");
    let (first, second) = (TestKey::es256("first"), TestKey::rs256("second"));
    let write = |keys: &[&TestKey]| std::fs::write(&path, json!({ "keys": jwks(keys) }).to_string()).expect("a file");
    write(&[&first]);
    let lines = format!("jwks_file = '{}'\njwks_refetch_s = 1\njwks_bytes_max = 4096", path.display());
    let server = TestServer::with_access(access(&lines)).await;
    let (old, new) = (server.client(&first.token(&claims())), server.client(&second.token(&claims())));
    assert_eq!((status(&old).await, status(&new).await), (StatusCode::OK, StatusCode::UNAUTHORIZED));
    write(&[&second]);
    until(&new, StatusCode::OK).await;
    assert_eq!(status(&old).await, StatusCode::UNAUTHORIZED);
    let large = TestServer::with_access(access(&lines.replace("4096", "16"))).await;
    assert_eq!(status(&large.client(&second.token(&claims()))).await, StatusCode::UNAUTHORIZED);
}
