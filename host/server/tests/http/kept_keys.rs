//! The issuers' keys while another configuration takes the place of the one that they were fetched under.

use reqwest::StatusCode;
use serde_json::json;
use stockade_server::config::{AccessConfig, TenantConfig};

use crate::{
    client::Client,
    harness::{TestServer, caller},
    issuer::{Answer, Issuer, access, claims},
    signing::TestKey,
};

/// These callers and those of the issuer, as the server began with them.
fn all_callers(mut access: AccessConfig) -> AccessConfig {
    access.callers.extend(["north", "south"].map(|name| caller(name, "acme")));
    access
}

async fn status(client: &Client) -> StatusCode {
    client.modern("tools/list", json!({})).send().await.expect("a reply").status()
}

#[tokio::test]
async fn a_configuration_that_is_read_again_takes_no_keys_of_an_issuer_that_is_down() {
    let key = TestKey::es256("k");
    let issuer = Issuer::with(&[&key]).await;
    // So that every reload may ask anew.
    let at = |url: &str, lines: &str| access(&format!("jwks_url = '{url}'\njwks_refetch_s = 1\n{lines}"));
    let server = TestServer::with_access(at(&issuer.url, "")).await;
    let client = server.client(&key.token(&claims()));
    assert_eq!(status(&client).await, StatusCode::OK);

    issuer.now_answers(Answer::Status(StatusCode::SERVICE_UNAVAILABLE));
    let mut of_tenants = at(&issuer.url, "");
    of_tenants.tenants.insert("acme".into(), TenantConfig { calls_max: Some(3), ..TenantConfig::default() });
    // A tenant's limits are others, then what the issuer's tokens mean, then how long its keys are good.
    for access in [of_tenants, at(&issuer.url, "leeway_s = 7"), at(&issuer.url, "jwks_max_age_s = 5")] {
        server.running.replace_callers(&all_callers(access)).expect("callers");
        assert_eq!(status(&client).await, StatusCode::OK);
    }
    // Those of another place are not its keys.
    let elsewhere = Issuer::start(Answer::Status(StatusCode::SERVICE_UNAVAILABLE)).await;
    server.running.replace_callers(&all_callers(at(&elsewhere.url, ""))).expect("callers");
    assert_eq!(status(&client).await, StatusCode::UNAUTHORIZED);
    server.running.replace_callers(&all_callers(at(&issuer.url, ""))).expect("callers");
    assert_eq!(status(&client).await, StatusCode::UNAUTHORIZED, "what was let go of is not known again");
}

#[tokio::test]
async fn an_issuer_is_not_asked_more_often_because_the_configuration_is_read_again() {
    let key = TestKey::es256("k");
    let issuer = Issuer::with(&[&key]).await;
    let at = |lines: &str| access(&format!("jwks_url = '{}'\njwks_refetch_s = 3600\n{lines}", issuer.url));
    let server = TestServer::with_access(at("")).await;
    let client = server.client(&key.token(&claims()));
    assert_eq!(status(&client).await, StatusCode::OK);
    for leeway in 0..20 {
        server.running.replace_callers(&all_callers(at(&format!("leeway_s = {leeway}")))).expect("callers");
        assert_eq!(status(&client).await, StatusCode::OK);
    }
    assert_eq!(issuer.asked(), 1);
}
