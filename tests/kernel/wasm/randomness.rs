//! ISO-04: sessions come from one image and have nothing random in common; clocks are the host's. The seed of the string hash is an
//! engine's own, so no two principals have the same.

use super::{checkpoint, restore, wasm};
use cloister_tests::calls::in_session;
use cloister_tests::rig::Rig;
use std::collections::BTreeSet;
use std::time::{SystemTime, UNIX_EPOCH};

const SESSIONS: usize = 400;

#[tokio::test(flavor = "multi_thread")]
async fn no_two_of_many_sessions_draw_the_same_numbers_or_names() {
    const DRAW: &str = "import os, random, secrets, tempfile, uuid\nprint(random.random(), random.getrandbits(64), random.Random().random(), uuid.uuid4(), secrets.token_hex(8), os.urandom(16).hex(), os.path.basename(tempfile.mktemp()), random.SystemRandom().random(), sep='\\n')";
    let Some(rig) = Rig::new(wasm()) else { return };
    let mut seen = BTreeSet::new();
    for n in 0..SESSIONS {
        let session = rig.session().await;
        let ran = session.python(DRAW).await;
        let drawn: Vec<&str> = ran.stdout.lines().collect();
        assert_eq!(drawn.len(), 8, "{ran:?}");
        for value in drawn {
            assert!(seen.insert(value.to_owned()), "session {n} draws {value}, which another has drawn");
        }
        session.stop().await;
    }
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn ready_sessions_differ_like_others() {
    let Some(rig) = Rig::with_pool(wasm(), 4) else { return };
    let mut seen = BTreeSet::new();
    for _ in 0..20 {
        let session = rig.session().await;
        let ran = session.python("import random, uuid; (random.random(), uuid.uuid4().hex)").await;
        assert!(ran.text().len() > 40 && seen.insert(ran.text().to_owned()), "{ran:?}");
        session.stop().await;
    }
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_seed_of_the_string_hash_differs_between_principals_and_between_engines() {
    let Some(rig) = Rig::new(wasm()) else { return };
    let mut hashes = BTreeSet::new();
    let mut engines = BTreeSet::new();
    for owner in ["a", "b", "c"] {
        let (one, two) = (rig.session_of(owner).await, rig.session_of(owner).await);
        let look = "hash('cloister'), hash(b'cloister'), hash('')";
        let hash = one.python(look).await.text().to_owned();
        assert_eq!(two.python(look).await.text(), hash, "the image of one engine has one seed");
        assert!(hash.len() > 10 && hashes.insert(hash), "two engines have the same seed");
        engines.insert(super::wall(&one, "engine"));
        one.stop().await;
        two.stop().await;
    }
    assert_eq!(engines.len(), 3);
    rig.end().await;
    // Another engine of the same principal, as after its rotation.
    let Some(rig) = Rig::new(wasm()) else { return };
    let session = rig.session_of("a").await;
    let ran = session.python("hash('cloister'), hash(b'cloister'), hash('')").await;
    assert!(hashes.insert(ran.text().to_owned()), "{ran:?}");
    session.stop().await;
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn clocks_are_the_hosts_and_never_run_backwards_not_even_after_a_restore() {
    let now = || SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs_f64();
    in_session(wasm(), async |session| {
        let mut steady = 0.0;
        let kept = checkpoint(session).await;
        for _ in 0..3 {
            let before = now();
            let ran = session
                .python("import time\nprint(time.time(), time.monotonic(), time.perf_counter(), sep='\\n')")
                .await;
            let after = now();
            let clocks: Vec<f64> = ran.stdout.lines().map(|line| line.parse().unwrap()).collect();
            assert!(before - 0.01 <= clocks[0] && clocks[0] <= after + 0.01, "{before} {clocks:?} {after}");
            assert!(clocks[1] > steady, "{clocks:?} after {steady}");
            steady = clocks[1];
            restore(session, Some(&kept)).await.unwrap();
        }
    })
    .await;
}
