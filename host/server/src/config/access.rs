use std::{collections::BTreeMap, path::PathBuf};

use super::{CallerConfig, OauthConfig, TenantConfig};

/// Who may call, and what their tenants may use.
#[derive(Clone, Debug, Default)]
pub struct AccessConfig {
    /// `[callers.*]`
    pub callers: BTreeMap<String, CallerConfig>,
    /// `[oauth]`
    pub oauth: Option<OauthConfig>,
    /// `[tenants.*]`
    pub tenants: BTreeMap<String, TenantConfig>,
    /// `[tenant_defaults]`
    pub tenant_defaults: TenantConfig,
}

impl AccessConfig {
    /// Every database role that a caller can have, with the key that names it.
    pub(super) fn reader_roles(&self) -> impl Iterator<Item = (String, &str)> {
        let of_callers =
            self.callers.iter().map(|(name, caller)| (format!("callers.{name}"), caller.reader_role.as_str()));
        let of_issuers = self.oauth.iter().flat_map(|oauth| &oauth.issuers).flat_map(|(issuer, of)| {
            of.roles
                .iter()
                .map(move |(name, role)| (format!("oauth.issuers.{issuer}.roles.{name}"), role.reader_role.as_str()))
        });
        of_callers.chain(of_issuers)
    }

    /// The files that are named relative to the configuration's folder.
    pub(super) fn paths(&mut self) -> impl Iterator<Item = &mut PathBuf> {
        let issuers = self.oauth.iter_mut().flat_map(|oauth| oauth.issuers.values_mut());
        issuers.filter_map(|issuer| issuer.jwks_file.as_mut())
    }
}
