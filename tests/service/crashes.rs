//! A crash of any part takes with it what belongs to it and nothing else, and what is started next works.

use crate::host::{self, Process};
use crate::server::{Place, Server};
use cloister_tests::leftovers;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

fn works(server: &Server) {
    let id = server.session();
    assert_eq!(server.value(&id, "6 * 7"), "42");
    server.stop(&id);
}

#[test]
fn after_a_crash_of_the_server_nothing_of_it_is_left_once_its_successor_is_ready() {
    let Some(place) = Place::new() else { return };
    let server = place.serve(2);
    let id = server.session();
    assert_eq!(server.value(&id, "__import__('os').path.exists('ran')"), "False");
    let (sandboxes, processes) = thread::scope(|scope| {
        let lost = scope.spawn(|| {
            server.invoke(&id, "call-1", "open('ran', 'a').write('x')\nimport time\ntime.sleep(60)")
        });
        host::settled(|| {
            match server.request("GET", &format!("/v1/sessions/{id}/files/ran"), &[], None).status {
                200 => Ok(()),
                other => Err(format!("the call has not begun: {other}")),
            }
        });
        let seen = (place.sandboxes(), server.processes());
        nix::sys::signal::kill(nix::unistd::Pid::from_raw(server.pid()), nix::sys::signal::Signal::SIGKILL)
            .unwrap();
        lost.join().unwrap().unwrap_err();
        seen
    });
    server.crash();
    assert!(sandboxes.len() >= 2 && processes.len() >= 5, "{sandboxes:?} {processes:?}");

    let server = place.serve(0);
    let left: Vec<&Process> = processes.iter().filter(|process| process.lives()).collect();
    assert!(left.is_empty(), "{left:?}");
    assert!(place.sandboxes().is_empty());
    assert!(sandboxes.iter().all(|sandbox| leftovers::cgroups(sandbox).is_empty()));
    let detail = server.detail(&id);
    assert_eq!((detail["status"].as_str(), detail["ended"].as_str()), (Some("terminated"), Some("lost")));
    let retry =
        server.invoke(&id, "call-1", "open('ran', 'a').write('x')\nimport time\ntime.sleep(60)").unwrap();
    assert!(retry.status == 404 && retry.head.contains("ResourceNotFoundException"), "{retry:?}");
    works(&server);
    assert!(server.terminate().success());
    assert!(place.sandboxes().is_empty());
}

#[test]
fn the_cgroups_of_a_server_that_was_killed_are_removed_by_the_next_one_that_starts_anywhere() {
    let (Some(place), Some(other), Some(next)) = (Place::new(), Place::new(), Place::new()) else { return };
    // The base of a server's groups, in every hierarchy.
    let bases = |place: &Place, server: &Server| -> Vec<PathBuf> {
        let id = server.session();
        let groups: Vec<PathBuf> =
            place.sandboxes().iter().flat_map(|name| leftovers::cgroups(name)).collect();
        server.stop(&id);
        groups.iter().filter_map(|group| group.parent().map(Path::to_owned)).collect()
    };
    let (killed, living) = (place.serve(0), other.serve(0));
    let (of_killed, of_living) = (bases(&place, &killed), bases(&other, &living));
    if of_killed.is_empty() {
        return cloister_tests::needs::skip_unless_root("this host has no cgroups for sandboxes");
    }
    killed.crash();
    assert!(of_killed.iter().all(|base| base.exists()), "a killed server removes nothing");
    let next = next.serve(0);
    assert!(of_killed.iter().all(|base| !base.exists()), "{of_killed:?}");
    assert!(of_living.iter().all(|base| base.exists()), "the groups of a server that lives are taken away");
    works(&living);
    works(&next);
    // And the killed one comes back.
    works(&place.serve(0));
}

#[test]
fn a_launcher_that_dies_is_replaced_and_running_sessions_go_on() {
    let Some(place) = Place::new() else { return };
    let server = place.serve(0);
    let id = server.session();
    assert_eq!(server.value(&id, "x = 41\nx"), "41");
    let (launcher, zygote) = (server.launcher(), server.zygote());
    // Both, or the zygote would do without a launcher.
    launcher.kill();
    zygote.kill();
    works(&server);
    assert_ne!(server.launcher(), launcher);
    assert_eq!(server.value(&id, "x + 1"), "42");
    assert!(server.terminate().success());
    assert!(place.sandboxes().is_empty());
}

#[test]
fn a_zygote_that_dies_is_replaced_and_running_sessions_go_on() {
    let Some(place) = Place::new() else { return };
    let server = place.serve(0);
    let id = server.session();
    assert_eq!(server.value(&id, "x = 41\nx"), "41");
    let zygote = server.zygote();
    zygote.kill();
    works(&server);
    assert_ne!(server.zygote(), zygote);
    assert_eq!(server.value(&id, "x + 1"), "42");
    assert!(server.terminate().success());
}

#[test]
fn a_session_whose_init_is_killed_ends_alone_and_its_call_hears_of_it() {
    let Some(place) = Place::new() else { return };
    let server = place.serve(0);
    let other = server.session();
    assert_eq!(server.value(&other, "x = 41\nx"), "41");
    let (id, init) = server.session_and_init();
    let began = Instant::now();
    let answer = thread::scope(|scope| {
        let call = scope.spawn(|| server.python(&id, "import time\ntime.sleep(60)"));
        thread::sleep(Duration::from_millis(300));
        init.kill();
        call.join().unwrap()
    });
    assert!(began.elapsed() < Duration::from_secs(30));
    assert!(answer.status == 409 && answer.text().contains("its worker ended"), "{answer:?}");
    host::settled(|| match server.detail(&id)["ended"].as_str() {
        Some("failed") => Ok(()),
        other => Err(format!("it ended {other:?}")),
    });
    assert_eq!(server.value(&other, "x + 1"), "42");
    works(&server);
}

#[test]
fn a_ready_sandbox_that_has_died_is_given_to_nobody() {
    let Some(place) = Place::new() else { return };
    let server = place.serve(2);
    host::settled(|| if place.sandboxes().len() >= 2 { Ok(()) } else { Err("the pool stays empty".into()) });
    let zygote = server.zygote().pid;
    for ready in server.processes().into_iter().filter(|process| process.parent == zygote) {
        ready.kill();
    }
    works(&server);
    works(&server);
}
