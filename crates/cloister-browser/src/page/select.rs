//! Choose options of a `<select>`.

use super::locate::{Need, locate};
use super::run::Run;
use super::settle;
use super::trouble::{Outcome, failed};
use super::world::{On, script};
use cloister_core::browser::page::{Given, Selector};
use serde_json::{Value, json};
use std::time::Duration;
use tokio::time::{Instant, sleep};

const SELECT: &str = include_str!("js/select.js");
/// Between looks for an option that a script may still add.
const PAUSE: Duration = Duration::from_millis(100);

/// By value or label; waits for options that come late.
pub(super) async fn select(run: &Run<'_>, selector: &Selector, values: &[String]) -> Outcome<Given> {
    loop {
        let found = locate(run, selector, Need::Edit).await?;
        let before = settle::before(run);
        let answer =
            script(&run.tab, On::Element(&found.handle), SELECT, &[json!(values)], run.left()).await?;
        if let Some(why) = answer.get("wrong").and_then(Value::as_str) {
            return Err(failed("invalid", why));
        }
        let Some(why) = answer.get("absent").and_then(Value::as_str) else {
            return Ok(match settle::after(run, before).await {
                Given::Done => Given::Json(answer),
                told => told,
            });
        };
        if Instant::now() + PAUSE >= run.deadline {
            return Err(failed("not_found", why));
        }
        sleep(PAUSE).await;
    }
}
