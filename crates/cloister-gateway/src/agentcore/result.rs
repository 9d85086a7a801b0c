//! From an answer to the `result` event: content blocks and structured content in the shapes recorded from
//! the AWS service.
//!
//! ```text
//! Answer ──blocks()──▶ [text] [AWS-shaped blocks] [image…] [resource_link…] ──pack()──▶ one event, or several below 24 MiB
//! ```
//!
//! **Text of an execution** (the first block; many clients read nothing else):
//!
//! * success: stdout without its last newline, then the text of displays without a picture and of the value
//!   of a last bare expression, each on a line of its own, as a notebook shows them; stderr if that leaves
//!   nothing;
//! * failure: the same, then stderr, the traceback and what cloister refused;
//! * in both cases last, one sentence per limit that was hit and one for what became of the state.

use super::event_stream::{self, MAX_PAYLOAD};
use crate::answer::{Answer, failed, lossy, notes, picture, refused};
use crate::{guest_path, mime};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use cloister_core::event::{
    Entry, EntryKind, Execution, FileBody, Outcome, PathFailure, Task, TaskStatus, bytes_text,
};
use serde::Serialize;

/// Room for the members around content blocks and structured content.
const ENVELOPE: usize = 1_024;
/// Bytes of payload that one event of ours holds at most.
const LIMIT: usize = MAX_PAYLOAD - ENVELOPE;
/// Bytes of a text that are kept when it does not fit. JSON escapes can make six bytes of one, so that two
/// cut streams stay below half of [`LIMIT`] and leave the other half to the first text block, which must
/// travel in the same event.
const CUT: usize = 1_000_000;

/// What an answer may hold, from the policy.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Options<'a> {
    /// `policy.output.figures`
    pub(crate) figures: bool,
    /// `policy.output.files`
    pub(crate) files: bool,
    /// `policy.output.text`
    pub(crate) text: bool,
    /// Where the native door has the session's files, for advice.
    pub(crate) files_url: &'a str,
}

#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
struct Block {
    r#type: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    mime_type: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    uri: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    size: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    resource: Option<Resource>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Resource {
    r#type: &'static str,
    uri: String,
    mime_type: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    blob: Option<String>,
}

#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
struct Structured {
    #[serde(skip_serializing_if = "Option::is_none")]
    task_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    task_status: Option<&'static str>,
    stdout: String,
    stderr: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    exit_code: Option<i32>,
    /// Seconds: the model says milliseconds, and the service sends seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    execution_time: Option<f64>,
}

/// A result before it is cut into events.
#[derive(Debug, Default)]
struct ToolResult {
    blocks: Vec<Block>,
    structured: Option<Structured>,
    is_error: bool,
}

/// The events of an answer: exactly one, unless it is larger than what botocore takes in one message.
pub(crate) fn events(answer: Answer, options: Options<'_>) -> Vec<Bytes> {
    pack(build(answer, options), options)
}

fn build(answer: Answer, options: Options<'_>) -> ToolResult {
    // The service model has no word for a receipt: for these clients it is in the audit log.
    let Answer { stdout, stderr, output: _, displays, value, receipt: _, outcome } = answer;
    match outcome {
        Outcome::Executed(execution) => {
            let streams = (lossy(&stdout), lossy(&stderr));
            executed(streams, displays.iter().chain(&value).collect(), execution, options)
        }
        Outcome::Files { files, failed } => read(files, &failed, options),
        Outcome::Listing { entries, truncated } => listing(&entries, truncated, options),
        Outcome::Written { files } => {
            text_result(format!("Successfully wrote all {} files", files.len()), false)
        }
        Outcome::Removed { removed, failed } => {
            let done = format!("Successfully removed {} files", removed.len());
            if failed.is_empty() {
                text_result(done, false)
            } else {
                text_result(format!("{done}. {}", failures("Could not remove", &failed)), true)
            }
        }
        Outcome::Task(task) => task_result(task, options),
        Outcome::Range { .. }
        | Outcome::Checkpointed { .. }
        | Outcome::Restored { .. }
        | Outcome::Acted(_)
        | Outcome::Performed(_) => text_result("this is no tool of this interface".into(), true),
        Outcome::Failed { message } => text_result(message, true),
    }
}

fn text(text: String) -> Block {
    Block { r#type: "text", text: Some(text), ..Block::default() }
}

fn text_result(message: String, is_error: bool) -> ToolResult {
    ToolResult { blocks: vec![text(message)], structured: None, is_error }
}

fn executed(
    (stdout, stderr): (String, String),
    shown: Vec<&cloister_core::event::Rich>,
    execution: Execution,
    options: Options<'_>,
) -> ToolResult {
    let is_error = failed(&execution);
    let stdout = strip_newline(stdout);
    let mut complaints = stderr;
    if let Some(error) = &execution.error {
        let traceback = if error.traceback.is_empty() {
            format!("{}: {}", error.name, error.message)
        } else {
            error.traceback.clone()
        };
        // Some runtimes print the traceback themselves.
        if !complaints.contains(traceback.trim_end()) {
            push_line(&mut complaints, &traceback);
        }
    }
    for text in refused(&execution, &[&stdout, &complaints]) {
        push_line(&mut complaints, &text);
    }
    let notes = notes(&execution);

    let mut first = stdout.clone();
    for rich in &shown {
        let as_picture = options.figures && picture(rich).is_some();
        if let Some(plain) = rich.get("text/plain").filter(|_| !as_picture) {
            push_line(&mut first, strip_newline(lossy(plain)).as_str());
        }
    }
    if is_error || first.is_empty() {
        push_line(&mut first, &complaints);
    }
    for note in &notes {
        push_line(&mut first, note);
        push_line(&mut complaints, note);
    }
    let mut blocks = vec![text(first)];
    if options.figures {
        blocks.extend(shown.iter().filter_map(|rich| picture(rich)).map(|(mime_type, data)| Block {
            r#type: "image",
            data: Some(STANDARD.encode(data)),
            mime_type: Some(mime_type),
            ..Block::default()
        }));
    }
    if options.files {
        blocks.extend(execution.files.iter().map(|file| link(&file.path, &file.path, file.size)));
        if execution.files_truncated {
            blocks.push(text(format!(
                "More files changed than the {} that are listed; listFiles shows them all",
                execution.files.len()
            )));
        }
    }
    let structured = Structured {
        stdout,
        stderr: complaints,
        exit_code: Some(execution.exit_code),
        execution_time: Some(execution.usage.wall.as_secs_f64()),
        ..Structured::default()
    };
    ToolResult { blocks, structured: Some(structured), is_error }
}

fn link(name: &str, path: &str, size: u64) -> Block {
    Block {
        r#type: "resource_link",
        mime_type: Some(mime::of(path)),
        uri: Some(guest_path::uri(path)),
        name: Some(name.to_owned()),
        description: Some("File"),
        size: Some(size),
        ..Block::default()
    }
}

fn read(files: Vec<FileBody>, failed: &[PathFailure], options: Options<'_>) -> ToolResult {
    let mut result = ToolResult::default();
    for file in files {
        // Base64 makes four bytes of three; text can grow by escapes and is checked again when it is packed.
        let mime_type = mime::of(&file.path);
        let hidden = mime_type == "application/octet-stream" && !guest_path::name(&file.path).contains('.');
        let as_text = match std::str::from_utf8(&file.data) {
            Ok(content) if mime::is_text(mime_type) => Some((mime_type, content.to_owned())),
            // `Makefile`, `LICENSE`: no extension to go by, and the content is text.
            Ok(content) if hidden && !content.contains('\0') => Some(("text/plain", content.to_owned())),
            _ => None,
        };
        if as_text.is_none() && file.data.len() / 3 * 4 > LIMIT {
            result.blocks.push(text(too_large(&file.path, file.data.len(), options)));
            result.is_error = true;
            continue;
        }
        let uri = guest_path::uri(&file.path);
        let resource = match as_text {
            Some((mime_type, content)) => {
                Resource { r#type: "text", uri, mime_type, text: Some(content), blob: None }
            }
            None => Resource {
                r#type: "blob",
                uri,
                mime_type,
                text: None,
                blob: Some(STANDARD.encode(&file.data)),
            },
        };
        result.blocks.push(Block { r#type: "resource", resource: Some(resource), ..Block::default() });
    }
    if !failed.is_empty() {
        result.blocks.push(text(failures("Could not read", failed)));
        result.is_error = true;
    }
    result
}

fn listing(entries: &[Entry], truncated: bool, options: Options<'_>) -> ToolResult {
    let mut blocks: Vec<Block> = entries
        .iter()
        .map(|entry| match entry.kind {
            EntryKind::File => link(&entry.name, &entry.path, entry.size),
            kind => Block {
                r#type: "resource_link",
                uri: Some(guest_path::uri(&entry.path)),
                name: Some(entry.name.clone()),
                description: Some(describe(kind)),
                ..Block::default()
            },
        })
        .collect();
    let more = truncated.then_some("The directory has more entries than are listed");
    if options.text {
        let line = |entry: &Entry| match entry.kind {
            EntryKind::File => format!("{} ({})", entry.name, bytes_text(entry.size)),
            EntryKind::Directory => format!("{}/", entry.name),
            kind => format!("{} ({})", entry.name, describe(kind).to_lowercase()),
        };
        let mut lines: Vec<String> = entries.iter().map(line).collect();
        lines.extend(more.map(str::to_owned));
        let all = if lines.is_empty() { "The directory is empty".to_owned() } else { lines.join("\n") };
        blocks.push(text(all));
    } else {
        blocks.extend(more.map(|more| text(more.to_owned())));
    }
    ToolResult { blocks, structured: None, is_error: false }
}

fn describe(kind: EntryKind) -> &'static str {
    match kind {
        EntryKind::File => "File",
        EntryKind::Directory => "Directory",
        EntryKind::Symlink => "Symbolic link",
        EntryKind::Other => "Special file",
    }
}

fn task_result(task: Task, options: Options<'_>) -> ToolResult {
    let status = task_status(task.status);
    let structured = Structured {
        task_id: Some(task.id.clone()),
        task_status: Some(status),
        stdout: strip_newline(lossy(&task.stdout)),
        stderr: lossy(&task.stderr),
        exit_code: task.exit_code,
        // A task that has only been accepted has no time to show.
        execution_time: (task.status != TaskStatus::Submitted).then_some(task.wall.as_secs_f64()),
    };
    let mut blocks = Vec::new();
    if options.text {
        let mut line = format!("Task {} {status}", task.id);
        if let Some(code) = task.exit_code {
            line.push_str(&format!(" with exit code {code}"));
        }
        push_line(&mut line, &structured.stdout);
        push_line(&mut line, &structured.stderr);
        blocks.push(text(line));
    }
    ToolResult { blocks, structured: Some(structured), is_error: false }
}

/// The name of a task's state in the model.
pub(crate) fn task_status(status: TaskStatus) -> &'static str {
    match status {
        TaskStatus::Submitted => "submitted",
        TaskStatus::Working => "working",
        TaskStatus::Completed => "completed",
        TaskStatus::Canceled => "canceled",
        TaskStatus::Failed => "failed",
    }
}

fn failures(what: &str, failed: &[PathFailure]) -> String {
    let each: Vec<_> = failed.iter().map(|failure| format!("{}: {}", failure.path, failure.reason)).collect();
    format!("{what} {}", each.join("; "))
}

fn too_large(path: &str, size: usize, options: Options<'_>) -> String {
    let url = format!("{}/{}", options.files_url, crate::percent::encode_path(path.trim_start_matches('/')));
    format!(
        "{path}: {} is more than one message of this interface can carry ({}). Download it with GET {url}, \
         or read it in parts with executeCode",
        bytes_text(size as u64),
        bytes_text(MAX_PAYLOAD as u64)
    )
}

/// Without one trailing newline, as the service returns stdout.
fn strip_newline(mut text: String) -> String {
    if text.ends_with('\n') {
        text.pop();
        if text.ends_with('\r') {
            text.pop();
        }
    }
    text
}

fn push_line(to: &mut String, line: &str) {
    if line.is_empty() {
        return;
    }
    if !to.is_empty() && !to.ends_with('\n') {
        to.push('\n');
    }
    to.push_str(line);
}

/// Serialises a result into as few events as its size allows.
fn pack(mut result: ToolResult, options: Options<'_>) -> Vec<Bytes> {
    let mut structured = result.structured.as_ref().map(json).unwrap_or_default();
    if structured.len() > LIMIT / 2
        && let Some(inner) = &mut result.structured
    {
        inner.stdout = cut(std::mem::take(&mut inner.stdout), options);
        inner.stderr = cut(std::mem::take(&mut inner.stderr), options);
        structured = json(inner);
    }
    let mut groups: Vec<Vec<Vec<u8>>> = vec![Vec::new()];
    let mut used = structured.len();
    for block in result.blocks {
        let mut text = json(&block);
        if text.len() > if block.r#type == "text" { LIMIT / 2 } else { LIMIT } {
            // Only texts and pictures get here: files are measured before they are encoded, text files
            // excepted.
            result.is_error |= block.resource.is_some();
            text = json(&shrink(block, options));
        }
        if used + text.len() + 1 > LIMIT && !groups.last().is_none_or(Vec::is_empty) {
            groups.push(Vec::new());
            used = 0;
        }
        used += text.len() + 1;
        if let Some(group) = groups.last_mut() {
            group.push(text);
        }
    }
    let mut events = Vec::with_capacity(groups.len());
    for group in groups {
        let mut payload = b"{\"content\":[".to_vec();
        payload.extend(group.join(&b','));
        payload.push(b']');
        if !structured.is_empty() {
            payload.extend_from_slice(b",\"structuredContent\":");
            payload.append(&mut structured);
        }
        payload.extend_from_slice(if result.is_error {
            b",\"isError\":true}"
        } else {
            b",\"isError\":false}"
        });
        events.push(event_stream::event("result", &payload));
    }
    events
}

/// What takes the place of a block that does not fit into any event.
fn shrink(block: Block, options: Options<'_>) -> Block {
    if let Some(resource) = block.resource {
        let size = resource.text.as_ref().map_or(0, String::len);
        return text(too_large(resource.uri.trim_start_matches("file://"), size, options));
    }
    match block.text {
        Some(long) => text(cut(long, options)),
        None => {
            text("A figure is larger than one message of this interface can carry; save it to a file".into())
        }
    }
}

/// The first [`CUT`] bytes of a text, with a sentence that says so.
fn cut(mut long: String, options: Options<'_>) -> String {
    if long.len() <= CUT {
        return long;
    }
    let dropped = long.len() - CUT;
    let mut end = CUT;
    while !long.is_char_boundary(end) {
        end -= 1;
    }
    long.truncate(end);
    long.push_str(&format!(
        "\noutput truncated at {CUT} bytes: {dropped} more bytes do not fit into one message; write them to a file and \
         download it from {}",
        options.files_url
    ));
    long
}

fn json<T: Serialize>(value: &T) -> Vec<u8> {
    // Structs of strings and numbers always serialise; a non-finite time cannot come out of a Duration.
    serde_json::to_vec(value).unwrap_or_default()
}

#[cfg(test)]
#[path = "result_tests.rs"]
mod tests;
