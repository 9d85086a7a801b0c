//! The book on paused time: who is let in, when again, and that nothing is counted twice or for ever.

use super::book::Unsaved;
use super::refused::UsedUp;
use super::{Book, CpuRecord, Limits, Quota, Quotas, Scope, Seat};
use crate::id::{Principal, SessionId};
use proptest::prelude::*;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::advance;

fn who(tenant: &str, name: &str) -> Principal {
    Principal { tenant: tenant.into(), name: name.into() }
}

fn book(principal: Limits, tenant: Limits) -> Arc<Book> {
    let (principals, tenants) = (HashMap::new(), HashMap::new());
    Book::new(Quotas { each_principal: principal, each_tenant: tenant, principals, tenants })
}

fn used(book: &Book, who: &Principal, scope: Scope, quota: Quota) -> u64 {
    book.uses(who).iter().find(|found| found.scope == scope && found.quota == quota).unwrap().used
}

fn up(refused: Result<Seat, UsedUp>) -> (Quota, Scope, Option<u64>) {
    let up = refused.unwrap_err();
    (up.quota, up.scope, up.wait.map(|wait| wait.as_secs()))
}

fn burn(book: &Arc<Book>, who: &Principal, seconds: u64) {
    book.meter(who).report(Duration::from_secs(seconds));
}

#[tokio::test(start_paused = true)]
async fn sessions_are_counted_for_the_principal_and_its_tenant_until_they_are_over() {
    let limits = |sessions| Limits { sessions: Some(sessions), ..Limits::default() };
    let book = book(limits(2), limits(3));
    let (ann, bob, eve) = (who("acme", "ann"), who("acme", "bob"), who("emca", "ann"));
    let first = book.admit(&ann, 0).unwrap();
    let _second = book.admit(&ann, 0).unwrap();
    assert_eq!(up(book.admit(&ann, 0)), (Quota::Sessions, Scope::Principal, None));
    let _third = book.admit(&bob, 0).unwrap();
    assert_eq!(up(book.admit(&bob, 0)), (Quota::Sessions, Scope::Tenant, None));
    let _other = book.admit(&eve, 0).unwrap();
    drop(first);
    assert!(book.admit(&bob, 0).is_ok());
    assert_eq!(used(&book, &ann, Scope::Tenant, Quota::Sessions), 2);
}

#[tokio::test(start_paused = true)]
async fn starts_have_a_pace_and_the_time_to_wait_is_true_to_the_second() {
    let quick = Limits { starts_per_minute: Some(2), ..Limits::default() };
    let book = book(quick, Limits { starts_per_minute: Some(3), ..Limits::default() });
    let (ann, bob) = (who("acme", "ann"), who("acme", "bob"));
    assert!(book.admit(&ann, 0).is_ok());
    advance(Duration::from_secs(10)).await;
    assert!(book.admit(&ann, 0).is_ok());
    advance(Duration::from_secs(5)).await;
    assert_eq!(up(book.admit(&ann, 0)), (Quota::Starts, Scope::Principal, Some(45)));
    assert_eq!(
        up(book.admit(&ann, 0)),
        (Quota::Starts, Scope::Principal, Some(45)),
        "a refusal counts for nothing"
    );
    assert!(book.admit(&bob, 0).is_ok());
    assert_eq!(up(book.admit(&bob, 0)), (Quota::Starts, Scope::Tenant, Some(45)));
    advance(Duration::from_secs(44)).await;
    assert!(book.admit(&ann, 0).is_err());
    advance(Duration::from_secs(1)).await;
    assert!(book.admit(&ann, 0).is_ok());
    // One's own pace is up for 10 s, the tenant's for 10 s as well: what is said is the longer one.
    assert_eq!(up(book.admit(&ann, 0)).2, Some(10));
}

#[tokio::test(start_paused = true)]
async fn cpu_time_leaves_the_window_after_a_day_and_the_time_to_wait_is_enough() {
    let book = book(Limits { cpu: Some(Duration::from_secs(100)), ..Limits::default() }, Limits::default());
    let ann = who("acme", "ann");
    burn(&book, &ann, 60);
    advance(Duration::from_secs(3600)).await;
    book.admit_call(&ann).unwrap();
    burn(&book, &ann, 50);
    let refused = book.admit_call(&ann).unwrap_err();
    assert_eq!((refused.quota, refused.used, refused.limit), (Quota::Cpu, 110, 100));
    assert!(book.admit(&ann, 0).is_err(), "nothing is started either");
    let wait = refused.wait.unwrap();
    assert!(wait <= Duration::from_secs(23 * 3600 + 300), "{wait:?}");
    advance(wait - Duration::from_secs(1)).await;
    assert!(book.admit_call(&ann).is_err());
    advance(Duration::from_secs(1)).await;
    book.admit_call(&ann).unwrap();
    assert_eq!(used(&book, &ann, Scope::Principal, Quota::Cpu), 50);
}

#[tokio::test(start_paused = true)]
async fn a_call_without_a_report_counts_by_its_time() {
    let (book, ann) = (book(Limits::default(), Limits::default()), who("acme", "ann"));
    let meter = book.meter(&ann);
    advance(Duration::from_secs(7)).await;
    drop(meter);
    let mut meter = book.meter(&ann);
    advance(Duration::from_secs(7)).await;
    meter.report(Duration::from_secs(1));
    drop(meter);
    assert_eq!(used(&book, &ann, Scope::Tenant, Quota::Cpu), 8);
}

#[tokio::test(start_paused = true)]
async fn recordings_count_by_what_they_may_become_and_then_by_what_they_are() {
    let book = book(Limits { stored: Some(100), ..Limits::default() }, Limits::default());
    let (ann, id) = (who("acme", "ann"), SessionId::random().unwrap());
    let seat = book.admit(&ann, 80).unwrap();
    let refused = book.admit(&ann, 21).unwrap_err();
    assert_eq!((refused.quota, refused.used, refused.asked, refused.limit), (Quota::Stored, 80, 21, 100));
    assert!(book.admit(&ann, 20).is_ok(), "up to the limit, and given back at once");
    assert!(book.admit(&ann, 0).is_ok(), "a session that is not recorded needs no room");
    book.keep(&id, &ann, 30);
    drop(seat);
    assert_eq!(used(&book, &ann, Scope::Principal, Quota::Stored), 30);
    book.keep(&id, &ann, 40);
    assert_eq!(used(&book, &ann, Scope::Principal, Quota::Stored), 40);
    book.drop_kept(&id);
    book.drop_kept(&id);
    assert_eq!(used(&book, &ann, Scope::Tenant, Quota::Stored), 0);
}

#[tokio::test(start_paused = true)]
async fn cpu_time_is_kept_once_and_remembered_by_the_next_server() {
    let (first, ann) = (book(Limits::default(), Limits::default()), who("acme", "ann"));
    burn(&first, &ann, 5);
    assert!(first.unsaved(Unsaved::Due).is_empty(), "not at every call");
    advance(Duration::from_secs(10)).await;
    burn(&first, &ann, 6);
    let saved = first.unsaved(Unsaved::Due);
    assert_eq!(saved.iter().map(|record| record.cpu.as_secs()).sum::<u64>(), 11);
    assert!(first.unsaved(Unsaved::All).is_empty());
    first.not_saved(saved.clone());
    let again = first.unsaved(Unsaved::All);
    assert_eq!(again.iter().map(|record| record.cpu.as_secs()).sum::<u64>(), 11, "tried again");

    let second = book(Limits::default(), Limits::default());
    second.remember(again);
    let ahead = CpuRecord { owner: ann.clone(), slot: u64::MAX, cpu: Duration::from_secs(1) };
    second.remember(vec![ahead]);
    assert_eq!(used(&second, &ann, Scope::Principal, Quota::Cpu), 12);
    assert!(second.unsaved(Unsaved::All).is_empty(), "what comes from the store is in the store");
    advance(Duration::from_secs(25 * 3600)).await;
    assert_eq!(used(&second, &ann, Scope::Principal, Quota::Cpu), 0);
}

#[tokio::test(start_paused = true)]
async fn some_have_limits_of_their_own_and_zero_is_nothing() {
    let own = Limits { sessions: Some(0), starts_per_minute: Some(0), ..Limits::default() };
    let mut quotas = Quotas::default();
    quotas.principals.insert(who("acme", "ann"), own);
    quotas.tenants.insert("emca".into(), Limits { cpu: Some(Duration::ZERO), ..Limits::default() });
    let book = Book::new(quotas);
    assert_eq!(up(book.admit(&who("acme", "ann"), 0)), (Quota::Sessions, Scope::Principal, None));
    assert!(book.admit(&who("acme", "bob"), 0).is_ok());
    assert_eq!(up(book.admit(&who("emca", "bob"), 0)), (Quota::Cpu, Scope::Tenant, None));
}

/// What can happen to a book.
#[derive(Clone, Debug)]
enum Step {
    Start(usize, u64),
    End(usize),
    Wait(u64),
    Burn(usize, u64),
    Keep(usize, u64),
    Remove(usize),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        4 => (0..4_usize, 0..50_u64).prop_map(|(who, bytes)| Step::Start(who, bytes)),
        3 => (0..64_usize).prop_map(Step::End),
        2 => (0..40_u64).prop_map(Step::Wait),
        2 => (0..4_usize, 0..20_u64).prop_map(|(who, seconds)| Step::Burn(who, seconds)),
        1 => (0..4_usize, 0..50_u64).prop_map(|(who, bytes)| Step::Keep(who, bytes)),
        1 => (0..64_usize).prop_map(Step::Remove),
    ];
    prop::collection::vec(step, 1..120)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever happens in whatever order: no limit is passed, every count is the sum of what there is, a tenant's counts are those of
    /// its principals together, and when all is over nothing is left.
    #[test]
    fn counts_are_what_there_is(steps in steps()) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        runtime.block_on(async {
            let own = Limits { sessions: Some(3), starts_per_minute: Some(5), stored: Some(120), ..Limits::default() };
            let all = Limits { sessions: Some(4), starts_per_minute: Some(8), stored: Some(200), ..Limits::default() };
            let book = book(own, all);
            let people = [who("a", "x"), who("a", "y"), who("b", "x"), who("b", "y")];
            let mut seats: Vec<(usize, u64, Seat)> = Vec::new();
            let mut kept: Vec<(usize, u64, SessionId)> = Vec::new();
            let mut burnt = [0; 4];
            let mut starts: Vec<(usize, tokio::time::Instant)> = Vec::new();
            for step in steps {
                match step {
                    Step::Start(n, bytes) => {
                        let mine = |seats: &[(usize, u64, Seat)], of: &dyn Fn(usize) -> bool| {
                            seats.iter().filter(|(n, ..)| of(*n)).count()
                        };
                        match book.admit(&people[n], bytes) {
                            Ok(seat) => {
                                starts.push((n, tokio::time::Instant::now()));
                                seats.push((n, bytes, seat));
                                assert!(mine(&seats, &|m| m == n) <= 3 && mine(&seats, &|m| m / 2 == n / 2) <= 4);
                            }
                            Err(up) => {
                                let left = up.limit.saturating_sub(up.used);
                                assert!(left < up.asked.max(1), "{up:?}");
                                assert_eq!(up.wait.is_some(), up.quota == Quota::Starts);
                            }
                        }
                    }
                    Step::End(at) if !seats.is_empty() => drop(seats.swap_remove(at % seats.len())),
                    Step::Wait(seconds) => advance(Duration::from_secs(seconds)).await,
                    Step::Burn(n, seconds) => {
                        burn(&book, &people[n], seconds);
                        burnt[n] += seconds;
                    }
                    Step::Keep(n, bytes) => {
                        let id = SessionId::random().unwrap();
                        book.keep(&id, &people[n], bytes);
                        kept.push((n, bytes, id));
                    }
                    Step::Remove(at) if !kept.is_empty() => {
                        let (_, _, id) = kept.swap_remove(at % kept.len());
                        book.drop_kept(&id);
                    }
                    Step::End(_) | Step::Remove(_) => {}
                }
                let now = tokio::time::Instant::now();
                starts.retain(|(_, at)| now.duration_since(*at) < Duration::from_secs(60));
                for (n, person) in people.iter().enumerate() {
                    for scope in [Scope::Principal, Scope::Tenant] {
                        let of = |m: usize| if scope == Scope::Tenant { m / 2 == n / 2 } else { m == n };
                        let sessions = seats.iter().filter(|(m, ..)| of(*m)).count() as u64;
                        let held: u64 = seats.iter().filter(|(m, ..)| of(*m)).map(|(_, bytes, _)| bytes).sum();
                        let lies: u64 = kept.iter().filter(|(m, ..)| of(*m)).map(|(_, bytes, _)| bytes).sum();
                        let recent = starts.iter().filter(|(m, _)| of(*m)).count() as u64;
                        let cpu: u64 = (0..4).filter(|m| of(*m)).map(|m| burnt[m]).sum();
                        for (quota, expected) in [
                            (Quota::Sessions, sessions),
                            (Quota::Starts, recent),
                            (Quota::Cpu, cpu),
                            (Quota::Stored, held + lies),
                        ] {
                            assert_eq!(used(&book, person, scope, quota), expected, "{scope:?} {quota:?}");
                        }
                    }
                }
            }
            drop(seats);
            kept.iter().for_each(|(_, _, id)| book.drop_kept(id));
            advance(Duration::from_secs(25 * 3600)).await;
            assert!(people.iter().all(|person| book.uses(person).iter().all(|found| found.used == 0)));
        });
    }
}
