//! Gathers the events of one call into one answer, for the doors that give it in one piece.
//!
//! ```text
//! Invocation ──Stdout · Stderr · Display · Value──▶ Answer ──┬─▶ agentcore::result (content blocks)
//!                                    └──Done──────▶          └─▶ native::invoke (JSON)
//! ```

use bytes::Bytes;
use cloister_core::denial::Noted;
use cloister_core::error::Error;
use cloister_core::event::{Ended, Event, Execution, LimitHit, Outcome, Rich, StateAfter};
use cloister_core::receipt::Receipt;
use cloister_core::session::invocation::Invocation;

/// MIME types of pictures that are shown as pictures, best first.
const PICTURES: [&str; 5] = ["image/png", "image/jpeg", "image/webp", "image/gif", "image/svg+xml"];

/// Everything that a call answered.
#[derive(Debug)]
pub(crate) struct Answer {
    /// Descriptor 1, whole.
    pub(crate) stdout: Vec<u8>,
    /// Descriptor 2, whole.
    pub(crate) stderr: Vec<u8>,
    /// Both, in the order in which they arrived, with the text of displays and of the value between them.
    pub(crate) output: Vec<u8>,
    /// What was shown, in order.
    pub(crate) displays: Vec<Rich>,
    /// The value of a last bare expression.
    pub(crate) value: Option<Rich>,
    /// What the call used, changed and reached.
    pub(crate) receipt: Option<Box<Receipt>>,
    /// The end.
    pub(crate) outcome: Outcome,
}

/// Reads an invocation to its end. Dropping the future leaves the call running; its answer is kept for a
/// retry.
pub(crate) async fn collect(mut invocation: Invocation) -> Result<Answer, Error> {
    let mut stdout = Vec::new();
    let mut stderr = Vec::new();
    let mut output = Vec::new();
    let mut displays = Vec::new();
    let mut value = None;
    let mut receipt = None;
    while let Some(event) = invocation.next().await {
        match event? {
            Event::Stdout(bytes) => {
                output.extend_from_slice(&bytes);
                stdout.extend_from_slice(&bytes);
            }
            Event::Stderr(bytes) => {
                output.extend_from_slice(&bytes);
                stderr.extend_from_slice(&bytes);
            }
            Event::Display(rich) => {
                push_line(&mut output, rich.get("text/plain"));
                displays.push(rich);
            }
            Event::Value(rich) => {
                push_line(&mut output, rich.get("text/plain"));
                value = Some(rich);
            }
            Event::Receipt(made) => receipt = Some(made),
            Event::Done(outcome) => {
                return Ok(Answer { stdout, stderr, output, displays, value, receipt, outcome: *outcome });
            }
        }
    }
    Err(Error::internal("the call ended without an answer", "the invocation's log has no Done"))
}

/// Appends text as a line of its own.
fn push_line(to: &mut Vec<u8>, text: Option<&Bytes>) {
    if let Some(text) = text {
        if !to.is_empty() && !to.ends_with(b"\n") {
            to.push(b'\n');
        }
        to.extend_from_slice(text);
        to.push(b'\n');
    }
}

/// The picture among the forms of a value, with its MIME type.
pub(crate) fn picture(rich: &Rich) -> Option<(&'static str, &Bytes)> {
    PICTURES.iter().find_map(|mime| Some((*mime, rich.get(mime)?)))
}

/// Guest output as text. What is not UTF-8 becomes U+FFFD, so that no output can break the answer's JSON.
pub(crate) fn lossy(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Whether an execution counts as failed.
pub(crate) fn failed(execution: &Execution) -> bool {
    execution.exit_code != 0
        || execution.error.is_some()
        || matches!(execution.ended, Ended::Interrupted | Ended::Killed | Ended::Died)
}

/// What a person should know about how an execution ended, one sentence each: limits that were hit, and what
/// became of the state.
pub(crate) fn notes(execution: &Execution) -> Vec<String> {
    let told = |limit: &&LimitHit| {
        execution.denials.iter().all(|noted| limit.rule() != Some(noted.denial.rule.as_str()))
    };
    let mut notes: Vec<String> = execution.limits.iter().filter(told).map(LimitHit::sentence).collect();
    let how = match execution.ended {
        Ended::Completed | Ended::Exited => None,
        Ended::Interrupted => Some("the call was interrupted"),
        Ended::Killed => Some("the call ignored the interrupt and was killed"),
        Ended::Died => Some("the runtime ended unexpectedly"),
    };
    let state = match execution.state {
        StateAfter::Kept => "the session's variables are kept",
        StateAfter::Restored => {
            "the session is back in the state from before the call, files included: the call has been undone"
        }
        StateAfter::Lost => {
            "the session's variables are lost, and the next call starts with an empty context; files are kept"
        }
    };
    match (how, execution.state) {
        (Some(how), _) => notes.push(format!("{how}; {state}")),
        // A kill of one process by a limit can take the runtime with it after the call itself ended.
        (None, StateAfter::Lost | StateAfter::Restored) => notes.push(state.to_owned()),
        (None, StateAfter::Kept) => {}
    }
    notes
}

/// What the call was refused, a text each; of one that failed also what the session was refused meanwhile, which may be why. Not of what it
/// has `said` itself: a page of the proxy has the id.
pub(crate) fn refused(execution: &Execution, said: &[&str]) -> Vec<String> {
    /// Texts; more are among the denials of the receipt.
    const MOST: usize = 5;
    let meanwhile = execution.meanwhile.iter().filter(|_| failed(execution));
    let all = execution.denials.iter().chain(meanwhile);
    let news = all.filter(|noted| said.iter().all(|text| !text.contains(noted.id.as_str())));
    news.take(MOST).map(Noted::text).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn a_deadline_says_whether_the_state_survived() {
        let deadline = LimitHit::Deadline { limit: Duration::from_secs(5) };
        let interrupted = Execution {
            exit_code: 130,
            ended: Ended::Interrupted,
            limits: vec![deadline.clone()],
            ..Execution::default()
        };
        assert!(notes(&interrupted).join(" ").contains("variables are kept"));
        let killed = Execution {
            exit_code: 137,
            ended: Ended::Killed,
            state: StateAfter::Lost,
            limits: vec![deadline],
            ..Execution::default()
        };
        let text = notes(&killed).join(" ");
        assert!(
            text.contains("after 5 s") && text.contains("killed") && text.contains("variables are lost"),
            "{text}"
        );
        assert!(failed(&interrupted) && failed(&killed));
        // A shell that is told to exit ends well, and all that it knew is gone.
        let exited = Execution { ended: Ended::Exited, state: StateAfter::Lost, ..Execution::default() };
        assert!(
            notes(&exited).join(" ").contains("variables are lost, and the next call starts with an empty")
        );
        assert!(!failed(&exited));
        assert!(notes(&Execution::default()).is_empty() && !failed(&Execution::default()));
    }
}
