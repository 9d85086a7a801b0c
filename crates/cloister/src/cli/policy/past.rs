//! `cloister policy explain den_…`: a refusal that was noted, asked of the server or looked up in the audit log, and explained by the
//! policies of today.

use super::super::{Connection, Failure, block_on};
use super::explain::rows;
use crate::access;
use crate::audit;
use crate::client::ClientError;
use crate::data_dir::DataDir;
use crate::locate::Installation;
use crate::output::Output;
use crate::policies::Policies;
use crate::policies::past::past;
use cloister_core::SessionId;
use cloister_core::denial::{Denial, DenialId, Layer, Noted};
use cloister_core::policy::PolicyRef;
use cloister_gateway::iso8601;
use hyper::Method;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::SystemTime;

/// Where refusals are noted.
#[derive(clap::Args, Debug)]
pub(super) struct Noting {
    /// Look a refusal up in the audit log of this data folder, whoever was refused; without it, the server says what its caller was refused
    #[arg(long, value_name = "DIR", requires = "denial", conflicts_with = "endpoint")]
    data_dir: Option<PathBuf>,
    #[command(flatten)]
    connection: Connection,
}

/// A refusal, and when it was noted, as text: a server's clock is its own.
struct Found {
    noted: Noted,
    at: String,
}

/// Always 1, as for everything that is not allowed.
pub(super) fn run(id: &str, noting: Noting, folder: Option<&Path>, out: Output) -> Result<ExitCode, Failure> {
    let id = DenialId::parse(id).ok_or_else(|| {
        Failure::usage(format!(
            "`{id}` is no id of a refusal: these are den_ and 26 capital letters and digits, and stand in the text of what was refused"
        ))
    })?;
    let Found { noted, at } = match &noting.data_dir {
        Some(data_dir) => logged(&id, data_dir)?,
        None => block_on(asked(&id, noting.connection))?,
    };
    let installation = Installation::current()?;
    let policies = Policies::find(folder, &installation)?;
    let told = past(&policies, &access::open(folder, &installation)?, &noted)?;
    let session = noted.denial.session.as_ref().map(SessionId::as_str);
    if out.is_json() {
        let mut answer = told.json();
        answer["denial"] = json!({
            "id": id.as_str(),
            "at": at,
            "session": session,
            "layer": noted.denial.layer.name(),
            "rule": noted.denial.rule,
            "how": noted.how(),
        });
        out.json(&answer)?;
    } else {
        let mut rows = rows(&told);
        rows.insert(1, ["  refused".into(), format!("{at} as {id}").into()]);
        if let Some(session) = session {
            rows.insert(2, ["  session".into(), session.to_owned().into()]);
        }
        out.table(["", ""], &rows)?;
    }
    Ok(ExitCode::FAILURE)
}

/// From the log, on the server's own machine.
fn logged(id: &DenialId, folder: &Path) -> Result<Found, Failure> {
    let data = DataDir::open(folder)?;
    let noted = audit::denial(&data.audit(), id)?.ok_or_else(|| {
        Failure::new(format!(
            "the last files of the audit log in {} do not have {id}; `cloister audit search` looks through all of them",
            folder.display()
        ))
    })?;
    Ok(Found { at: iso8601(noted.at), noted })
}

/// From the server, which says it to whoever was refused and to nobody else.
async fn asked(id: &DenialId, connection: Connection) -> Result<Found, Failure> {
    let answer = connection.client()?.json(Method::GET, &format!("/v1/denials/{id}"), None).await;
    let answer = answer.map_err(|error| match error {
        ClientError::Refused { message, .. } => Failure::new(format!(
            "{message}. A server says it only to whoever was refused; on its own machine, --data-dir DIR looks into the audit log"
        )),
        other => other.into(),
    })?;
    let noted = read(id, &answer).ok_or_else(|| {
        Failure::new(
            "the server's answer is no refusal as this program knows it; use the server's own version",
        )
    })?;
    Ok(Found { noted, at: answer["at"].as_str().unwrap_or_default().to_owned() })
}

/// A denial as `GET /v1/denials/ID` shows it.
fn read(id: &DenialId, answer: &Value) -> Option<Noted> {
    let text = |of: &Value, member: &str| of[member].as_str().map(str::to_owned);
    let layer = Layer::parse(answer["layer"].as_str()?)?;
    let [rule, asked, why, how] = ["rule", "asked", "why", "how"].map(|member| text(answer, member));
    let policy = &answer["policy"];
    let denial = Denial {
        matched: text(answer, "matched"),
        policy: text(policy, "name")
            .zip(text(policy, "version"))
            .map(|(name, version)| PolicyRef { name, version }),
        session: answer["session"].as_str().and_then(SessionId::parse),
        ..Denial::new(layer, rule?, asked?, why?, how?)
    };
    Some(Noted { id: id.clone(), at: SystemTime::now(), denial })
}
