//! One query for many who ask the same at the same time.
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::watch;

use super::{Entry, Key};

/// How a flight ended: what was kept, or that nothing could be.
type Landing = Option<Option<Arc<Entry>>>;

/// The queries under way.
#[derive(Default)]
pub(super) struct Flights(Mutex<HashMap<Key, watch::Receiver<Landing>>>);

/// What becomes of somebody who asks.
pub(super) enum Seat<'a> {
    /// Nobody asks the same: run it.
    Pilot(Pilot<'a>),
    /// Somebody runs it.
    Passenger(Passenger),
}

/// Runs the query. Dropped without a word, one of the passengers takes over.
pub(super) struct Pilot<'a> {
    flights: &'a Flights,
    key: Key,
    landing: watch::Sender<Landing>,
}

/// Waits for the query of another.
pub(super) struct Passenger(watch::Receiver<Landing>);

impl Flights {
    pub(super) fn board(&self, key: Key) -> Seat<'_> {
        let mut flights = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(landing) = flights.get(&key) {
            return Seat::Passenger(Passenger(landing.clone()));
        }
        let (landing, receiver) = watch::channel(None);
        flights.insert(key, receiver);
        Seat::Pilot(Pilot { flights: self, key, landing })
    }
}

impl Pilot<'_> {
    /// Tells the passengers what was kept. `None`: nothing, so each has to see for itself.
    pub(super) fn land(self, kept: Option<Arc<Entry>>) {
        self.landing.send_replace(Some(kept));
    }
}

impl Drop for Pilot<'_> {
    fn drop(&mut self) {
        self.flights.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.key);
    }
}

impl Passenger {
    /// What was kept; `None` where the pilot is gone without a word.
    pub(super) async fn land(mut self) -> Landing {
        let landing = self.0.wait_for(Option::is_some).await.ok()?;
        landing.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::value::ResultSet;

    const KEY: Key = Key([7; 32]);

    fn board(flights: &Flights) -> (Option<Pilot<'_>>, Option<Passenger>) {
        match flights.board(KEY) {
            Seat::Pilot(pilot) => (Some(pilot), None),
            Seat::Passenger(passenger) => (None, Some(passenger)),
        }
    }

    #[tokio::test]
    async fn all_passengers_land_with_the_pilot() {
        let flights = Flights::default();
        let pilot = board(&flights).0.unwrap();
        let waiting: Vec<_> = (0..3).map(|_| board(&flights).1.unwrap()).collect();
        pilot.land(Some(Arc::new(Entry::new(vec![ResultSet::default()], 5))));
        for passenger in waiting {
            assert_eq!(passenger.land().await.unwrap().unwrap().bytes, 5);
        }
        board(&flights).0.unwrap().land(None);
    }

    #[tokio::test]
    async fn a_pilot_who_is_gone_leaves_the_seat_to_one_passenger() {
        let flights = Flights::default();
        let pilot = board(&flights).0.unwrap();
        let (one, two) = (board(&flights).1.unwrap(), board(&flights).1.unwrap());
        drop(pilot);
        assert!(one.land().await.is_none());
        let next = board(&flights).0.unwrap();
        assert!(two.land().await.is_none());
        let follower = board(&flights).1.unwrap();
        next.land(None);
        assert!(matches!(follower.land().await, Some(None)), "nothing was kept, and nobody waits for it");
    }
}
