//! Pages that hang, crash, or ask; and requests that stop at the first failure.

use crate::trial::{click, css, json, navigate, start};
use cloister_core::browser::page::{Extract, Step};
use serde_json::json;
use std::time::Duration;

fn evaluate(expression: &str) -> Step {
    Step::Evaluate { expression: expression.to_owned() }
}

#[tokio::test]
async fn an_endless_loop_ends_with_the_step_and_the_page_can_be_used_again() {
    let Some(trial) = start().await else { return };
    trial.page("<p id=p>alive</p>").await;
    let error = trial.fails(evaluate("for (;;) {}"), 1).await;
    assert_eq!(error.code, "timeout");
    assert!(error.message.contains("the script was stopped"), "{error:?}");
    assert_eq!(trial.value("p.textContent").await, json!("alive"));
}

#[tokio::test]
async fn a_page_that_hangs_while_it_loads_is_freed_and_the_next_one_opens() {
    let Some(trial) = start().await else { return };
    let error = trial.fails(navigate("data:text/html,<script>for(;;){}</script>"), 2).await;
    assert_eq!(error.code, "timeout");
    trial.page("<p>next").await;
    assert_eq!(trial.value("document.querySelector('p').textContent").await, json!("next"));
}

#[tokio::test]
async fn a_crashed_page_says_so_and_the_next_navigation_revives_it() {
    let Some(trial) = start().await else { return };
    trial.page("<p>x").await;
    let tab = trial.tabs.current().unwrap();
    let crash = tab.call("Page.crash", json!({}), Duration::from_secs(5)).await;
    assert!(crash.is_err(), "{crash:?}");
    let read = Step::Extract { selector: None, what: Extract::Text };
    assert_eq!(trial.fails(read, 5).await.code, "crashed");
    trial.page("<p>again").await;
    assert_eq!(trial.value("document.querySelector('p').textContent").await, json!("again"));
}

#[tokio::test]
async fn dialogs_are_dismissed_by_default_and_answered_by_the_rule_that_was_set() {
    let Some(trial) = start().await else { return };
    trial.page("<button id=b onclick=\"said = [confirm('a'), prompt('b', 'c')]\">x</button>").await;
    trial.gives(click(css("#b"))).await;
    assert_eq!(trial.value("said").await, json!([false, null]));
    trial.gives(Step::Dialogs { accept: true, text: Some("語".into()) }).await;
    trial.gives(click(css("#b"))).await;
    assert_eq!(trial.value("said").await, json!([true, "語"]));
    // A page that does not want to be left is left.
    trial.page("<button id=b>x</button><script>onbeforeunload = e => { e.preventDefault(); return 'stay' }</script>").await;
    trial.gives(click(css("#b"))).await;
    trial.page("<p>left").await;
    let console = json(trial.gives(Step::Console).await).to_string();
    assert!(console.contains("confirm: a") && console.contains("beforeunload"), "{console}");
}

#[tokio::test]
async fn steps_stop_at_the_first_that_fails_and_those_before_stay_done() {
    let Some(trial) = start().await else { return };
    trial.page("<input id=a>").await;
    let put = Step::Type { selector: Some(css("#a")), text: "done".into(), clear: true, submit: false };
    let performed = trial.perform(vec![put, click(css("#absent")), evaluate("a.value = 'never'")], 2).await;
    let names: Vec<_> = performed.iter().map(|step| (step.name, step.result.is_ok())).collect();
    assert_eq!(names, [("type", true), ("click", false)]);
    assert_eq!(trial.value("a.value").await, json!("done"));
}
