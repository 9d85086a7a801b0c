//! What `run`, `exec`, `browse`, `ls` and `stop` share: starting, calling, listing and stopping sessions over the native door.

use super::Failure;
use crate::client::{Client, ClientError, Done, Session, Step};
use crate::output::Output;
use crate::terminal::TerminalFilter;
use hyper::Method;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use std::io::{self, IsTerminal, Write};

/// Whether the value of a last bare expression is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Values {
    /// As a notebook does.
    Show,
    /// As `python file.py` does.
    Hide,
}

/// Starts a browser session.
pub(super) async fn browser(
    client: &Client,
    interpreter: Option<&str>,
    viewport: Option<(u32, u32)>,
    timeout: u64,
) -> Result<Session, Failure> {
    let mut body = json!({ "name": "cloister browse", "timeout": timeout, "browser": {} });
    if let Some(interpreter) = interpreter {
        body["interpreter"] = interpreter.into();
    }
    if let Some((width, height)) = viewport {
        body["browser"]["viewport"] = json!({ "width": width, "height": height });
    }
    begin(client, &body).await
}

/// What a session is to run on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wanted<'a> {
    /// The server's own choice.
    Default,
    /// This interpreter, or the policy of that name.
    Interpreter(&'a str),
    /// The server's interpreter of this tier.
    Tier(&'a str),
}

/// Starts a session.
pub(super) async fn start(
    client: &Client,
    wanted: Wanted<'_>,
    name: &str,
    timeout: Option<u64>,
) -> Result<Session, Failure> {
    let mut body = json!({ "name": name });
    match wanted {
        Wanted::Default => {}
        Wanted::Interpreter(interpreter) => body["interpreter"] = interpreter.into(),
        Wanted::Tier(tier) => body["tier"] = tier.into(),
    }
    if let Some(timeout) = timeout {
        body["timeout"] = timeout.into();
    }
    begin(client, &body).await
}

async fn begin(client: &Client, body: &Value) -> Result<Session, Failure> {
    match client.json(Method::POST, "/v1/sessions", Some(body)).await {
        Ok(answer) => Ok(serde_json::from_value(answer)?),
        Err(ClientError::Refused { code, message }) if code == "not_found" => Err(Failure::new(format!(
            "{message}. Of the policies, a server offers those that grant no more than its default one, and what its \
             configuration file lists under [interpreters]",
        ))),
        Err(error) => Err(error.into()),
    }
}

/// Stops a session; one that has ended already is fine.
pub(super) async fn stop(client: &Client, id: &str) -> Result<(), Failure> {
    client.json(Method::DELETE, &path(id, ""), None).await?;
    Ok(())
}

/// The path of a session, or of something below it. Ids come from the command line, so they are encoded.
pub(super) fn path(id: &str, below: &str) -> String {
    format!("/v1/sessions/{}{below}", crate::client::encode_path(&id.replace('/', "%2F")))
}

/// The path of a file in a session.
pub(super) fn file_path(id: &str, file: &str) -> String {
    path(id, &format!("/files/{}", crate::client::encode_path(file)))
}

/// Every session, newest first, with the JSON as it came.
pub(super) async fn list(client: &Client, only_ready: bool) -> Result<Vec<(Session, Value)>, Failure> {
    let mut found = Vec::new();
    let mut cursor = String::new();
    loop {
        let status = if only_ready { "&status=ready" } else { "" };
        let page = client.json(Method::GET, &format!("/v1/sessions?limit=100{status}{cursor}"), None).await?;
        for value in page["sessions"].as_array().into_iter().flatten() {
            found.push((Session::deserialize(value)?, value.clone()));
        }
        match page["next"].as_str() {
            Some(next) => {
                cursor = format!("&cursor={}", crate::client::encode_path(next).replace('/', "%2F"));
            }
            None => return Ok(found),
        }
    }
}

/// What a call left: its end, and for programs everything that it printed.
pub(super) struct Finished {
    pub(super) done: Done,
    json: Map<String, Value>,
}

/// Makes a call. For people, output goes to our own streams as it arrives; for programs it is collected.
pub(super) async fn invoke(
    client: &Client,
    id: &str,
    body: &Value,
    values: Values,
    out: Output,
) -> Result<Finished, Failure> {
    let mut streams = Streams::new(out, values);
    let mut events = client.events(&path(id, "/invoke"), body).await?;
    while let Some(step) = events.next().await? {
        match step {
            Step::Done(done, json) => {
                let mut all = streams.collected;
                if let Value::Object(members) = json {
                    all.extend(members);
                }
                return Ok(Finished { done: *done, json: all });
            }
            Step::Error(message) => return Err(Failure::new(message)),
            other => streams.show(other)?,
        }
    }
    Err(Failure::new(format!("{}: the answer ended before the call did", client.endpoint())))
}

impl Finished {
    /// Says how the call ended, and returns what the program returned.
    pub(super) fn report(mut self, id: &str, out: Output) -> Result<u8, Failure> {
        if out.is_json() {
            self.json.insert("session".to_owned(), id.into());
            out.json(&Value::Object(self.json))?;
        } else {
            let mut err = io::stderr().lock();
            if let Some(error) = &self.done.error {
                let text = if error.traceback.is_empty() {
                    format!("cloister: {}\n", error.message)
                } else {
                    format!("{}\n", error.traceback.trim_end_matches('\n'))
                };
                err.write_all(&shown(&mut TerminalFilter::default(), err.is_terminal(), text.as_bytes()))?;
            }
            for note in &self.done.notes {
                // A refusal begins with the name already.
                let name = if note.starts_with("cloister ") { "" } else { "cloister: " };
                writeln!(err, "{name}{note}")?;
            }
        }
        // A refused call has no exit code: nothing ran.
        let Some(code) = self.done.exit_code else { return Ok(super::OWN_FAULT) };
        // What a shell keeps of a status; a failure never becomes 0.
        let [low, ..] = code.to_le_bytes();
        Ok(if code != 0 && low == 0 { 1 } else { low })
    }
}

/// Our own standard streams, or their memory.
struct Streams {
    out: Output,
    values: Values,
    stdout: TerminalFilter,
    stderr: TerminalFilter,
    collected: Map<String, Value>,
}

impl Streams {
    fn new(out: Output, values: Values) -> Self {
        let collected = match json!({ "stdout": "", "stderr": "", "displays": [], "result": null }) {
            Value::Object(members) => members,
            _ => Map::new(),
        };
        Self { out, values, stdout: TerminalFilter::default(), stderr: TerminalFilter::default(), collected }
    }

    fn show(&mut self, step: Step) -> io::Result<()> {
        if self.out.is_json() {
            self.collect(step);
            return Ok(());
        }
        match step {
            Step::Stdout(text) => write(&mut io::stdout().lock(), &mut self.stdout, &text),
            Step::Stderr(text) => write(&mut io::stderr().lock(), &mut self.stderr, &text),
            Step::Value(forms) if self.values == Values::Show => self.plain(&forms),
            Step::Display(forms) => self.plain(&forms),
            Step::Value(_) | Step::Done(..) | Step::Error(..) | Step::Unknown => Ok(()),
        }
    }

    /// The plain form of something shown, on a line of its own.
    fn plain(&mut self, forms: &Map<String, Value>) -> io::Result<()> {
        let text = forms.get("text/plain").and_then(Value::as_str).unwrap_or_default();
        if text.is_empty() {
            Ok(())
        } else {
            write(&mut io::stdout().lock(), &mut self.stdout, &format!("{text}\n"))
        }
    }

    fn collect(&mut self, step: Step) {
        let mut append = |name: &str, more: &str| {
            if let Some(Value::String(text)) = self.collected.get_mut(name) {
                text.push_str(more);
            }
        };
        match step {
            Step::Stdout(text) => append("stdout", &text),
            Step::Stderr(text) => append("stderr", &text),
            Step::Display(forms) => {
                if let Some(Value::Array(displays)) = self.collected.get_mut("displays") {
                    displays.push(Value::Object(forms));
                }
            }
            Step::Value(forms) => drop(self.collected.insert("result".to_owned(), Value::Object(forms))),
            Step::Done(..) | Step::Error(..) | Step::Unknown => {}
        }
    }
}

fn write<W: Write + IsTerminal>(stream: &mut W, filter: &mut TerminalFilter, text: &str) -> io::Result<()> {
    let terminal = stream.is_terminal();
    stream.write_all(&shown(filter, terminal, text.as_bytes()))?;
    stream.flush()
}

/// Guest output, filtered if a person's terminal would obey it.
fn shown(filter: &mut TerminalFilter, terminal: bool, bytes: &[u8]) -> Vec<u8> {
    if terminal { filter.push(bytes) } else { bytes.to_vec() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_cannot_leave_its_place_in_the_path() {
        assert_eq!(path("../x", "/invoke"), "/v1/sessions/..%252Fx/invoke");
        assert_eq!(path("01?a#b", ""), "/v1/sessions/01%3Fa%23b");
        assert_eq!(file_path("01", "a b/c"), "/v1/sessions/01/files/a%20b/c");
    }

    #[test]
    fn an_exit_code_keeps_its_meaning() {
        let out = Output::new(true);
        let code = |exit_code| {
            let done = Done { exit_code, ..Done::default() };
            Finished { done, json: Map::new() }.report("x", out).unwrap()
        };
        for (given, expected) in
            [(Some(0), 0u8), (Some(3), 3), (Some(137), 137), (Some(256), 1), (Some(-1), 255), (None, 125)]
        {
            assert_eq!(code(given), expected, "{given:?}");
        }
    }
}
