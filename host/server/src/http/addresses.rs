use std::{
    collections::HashMap,
    net::{IpAddr, Ipv6Addr},
    sync::{Arc, Mutex, PoisonError},
};

/// How many connections each address has. An address without one has no entry.
pub(super) struct Addresses {
    each_max: usize,
    open: Mutex<HashMap<IpAddr, usize>>,
}

/// One connection of an address, until it is dropped.
pub(super) struct OfAddress {
    addresses: Arc<Addresses>,
    network: IpAddr,
}

impl Addresses {
    pub(super) fn new(each_max: usize) -> Arc<Self> {
        Arc::new(Self { each_max, open: Mutex::default() })
    }

    /// `None` where the address has as many as it may.
    pub(super) fn enter(self: &Arc<Self>, address: IpAddr) -> Option<OfAddress> {
        let network = network_of(address);
        let mut all = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let open = all.entry(network).or_insert(0);
        if *open >= self.each_max {
            // At a level that is off by default: whoever can open connections could else fill the log.
            tracing::debug!(%network, "connection refused: the address has connections_per_ip_max");
            return None;
        }
        *open += 1;
        Some(OfAddress { addresses: Arc::clone(self), network })
    }
}

impl Drop for OfAddress {
    fn drop(&mut self) {
        let mut all = self.addresses.open.lock().unwrap_or_else(PoisonError::into_inner);
        let left = all.get(&self.network).map_or(0, |open| open.saturating_sub(1));
        if left == 0 {
            all.remove(&self.network);
        } else {
            all.insert(self.network, left);
        }
    }
}

/// Whoever has one address of IPv6 has a /64 of them.
fn network_of(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => address.into(),
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() >> 64 << 64).into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_address_has_its_share_and_leaves_nothing_behind() {
        let addresses = Addresses::new(2);
        let enter = |text: &str| addresses.enter(text.parse().expect("an address"));
        let (a, b) = (enter("192.0.2.1").expect("room"), enter("::ffff:192.0.2.1").expect("room"));
        assert!(enter("192.0.2.1").is_none(), "in either form");
        let other = enter("192.0.2.2").expect("room");
        let (c, d) = (enter("2001:db8::1").expect("room"), enter("2001:db8::2").expect("room"));
        assert!(enter("2001:db8::3").is_none(), "one network");
        let next = enter("2001:db8:0:1::3").expect("another network");
        drop(a);
        drop(enter("192.0.2.1").expect("room again"));
        drop((b, c, d, other, next));
        assert!(addresses.open.lock().expect("no panic").is_empty());
    }
}
