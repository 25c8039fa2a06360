//! Places, counted by the address of who has them, so that one address cannot have them all.

use std::{
    collections::HashMap,
    net::{IpAddr, Ipv6Addr},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// So many places; clones count together.
#[derive(Clone, Debug)]
pub(crate) struct Shares(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    all: usize,
    each: usize,
    taken: Mutex<Taken>,
}

#[derive(Debug, Default)]
struct Taken {
    all: usize,
    /// Only those that have any.
    by: HashMap<IpAddr, usize>,
}

/// Why there is no place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NoPlace {
    /// This address has its share.
    Share,
    /// All are taken.
    Any,
}

/// A place; given back when this is dropped.
#[derive(Debug)]
pub(crate) struct Share {
    shares: Shares,
    of: Option<IpAddr>,
}

impl Shares {
    /// `all` places, of which one address may have `each`.
    pub(crate) fn new(all: usize, each: usize) -> Self {
        Self(Arc::new(Inner {
            all,
            each,
            taken: Mutex::default(),
        }))
    }

    /// Takes a place for an address; for none where it says nothing of who asks, as a proxy's own does.
    pub(crate) fn take(&self, address: Option<IpAddr>) -> Result<Share, NoPlace> {
        let of = address.map(network);
        let mut taken = self.taken();
        if let Some(of) = of
            && taken.by.get(&of).is_some_and(|count| *count >= self.0.each)
        {
            return Err(NoPlace::Share);
        }
        if taken.all >= self.0.all {
            return Err(NoPlace::Any);
        }
        taken.all += 1;
        if let Some(of) = of {
            *taken.by.entry(of).or_default() += 1;
        }
        drop(taken);
        Ok(Share {
            shares: self.clone(),
            of,
        })
    }

    fn taken(&self) -> MutexGuard<'_, Taken> {
        self.0.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        let mut taken = self.shares.taken();
        taken.all -= 1;
        if let Some(of) = self.of
            && let Some(count) = taken.by.get_mut(&of)
        {
            *count -= 1;
            if *count == 0 {
                taken.by.remove(&of);
            }
        }
    }
}

/// What counts as one address: of IPv6 a whole network of 64 bits, which any host may roam.
pub(crate) fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => {
            let network = address.to_bits() >> 64 << 64;
            IpAddr::V6(Ipv6Addr::from_bits(network))
        }
        v4 => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host(last: u8) -> Option<IpAddr> {
        Some(IpAddr::from([192, 0, 2, last]))
    }

    #[test]
    fn one_address_has_its_share_and_leaves_the_rest_to_others() {
        let shares = Shares::new(5, 2);
        let own = [shares.take(host(1)).unwrap(), shares.take(host(1)).unwrap()];
        assert_eq!(shares.take(host(1)).unwrap_err(), NoPlace::Share);
        let others = [shares.take(host(2)).unwrap(), shares.take(None).unwrap()];
        let last = shares.take(None).unwrap();
        assert_eq!(shares.take(host(3)).unwrap_err(), NoPlace::Any);
        drop(last);
        let _third = shares.take(host(3)).unwrap();
        drop(own);
        let _again = shares.take(host(1)).unwrap();
        drop(others);
    }

    #[test]
    fn who_has_no_place_any_more_is_forgotten() {
        let shares = Shares::new(1_000, 1);
        for last in 0..=255 {
            drop(shares.take(host(last)).unwrap());
        }
        assert!(shares.taken().by.is_empty());
        assert_eq!(shares.taken().all, 0);
    }

    #[test]
    fn a_network_of_ipv6_has_one_share() {
        let shares = Shares::new(10, 1);
        let of = |host: u128| {
            let bits = (0x2001_0db8 << 96) | host;
            Some(IpAddr::V6(Ipv6Addr::from_bits(bits)))
        };
        let _one = shares.take(of(1)).unwrap();
        assert_eq!(shares.take(of(2)).unwrap_err(), NoPlace::Share);
        let _elsewhere = shares.take(of(1 << 64)).unwrap();
    }
}
