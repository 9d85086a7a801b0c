//! `cloister quota`: what this caller and its tenant have used of their quotas, and what they may.

use super::{Connection, Failure};
use crate::output::{Cell, Output};
use hyper::Method;
use serde_json::Value;

/// Arguments of `cloister quota`.
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    #[command(flatten)]
    connection: Connection,
}

pub(crate) async fn run(args: Args, out: Output) -> Result<(), Failure> {
    let answer = args.connection.client()?.json(Method::GET, "/v1/quotas", None).await?;
    if out.is_json() {
        return Ok(out.json(&answer)?);
    }
    let quotas = answer["quotas"].as_array().map(Vec::as_slice).unwrap_or_default();
    let rows: Vec<[Cell; 4]> = quotas.iter().map(|quota| row(&answer, quota)).collect();
    Ok(out.table(["QUOTA", "OF", "USED", "LIMIT"], &rows)?)
}

fn row(answer: &Value, quota: &Value) -> [Cell; 4] {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let tenant = text(&answer["tenant"]);
    let whose = match quota["of"].as_str() {
        Some("tenant") => format!("tenant {tenant}"),
        _ => format!("{tenant}/{}", text(&answer["name"])),
    };
    let used = quota["used"].as_u64().unwrap_or_default();
    let limit = quota["limit"].as_u64();
    let shown = used.to_string();
    let used = if limit.is_some_and(|limit| used >= limit) { Cell::bad(&shown) } else { shown.into() };
    let limit = limit.map_or_else(|| "unlimited".to_owned(), |limit| limit.to_string());
    [text(&quota["quota"]).into(), whose.into(), used, limit.into()]
}
