//! Controls: the same attacks with one wall left out, so that what the suite does not see is known to be held back by that wall.
//!
//! ```text
//!   breached(wall, attacks) ──▶ for each attack: a thread on which every rig goes without the wall ──▶ the attack's own test ──▶ must fail
//! ```
//!
//! Only builds for debugging can leave a wall out: the functions that do it are not compiled into a release.

use cloister_core::policy::Policy;
use cloister_process::ProcessConfig;
use cloister_tests::rig::Rig;

#[cfg(debug_assertions)]
use switch::LEFT_OUT;

/// A rig for an attack: on the thread of a control, without the wall that the control leaves out.
pub(super) fn rig(policy: Policy, alter: impl FnOnce(&mut ProcessConfig)) -> Option<Rig> {
    #[cfg(debug_assertions)]
    if let Some(wall) = LEFT_OUT.get() {
        return switch::without(wall, policy, alter);
    }
    Rig::configured(policy, alter)
}

#[cfg(debug_assertions)]
mod switch {
    use super::super::{exe, fs, iso, net, prc, sys, timing};
    use cloister_core::policy::Policy;
    use cloister_jail::plan::Missing;
    use cloister_process::ProcessConfig;
    use cloister_tests::rig::{Rig, plain};
    use std::cell::Cell;

    /// What is left out.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub(super) enum Wall {
        /// The system call list.
        Calls,
        /// One that the jail builds.
        Jail(Missing),
    }

    thread_local! {
        pub(super) static LEFT_OUT: Cell<Option<Wall>> = const { Cell::new(None) };
    }

    pub(super) fn without(wall: Wall, policy: Policy, alter: impl FnOnce(&mut ProcessConfig)) -> Option<Rig> {
        let list = policy.isolation.seccomp.clone();
        let rig = Rig::configured(policy, |config| {
            if wall == Wall::Calls {
                config.filters.insert(list, Vec::new());
            }
            alter(config);
        })?;
        if let Wall::Jail(missing) = wall {
            rig.backend.leave_out(missing);
        }
        Some(rig)
    }

    type Test = (&'static str, fn());

    /// Whether sessions work without the wall: an attack must fail because it gets through, and for no other reason.
    async fn works_without(wall: Wall) -> bool {
        let Some(rig) = without(wall, plain(), |_| ()) else { return false };
        let session = rig.session().await;
        assert!(super::super::works(&session).await, "without {wall:?} nothing works");
        session.stop().await;
        rig.end().await;
        true
    }

    /// Fails for every attack that still passes.
    fn breached(wall: Wall, attacks: &[Test]) {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        if !runtime.block_on(works_without(wall)) {
            return;
        }
        let passed: Vec<&str> = attacks
            .iter()
            .filter(|(name, attack)| {
                let thread = std::thread::Builder::new().name(format!("{name} without {wall:?}"));
                let attack = *attack;
                let thread = thread.spawn(move || {
                    LEFT_OUT.set(Some(wall));
                    attack();
                });
                thread.unwrap().join().is_ok()
            })
            .map(|(name, _)| *name)
            .collect();
        assert!(
            passed.is_empty(),
            "without {wall:?} these pass all the same, and so prove nothing: {passed:?}"
        );
    }

    #[test]
    fn without_the_system_call_list_the_attacks_on_the_kernel_get_through() {
        breached(
            Wall::Calls,
            &[
                ("SYS-03", sys::no_namespace_can_be_made_or_entered_and_threads_and_processes_work),
                ("SYS-05", sys::crypto_sockets_and_splices_are_refused),
                ("SYS-06", sys::only_unix_tcp_and_udp_sockets_can_be_made),
                ("SYS-08", sys::a_user_namespace_cannot_be_had_by_any_tool),
                ("SYS-15", sys::a_guest_installs_no_filter_and_can_only_confine_itself_further),
                ("ISO-07", timing::the_page_cache_cannot_be_asked_or_emptied_and_no_counter_of_another_session_is_there),
                ("EXE-01", exe::the_first_guest_code_finds_every_wall_standing_on_every_thread_and_in_every_program),
            ],
        );
    }

    #[test]
    fn without_a_network_namespace_the_hosts_network_is_seen_and_reached() {
        breached(
            Wall::Jail(Missing::Network),
            &[
                ("NET-03", net::loopback_is_the_sandboxes_own_and_the_hosts_addresses_lead_nowhere),
                ("PRC-05", prc::only_a_loopback_interface_and_no_socket_of_the_host_is_shown),
                ("ISO-06", iso::a_port_is_reached_by_its_own_session_only),
                (
                    "EXE-01",
                    exe::the_first_guest_code_finds_every_wall_standing_on_every_thread_and_in_every_program,
                ),
            ],
        );
    }

    #[test]
    fn without_landlock_the_posture_is_another() {
        breached(
            Wall::Jail(Missing::Landlock),
            &[(
                "EXE-01",
                exe::the_first_guest_code_finds_every_wall_standing_on_every_thread_and_in_every_program,
            )],
        );
    }

    #[test]
    fn file_tools_that_follow_every_link_read_the_program_that_is_init() {
        breached(
            Wall::Jail(Missing::Links),
            &[("FS-05", fs::programs_cannot_be_overwritten_through_proc_and_inits_cannot_be_read)],
        );
    }
}
