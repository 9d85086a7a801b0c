//! `cloister open SESSION`: a link to watch a browser session, good for five minutes; who is on the page by then stays there.

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
    if detail["browser"]["liveView"].is_null() {
        return Err(Failure::new(if detail["kind"] == "browser" {
            format!("{}: the session has ended, and with it its live view", args.session)
        } else {
            format!("{}: a code session, which has no live view; `cloister ls` shows the kinds", args.session)
        }));
    }
    // A link that is signed: the browser that follows it has no key to send.
    let made = client.json(Method::POST, &path(&args.session, "/live-view"), Some(&json!({}))).await?;
    let url = made["url"].as_str().unwrap_or_default();
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
