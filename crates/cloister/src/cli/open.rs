//! `cloister open SESSION`: where to watch a browser session.

use super::session::path;
use super::{Connection, Failure};
use crate::output::Output;
use hyper::Method;
use serde_json::json;
use std::process::{Command, Stdio};

/// Arguments of `cloister open`.
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    #[command(flatten)]
    connection: Connection,
    /// Also start this machine's browser on it
    #[arg(long)]
    open: bool,
    /// Id of the session
    session: String,
}

pub(crate) async fn run(args: Args, out: Output) -> Result<(), Failure> {
    let client = args.connection.client()?;
    let detail = client.json(Method::GET, &path(&args.session, ""), None).await?;
    let Some(url) = detail["browser"]["liveView"].as_str() else {
        return Err(Failure::new(if detail["kind"] == "browser" {
            format!("{}: the session has ended, and with it its live view", args.session)
        } else {
            format!("{}: a code session, which has no live view; `cloister ls` shows the kinds", args.session)
        }));
    };
    // The server wrote it, and this machine's browser is about to open it.
    if !url.starts_with("http://") && !url.starts_with("https://") {
        return Err(Failure::new("the server's live view is not a web address"));
    }
    if out.is_json() {
        out.json(&json!({ "session": args.session, "liveView": url }))?;
    } else {
        out.line(&url.chars().filter(|c| !c.is_control()).collect::<String>())?;
    }
    if args.open {
        let mut browser = Command::new("xdg-open");
        browser.arg(url).stdin(Stdio::null()).stdout(Stdio::null());
        let status = browser
            .status()
            .map_err(|error| Failure::new(format!("xdg-open: {error}; open the address above by hand")))?;
        if !status.success() {
            return Err(Failure::new(format!("xdg-open: {status}; open the address above by hand")));
        }
    }
    Ok(())
}
