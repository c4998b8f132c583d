use super::*;

fn shares(seats: usize, tenant_max: usize) -> Arc<Shares> {
    Shares::of(seats, tenant_max, Duration::from_secs(60))
}

fn tenant(name: &str) -> TenantId {
    name.parse().unwrap()
}

type Waiting = Vec<(&'static str, oneshot::Receiver<Seat>)>;

fn line_up(shares: &Arc<Shares>, waiting: &mut Waiting, name: &'static str, times: usize) {
    waiting.extend((0..times).map(|_| (name, shares.line_up(&tenant(name), Purpose::Statements))));
}

/// The seat of the one that was served since the last look, and whose it is.
fn served(waiting: &mut Waiting) -> Option<(&'static str, Seat)> {
    for at in 0..waiting.len() {
        if let Ok(seat) = waiting[at].1.try_recv() {
            return Some((waiting.remove(at).0, seat));
        }
    }
    None
}

#[test]
fn a_tenant_has_one_more_than_there_are_processors_within_bounds() {
    assert_eq!([1, 2, 5, 64].map(|processors| tenant_max(12, processors)), [2, 3, 6, 9]);
    assert_eq!([1, 2, 3, 4, 10].map(|all| tenant_max(all, 64)), [1, 2, 2, 3, 7]);
}

#[test]
fn seats_go_round_among_tenants_whoever_has_how_many_waiting() {
    let shares = shares(1, 1);
    let mut waiting = Waiting::new();
    line_up(&shares, &mut waiting, "flood", 100);
    line_up(&shares, &mut waiting, "b", 2);
    line_up(&shares, &mut waiting, "c", 1);
    let mut order = Vec::new();
    while order.len() < 7 {
        let (name, seat) = served(&mut waiting).unwrap();
        assert!(served(&mut waiting).is_none(), "one seat, two holders");
        order.push(name);
        drop(seat);
    }
    // The flood came first, and stood in line again before the others came.
    assert_eq!(order, ["flood", "flood", "b", "c", "flood", "b", "flood"]);
}

#[test]
fn a_tenant_at_its_share_is_passed_over_and_gets_its_turn_back() {
    let shares = shares(3, 2);
    let mut waiting = Waiting::new();
    line_up(&shares, &mut waiting, "a", 3);
    let (first, second) = (served(&mut waiting).unwrap().1, served(&mut waiting).unwrap().1);
    assert!(served(&mut waiting).is_none(), "a third seat for a share of two");
    line_up(&shares, &mut waiting, "b", 1);
    let (name, _others) = served(&mut waiting).unwrap();
    assert_eq!(name, "b");
    drop(first);
    assert_eq!(served(&mut waiting).unwrap().0, "a");
    drop(second);
    assert!(shares.state().turns.is_empty());
}

#[test]
fn who_gave_up_gets_nothing_and_nothing_is_kept_of_who_is_gone() {
    let shares = shares(1, 1);
    let mut waiting = Waiting::new();
    line_up(&shares, &mut waiting, "a", 1);
    let held = served(&mut waiting).unwrap().1;
    for number in 0..1_000 {
        drop(shares.line_up(&tenant(&format!("t{number}")), Purpose::Statements));
    }
    line_up(&shares, &mut waiting, "b", 1);
    drop(held);
    let (name, seat) = served(&mut waiting).unwrap();
    assert_eq!(name, "b");
    // Given after its holder gave up: it comes back by itself.
    let unread = shares.line_up(&tenant("c"), Purpose::Statements);
    drop(seat);
    drop(unread);
    assert_eq!(shares.stats().held, 0);
    let state = shares.state();
    assert_eq!((state.lanes.len(), state.turns.len()), (0, 0));
}
