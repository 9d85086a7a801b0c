//! `cloister checkpoint SESSION`, `restore` and `undo`: states of a session that are kept and come back.

use super::session::path;
use super::{Connection, Failure};
use crate::output::{Output, size};
use hyper::Method;
use serde_json::{Value, json};
use std::io::{self, IsTerminal};

/// Arguments of `cloister checkpoint`.
#[derive(clap::Args, Debug)]
pub(crate) struct KeepArgs {
    #[command(flatten)]
    connection: Connection,
    /// Id of the session
    session: String,
}

/// Arguments of `cloister restore`.
#[derive(clap::Args, Debug)]
pub(crate) struct RestoreArgs {
    #[command(flatten)]
    connection: Connection,
    /// Id of the session
    session: String,
    /// As `cloister checkpoint` printed it [default: the state before the last call, as `cloister undo`]
    checkpoint: Option<String>,
}

/// Arguments of `cloister undo`.
#[derive(clap::Args, Debug)]
pub(crate) struct UndoArgs {
    #[command(flatten)]
    connection: Connection,
    /// Id of the session
    session: String,
}

pub(crate) async fn keep(args: KeepArgs, out: Output) -> Result<(), Failure> {
    let kept = ask(&args.connection, &args.session, "/checkpoint", &json!({})).await?;
    if !out.is_json()
        && io::stderr().is_terminal()
        && let Some(bytes) = kept["bytes"].as_u64()
    {
        eprintln!("cloister: {} kept", size(bytes));
    }
    say(&args.session, kept, out)
}

pub(crate) async fn restore(args: RestoreArgs, out: Output) -> Result<(), Failure> {
    let body = match args.checkpoint {
        Some(checkpoint) => json!({ "checkpoint": checkpoint }),
        None => json!({}),
    };
    say(&args.session, ask(&args.connection, &args.session, "/restore", &body).await?, out)
}

pub(crate) async fn undo(args: UndoArgs, out: Output) -> Result<(), Failure> {
    say(&args.session, ask(&args.connection, &args.session, "/restore", &json!({})).await?, out)
}

async fn ask(connection: &Connection, id: &str, what: &str, body: &Value) -> Result<Value, Failure> {
    Ok(connection.client()?.json(Method::POST, &path(id, what), Some(body)).await?)
}

/// The name of the state: by itself, so that a script can keep it, or as JSON with the session that it belongs to.
fn say(id: &str, mut answer: Value, out: Output) -> Result<(), Failure> {
    let Some(name) = answer["checkpoint"].as_str() else {
        return Err(Failure::new("the server's answer names no checkpoint"));
    };
    if out.is_json() {
        answer["session"] = id.into();
        return Ok(out.json(&answer)?);
    }
    Ok(out.line(&name.chars().filter(|c| !c.is_control()).collect::<String>())?)
}
