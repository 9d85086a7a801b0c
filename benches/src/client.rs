//! Both doors of the server, as far as the benches use them.

use crate::failure::Failure;
use crate::http::Connection;
use crate::work::Work;
use serde_json::{Value, json};
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// The interpreter that every AWS client names; its policy is `default`.
pub const DEFAULT: &str = "aws.codeinterpreter.v1";
/// The interpreter whose sessions are WebAssembly instances.
pub const WASM: &str = "wasm";
/// The interpreter whose sessions are executed from scratch.
pub const STRICT: &str = "strict";
const JSON: (&str, &str) = ("content-type", "application/json");

/// A client with one connection.
#[derive(Debug)]
pub struct Client(Connection);

impl Client {
    /// Connects to `host:port`.
    pub fn open(host: &str) -> Result<Self, Failure> {
        Connection::open(host).map(Self)
    }

    /// Starts a session; its id.
    pub fn start(&mut self, interpreter: &str) -> Result<String, Failure> {
        self.create(&json!({ "interpreter": interpreter }))
    }

    fn create(&mut self, body: &Value) -> Result<String, Failure> {
        let answer = self.0.request("POST", "/v1/sessions", &[JSON], body.to_string().as_bytes())?;
        let id = parse(&answer)?.get("id").and_then(Value::as_str).map(str::to_owned);
        id.ok_or_else(|| Failure::wrong("POST /v1/sessions", &answer, "id"))
    }

    /// Starts a browser session with pages of [`crate::cdp::SIZE`]; its id.
    pub fn start_browser(&mut self, browser: &str) -> Result<String, Failure> {
        let (width, height) = crate::cdp::SIZE;
        let viewport = json!({ "width": width, "height": height });
        self.create(&json!({ "interpreter": browser, "browser": { "viewport": viewport } }))
    }

    /// What the server says about a session.
    pub fn detail(&mut self, session: &str) -> Result<Value, Failure> {
        parse(&self.0.request("GET", &format!("/v1/sessions/{session}"), &[], b"")?)
    }

    /// The pid namespace of a session, as the kernel names it.
    pub fn namespace(&mut self, session: &str) -> Result<PathBuf, Failure> {
        let detail = self.detail(session)?;
        let name = detail.pointer("/walls/namespace_pid").and_then(Value::as_str).map(PathBuf::from);
        name.ok_or_else(|| Failure::wrong(session, detail.to_string().as_bytes(), "namespace_pid"))
    }

    /// Runs code, and checks that its output is the one that `work` promises.
    pub fn run(&mut self, session: &str, work: Work) -> Result<(), Failure> {
        let output = self.output(session, work.code)?;
        if output.contains(work.expected) {
            return Ok(());
        }
        Err(Failure::wrong(session, output.as_bytes(), work.expected))
    }

    /// Runs code; what it wrote.
    pub fn output(&mut self, session: &str, code: &str) -> Result<String, Failure> {
        let answer = self.invoke(session, &json!({ "code": code }))?;
        let output = answer.get("output").and_then(Value::as_str).map(str::to_owned);
        output.ok_or_else(|| Failure::wrong(session, answer.to_string().as_bytes(), "output"))
    }

    /// Starts a copy of a session; its id.
    pub fn fork(&mut self, session: &str) -> Result<String, Failure> {
        let answer = self.post(session, "fork", &json!({}))?;
        let id = answer.get("id").and_then(Value::as_str).map(str::to_owned);
        id.ok_or_else(|| Failure::wrong("fork", answer.to_string().as_bytes(), "id"))
    }

    /// Keeps the state of a session, or brings one back: `checkpoint`, `restore`.
    pub fn post(&mut self, session: &str, what: &str, body: &Value) -> Result<Value, Failure> {
        let path = format!("/v1/sessions/{session}/{what}");
        parse(&self.0.request("POST", &path, &[JSON], body.to_string().as_bytes())?)
    }

    /// Runs a shell command that must succeed.
    pub fn command(&mut self, session: &str, command: &str) -> Result<(), Failure> {
        let answer = self.invoke(session, &json!({ "command": command }))?;
        if answer.get("exitCode").and_then(Value::as_i64) == Some(0) {
            return Ok(());
        }
        Err(Failure::wrong(session, answer.to_string().as_bytes(), "\"exitCode\":0"))
    }

    fn invoke(&mut self, session: &str, body: &Value) -> Result<Value, Failure> {
        self.post(session, "invoke", body)
    }

    /// Calls a tool through the AWS door. `body` is the whole request, so that encoding a large one is not measured.
    /// The answer is the event stream as it came, with one result that is no error.
    pub fn tool(&mut self, session: &str, body: &[u8]) -> Result<Vec<u8>, Failure> {
        let path = format!("/code-interpreters/{DEFAULT}/tools/invoke");
        let headers = [JSON, ("x-amzn-code-interpreter-session-id", session)];
        let answer = self.0.request("POST", &path, &headers, body)?;
        // Its place depends on the tool; the last bytes are enough, whatever the size of the content before.
        let tail = &answer[answer.len().saturating_sub(400)..];
        let flag = br#""isError":false"#;
        if tail.windows(flag.len()).any(|window| window == flag) {
            return Ok(answer);
        }
        Err(Failure::wrong(&path, &answer, r#""isError":false"#))
    }

    /// Writes a file as plain bytes.
    pub fn put(&mut self, session: &str, path: &str, content: &[u8]) -> Result<(), Failure> {
        let headers = [("content-type", "application/octet-stream")];
        self.0.request("PUT", &format!("/v1/sessions/{session}/files/{path}"), &headers, content).map(drop)
    }

    /// Reads a file as plain bytes.
    pub fn get(&mut self, session: &str, path: &str) -> Result<Vec<u8>, Failure> {
        self.0.request("GET", &format!("/v1/sessions/{session}/files/{path}"), &[], b"")
    }

    /// Stops a session; returns when nothing of it is left.
    pub fn stop(&mut self, session: &str) -> Result<(), Failure> {
        self.0.request("DELETE", &format!("/v1/sessions/{session}"), &[], b"").map(drop)
    }

    /// From the request to start until the result of the first call has been read. The session is stopped outside the clock.
    pub fn first_result(&mut self, interpreter: &str, work: Work) -> Result<Duration, Failure> {
        let begun = Instant::now();
        let session = self.start(interpreter)?;
        self.run(&session, work)?;
        let took = begun.elapsed();
        self.stop(&session)?;
        Ok(took)
    }

    /// Checks that sessions of an interpreter come from where a row says that they do: `zygote` or `exec`.
    pub fn check_origin(&mut self, interpreter: &str, origin: &str) -> Result<(), Failure> {
        let session = self.start(interpreter)?;
        let detail = self.detail(&session)?;
        self.stop(&session)?;
        if detail.pointer("/walls/start").and_then(Value::as_str) == Some(origin) {
            return Ok(());
        }
        Err(Failure::wrong(interpreter, detail.to_string().as_bytes(), origin))
    }

    /// Whether the server says that it is ready.
    pub fn is_ready(&mut self) -> bool {
        self.0.request("GET", "/readyz", &[], b"").is_ok()
    }
}

fn parse(answer: &[u8]) -> Result<Value, Failure> {
    serde_json::from_slice(answer).map_err(|_| Failure::wrong("the server", answer, "JSON"))
}
