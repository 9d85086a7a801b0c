//! `cloister version`: of this program, and of the server if one answers.

use super::{Connection, Failure};
use crate::client::ClientError;
use crate::output::Output;
use hyper::Method;
use serde_json::json;

/// Arguments of `cloister version`.
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    #[command(flatten)]
    connection: Connection,
}

pub(crate) async fn run(args: Args, out: Output) -> Result<(), Failure> {
    let client = args.connection.client()?;
    let server = match client.json(Method::GET, "/version", None).await {
        Ok(version) => Some(version),
        Err(ClientError::NoServer(_)) => None,
        Err(error) => return Err(error.into()),
    };
    let own = env!("CARGO_PKG_VERSION");
    if out.is_json() {
        return Ok(out.json(&json!({ "version": own, "server": server }))?);
    }
    out.line(&format!("cloister {own}"))?;
    match server.as_ref().and_then(|version| version["version"].as_str()) {
        Some(version) => Ok(out.line(&format!("server   {version} at {}", client.endpoint()))?),
        None => Ok(out.line(&format!("server   none at {}", client.endpoint()))?),
    }
}
