//! Readers of foreign bytes against inputs that a seeded mutator makes: a bounded number in every run, as many as one likes by
//! `CLOISTER_FUZZ_INPUTS=1000000 CLOISTER_FUZZ_SEED=7 cargo test -p cloister-tests --test fuzz`.
#![allow(clippy::panic, clippy::unwrap_used, reason = "helpers of tests: a failure in one is a failed test")]

use cloister_tests::fuzz::{Mutator, TARGETS, Target};
use std::fmt::Write as _;
use std::panic::catch_unwind;

/// Inputs of each target in an ordinary run.
const INPUTS: u64 = 40_000;

fn number(name: &str, otherwise: u64) -> u64 {
    std::env::var(name).ok().map_or(otherwise, |text| text.parse().unwrap_or_else(|e| panic!("{name}: {e}")))
}

fn target(name: &str) -> &'static Target {
    TARGETS.iter().find(|target| target.name == name).unwrap_or_else(|| panic!("no target {name}"))
}

/// Runs a target on its seeds, and on what the mutator makes of them. A failure shows the input, as hexadecimal digits.
fn holds(name: &str) {
    let Target { run, seeds, .. } = target(name);
    let seeds = seeds();
    let mut mutator = Mutator::new(number("CLOISTER_FUZZ_SEED", 0x00c1_0157_e400_0001));
    let made = (0..number("CLOISTER_FUZZ_INPUTS", INPUTS)).map(|_| mutator.input(&seeds));
    for input in seeds.iter().cloned().chain(made) {
        if catch_unwind(|| run(&input)).is_err() {
            let hex = input.iter().fold(String::new(), |mut hex, byte| {
                let _: std::fmt::Result = write!(hex, "{byte:02x}");
                hex
            });
            panic!("{name} fails on {:?}, in hexadecimal {hex}", String::from_utf8_lossy(&input));
        }
    }
}

macro_rules! targets {
    ($($test:ident: $name:literal),* $(,)?) => {
        $(
            #[test]
            fn $test() {
                holds($name);
            }
        )*

        #[test]
        fn every_target_has_its_test() {
            let tested = [$($name),*];
            let names: Vec<&str> = TARGETS.iter().map(|target| target.name).collect();
            assert_eq!(names, tested);
        }
    };
}

targets! {
    frames_of_a_guest_are_messages_or_an_error_and_never_more_than_came: "frame",
    a_relative_path_of_a_client_stays_in_the_workspace: "guest_path",
    a_call_list_that_compiles_allows_nothing_that_is_never_allowed: "call_list",
    a_policy_that_loads_is_within_its_ceiling: "policy",
    a_destination_means_one_thing: "destination",
    an_address_is_as_forbidden_as_the_one_that_it_carries: "address",
    a_head_that_is_passed_on_is_one_request_to_one_host: "proxy_head",
    no_signature_is_good_that_nobody_made: "signature",
    nobody_is_let_through_under_another_name: "host",
    the_strict_reader_takes_nothing_that_another_refuses: "json",
    a_query_that_is_read_is_read_alike_again: "query",
    an_event_is_read_as_it_was_written: "event_stream",
    a_websocket_holds_no_more_than_its_budget: "websocket",
    a_cdp_command_that_passes_goes_to_no_file: "cdp_client",
    a_message_of_the_browser_is_found_inside_of_itself: "cdp_browser",
}

#[test]
fn the_same_seed_makes_the_same_inputs() {
    let seeds = vec![b"one".to_vec(), b"another".to_vec()];
    let some = |seed| {
        let mut mutator = Mutator::new(seed);
        (0..50).map(|_| mutator.input(&seeds)).collect::<Vec<_>>()
    };
    assert_eq!(some(1), some(1));
    assert_ne!(some(1), some(2));
}
