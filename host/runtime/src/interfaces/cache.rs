//! `cache`: small values from one call to the next.

use std::time::Duration;

use super::convert::{HostError, HostResult, forbidden, invalid};
use crate::{
    bindings::stockade::plugin::cache::Host,
    cache::Scope,
    state::{Call, CallState},
};

const KEY_BYTES_MAX: usize = 256;
const VALUE_BYTES_MAX: usize = 1 << 20;
const TTL_S_MAX: u32 = 86_400;

impl Host for CallState {
    async fn get(&mut self, key: String) -> HostResult<Option<Vec<u8>>> {
        let call = self.enter()?;
        call.check_key(&key)?;
        Ok(call.cache.get(&call.scope(), &key).map(|value| value.to_vec()))
    }

    async fn set(&mut self, key: String, value: Vec<u8>, ttl_s: u32) -> HostResult<()> {
        let call = self.enter()?;
        call.check_key(&key)?;
        if value.len() > VALUE_BYTES_MAX {
            let message = format!("the value has {} bytes; at most {VALUE_BYTES_MAX} are kept", value.len());
            return Err(invalid("ARGUMENT_TOO_LONG", message));
        }
        if !(1..=TTL_S_MAX).contains(&ttl_s) {
            return Err(invalid("ARGUMENT_OUT_OF_RANGE", format!("ttl-s is {ttl_s}; expected 1 to {TTL_S_MAX}")));
        }
        call.cache.set(&call.scope(), &key, value, Duration::from_secs(ttl_s.into()));
        Ok(())
    }

    async fn delete(&mut self, key: String) -> HostResult<()> {
        let call = self.enter()?;
        call.check_key(&key)?;
        call.cache.delete(&call.scope(), &key);
        Ok(())
    }
}

impl Call {
    fn scope(&self) -> Scope<'_> {
        Scope { plugin_digest: &self.plugin.digest, identity: &self.caller.identity }
    }

    fn check_key(&self, key: &str) -> Result<(), HostError> {
        if !(1..=KEY_BYTES_MAX).contains(&key.len()) {
            let message = format!("the key has {} bytes; expected 1 to {KEY_BYTES_MAX}", key.len());
            return Err(invalid("ARGUMENT_TOO_LONG", message));
        }
        let namespaces = self.plugin.grants.cache.as_ref().and_then(|grant| grant.namespaces.as_ref());
        let granted = namespaces.is_none_or(|names| key.split_once(':').is_some_and(|(name, _)| names.contains(name)));
        if granted {
            return Ok(());
        }
        Err(forbidden("NAMESPACE_NOT_GRANTED", "the key begins with no granted namespace and a colon"))
    }
}
