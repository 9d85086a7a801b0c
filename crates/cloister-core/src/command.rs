//! What a session can be asked: one enum, in which HTTP, the command line and every backend end.

use crate::browser::action::Action;
use crate::browser::page::Step;
use bytes::Bytes;

/// A language that `executeCode` takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Language {
    /// CPython.
    Python,
    /// JavaScript; see [`Runtime`].
    JavaScript,
    /// TypeScript; see [`Runtime`].
    TypeScript,
}

/// What runs the code. A runtime keeps its own state between calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Runtime {
    /// CPython; the only runtime of Python.
    Python,
    /// Node: CommonJS for JavaScript, ES modules for TypeScript.
    Nodejs,
    /// Deno; the default for JavaScript and TypeScript, as the AWS service documents it.
    Deno,
}

impl Runtime {
    /// The name on the wire, in policies and as the folder of the driver in an image.
    pub fn name(self) -> &'static str {
        match self {
            Self::Python => "python",
            Self::Nodejs => "nodejs",
            Self::Deno => "deno",
        }
    }
}

/// One file to write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewFile {
    /// Relative to the workspace, or absolute inside the sandbox. Parents are created.
    pub path: String,
    /// The content, byte for byte.
    pub data: Bytes,
}

/// A call of one tool. The first nine are the tools of the AWS service. Code sessions take all but the last two; browser
/// sessions take those and the file tools.
#[derive(Clone, Debug, PartialEq)]
pub enum ToolCall {
    /// Run code in the runtime's persistent context.
    ExecuteCode {
        /// The source text.
        code: String,
        /// The language that it is in.
        language: Language,
        /// The runtime; the gateway has already put in the default.
        runtime: Runtime,
        /// Start from an empty context.
        clear_context: bool,
    },
    /// Run a command in the session's persistent shell.
    ExecuteCommand {
        /// A line (or several) of shell.
        command: String,
    },
    /// Start a command in a shell of its own and return a task id at once.
    StartCommandExecution {
        /// A line (or several) of shell.
        command: String,
    },
    /// State and output so far of a task.
    GetTask {
        /// As `StartCommandExecution` returned it.
        task_id: String,
    },
    /// Kill a task and everything that it started.
    StopTask {
        /// As `StartCommandExecution` returned it.
        task_id: String,
    },
    /// Read whole files.
    ReadFiles {
        /// Relative to the workspace, or absolute inside the sandbox.
        paths: Vec<String>,
    },
    /// Write files: all of them, or none.
    WriteFiles {
        /// At least one.
        content: Vec<NewFile>,
    },
    /// List one directory, one level deep.
    ListFiles {
        /// `""` and `"."` are the workspace.
        path: String,
    },
    /// Remove files and directory trees; symbolic links are removed, not followed.
    RemoveFiles {
        /// At least one.
        paths: Vec<String>,
    },
    /// Give a file another name in its folder: `stem.ext`, or the first of `stem (1).ext`, `stem (2).ext`, … that is free. Answers
    /// as a write of the new path does. For the server's own use: no client has a word for it.
    NameFile {
        /// Relative to the workspace.
        path: String,
        /// Without a separator.
        stem: String,
        /// With its dot, or empty.
        extension: String,
    },
    /// A byte range of one file, for downloads over plain HTTP.
    ReadRange {
        /// Relative to the workspace, or absolute inside the sandbox.
        path: String,
        /// First byte.
        offset: u64,
        /// At most this many bytes; the answer also says the file's size.
        length: u64,
    },
    /// Keep the state as it is now, files included. Tiers that have snapshots only.
    Checkpoint,
    /// Go back to a state that was kept.
    Restore {
        /// As `Checkpoint` returned it; the state before the last foreground call if absent.
        checkpoint: Option<String>,
    },
    /// One action by coordinates on the page in front of a browser.
    Act {
        /// Which.
        action: Action,
    },
    /// Page actions of a browser, in order, until one fails.
    Perform {
        /// At least one.
        steps: Vec<Step>,
    },
}

impl ToolCall {
    /// The tool's name on the wire and in the log.
    pub fn name(&self) -> &'static str {
        match self {
            Self::ExecuteCode { .. } => "executeCode",
            Self::ExecuteCommand { .. } => "executeCommand",
            Self::StartCommandExecution { .. } => "startCommandExecution",
            Self::GetTask { .. } => "getTask",
            Self::StopTask { .. } => "stopTask",
            Self::ReadFiles { .. } => "readFiles",
            Self::WriteFiles { .. } => "writeFiles",
            Self::ListFiles { .. } => "listFiles",
            Self::RemoveFiles { .. } => "removeFiles",
            Self::NameFile { .. } => "nameFile",
            Self::ReadRange { .. } => "readRange",
            Self::Checkpoint => "checkpoint",
            Self::Restore { .. } => "restore",
            Self::Act { .. } => "act",
            Self::Perform { .. } => "perform",
        }
    }

    /// Whether the call only looks. Making such a call twice harms nobody, so a late retry of one may run again.
    pub fn is_read_only(&self) -> bool {
        matches!(
            self,
            Self::GetTask { .. }
                | Self::ReadFiles { .. }
                | Self::ListFiles { .. }
                | Self::ReadRange { .. }
                | Self::Act { action: Action::Screenshot }
        )
    }

    /// Whether the call runs guest code in the foreground. Such calls run one at a time, in order; the others at once.
    /// A state can be kept and restored between two of them only.
    /// Lists of page actions take turns, because they share the current tab; single actions do not, because one of them
    /// may be what a list waits for.
    pub fn is_foreground(&self) -> bool {
        matches!(
            self,
            Self::ExecuteCode { .. }
                | Self::ExecuteCommand { .. }
                | Self::Perform { .. }
                | Self::Checkpoint
                | Self::Restore { .. }
        )
    }

    /// Whether the call is about the state between two others. It is refused, and does not wait, while one of them runs or
    /// waits: whoever undoes "the last call" means one whose answer is there.
    pub fn needs_rest(&self) -> bool {
        matches!(self, Self::Checkpoint | Self::Restore { .. })
    }

    /// Whether the call is one of the file tools, which sessions of every kind take.
    pub fn is_file_tool(&self) -> bool {
        matches!(
            self,
            Self::ReadFiles { .. }
                | Self::WriteFiles { .. }
                | Self::ListFiles { .. }
                | Self::RemoveFiles { .. }
                | Self::NameFile { .. }
                | Self::ReadRange { .. }
        )
    }
}
