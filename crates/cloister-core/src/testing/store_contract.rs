//! What every store must do, as one function that each store's tests call.

use crate::error::Error;
use crate::id::{Principal, SandboxId, SessionId};
use crate::quota::CpuRecord;
use crate::session::{EndReason, ListQuery, SessionRecord, Status};
use crate::store::{Store, StoredSession};
use std::time::{Duration, SystemTime};

fn me() -> Principal {
    Principal::local()
}

fn at(seconds: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::new(1_700_000_000 + seconds, 123_456_789)
}

fn id(text: &str) -> Result<SessionId, Error> {
    SessionId::parse(text).ok_or_else(|| Error::internal("a test made an id that is none", text))
}

/// A session for tests, created so many seconds after a fixed moment.
pub fn stored(text: &str, seconds: u64, token: Option<&str>) -> Result<StoredSession, Error> {
    Ok(StoredSession {
        record: SessionRecord {
            id: id(text)?,
            interpreter: "arn:of:it".into(),
            name: Some("naïve ‘name’; DROP TABLE sessions".into()),
            status: Status::Ready,
            ended: None,
            cause: None,
            created: at(seconds),
            updated: at(seconds),
            ttl: Duration::from_millis(900_500),
            policy: "default".into(),
            tier: "process".into(),
        },
        key: "it".into(),
        owner: me(),
        sandbox: None,
        client_token: token.map(str::to_owned),
        fingerprint: [seconds as u8; 32],
    })
}

/// Asserts the whole contract of [`Store`] on an empty store.
///
/// # Panics
/// Where the store breaks the contract; it is for tests.
pub fn check_store(store: &dyn Store) -> Result<(), Error> {
    records_come_back_as_they_were(store)?;
    an_end_is_final(store)?;
    lists_are_stable_pages(store)?;
    only_old_ends_are_pruned(store)?;
    cpu_time_adds_up_and_leaves(store)
}

fn records_come_back_as_they_were(store: &dyn Store) -> Result<(), Error> {
    let first = stored("A1", 1, Some("token"))?;
    store.insert(&first)?;
    assert_eq!(store.get(&first.record.id)?, Some(first.clone()));
    assert!(store.insert(&first).is_err(), "an id is used once");
    assert_eq!(store.by_token(&me(), "it", "token")?, Some(first.clone()));
    let stranger = Principal { name: "stranger".into(), ..me() };
    assert_eq!(store.by_token(&stranger, "it", "token")?, None);
    assert_eq!(store.by_token(&me(), "other", "token")?, None);
    assert_eq!(store.by_token(&me(), "it", "other")?, None);
    assert_eq!(store.get(&id("none")?)?, None);

    let sandbox = SandboxId::parse("S1");
    if let Some(sandbox) = &sandbox {
        store.bind(&first.record.id, sandbox)?;
        store.bind(&id("none")?, sandbox)?;
    }
    assert_eq!(store.get(&first.record.id)?, Some(StoredSession { sandbox, ..first.clone() }));
    store.forget(&first.record.id)?;
    store.forget(&first.record.id)?;
    assert_eq!(store.get(&first.record.id)?, None);
    assert_eq!(store.by_token(&me(), "it", "token")?, None, "a start that failed frees its token");
    Ok(())
}

fn an_end_is_final(store: &dyn Store) -> Result<(), Error> {
    let reasons =
        [EndReason::Stopped, EndReason::Expired, EndReason::Drained, EndReason::Failed, EndReason::Lost];
    for (index, reason) in reasons.into_iter().enumerate() {
        let mut session = stored(&format!("B{index}"), 10, None)?;
        let name = session.record.id.clone();
        store.insert(&session)?;
        assert!(store.live()?.contains(&session));
        let cause = (reason == EndReason::Failed).then_some("killed by signal 9; ‘the last’ that it said");
        store.terminate(&name, reason, cause, at(20))?;
        store.terminate(&name, EndReason::Lost, None, at(30))?;
        session.record.status = Status::Terminated;
        session.record.ended = Some(reason);
        session.record.cause = cause.map(str::to_owned);
        session.record.updated = at(20);
        assert_eq!(store.get(&name)?, Some(session));
        store.forget(&name)?;
    }
    store.terminate(&id("none")?, EndReason::Stopped, None, at(20))?;
    assert!(store.live()?.is_empty());
    Ok(())
}

fn lists_are_stable_pages(store: &dyn Store) -> Result<(), Error> {
    // Three of the same moment, so that the order needs its tie-break.
    for (name, seconds) in [("C1", 1), ("C2", 2), ("C3", 2), ("C4", 2), ("C5", 3)] {
        store.insert(&stored(name, seconds, None)?)?;
    }
    let other = Principal { tenant: "elsewhere".into(), ..me() };
    store.insert(&StoredSession { owner: other.clone(), ..stored("D1", 9, None)? })?;
    store.insert(&StoredSession { key: "other".into(), ..stored("E1", 4, None)? })?;
    store.terminate(&id("C3")?, EndReason::Stopped, None, at(50))?;

    let pages =
        |key: Option<&str>, status: Option<Status>, limit: usize| -> Result<Vec<Vec<String>>, Error> {
            let (mut pages, mut after) = (Vec::new(), None);
            loop {
                let page = store.list(&me(), key, &ListQuery { status, limit, after })?;
                pages.push(page.items.iter().map(|record| record.id.to_string()).collect());
                match page.next {
                    None => return Ok(pages),
                    next => after = next,
                }
            }
        };
    assert_eq!(pages(Some("it"), None, 2)?, [vec!["C5", "C4"], vec!["C3", "C2"], vec!["C1"]]);
    assert_eq!(pages(None, None, 100)?, [vec!["E1", "C5", "C4", "C3", "C2", "C1"]]);
    assert_eq!(
        pages(Some("it"), Some(Status::Ready), 4)?,
        [vec!["C5", "C4", "C2", "C1"]],
        "no empty page follows"
    );
    assert_eq!(pages(Some("it"), Some(Status::Terminated), 10)?, [vec!["C3"]]);

    // A cursor is a place in the order: what is new or has changed since moves nothing.
    let query = |after| ListQuery { status: Some(Status::Ready), limit: 2, after };
    let first = store.list(&me(), Some("it"), &query(None))?;
    store.insert(&stored("C9", 9, None)?)?;
    store.terminate(&id("C4")?, EndReason::Stopped, None, at(51))?;
    let second = store.list(&me(), Some("it"), &query(first.next))?;
    let names: Vec<String> = second.items.iter().map(|record| record.id.to_string()).collect();
    assert_eq!((names, second.next), (vec!["C2".to_owned(), "C1".to_owned()], None));
    // A cursor from somebody else's list opens nothing.
    let foreign = store.list(&other, None, &ListQuery { status: None, limit: 5, after: Some(id("C5")?) })?;
    assert!(foreign.items.is_empty());
    Ok(())
}

fn only_old_ends_are_pruned(store: &dyn Store) -> Result<(), Error> {
    assert_eq!(store.prune(at(50))?, 0, "C3 ended exactly then");
    assert_eq!(store.prune(at(51))?, 1);
    assert_eq!(store.prune(at(1_000_000))?, 1);
    assert_eq!(store.get(&id("C4")?)?, None);
    assert!(store.get(&id("C1")?)?.is_some(), "a session that lives is kept however old it is");
    Ok(())
}

fn cpu_time_adds_up_and_leaves(store: &dyn Store) -> Result<(), Error> {
    let other = Principal { tenant: "elsewhere".into(), ..me() };
    let record = |owner: &Principal, slot, millis| CpuRecord {
        owner: owner.clone(),
        slot,
        cpu: Duration::from_millis(millis),
    };
    let sorted = |first| -> Result<Vec<CpuRecord>, Error> {
        let mut found = store.cpu_since(first)?;
        found.sort_by(|a, b| (a.slot, &a.owner.tenant).cmp(&(b.slot, &b.owner.tenant)));
        Ok(found)
    };
    store.add_cpu(&[record(&me(), 5, 1500), record(&other, 5, 10), record(&me(), 6, 1)], 0)?;
    store.add_cpu(&[record(&me(), 5, 700)], 0)?;
    assert_eq!(sorted(0)?, [record(&other, 5, 10), record(&me(), 5, 2200), record(&me(), 6, 1)]);
    assert_eq!(sorted(6)?, [record(&me(), 6, 1)]);
    store.add_cpu(&[], 6)?;
    assert_eq!(sorted(0)?, [record(&me(), 6, 1)], "what does not count any more is dropped");
    store.add_cpu(&[], 7)
}
