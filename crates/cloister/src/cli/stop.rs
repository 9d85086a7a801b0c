//! `cloister stop`: ends sessions, and everything in them.

use super::session::{list, stop};
use super::{Connection, Failure};
use crate::output::Output;
use serde_json::json;

/// Arguments of `cloister stop`.
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    #[command(flatten)]
    connection: Connection,
    /// Ids of the sessions
    #[arg(required_unless_present = "all", conflicts_with = "all", value_name = "SESSION")]
    sessions: Vec<String>,
    /// Every session of the server
    #[arg(long)]
    all: bool,
}

pub(crate) async fn run(args: Args, out: Output) -> Result<(), Failure> {
    let client = args.connection.client()?;
    let ids = if args.all {
        list(&client, true).await?.into_iter().map(|(session, _)| session.id).collect()
    } else {
        args.sessions
    };
    let (mut stopped, mut failed) = (Vec::new(), Vec::new());
    for id in ids {
        match stop(&client, &id).await {
            Ok(()) => {
                if !out.is_json() {
                    out.line(&id)?;
                }
                stopped.push(id);
            }
            // One that is gone must not keep the others alive.
            Err(failure) => failed.push(format!("{id}: {}", failure.message)),
        }
    }
    if out.is_json() {
        out.json(&json!({ "stopped": stopped, "failed": failed }))?;
    }
    if failed.is_empty() { Ok(()) } else { Err(Failure::new(failed.join("\n"))) }
}
