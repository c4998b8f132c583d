//! `cache`: small values from one call to the next.

use std::time::Duration;

use super::convert::{HostError, HostResult, invalid};
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
        check_key(&key)?;
        Ok(call.cache.get(&call.scope(), &key).map(|value| value.to_vec()))
    }

    async fn set(&mut self, key: String, value: Vec<u8>, ttl_s: u32) -> HostResult<()> {
        let call = self.enter()?;
        check_key(&key)?;
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
        check_key(&key)?;
        call.cache.delete(&call.scope(), &key);
        Ok(())
    }
}

impl Call {
    fn scope(&self) -> Scope<'_> {
        Scope { plugin_digest: &self.plugin.digest, identity: &self.caller.identity }
    }
}

fn check_key(key: &str) -> Result<(), HostError> {
    if (1..=KEY_BYTES_MAX).contains(&key.len()) {
        return Ok(());
    }
    Err(invalid("ARGUMENT_TOO_LONG", format!("the key has {} bytes; expected 1 to {KEY_BYTES_MAX}", key.len())))
}
