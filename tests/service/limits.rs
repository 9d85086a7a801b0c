//! What is full, used up or taken is said in a sentence, and what runs goes on.

use crate::host;
use crate::server::Place;
use cloister_tests::{leftovers, needs};
use std::process::Command;

#[test]
fn a_second_server_on_one_data_folder_says_who_has_it() {
    let Some(place) = Place::new() else { return };
    let _first = place.serve(0);
    let second = place.refused("exec \"$@\"");
    let said = String::from_utf8_lossy(&second.stderr).into_owned();
    assert!(!second.status.success() && said.contains("another cloister server is using"), "{said}");
}

#[test]
fn too_few_open_files_stop_the_server_before_they_break_its_sandboxes() {
    let Some(place) = Place::new() else { return };
    let refused = place.refused("ulimit -n 64 && exec \"$@\"");
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(!refused.status.success() && said.contains("ulimit -Hn"), "{said}");
}

#[test]
fn idle_connections_leave_descriptors_for_sessions() {
    let Some(place) = Place::new() else { return };
    let server = place.serve_in(&[], "ulimit -n 256 && exec \"$@\"");
    let idle: Vec<_> = (0..200).filter_map(|_| server.connect().ok()).collect();
    assert!(idle.len() > 100, "{}", idle.len());
    let before = server.descriptors();
    assert!(before < 128, "{before} descriptors are open");
    drop(idle);
    let id = server.session();
    assert_eq!(server.value(&id, "6 * 7"), "42");
}

#[test]
fn on_a_full_disk_running_sessions_go_on_and_starts_are_refused() {
    let Some(place) = Place::new() else { return };
    if !Command::new("unshare").args(["-m", "true"]).status().is_ok_and(|status| status.success()) {
        return needs::skip("this user may not mount a small file system");
    }
    let data = place.path().to_str().unwrap();
    let mount = format!("mount -t tmpfs -o size=1500k full {data} && exec \"$@\"");
    let server = place.serve_in(&["unshare", "-m", "--propagation", "private"], &mount);
    let id = server.session();
    assert_eq!(server.value(&id, "x = 41\nx"), "41");
    let filler = format!("/proc/{}/root{data}/filler", server.pid());
    let full = std::fs::write(&filler, vec![0; 4 << 20]).unwrap_err();
    assert_eq!(full.kind(), std::io::ErrorKind::StorageFull);

    let refused = server.start_session();
    assert!(refused.status == 500 && refused.text().contains("the session store"), "{refused:?}");
    assert_eq!(server.value(&id, "x + 1"), "42");
    assert_eq!(server.stop(&id).json()["status"], "terminated");
    assert_eq!(server.detail(&id)["status"], "terminated");

    std::fs::remove_file(&filler).unwrap();
    let id = server.session();
    assert_eq!(server.value(&id, "6 * 7"), "42");
    assert!(server.terminate().success());
}

#[test]
fn a_server_that_ends_while_its_pool_fills_leaves_no_cgroup() {
    let Some(place) = Place::new() else { return };
    for _ in 0..3 {
        let server = place.serve(8);
        host::settled(
            || if place.sandboxes().is_empty() { Err("the pool stays empty".into()) } else { Ok(()) },
        );
        let groups: Vec<_> = place.sandboxes().iter().flat_map(|name| leftovers::cgroups(name)).collect();
        assert!(server.terminate().success());
        let bases = groups.iter().filter_map(|group| group.parent());
        let left: Vec<_> = bases.filter(|base| base.exists()).collect();
        assert!(left.is_empty() && place.sandboxes().is_empty(), "{left:?}");
    }
}

#[test]
fn starting_and_stopping_uses_nothing_up() {
    let Some(place) = Place::new() else { return };
    // A ready browser comes when it comes, and would be counted or not.
    let server = place.serve_with(1, &["--browser-pool", "0"]);
    let once = || {
        let id = server.session();
        server.stop(&id);
    };
    // Warm, with a zygote and what the runtime opens for itself.
    (0..5).for_each(|_| once());
    let (descriptors, processes) = (server.descriptors(), server.processes().len());
    (0..40).for_each(|_| once());
    host::settled(|| {
        let now = (server.descriptors(), server.processes().len(), place.sandboxes().len());
        let flat = now.0 <= descriptors + 4 && now.1 <= processes + 2 && now.2 <= 1;
        if flat { Ok(()) } else { Err(format!("{now:?} after ({descriptors}, {processes}, 1)")) }
    });
}
