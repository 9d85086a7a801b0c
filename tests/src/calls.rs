//! Calls as a test writes them: one session in one line, files as bytes, background commands as tasks.
#![expect(clippy::panic, reason = "support code of tests: a failure here is a failed test")]

use crate::rig::{Ran, Rig, Session};
use bytes::Bytes;
use cloister_core::command::{Language, NewFile, Runtime, ToolCall};
use cloister_core::event::{Event, Outcome, Task};
use cloister_core::policy::Policy;
use std::time::{Duration, Instant};

/// Time that every call of these tests has unless it says otherwise.
const PLENTY: Duration = Duration::from_secs(60);

/// Runs `test` in a session under `policy`, then checks that nothing is left.
pub async fn in_session(policy: Policy, test: impl AsyncFnOnce(&Session)) {
    let Some(rig) = Rig::new(policy) else { return };
    let session = rig.session().await;
    test(&session).await;
    session.stop().await;
    rig.end().await;
}

impl Session {
    /// Runs Python in an empty context.
    pub async fn python_cleared(&self, code: &str) -> Ran {
        self.cleared(Language::Python, Runtime::Python, code).await
    }

    /// Runs code in an empty context.
    pub async fn cleared(&self, language: Language, runtime: Runtime, code: &str) -> Ran {
        self.run(ToolCall::ExecuteCode { code: code.into(), language, runtime, clear_context: true }, PLENTY)
            .await
    }

    /// Runs a shell command with a deadline.
    pub async fn shell_within(&self, command: &str, deadline: Duration) -> Ran {
        self.run(ToolCall::ExecuteCommand { command: command.into() }, deadline).await
    }

    /// What a foreground call writes to descriptors 1 and 2, byte for byte.
    pub async fn streams(&self, call: ToolCall) -> (Vec<u8>, Vec<u8>) {
        let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
        for event in self.events(call, PLENTY).await {
            match event {
                Event::Stdout(bytes) => stdout.extend_from_slice(&bytes),
                Event::Stderr(bytes) => stderr.extend_from_slice(&bytes),
                _ => {}
            }
        }
        (stdout, stderr)
    }

    /// Writes files; `Err` is the tool's sentence.
    pub async fn write(&self, files: &[(&str, &[u8])]) -> Result<Vec<(String, u64)>, String> {
        let file = |(path, data): &(&str, &[u8])| NewFile {
            path: (*path).into(),
            data: Bytes::copy_from_slice(data),
        };
        match self.tool(ToolCall::WriteFiles { content: files.iter().map(file).collect() }).await {
            Outcome::Written { files } => Ok(files),
            Outcome::Failed { message } => Err(message),
            other => panic!("writeFiles ended with {other:?}"),
        }
    }

    /// Reads one file; `Err` is the reason.
    pub async fn read(&self, path: &str) -> Result<Bytes, String> {
        match self.tool(ToolCall::ReadFiles { paths: vec![path.into()] }).await {
            Outcome::Files { mut files, failed } => match (files.pop(), failed.into_iter().next()) {
                (Some(file), None) => Ok(file.data),
                (None, Some(failure)) => Err(failure.reason),
                both => panic!("one path gave {both:?}"),
            },
            other => panic!("readFiles ended with {other:?}"),
        }
    }

    /// Names of the entries of a directory.
    pub async fn names(&self, path: &str) -> Vec<String> {
        match self.tool(ToolCall::ListFiles { path: path.into() }).await {
            Outcome::Listing { entries, .. } => entries.into_iter().map(|e| e.name).collect(),
            other => panic!("listFiles ended with {other:?}"),
        }
    }

    /// Starts a background command.
    pub async fn start_task(&self, command: &str) -> Task {
        self.task(ToolCall::StartCommandExecution { command: command.into() }).await
    }

    /// Looks at a task.
    pub async fn get_task(&self, id: &str) -> Task {
        self.task(ToolCall::GetTask { task_id: id.into() }).await
    }

    /// Stops a task.
    pub async fn stop_task(&self, id: &str) -> Task {
        self.task(ToolCall::StopTask { task_id: id.into() }).await
    }

    /// Looks at a task until it has ended.
    pub async fn ended_task(&self, id: &str) -> Task {
        self.task_when(id, |task| task.exit_code.is_some()).await
    }

    /// Looks at a task until it is as wanted.
    pub async fn task_when(&self, id: &str, wanted: impl Fn(&Task) -> bool) -> Task {
        let since = Instant::now();
        loop {
            let task = self.get_task(id).await;
            if wanted(&task) {
                return task;
            }
            assert!(since.elapsed() < PLENTY, "the task stays {task:?}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    async fn task(&self, call: ToolCall) -> Task {
        match self.tool(call).await {
            Outcome::Task(task) => task,
            other => panic!("a task call ended with {other:?}"),
        }
    }
}

impl Ran {
    /// One form of the value as text; empty where there is none.
    pub fn form(&self, mime: &str) -> &str {
        let bytes = self.value.as_ref().and_then(|value| value.get(mime));
        bytes.and_then(|bytes| std::str::from_utf8(bytes).ok()).unwrap_or("")
    }

    /// Name and message of the uncaught exception.
    pub fn exception(&self) -> (&str, &str) {
        self.execution.error.as_ref().map_or(("", ""), |e| (e.name.as_str(), e.message.as_str()))
    }

    /// Codes of the limits that the call ran into.
    pub fn limits(&self) -> Vec<&'static str> {
        self.execution.limits.iter().map(|limit| limit.code()).collect()
    }

    /// Path, size and newness of the files that the call created or changed.
    pub fn files(&self) -> Vec<(&str, u64, bool)> {
        self.execution.files.iter().map(|f| (f.path.as_str(), f.size, f.created)).collect()
    }
}
