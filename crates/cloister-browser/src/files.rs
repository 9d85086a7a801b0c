//! One file tool of the sandbox, from its call to its outcome.

use cloister_core::backend::Interpreter;
use cloister_core::command::ToolCall;
use cloister_core::event::{Event, Outcome};
use std::time::Duration;
use tokio::sync::mpsc;

/// Runs a file tool of the browser's sandbox. An error is a sentence for the log.
pub(crate) async fn tool(
    sandbox: &dyn Interpreter,
    call: ToolCall,
    deadline: Duration,
) -> Result<Outcome, String> {
    let (sink, mut events) = mpsc::channel(8);
    let collect = async {
        let mut outcome = None;
        while let Some(event) = events.recv().await {
            if let Event::Done(done) = event {
                outcome = Some(*done);
            }
        }
        outcome
    };
    let (invoked, outcome) = tokio::join!(sandbox.invoke(call, deadline, sink), collect);
    invoked.map_err(|error| error.to_string())?;
    match outcome {
        Some(Outcome::Failed { message }) => Err(message),
        Some(outcome) => Ok(outcome),
        None => Err("the sandbox gave no outcome".to_owned()),
    }
}
