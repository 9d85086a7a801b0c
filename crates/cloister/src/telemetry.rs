//! The log: one line per event on standard error, as text or JSON, filtered by `RUST_LOG`.
//!
//! Nothing from a guest is ever a format string, a target or a field name. Guest text appears, if at all, as the value of a
//! field in its `Debug` form, in which control characters and line ends are escaped.

use std::io::{self, IsTerminal};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::format::FmtSpan;

/// How log lines look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object per line.
    Json,
}

/// Starts logging for the rest of the process. Without `RUST_LOG` it says what the server does, and of its libraries
/// only what is wrong.
pub(crate) fn init(format: LogFormat) {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| {
        EnvFilter::new(
            "warn,cloister=info,cloister_core=info,cloister_gateway=info,cloister_process=info,egress=info",
        )
    });
    let colour =
        io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    let lines = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(io::stderr)
        .with_span_events(FmtSpan::NONE);
    // A second call (in tests) keeps the first subscriber.
    let _ = match format {
        LogFormat::Text => lines.with_ansi(colour).try_init(),
        LogFormat::Json => lines.json().flatten_event(true).with_ansi(false).try_init(),
    };
}
