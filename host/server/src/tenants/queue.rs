use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::{sync::oneshot, time::Instant};

use super::Tenant;

/// Places to run a call. Those that come free go round among the tenants that wait, one at a time:
/// whoever has a thousand calls waiting gets every second place when one other tenant waits, and
/// within a tenant the first come is the first served. No tenant has more than its `calls_max`.
pub(crate) struct FairQueue {
    state: Mutex<State>,
}

struct State {
    places: usize,
    taken: usize,
    lanes: HashMap<Arc<str>, Lane>,
    /// The tenants that have calls waiting, in the order in which they get places. Each stands here once.
    turns: VecDeque<Arc<str>>,
}

#[derive(Default)]
struct Lane {
    running: usize,
    running_max: usize,
    waiting: VecDeque<oneshot::Sender<Place>>,
}

/// A place. Dropping it hands it on.
pub(crate) struct Place {
    queue: Arc<FairQueue>,
    tenant: Arc<str>,
    given_back: bool,
}

impl Drop for Place {
    fn drop(&mut self) {
        if !self.given_back {
            let mut state = self.queue.state();
            state.give_back(&self.tenant);
            self.queue.hand_out(&mut state);
        }
    }
}

impl State {
    fn give_back(&mut self, tenant: &Arc<str>) {
        self.taken = self.taken.saturating_sub(1);
        if let Some(lane) = self.lanes.get_mut(tenant) {
            lane.running = lane.running.saturating_sub(1);
        }
    }

    /// The first tenant in turn that may run one more, with the first of its calls that still waits.
    fn next(&mut self) -> Option<(Arc<str>, oneshot::Sender<Place>)> {
        while self.taken < self.places {
            let lanes = &self.lanes;
            let has_room = |tenant| lanes.get(tenant).is_none_or(|lane| lane.running < lane.running_max);
            let at = self.turns.iter().position(has_room)?;
            let tenant = self.turns.remove(at)?;
            let Some(lane) = self.lanes.get_mut(&tenant) else { continue };
            // Callers that have given up are passed over.
            let next = std::iter::from_fn(|| lane.waiting.pop_front()).find(|call| !call.is_closed());
            if !lane.waiting.is_empty() {
                self.turns.push_back(Arc::clone(&tenant));
            }
            if let Some(call) = next {
                self.taken += 1;
                lane.running += 1;
                return Some((tenant, call));
            }
        }
        None
    }
}

impl FairQueue {
    pub(crate) fn new(places: usize) -> Arc<Self> {
        let state = State { places, taken: 0, lanes: HashMap::new(), turns: VecDeque::new() };
        Arc::new(Self { state: Mutex::new(state) })
    }

    /// From now on so many. Where more are taken, none is given out until they have come back.
    pub(crate) fn set_places(self: &Arc<Self>, places: usize) {
        let mut state = self.state();
        state.places = places;
        self.hand_out(&mut state);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many calls each tenant has running and waiting; those that have none are left out.
    pub(crate) fn lanes(&self) -> HashMap<Arc<str>, (usize, usize)> {
        let state = self.state();
        let counts = state.lanes.iter().map(|(tenant, lane)| {
            let waiting = lane.waiting.iter().filter(|call| !call.is_closed()).count();
            (Arc::clone(tenant), (lane.running, waiting))
        });
        counts.filter(|(_, (running, waiting))| running + waiting > 0).collect()
    }

    /// Waits for a place until `deadline`. Dropping the future gives up.
    pub(crate) async fn enter(self: &Arc<Self>, tenant: &Tenant, deadline: Instant) -> Option<Place> {
        let mut waiting = self.line_up(tenant);
        // Most of the time there is a place, and no timer is needed.
        match waiting.try_recv() {
            Ok(place) => Some(place),
            Err(_) => tokio::time::timeout_at(deadline, waiting).await.ok()?.ok(),
        }
    }

    fn line_up(self: &Arc<Self>, tenant: &Tenant) -> oneshot::Receiver<Place> {
        let (sender, receiver) = oneshot::channel();
        let mut state = self.state();
        let State { lanes, turns, .. } = &mut *state;
        let lane = lanes.entry(Arc::clone(&tenant.name)).or_default();
        lane.running_max = tenant.limits.calls_max;
        if lane.waiting.is_empty() {
            turns.push_back(Arc::clone(&tenant.name));
        }
        // Those that gave up make room: a lane holds no more than what waits.
        lane.waiting.retain(|call| !call.is_closed());
        lane.waiting.push_back(sender);
        self.hand_out(&mut state);
        receiver
    }

    fn hand_out(self: &Arc<Self>, state: &mut State) {
        while let Some((tenant, call)) = state.next() {
            let place = Place { queue: Arc::clone(self), tenant, given_back: false };
            // Given up between the look and now. Dropped as it is, the place would lock what is locked.
            if let Err(mut place) = call.send(place) {
                state.give_back(&place.tenant);
                place.given_back = true;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::TenantConfig;

    fn tenant(name: &str, calls_max: usize) -> Tenant {
        let config = TenantConfig { calls_max: Some(calls_max), ..TenantConfig::default() };
        Tenant::new(name, config.over(&TenantConfig::default(), name).expect("limits"))
    }

    type Waiting = (&'static str, oneshot::Receiver<Place>);

    /// Who holds a place among those that waited, in the order of the list.
    fn served(waiting: &mut Vec<Waiting>, held: &mut Vec<Place>) -> Vec<&'static str> {
        let mut names = Vec::new();
        waiting.retain_mut(|(name, call)| match call.try_recv() {
            Ok(place) => {
                names.push(*name);
                held.push(place);
                false
            }
            Err(_) => true,
        });
        names
    }

    #[test]
    fn a_flood_of_one_tenant_is_answered_by_turns() {
        let queue = FairQueue::new(1);
        let (flood, quiet, third) = (tenant("flood", 64), tenant("quiet", 64), tenant("third", 64));
        let mut waiting: Vec<Waiting> = (0..64).map(|_| ("flood", queue.line_up(&flood))).collect();
        for (name, of) in [("quiet", &quiet), ("third", &third), ("quiet", &quiet)] {
            waiting.push((name, queue.line_up(of)));
        }
        let (mut held, mut order) = (Vec::new(), Vec::new());
        for _ in 0..8 {
            order.extend(served(&mut waiting, &mut held));
            assert_eq!(held.len(), 1, "one place is one place");
            held.clear();
        }
        // `flood` had the place when the others came, and its next turn was already due.
        assert_eq!(order, ["flood", "flood", "quiet", "third", "flood", "quiet", "flood", "flood"]);
    }

    #[test]
    fn a_tenant_at_its_own_limit_holds_up_nobody() {
        let queue = FairQueue::new(4);
        let (flood, quiet) = (tenant("flood", 2), tenant("quiet", 2));
        let mut waiting: Vec<Waiting> = (0..5).map(|_| ("flood", queue.line_up(&flood))).collect();
        waiting.push(("quiet", queue.line_up(&quiet)));
        let mut held = Vec::new();
        assert_eq!(served(&mut waiting, &mut held), ["flood", "flood", "quiet"]);
        held.remove(0);
        assert_eq!(served(&mut waiting, &mut held), ["flood"]);
    }

    #[test]
    fn whoever_gives_up_holds_no_place_and_no_memory() {
        let queue = FairQueue::new(1);
        let a = tenant("a", 9);
        let mut first = queue.line_up(&a);
        let place = first.try_recv().expect("a place");
        for _ in 0..1_000 {
            drop(queue.line_up(&a));
        }
        let mut last = queue.line_up(&a);
        assert_eq!(queue.state().lanes["a"].waiting.len(), 1);
        drop(place);
        // Given a place that it never took: dropped with the channel, it comes back.
        let given = last.try_recv().expect("a place");
        let unread = queue.line_up(&a);
        drop(given);
        drop(unread);
        let state = queue.state();
        assert_eq!((state.taken, state.lanes["a"].running), (0, 0));
    }

    #[test]
    fn more_places_are_given_out_at_once_and_fewer_when_they_come_back() {
        let queue = FairQueue::new(1);
        let a = tenant("a", 9);
        let mut waiting: Vec<Waiting> = (0..4).map(|_| ("a", queue.line_up(&a))).collect();
        let mut held = Vec::new();
        assert_eq!(served(&mut waiting, &mut held).len(), 1);
        queue.set_places(3);
        assert_eq!(served(&mut waiting, &mut held).len(), 2);
        queue.set_places(1);
        held.truncate(1);
        assert_eq!(served(&mut waiting, &mut held).len(), 0, "one is still taken");
        held.clear();
        assert_eq!(served(&mut waiting, &mut held).len(), 1);
    }

    #[tokio::test]
    async fn a_place_that_does_not_come_in_time_is_given_up() {
        let queue = FairQueue::new(1);
        let a = tenant("a", 9);
        let place = queue.enter(&a, Instant::now()).await.expect("a place");
        assert!(queue.enter(&a, Instant::now()).await.is_none());
        drop(place);
        assert!(queue.enter(&a, Instant::now()).await.is_some());
    }
}
