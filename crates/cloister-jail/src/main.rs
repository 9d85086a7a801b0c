//! The jail program: a small single-threaded process that the server starts before it has threads, and that makes sandboxes.
//!
//! Without arguments, descriptor 0 is a SEQPACKET socket to the server (see `launcher.rs`) and everything is in the plans.
//! With `probe` it prints, as JSON, which walls this host can build.

use std::process::ExitCode;

fn main() -> ExitCode {
    match std::env::args().nth(1).as_deref() {
        None => match cloister_jail::launcher::run() {
            Ok(()) => ExitCode::SUCCESS,
            Err(step) => complain(&step),
        },
        Some("probe") => match serde_json::to_string(&cloister_jail::probe::all()) {
            Ok(json) => {
                println!("{json}");
                ExitCode::SUCCESS
            }
            Err(error) => complain(&error),
        },
        Some(other) => {
            complain(&format_args!("unknown argument {other:?}; this program is started by `cloister serve`"))
        }
    }
}

fn complain(what: &dyn std::fmt::Display) -> ExitCode {
    eprintln!("cloister-jail: {what}");
    ExitCode::FAILURE
}
