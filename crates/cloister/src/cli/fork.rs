//! `cloister fork SESSION`: a copy of a session, with its variables and files.

use super::session::path;
use super::{Connection, Failure};
use crate::output::Output;
use hyper::Method;
use serde_json::json;

/// Arguments of `cloister fork`.
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    #[command(flatten)]
    connection: Connection,
    /// Name of the copy
    #[arg(long)]
    name: Option<String>,
    /// Seconds that the copy lives [default: the policy's]
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..=28_800))]
    timeout: Option<u64>,
    /// Id of the session
    session: String,
}

pub(crate) async fn run(args: Args, out: Output) -> Result<(), Failure> {
    let client = args.connection.client()?;
    let mut body = json!({});
    if let Some(name) = args.name {
        body["name"] = name.into();
    }
    if let Some(timeout) = args.timeout {
        body["timeout"] = timeout.into();
    }
    let copy = client.json(Method::POST, &path(&args.session, "/fork"), Some(&body)).await?;
    if out.is_json() {
        return Ok(out.json(&copy)?);
    }
    let id = copy["id"].as_str().ok_or_else(|| Failure::new("the server's answer names no session"))?;
    Ok(out.line(&id.chars().filter(|c| !c.is_control()).collect::<String>())?)
}
