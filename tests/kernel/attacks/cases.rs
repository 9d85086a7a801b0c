//! The attack cases as a table: id, tier, test. `make attack` prints it with the verdicts; the tests below keep it true.

/// What a case attacks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tier {
    /// The process tier: namespaces, filters, init.
    Process,
}

/// Id, tier, and the test below `attacks::`. A case may have several tests, and a test several cases.
pub(crate) const CASES: &[(&str, Tier, &str)] = &[
    ("FS-01", Tier::Process, "fs::paths_of_the_host_do_not_exist_inside"),
    ("FS-02", Tier::Process, "fs::the_root_cannot_be_changed_and_no_directory_is_held_open"),
    (
        "FS-03",
        Tier::Process,
        "fs::the_image_cannot_be_changed_and_nothing_outside_of_the_storage_is_writable",
    ),
    ("FS-04", Tier::Process, "fs::links_of_proc_lead_to_nothing_above_the_root"),
    ("FS-05", Tier::Process, "fs::programs_cannot_be_overwritten_through_proc_and_inits_cannot_be_read"),
    ("FS-06", Tier::Process, "fs::every_program_starts_in_the_workspace"),
    ("FS-07", Tier::Process, "image::an_image_with_links_for_mount_points_starts_nothing_that_sees_the_host"),
    ("FS-08", Tier::Process, "fs::device_files_cannot_be_replaced_hidden_or_touched"),
    ("FS-09", Tier::Process, "fs::files_that_act_on_the_kernel_cannot_be_written"),
    ("FS-10", Tier::Process, "fs::nothing_can_be_mounted_or_unmounted"),
    ("FS-11", Tier::Process, "fs::files_cannot_be_opened_by_number"),
    ("FS-12", Tier::Process, "fs::odd_spellings_of_paths_mean_one_thing_and_lead_nowhere_else"),
    ("FS-13", Tier::Process, "fs::files_of_the_image_cannot_be_linked_into_the_workspace"),
    (
        "FS-14",
        Tier::Process,
        "fs::planted_start_up_files_run_in_no_runtime_of_ours_and_not_in_the_next_session",
    ),
    ("FS-15", Tier::Process, "fs::no_device_can_be_made_and_none_of_the_hosts_is_there"),
    ("FS-16", Tier::Process, "fs::set_user_id_programs_neither_exist_nor_work"),
    ("FS-17", Tier::Process, "fs::odd_files_slow_no_tool_down_and_can_be_removed"),
    ("FS-18", Tier::Process, "fs::no_attribute_can_be_set_that_outlives_its_session"),
    ("FS-19", Tier::Process, "fs::a_deleted_file_counts_against_the_quota_until_its_holder_ends"),
    ("FS-20", Tier::Process, "fs::nothing_tells_what_other_sessions_open"),
    ("PRC-01", Tier::Process, "prc::only_the_sessions_own_processes_are_there_and_init_is_not_among_them"),
    (
        "PRC-01",
        Tier::Process,
        "prc::a_program_that_is_being_started_cannot_be_read_while_it_is_a_copy_of_init",
    ),
    ("PRC-02", Tier::Process, "prc::an_interpreter_inherits_no_secret_and_no_variable_of_the_server"),
    ("PRC-03", Tier::Process, "prc::files_that_speak_of_the_kernel_and_the_hardware_are_empty_or_absent"),
    ("PRC-04", Tier::Process, "prc::mounts_and_groups_show_no_path_of_the_server_and_no_other_sessions_name"),
    ("PRC-05", Tier::Process, "prc::only_a_loopback_interface_and_no_socket_of_the_host_is_shown"),
    ("PRC-06", Tier::Process, "prc::names_and_machine_ids_are_made_up_for_each_session"),
    ("PRC-07", Tier::Process, "prc::no_guest_takes_the_servers_protection_or_another_identity"),
    ("PRC-08", Tier::Process, "prc::no_crash_leaves_a_core_or_calls_the_hosts_handler"),
    ("CAP-01", Tier::Process, "cap::a_result_that_is_a_link_gives_nothing_that_the_guest_could_not_read"),
    ("CAP-02", Tier::Process, "cap::swapping_files_for_links_in_a_tight_loop_leads_no_tool_out"),
    ("CAP-03", Tier::Process, "cap::hard_links_are_read_by_content_and_removed_by_name"),
    ("CAP-04", Tier::Process, "cap::what_is_no_regular_file_blocks_no_tool"),
    ("CAP-05", Tier::Process, "cap::a_file_that_changes_while_it_is_read_gives_a_bounded_answer"),
    ("CAP-06", Tier::Process, "cap::a_write_through_a_link_changes_neither_the_image_nor_the_host"),
    ("CAP-06", Tier::Process, "cap::names_that_a_write_uses_on_the_way_cannot_be_taken_to_lead_it_astray"),
    ("CAP-07", Tier::Process, "cap::a_state_directory_that_others_can_change_is_refused"),
    ("CAP-08", Tier::Process, "cap::a_path_of_the_host_and_one_that_is_nowhere_give_the_same_answer"),
    ("CAP-09", Tier::Process, "cap::odd_names_are_listed_without_control_characters_and_without_loss"),
    (
        "CAP-10",
        Tier::Process,
        "cap::too_many_files_and_too_many_bytes_are_cut_with_a_reason_and_cost_the_server_nothing",
    ),
    ("FILE-01", Tier::Process, "file::no_tool_takes_a_relative_path_out_of_the_workspace"),
    (
        "FILE-02",
        Tier::Process,
        "file::a_removal_takes_neither_the_root_nor_the_workspace_nor_what_a_link_points_to",
    ),
    ("FILE-03", Tier::Process, "file::a_sibling_whose_name_begins_like_the_workspace_is_not_the_workspace"),
    (
        "SYS-01",
        Tier::Process,
        "sys_table::every_system_call_does_what_the_list_says_for_every_side_of_every_condition",
    ),
    ("SYS-02", Tier::Process, "sys::calls_by_another_numbering_end_the_program_that_makes_them"),
    ("SYS-03", Tier::Process, "sys::no_namespace_can_be_made_or_entered_and_threads_and_processes_work"),
    ("SYS-04", Tier::Process, "sys::there_is_no_io_uring"),
    ("SYS-05", Tier::Process, "sys::crypto_sockets_and_splices_are_refused"),
    ("SYS-06", Tier::Process, "sys::only_unix_tcp_and_udp_sockets_can_be_made"),
    ("SYS-07", Tier::Process, "sys::options_that_reach_behind_a_socket_are_refused"),
    ("SYS-08", Tier::Process, "sys::a_user_namespace_cannot_be_had_by_any_tool"),
    (
        "SYS-09",
        Tier::Process,
        "lists::the_first_step_of_known_kernel_exploits_is_refused_and_the_kernel_does_not_complain",
    ),
    ("SYS-10", Tier::Process, "sys::no_process_can_be_traced_or_its_memory_taken_by_a_call"),
    ("SYS-11", Tier::Process, "sys::no_process_can_be_traced_or_its_memory_taken_by_a_call"),
    (
        "SYS-12",
        Tier::Process,
        "sys::key_rings_are_out_of_reach_and_under_root_every_session_has_a_user_of_its_own",
    ),
    ("SYS-13", Tier::Process, "sys::powers_over_the_kernel_and_the_machine_are_refused"),
    ("SYS-14", Tier::Process, "sys::there_is_no_terminal_to_type_into"),
    ("SYS-15", Tier::Process, "sys::a_guest_installs_no_filter_and_can_only_confine_itself_further"),
    ("SYS-16", Tier::Process, "sys::init_ignores_signals_and_cannot_be_demoted_or_limited"),
    ("SYS-17", Tier::Process, "sys::labels_and_clock_offsets_cannot_be_written"),
    (
        "SYS-18",
        Tier::Process,
        "timing::time_can_be_read_and_neither_trapped_nor_set_and_there_are_no_performance_counters",
    ),
    ("SYS-19", Tier::Process, "sys::a_guest_installs_no_filter_and_can_only_confine_itself_further"),
    ("SYS-20", Tier::Process, "lists::tests_of_cpython_pass_and_fail_alike_in_every_run_and_no_call_kills"),
    (
        "SYS-21",
        Tier::Process,
        "lists::a_list_of_ones_own_opens_what_it_names_and_nothing_that_is_never_allowed",
    ),
    ("SYS-22", Tier::Process, "exe::a_session_whose_filter_cannot_be_installed_does_not_start"),
    ("RES-01", Tier::Process, "res::bombs_end_with_their_call_and_the_neighbour_does_not_notice"),
    (
        "RES-01",
        Tier::Process,
        "res::a_session_that_is_full_of_processes_refuses_to_start_more_and_can_be_emptied",
    ),
    ("RES-02", Tier::Process, "res::every_kind_of_memory_is_charged_to_the_session_that_takes_it"),
    ("RES-02", Tier::Process, "res::what_belongs_to_no_process_leaves_init_the_memory_that_it_needs"),
    ("RES-03", Tier::Process, "res::a_full_storage_is_an_error_and_can_be_emptied"),
    ("RES-04", Tier::Process, "res::tables_of_the_host_cannot_be_filled_by_one_session"),
    ("RES-06", Tier::Process, "res::floods_of_output_are_cut_and_counted_and_cost_the_server_nothing"),
    ("RES-06", Tier::Process, "res::background_floods_keep_neither_init_nor_the_next_call_from_working"),
    ("RES-07", Tier::Process, "res::stubborn_processes_are_gone_when_the_session_is"),
    ("RES-10", Tier::Process, "res::endless_code_ends_at_its_deadline_whatever_it_ignores"),
    ("CTL-01", Tier::Process, "ctl::output_that_looks_like_the_protocol_is_output"),
    ("CTL-02", Tier::Process, "ctl::a_guest_that_abuses_every_descriptor_ends_its_own_runtime_at_worst"),
    ("CTL-02", Tier::Process, "ctl::closing_the_output_pipes_does_not_make_init_spin"),
    ("CTL-03", Tier::Process, "ctl::forged_frames_change_the_answer_to_their_own_call_and_nothing_else"),
    ("CTL-03", Tier::Process, "ctl::rebinding_what_the_driver_uses_hurts_that_runtime_only"),
    ("CTL-04", Tier::Process, "ctl::broken_frames_cost_the_runtime_and_never_init"),
    ("CTL-04", Tier::Process, "ctl::a_flood_of_frames_is_capped_and_leaves_inits_memory_as_it_was"),
    (
        "CTL-05",
        Tier::Process,
        "ctl::a_runtime_that_has_stopped_reading_is_killed_at_the_deadline_and_blocks_nobody",
    ),
    ("CTL-06", Tier::Process, "ctl::claims_in_a_forged_result_are_never_taken_for_files_or_limits"),
    ("CTL-07", Tier::Process, "ctl::nobody_without_the_nonce_disturbs_a_session_at_its_socket"),
    ("ISO-01", Tier::Process, "iso::files_of_one_session_are_in_no_other"),
    ("ISO-02", Tier::Process, "iso::a_sandbox_of_the_pool_is_used_once_and_is_as_new"),
    ("ISO-03", Tier::Process, "iso::fresh_memory_holds_nothing_of_a_session_before"),
    ("ISO-04", Tier::Process, "iso::no_two_sessions_draw_the_same_random_numbers"),
    ("ISO-05", Tier::Process, "iso::nothing_is_shared_under_a_well_known_name"),
    ("ISO-06", Tier::Process, "iso::a_port_is_reached_by_its_own_session_only"),
    (
        "ISO-07",
        Tier::Process,
        "timing::the_page_cache_cannot_be_asked_or_emptied_and_no_counter_of_another_session_is_there",
    ),
    ("ISO-08", Tier::Process, "iso::a_stopped_session_leaves_no_process_file_port_or_mark_on_the_host"),
    (
        "ISO-09",
        Tier::Process,
        "iso::nothing_on_the_host_belongs_to_the_user_of_a_session_and_the_next_session_has_another",
    ),
    ("ISO-10", Tier::Process, "iso::ids_are_long_random_and_never_used_again"),
    ("NET-03", Tier::Process, "net::loopback_is_the_sandboxes_own_and_the_hosts_addresses_lead_nowhere"),
    ("NET-04", Tier::Process, "net::no_address_outside_is_reached_and_each_fails_at_once"),
    ("NET-05", Tier::Process, "net::no_name_is_resolved_and_nobody_is_asked"),
    ("NET-18", Tier::Process, "net::the_network_cannot_be_configured_from_inside"),
    (
        "EXE-01",
        Tier::Process,
        "exe::the_first_guest_code_finds_every_wall_standing_on_every_thread_and_in_every_program",
    ),
    ("EXE-01", Tier::Process, "exe::shells_tasks_and_other_runtimes_stand_behind_the_same_walls"),
    ("EXE-02", Tier::Process, "exe::code_and_commands_are_never_taken_for_arguments_or_scripts_of_ours"),
    (
        "EXE-04",
        Tier::Process,
        "exe::what_a_client_sends_is_read_inside_and_files_that_are_no_programs_start_nothing",
    ),
    ("FD-01", Tier::Process, "exe::no_descriptor_of_the_server_reaches_a_guest"),
];

/// How many cases each family has that concern this tier, in the order of the threat catalogue; all of them have a test.
const WHOLE_FAMILIES: [(&str, u32); 6] =
    [("FS", 20), ("PRC", 8), ("CAP", 10), ("FILE", 3), ("CTL", 7), ("SYS", 22)];

/// The files with tests, by module.
const FILES: [(&str, &str); 14] = [
    ("fs", include_str!("fs.rs")),
    ("image", include_str!("image.rs")),
    ("prc", include_str!("prc.rs")),
    ("cap", include_str!("cap.rs")),
    ("file", include_str!("file.rs")),
    ("sys", include_str!("sys.rs")),
    ("sys_table", include_str!("sys_table.rs")),
    ("res", include_str!("res.rs")),
    ("ctl", include_str!("ctl.rs")),
    ("iso", include_str!("iso.rs")),
    ("net", include_str!("net.rs")),
    ("exe", include_str!("exe.rs")),
    ("timing", include_str!("timing.rs")),
    ("lists", include_str!("lists.rs")),
];

/// Ids and names of the tests of a file, from their doc comments.
fn found(module: &str, text: &str) -> Vec<(String, String)> {
    let mut ids: Option<Vec<String>> = None;
    let mut found = Vec::new();
    for line in text.lines() {
        if let Some(doc) = line.strip_prefix("/// ") {
            let named = || doc.split_once(": ").map(|(ids, _)| ids.split(", ").map(str::to_owned).collect());
            ids = ids.or_else(named);
        } else if let Some(rest) = line
            .strip_prefix("async fn ")
            .filter(|_| text.contains(&format!("#[tokio::test(flavor = \"multi_thread\")]\n{line}")))
        {
            let name = rest.split('(').next().unwrap_or_default();
            let ids = ids.take().unwrap_or_else(|| panic!("{module}::{name} does not say which case it is"));
            found.extend(ids.into_iter().map(|id| (id, format!("{module}::{name}"))));
        } else if !line.starts_with("#[") {
            ids = None;
        }
    }
    found
}

#[test]
fn the_table_of_attack_cases_is_what_the_tests_say_of_themselves() {
    let mut said: Vec<(String, String)> =
        FILES.iter().flat_map(|(module, text)| found(module, text)).collect();
    let mut listed: Vec<(String, String)> =
        CASES.iter().map(|&(id, _, test)| (id.to_owned(), test.to_owned())).collect();
    said.sort();
    listed.sort();
    assert_eq!(listed, said);
    for (family, count) in WHOLE_FAMILIES {
        for number in 1..=count {
            let id = format!("{family}-{number:02}");
            assert!(
                CASES.iter().any(|(case, tier, _)| *case == id && *tier == Tier::Process),
                "{id} has no test"
            );
        }
    }
}
