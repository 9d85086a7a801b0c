//! `cloister serve` on a data folder of its own, and a plain HTTP client for it.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "support code of tests: a failure here is a failed test"
)]

use crate::host::{self, Process};
use crate::{leftovers, needs};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// The interpreter that every server has.
pub const KEY: &str = "aws.codeinterpreter.v1";
/// Longest time for anything.
const PATIENCE: Duration = Duration::from_secs(40);
/// How long an answer may take: the first session of the wasm tier waits until its interpreter is compiled, a minute for a debug build.
const ANSWER: Duration = Duration::from_secs(180);

/// A data folder, and servers that run on it one after the other.
pub struct Place {
    program: PathBuf,
    images: PathBuf,
    folder: TempDir,
    open: bool,
}

/// A running server. Ended when dropped.
pub struct Server {
    child: Child,
    address: String,
}

/// An answer.
#[derive(Debug)]
pub struct Answer {
    /// Its status.
    pub status: u16,
    /// Status line and headers.
    pub head: String,
    /// The body as it came.
    pub body: Vec<u8>,
}

impl Answer {
    /// The body, which has to be JSON.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|e| panic!("{e}: {self:?}"))
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

impl Place {
    /// `None` (after a visible skip) where something has not been built.
    pub fn new() -> Option<Self> {
        let (program, images) = (needs::built("cloister")?, needs::images()?);
        needs::built("cloister-jail")?;
        needs::built("libcloister_jail.so")?;
        Some(Self { program, images, folder: tempfile::tempdir().unwrap(), open: true })
    }

    /// The same for servers that ask for a key, as they do unless they are told not to.
    pub fn with_keys() -> Option<Self> {
        Self::new().map(|place| Self { open: false, ..place })
    }

    /// The data folder.
    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    fn arguments(&self, pool: usize) -> Vec<String> {
        let path = |path: &Path| path.to_str().unwrap().to_owned();
        let (data, images, pool) = (path(self.path()), path(&self.images), pool.to_string());
        let mut words = vec![
            "serve",
            "--listen",
            "127.0.0.1:0",
            "--data-dir",
            &data,
            "--images",
            &images,
            "--pool",
            &pool,
        ];
        words.extend(self.open.then_some("--no-auth"));
        words.into_iter().map(str::to_owned).collect()
    }

    /// A server on this folder, ready.
    pub fn serve(&self, pool: usize) -> Server {
        Server::start(Command::new(&self.program).args(self.arguments(pool)))
    }

    /// The same, with further arguments.
    pub fn serve_with(&self, pool: usize, more: &[&str]) -> Server {
        Server::start(Command::new(&self.program).args(self.arguments(pool)).args(more))
    }

    /// Runs the program to its end, with nothing of this process's environment that names a server.
    pub fn command(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new(&self.program);
        for name in
            ["CLOISTER_ENDPOINT", "CLOISTER_TOKEN", "AWS_ENDPOINT_URL_BEDROCK_AGENTCORE", "PYTHONPATH"]
        {
            command.env_remove(name);
        }
        command.args(arguments).stdin(Stdio::null()).output().unwrap()
    }

    /// A server whose program is started by a shell script: `exec "$@"` starts it.
    pub fn serve_in(&self, before: &[&str], script: &str) -> Server {
        Server::start(&mut self.scripted(before, script))
    }

    /// A server that is not to come up.
    pub fn refused(&self, script: &str) -> Output {
        self.scripted(&[], script).stdin(Stdio::null()).output().unwrap()
    }

    fn scripted(&self, before: &[&str], script: &str) -> Command {
        let mut words: Vec<&str> = before.to_vec();
        words.extend(["sh", "-c", script, "sh"]);
        let mut command = Command::new(words[0]);
        command.args(&words[1..]).arg(&self.program).args(self.arguments(0));
        command
    }

    /// Names of its sandboxes.
    pub fn sandboxes(&self) -> Vec<String> {
        leftovers::directories(&self.path().join("sandboxes"))
    }
}

impl Server {
    fn start(command: &mut Command) -> Self {
        let mut child =
            command.env("RUST_LOG", "error").stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let address = line.split("http://").nth(1).and_then(|rest| rest.split_whitespace().next());
        let address = address.unwrap_or_else(|| panic!("the server says {line:?}")).to_owned();
        let server = Self { child, address };
        host::settled(|| match server.request("GET", "/readyz", &[], None).status {
            200 => Ok(()),
            other => Err(format!("/readyz answers {other}")),
        });
        server
    }

    /// `host:port` of its HTTP door.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Its number on this host.
    pub fn pid(&self) -> i32 {
        i32::try_from(self.child.id()).unwrap()
    }

    /// Everything that it has started: launcher, zygotes, sandboxes.
    pub fn processes(&self) -> Vec<Process> {
        host::descendants(self.pid())
    }

    /// The program that makes its sandboxes.
    pub fn launcher(&self) -> Process {
        self.processes().into_iter().find(|p| p.parent == self.pid()).unwrap()
    }

    /// Its zygote. (Only zygotes are children of the launcher: sandboxes under the default policy are children of a zygote.)
    pub fn zygote(&self) -> Process {
        let launcher = self.launcher().pid;
        self.processes().into_iter().find(|p| p.parent == launcher).unwrap()
    }

    /// A session, and the init of its sandbox. Without a pool, and while nothing else starts.
    pub fn session_and_init(&self) -> (String, Process) {
        let before = self.processes();
        let id = self.session();
        let zygote = self.zygote().pid;
        let mut new = self.processes().into_iter().filter(|p| p.parent == zygote && !before.contains(p));
        (id, new.next().unwrap())
    }

    /// An answer to one request.
    pub fn request(&self, method: &str, path: &str, headers: &[(&str, &str)], body: Option<Value>) -> Answer {
        self.try_request(method, path, headers, body).unwrap()
    }

    /// A connection on which nothing is sent.
    pub fn connect(&self) -> std::io::Result<TcpStream> {
        TcpStream::connect(&self.address)
    }

    /// Sends one request and reads to the end of the connection.
    pub fn try_request(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: Option<Value>,
    ) -> std::io::Result<Answer> {
        let mut stream = self.connect()?;
        stream.set_read_timeout(Some(ANSWER))?;
        let body = body.map(|body| body.to_string()).unwrap_or_default();
        let mut head = format!("{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n");
        for (name, value) in headers.iter().chain(&[("Content-Type", "application/json")]) {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        stream.write_all(format!("{head}Content-Length: {}\r\n\r\n{body}", body.len()).as_bytes())?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer)?;
        let cut =
            answer.windows(4).position(|w| w == b"\r\n\r\n").ok_or(std::io::ErrorKind::UnexpectedEof)?;
        let head = String::from_utf8_lossy(&answer[..cut]).into_owned();
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
        Ok(Answer {
            status: status.ok_or(std::io::ErrorKind::InvalidData)?,
            head,
            body: answer[cut + 4..].to_vec(),
        })
    }

    /// The answer to a start under the default policy.
    pub fn start_session(&self) -> Answer {
        self.request("POST", "/v1/sessions", &[], Some(json!({})))
    }

    /// The id of a new session under the default policy.
    pub fn session(&self) -> String {
        let answer = self.start_session();
        assert_eq!(answer.status, 201, "{answer:?}");
        answer.json()["id"].as_str().unwrap().to_owned()
    }

    /// A session of another interpreter than the default one.
    pub fn session_of(&self, interpreter: &str) -> String {
        let answer = self.request("POST", "/v1/sessions", &[], Some(json!({ "interpreter": interpreter })));
        assert_eq!(answer.status, 201, "{answer:?}");
        answer.json()["id"].as_str().unwrap().to_owned()
    }

    /// What the native door says of a session.
    pub fn detail(&self, id: &str) -> Value {
        self.request("GET", &format!("/v1/sessions/{id}"), &[], None).json()
    }

    /// Ends a session.
    pub fn stop(&self, id: &str) -> Answer {
        self.request("DELETE", &format!("/v1/sessions/{id}"), &[], None)
    }

    /// Runs Python.
    pub fn python(&self, id: &str, code: &str) -> Answer {
        self.request("POST", &format!("/v1/sessions/{id}/invoke"), &[], Some(json!({ "code": code })))
    }

    /// The value of an expression.
    pub fn value(&self, id: &str, code: &str) -> String {
        let answer = self.python(id, code);
        answer.json()["result"]["text/plain"].as_str().unwrap_or_else(|| panic!("{answer:?}")).to_owned()
    }

    /// A call as AWS SDKs make it, with the id that they repeat in every attempt.
    pub fn invoke(&self, id: &str, invocation: &str, code: &str) -> std::io::Result<Answer> {
        let headers = [("x-amzn-code-interpreter-session-id", id), ("amz-sdk-invocation-id", invocation)];
        let body = json!({ "name": "executeCode", "arguments": { "code": code, "language": "python" } });
        self.try_request("POST", &format!("/code-interpreters/{KEY}/tools/invoke"), &headers, Some(body))
    }

    /// Open descriptors.
    pub fn descriptors(&self) -> usize {
        std::fs::read_dir(format!("/proc/{}/fd", self.pid())).unwrap().count()
    }

    /// Kills it as a crash would.
    pub fn crash(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Asks it to end.
    pub fn terminate(mut self) -> ExitStatus {
        self.end().expect("the server does not end")
    }

    fn end(&mut self) -> Option<ExitStatus> {
        if let Ok(Some(status)) = self.child.try_wait() {
            return Some(status);
        }
        kill(Pid::from_raw(self.pid()), Signal::SIGTERM).unwrap();
        let since = Instant::now();
        while since.elapsed() < PATIENCE {
            if let Ok(Some(status)) = self.child.try_wait() {
                return Some(status);
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        None
    }
}

impl Drop for Server {
    /// In order, so that a test that fails leaves nothing behind either.
    fn drop(&mut self) {
        if self.end().is_none() {
            // It hangs; what it leaves ends itself after a minute.
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}
