//! From the flat `ToolArguments` of the service model to a typed [`ToolCall`], with every contradiction
//! named.
//!
//! ```text
//! {"name":"executeCode","arguments":{…}} ──validate.rs──▶ shape is right ──here──▶ ToolCall, or fieldList
//! ```
//!
//! The model has one structure for the arguments of all tools, so which argument belongs to which tool is
//! decided here. An argument that the tool does not take is refused: to ignore it would do something else
//! than what was asked.

use super::validate::field_error;
use crate::guest_path;
use crate::json::Json;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use cloister_core::command::{Language, NewFile, Runtime, ToolCall};
use cloister_core::error::{Error, Field};
use cloister_core::policy::Policy;
use std::collections::HashSet;

/// Bytes of all files of one `writeFiles`. The model limits each; the sum is what the server has to hold.
const WRITE_TOTAL: usize = 100_000_000;
/// Longest task id. Ours have 26 characters.
const TASK_ID: usize = 128;

/// Collects the arguments at fault while they are read.
struct Arguments<'a, 'b> {
    tool: &'a str,
    given: &'a Json<'b>,
    fields: Vec<Field>,
}

/// Reads a call. `body` has passed the model's checks; `policy` decides on the default runtime.
pub(crate) fn parse(body: &Json<'_>, policy: Option<&Policy>) -> Result<ToolCall, Error> {
    let tool = body.get("name").and_then(Json::as_str).unwrap_or_default();
    let empty = Json::Object(Vec::new());
    let mut arguments =
        Arguments { tool, given: body.get("arguments").unwrap_or(&empty), fields: Vec::new() };
    let call = arguments.call(policy);
    match call {
        Some(call) if arguments.fields.is_empty() => Ok(call),
        _ => Err(field_error(arguments.fields)),
    }
}

impl Arguments<'_, '_> {
    fn call(&mut self, policy: Option<&Policy>) -> Option<ToolCall> {
        match self.tool {
            "executeCode" => {
                self.takes(&["code", "language", "runtime", "clearContext"]);
                let code = self.text("code");
                let (language, runtime) = self.language(policy);
                let clear_context = self.given.get("clearContext").and_then(Json::as_bool).unwrap_or(false);
                Some(ToolCall::ExecuteCode { code: code?, language, runtime: runtime?, clear_context })
            }
            "executeCommand" => {
                self.takes(&["command"]);
                Some(ToolCall::ExecuteCommand { command: self.command()? })
            }
            "startCommandExecution" => {
                self.takes(&["command"]);
                Some(ToolCall::StartCommandExecution { command: self.command()? })
            }
            "getTask" => {
                self.takes(&["taskId"]);
                Some(ToolCall::GetTask { task_id: self.task_id()? })
            }
            "stopTask" => {
                self.takes(&["taskId"]);
                Some(ToolCall::StopTask { task_id: self.task_id()? })
            }
            "readFiles" => {
                self.takes(&["paths"]);
                Some(ToolCall::ReadFiles { paths: self.paths()? })
            }
            "removeFiles" => {
                self.takes(&["paths"]);
                Some(ToolCall::RemoveFiles { paths: self.paths()? })
            }
            "listFiles" => {
                self.takes(&["path", "directoryPath"]);
                Some(ToolCall::ListFiles { path: self.directory()? })
            }
            "writeFiles" => {
                self.takes(&["content"]);
                Some(ToolCall::WriteFiles { content: self.content()? })
            }
            other => {
                self.fields.push(Field { name: "name".into(), message: format!("{other} is not a tool") });
                None
            }
        }
    }

    fn bad(&mut self, name: &str, message: impl Into<String>) {
        self.fields.push(Field { name: format!("arguments.{name}"), message: message.into() });
    }

    fn takes(&mut self, names: &[&str]) {
        if let Json::Object(members) = self.given {
            for (name, value) in members {
                if *value != Json::Null && !names.contains(&name.as_ref()) {
                    self.bad(
                        name,
                        format!("{} does not take this argument; it takes {}", self.tool, names.join(", ")),
                    );
                }
            }
        }
    }

    fn text(&mut self, name: &str) -> Option<String> {
        let found = self.given.get(name).and_then(Json::as_str).map(str::to_owned);
        if found.is_none() {
            self.bad(name, format!("Member must not be null for {}", self.tool));
        }
        found
    }

    fn command(&mut self) -> Option<String> {
        let command = self.text("command")?;
        if command.contains('\0') {
            self.bad("command", "Member must not hold NUL characters: no shell can read them");
            return None;
        }
        Some(command)
    }

    fn task_id(&mut self) -> Option<String> {
        let id = self.text("taskId")?;
        if id.is_empty() || id.len() > TASK_ID || !id.bytes().all(|b| b.is_ascii_graphic()) {
            self.bad("taskId", "Member must be a task id as startCommandExecution returned it");
            return None;
        }
        Some(id)
    }

    /// The language (Python if none is given) and the runtime that goes with it.
    fn language(&mut self, policy: Option<&Policy>) -> (Language, Option<Runtime>) {
        let language = match self.given.get("language").and_then(Json::as_str) {
            Some("javascript") => Language::JavaScript,
            Some("typescript") => Language::TypeScript,
            _ => Language::Python,
        };
        let asked = match self.given.get("runtime").and_then(Json::as_str) {
            Some("nodejs") => Some(Runtime::Nodejs),
            Some("deno") => Some(Runtime::Deno),
            Some(_) => Some(Runtime::Python),
            None => None,
        };
        let runtime = match runtime_of(language, asked, policy) {
            Ok(runtime) => Some(runtime),
            Err(message) => {
                self.bad("runtime", message);
                None
            }
        };
        (language, runtime)
    }

    fn paths(&mut self) -> Option<Vec<String>> {
        let Some(list) = self.given.get("paths") else {
            self.bad("paths", format!("Member must not be null for {}", self.tool));
            return None;
        };
        if list.entries().is_empty() {
            self.bad("paths", "Member must have length greater than or equal to 1, and has 0");
        }
        let paths: Vec<String> = list.entries().iter().filter_map(Json::as_str).map(str::to_owned).collect();
        for (index, path) in paths.iter().enumerate() {
            if let Err(message) = guest_path::file(path) {
                self.bad(&format!("paths[{index}]"), message);
            }
        }
        self.fields.is_empty().then_some(paths)
    }

    /// `directoryPath` (most clients) or `path` (strands, AWS's notebooks); neither is the working directory.
    fn directory(&mut self) -> Option<String> {
        let text = |name: &str| self.given.get(name).and_then(Json::as_str);
        let (name, path) = match (text("path"), text("directoryPath")) {
            (Some(a), Some(b)) if a != b => {
                self.bad("path", "Member must be the same as directoryPath, or one of the two left out");
                return None;
            }
            (Some(path), _) => ("path", path.to_owned()),
            (None, path) => ("directoryPath", path.unwrap_or_default().to_owned()),
        };
        if let Err(message) = guest_path::directory(&path) {
            self.bad(name, message);
            return None;
        }
        Some(path)
    }

    fn content(&mut self) -> Option<Vec<NewFile>> {
        let Some(list) = self.given.get("content") else {
            self.bad("content", "Member must not be null for writeFiles");
            return None;
        };
        if list.entries().is_empty() {
            self.bad("content", "Member must have length greater than or equal to 1, and has 0");
        }
        let mut files = Vec::with_capacity(list.entries().len());
        let mut seen = HashSet::new();
        let mut total = 0usize;
        for (index, entry) in list.entries().iter().enumerate() {
            let at = |member: &str| format!("content[{index}].{member}");
            let path = entry.get("path").and_then(Json::as_str).unwrap_or_default();
            if let Err(message) = guest_path::file(path) {
                self.bad(&at("path"), message);
            }
            if !seen.insert(path) {
                self.bad(&at("path"), "Member must not name a file that an entry before it names");
            }
            let data = match (entry.get("text"), entry.get("blob")) {
                (Some(Json::String(text)), None) => Bytes::copy_from_slice(text.as_bytes()),
                (None, Some(Json::String(blob))) => match STANDARD.decode(blob.as_bytes()) {
                    Ok(data) => Bytes::from(data),
                    Err(_) => {
                        self.bad(&at("blob"), "Member must be base64 with padding (RFC 4648, section 4)");
                        continue;
                    }
                },
                _ => {
                    self.bad(&format!("content[{index}]"), "Member must hold exactly one of text, blob");
                    continue;
                }
            };
            total = total.saturating_add(data.len());
            files.push(NewFile { path: path.to_owned(), data });
        }
        if total > WRITE_TOTAL {
            self.bad(
                "content",
                format!("Files must have {WRITE_TOTAL} bytes at most in one call, and have {total}"),
            );
        }
        self.fields.is_empty().then_some(files)
    }
}

/// The runtime for a language: the one asked for if it fits, else the default, which is Deno for JavaScript
/// and TypeScript as the AWS service documents it, or Node where the policy has no Deno.
pub(crate) fn runtime_of(
    language: Language,
    asked: Option<Runtime>,
    policy: Option<&Policy>,
) -> Result<Runtime, &'static str> {
    let has = |name: &str| policy.is_none_or(|p| p.languages.runtimes.iter().any(|r| r == name));
    match (language, asked) {
        (Language::Python, None | Some(Runtime::Python)) => Ok(Runtime::Python),
        (Language::Python, Some(_)) => Err("Member must be python for the language python"),
        (_, Some(Runtime::Python)) => {
            Err("Member must be nodejs or deno for the languages javascript and typescript")
        }
        (_, Some(runtime)) => Ok(runtime),
        (_, None) if !has("deno") && has("nodejs") => Ok(Runtime::Nodejs),
        (_, None) => Ok(Runtime::Deno),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(body: &str) -> Result<ToolCall, Vec<String>> {
        parse(&Json::parse(body.as_bytes()).unwrap(), None)
            .map_err(|error| error.fields.into_iter().map(|field| field.name).collect())
    }

    fn bad(body: &str) -> Vec<String> {
        call(body).unwrap_err()
    }

    #[test]
    fn runtimes_follow_the_language() {
        for (language, runtime, expected) in [
            ("python", "", Some(Runtime::Python)),
            ("python", "python", Some(Runtime::Python)),
            ("python", "nodejs", None),
            ("javascript", "", Some(Runtime::Deno)),
            ("typescript", "", Some(Runtime::Deno)),
            ("typescript", "nodejs", Some(Runtime::Nodejs)),
            ("javascript", "python", None),
        ] {
            let runtime =
                if runtime.is_empty() { String::new() } else { format!(r#","runtime":"{runtime}""#) };
            let body = format!(
                r#"{{"name":"executeCode","arguments":{{"code":"1","language":"{language}"{runtime}}}}}"#
            );
            match (call(&body), expected) {
                (Ok(ToolCall::ExecuteCode { runtime, .. }), Some(expected)) => assert_eq!(runtime, expected),
                (Err(fields), None) => assert_eq!(fields, ["arguments.runtime"]),
                other => panic!("{body}: {other:?}"),
            }
        }
    }

    #[test]
    fn arguments_of_other_tools_are_refused() {
        let body = r#"{"name":"executeCommand","arguments":{"command":"ls","code":"1","language":null}}"#;
        assert_eq!(bad(body), ["arguments.code"]);
    }

    #[test]
    fn missing_arguments_are_named() {
        for (tool, argument) in [
            ("executeCode", "code"),
            ("executeCommand", "command"),
            ("startCommandExecution", "command"),
            ("getTask", "taskId"),
            ("stopTask", "taskId"),
            ("readFiles", "paths"),
            ("removeFiles", "paths"),
            ("writeFiles", "content"),
        ] {
            assert_eq!(bad(&format!(r#"{{"name":"{tool}"}}"#)), [format!("arguments.{argument}")]);
        }
    }

    #[test]
    fn a_directory_is_named_by_either_of_two_arguments() {
        for (arguments, expected) in [
            ("{}", ""),
            (r#"{"path":"."}"#, "."),
            (r#"{"directoryPath":"a"}"#, "a"),
            (r#"{"path":"a","directoryPath":"a"}"#, "a"),
        ] {
            let got = call(&format!(r#"{{"name":"listFiles","arguments":{arguments}}}"#)).unwrap();
            assert_eq!(got, ToolCall::ListFiles { path: expected.into() });
        }
        assert_eq!(
            bad(r#"{"name":"listFiles","arguments":{"path":"a","directoryPath":"b"}}"#),
            ["arguments.path"]
        );
    }

    #[test]
    fn files_are_decoded_exactly_once() {
        let body = r#"{"name":"writeFiles","arguments":{"content":[{"path":"a","blob":"AP8="},{"path":"b","text":"AP8="}]}}"#;
        let Ok(ToolCall::WriteFiles { content }) = call(body) else { panic!() };
        assert_eq!(content[0].data.as_ref(), [0x00, 0xff]);
        assert_eq!(content[1].data.as_ref(), b"AP8=");
    }

    #[test]
    fn ambiguous_files_are_refused() {
        let body = r#"{"name":"writeFiles","arguments":{"content":[{"path":"a"},{"path":"b","text":"","blob":""},{"path":"c","text":""},{"path":"c","text":""}]}}"#;
        assert_eq!(bad(body), ["arguments.content[0]", "arguments.content[1]", "arguments.content[3].path"]);
    }

    #[test]
    fn paths_that_climb_are_refused_before_anything_runs() {
        for tool in ["readFiles", "removeFiles"] {
            let body = format!(r#"{{"name":"{tool}","arguments":{{"paths":["ok","../x","a\u0000b",""]}}}}"#);
            assert_eq!(bad(&body), ["arguments.paths[1]", "arguments.paths[2]", "arguments.paths[3]"]);
        }
    }
}
