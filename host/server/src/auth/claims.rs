//! What the claims of a valid token mean here. Nothing is guessed: a claim of the wrong type, a tenant
//! or a role that the configuration does not map, is a refusal.

use std::collections::BTreeSet;

use serde_json::Value;
use stockade_db::Identity;
use stockade_runtime::Caller;

use super::Refused;
use crate::config::{IssuerConfig, time_zone_is_well_formed};

/// Characters of a display name that are kept.
const DISPLAY_NAME_CHARS_MAX: usize = 128;

/// The caller that the claims of a token name, whose signature and times have been checked, and its scopes.
///
/// # Errors
/// When the issuer's mapping does not lead to exactly one tenant and one reader role, or a claim has the
/// wrong type.
pub fn map(issuer: &IssuerConfig, claims: &Value) -> Result<(Caller, BTreeSet<String>), Refused> {
    let principal = text(claims, &issuer.principal_claim)?.ok_or(Refused("no principal"))?;
    let (reader_role, roles) = roles(issuer, claims)?;
    let display_name = text(claims, &issuer.display_name_claim)?.unwrap_or(principal);
    let time_zone = text(claims, &issuer.time_zone_claim)?.unwrap_or("UTC");
    if !time_zone_is_well_formed(time_zone) {
        return Err(Refused("the time zone is none"));
    }
    let caller = Caller {
        identity: Identity {
            tenant: tenant(issuer, claims)?.parse().map_err(|_| Refused("the tenant is no identifier"))?,
            principal: principal.parse().map_err(|_| Refused("the principal is no identifier"))?,
            roles,
            reader_role: reader_role.parse().map_err(|_| Refused("the reader role is no identifier"))?,
        },
        display_name: display_name.chars().filter(|c| !c.is_control()).take(DISPLAY_NAME_CHARS_MAX).collect(),
        time_zone: time_zone.to_owned(),
    };
    Ok((caller, scopes(issuer, claims)?))
}

fn tenant<'a>(issuer: &'a IssuerConfig, claims: &Value) -> Result<&'a str, Refused> {
    if let Some(tenant) = &issuer.tenant {
        return Ok(tenant);
    }
    let pointer = issuer.tenant_claim.as_deref().ok_or(Refused("no tenant"))?;
    let claimed = text(claims, pointer)?.ok_or(Refused("no tenant"))?;
    issuer.tenants.get(claimed).map(String::as_str).ok_or(Refused("the tenant is not mapped"))
}

/// The reader role, and the roles in the application's words.
fn roles<'a>(issuer: &'a IssuerConfig, claims: &Value) -> Result<(&'a str, Vec<String>), Refused> {
    let claimed = texts(claims, &issuer.roles_claim)?;
    let mapped: Vec<_> = issuer.roles.iter().filter(|(name, _)| claimed.contains(&name.as_str())).collect();
    let reader_roles: BTreeSet<_> = mapped.iter().map(|(_, role)| role.reader_role.as_str()).collect();
    let mut reader_roles = reader_roles.into_iter();
    match (reader_roles.next(), reader_roles.next()) {
        (Some(reader_role), None) => {
            let roles: BTreeSet<_> = mapped.iter().map(|(name, role)| role.role.as_ref().unwrap_or(name)).collect();
            Ok((reader_role, roles.into_iter().cloned().collect()))
        }
        (None, _) => Err(Refused("no role is mapped")),
        (Some(_), Some(_)) => Err(Refused("the roles lead to more than one reader role")),
    }
}

fn scopes(issuer: &IssuerConfig, claims: &Value) -> Result<BTreeSet<String>, Refused> {
    let claimed = texts(claims, &issuer.scope_claim)?;
    Ok(claimed.into_iter().flat_map(|text| text.split(' ')).filter(|s| !s.is_empty()).map(str::to_owned).collect())
}

/// A claim that is a text. `None` where it is absent or null.
fn text<'a>(claims: &'a Value, pointer: &str) -> Result<Option<&'a str>, Refused> {
    match claims.pointer(pointer) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => Err(Refused("a claim has the wrong type")),
    }
}

/// A claim that is a text or a list of texts; absent, an empty one.
fn texts<'a>(claims: &'a Value, pointer: &str) -> Result<Vec<&'a str>, Refused> {
    match claims.pointer(pointer) {
        Some(Value::Array(items)) => {
            let texts = items.iter().map(|item| item.as_str().ok_or(Refused("a claim has the wrong type")));
            texts.collect()
        }
        _ => Ok(text(claims, pointer)?.into_iter().collect()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn issuer() -> IssuerConfig {
        toml::from_str(
            "issuer = 'https://id'\njwks_url = 'https://id/keys'\ntenant_claim = '/org/id'\nroles_claim = '/realm/roles'\n\
             tenants = { o1 = 'acme' }\n[roles.Manager]\nreader_role = 'store_reader'\nrole = 'manager'\n\
             [roles.Clerk]\nreader_role = 'store_reader'\n[roles.Head]\nreader_role = 'office_reader'",
        )
        .expect("an issuer")
    }

    fn claims() -> Value {
        json!({ "sub": "p-1", "org": { "id": "o1" }, "realm": { "roles": ["Manager", "Clerk", "offline_access"] },
                "scope": "a b", "name": "Ann\n\u{7}", "zoneinfo": "Europe/Berlin" })
    }

    #[test]
    fn claims_become_a_caller() {
        let (caller, scopes) = map(&issuer(), &claims()).expect("a caller");
        let identity = &caller.identity;
        assert_eq!((identity.tenant.as_str(), identity.principal.as_str()), ("acme", "p-1"));
        assert_eq!((identity.roles.join(","), identity.reader_role.as_str()), ("Clerk,manager".into(), "store_reader"));
        assert_eq!((caller.display_name.as_str(), caller.time_zone.as_str()), ("Ann", "Europe/Berlin"));
        assert_eq!(scopes.into_iter().collect::<Vec<_>>(), ["a", "b"]);
    }

    #[test]
    fn what_is_not_needed_may_be_absent() {
        let claims = json!({ "sub": "p-1", "org": { "id": "o1" }, "realm": { "roles": "Clerk" } });
        let (caller, scopes) = map(&issuer(), &claims).expect("a caller");
        assert_eq!((caller.display_name.as_str(), caller.time_zone.as_str()), ("p-1", "UTC"));
        assert!(scopes.is_empty());
    }

    #[test]
    fn everything_else_is_refused() {
        for (pointer, value, reason) in [
            ("/sub", json!(null), "no principal"),
            ("/sub", json!(7), "wrong type"),
            ("/sub", json!(["p-1"]), "wrong type"),
            ("/sub", json!(""), "identifier"),
            ("/sub", json!("p 1"), "identifier"),
            ("/sub", json!("p".repeat(200)), "identifier"),
            ("/org/id", json!(null), "no tenant"),
            ("/org/id", json!("o2"), "not mapped"),
            ("/org/id", json!("acme"), "not mapped"),
            ("/org/id", json!(["o1"]), "wrong type"),
            ("/org", json!("o1"), "no tenant"),
            ("/realm/roles", json!(null), "no role"),
            ("/realm/roles", json!([]), "no role"),
            ("/realm/roles", json!(["store_reader"]), "no role"),
            ("/realm/roles", json!(["Manager", "Head"]), "more than one"),
            ("/realm/roles", json!(["Manager", 1]), "wrong type"),
            ("/realm/roles", json!({ "Manager": true }), "wrong type"),
            ("/scope", json!(true), "wrong type"),
            ("/scope", json!([["a"]]), "wrong type"),
            ("/name", json!({}), "wrong type"),
            ("/zoneinfo", json!(1), "wrong type"),
            ("/zoneinfo", json!("'; DROP"), "time zone"),
        ] {
            let mut claims = claims();
            *claims.pointer_mut(pointer).expect("a claim") = value.clone();
            let Refused(why) = map(&issuer(), &claims).expect_err("a refusal");
            assert!(why.contains(reason), "{pointer} = {value}: {why}");
        }
    }
}
