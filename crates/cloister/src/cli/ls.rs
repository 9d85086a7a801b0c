//! `cloister ls`: the sessions of the server.

use super::session::list;
use super::{Connection, Failure};
use crate::output::{Cell, Output};
use serde_json::{Value, json};

/// Arguments of `cloister ls`.
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    #[command(flatten)]
    connection: Connection,
    /// Also sessions that have ended
    #[arg(long, short)]
    all: bool,
}

pub(crate) async fn run(args: Args, out: Output) -> Result<(), Failure> {
    let client = args.connection.client()?;
    let sessions = list(&client, !args.all).await?;
    if out.is_json() {
        let values: Vec<Value> = sessions.into_iter().map(|(_, value)| value).collect();
        return Ok(out.json(&json!({ "sessions": values }))?);
    }
    let rows: Vec<[Cell; 7]> = sessions
        .into_iter()
        .map(|(session, value)| {
            let status = match (session.status.as_str(), value["ended"].as_str()) {
                ("ready", _) => Cell::good("ready"),
                (_, Some("failed" | "lost")) => Cell::bad(value["ended"].as_str().unwrap_or_default()),
                (_, Some(ended)) => ended.into(),
                (status, None) => status.into(),
            };
            [
                session.id.into(),
                status,
                session.kind.into(),
                session.interpreter.into(),
                session.policy.into(),
                session.created_at.into(),
                session.name.unwrap_or_default().into(),
            ]
        })
        .collect();
    Ok(out.table(["SESSION", "STATUS", "KIND", "INTERPRETER", "POLICY", "CREATED", "NAME"], &rows)?)
}
