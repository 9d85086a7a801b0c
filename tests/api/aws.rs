//! What an AWS SDK does: paths, headers, and the decoder of event streams. Every success is held against the
//! service model.

use crate::server::{Answer, Call, KEY, Server};
use bytes::Bytes;
use cloister_gateway::agentcore::{differences, model};
use serde_json::{Value, json};

/// One message of an event stream.
#[derive(Debug, PartialEq)]
pub struct Message {
    /// `event` or `exception`.
    pub kind: String,
    /// `result`, `heartbeat`, `validationException`, …
    pub name: String,
    pub payload: Bytes,
}

impl Message {
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.payload).unwrap()
    }
}

/// Decodes a stream and checks both checksums of every message.
pub fn decode(mut bytes: &[u8]) -> Vec<Message> {
    let word = |bytes: &[u8], at: usize| u32::from_be_bytes(bytes[at..at + 4].try_into().unwrap());
    let mut messages = Vec::new();
    while !bytes.is_empty() {
        let (total, headers) = (word(bytes, 0) as usize, word(bytes, 4) as usize);
        assert_eq!(word(bytes, 8), crc32fast::hash(&bytes[..8]), "checksum of the prelude");
        assert_eq!(word(bytes, total - 4), crc32fast::hash(&bytes[..total - 4]), "checksum of the message");
        let mut rest = &bytes[12..12 + headers];
        let (mut kind, mut name) = (String::new(), String::new());
        while !rest.is_empty() {
            let n = rest[0] as usize;
            let key = std::str::from_utf8(&rest[1..=n]).unwrap();
            assert_eq!(rest[1 + n], 7, "headers are strings");
            let length = u16::from_be_bytes([rest[2 + n], rest[3 + n]]) as usize;
            let value = std::str::from_utf8(&rest[4 + n..4 + n + length]).unwrap().to_owned();
            match key {
                ":message-type" => kind = value,
                ":event-type" | ":exception-type" => name = value,
                ":content-type" => assert_eq!(value, "application/json"),
                other => panic!("{other}"),
            }
            rest = &rest[4 + n + length..];
        }
        let payload = Bytes::copy_from_slice(&bytes[12 + headers..total - 4]);
        messages.push(Message { kind, name, payload });
        bytes = &bytes[total..];
    }
    messages
}

/// Holds the answer of an operation against its output shape.
pub fn conforms(operation: &str, answer: &Answer) -> Value {
    let served = model::served(operation).unwrap();
    assert_eq!(answer.status.as_u16(), served.status, "{operation}: {answer:?}");
    assert_eq!(answer.header("content-type"), "application/json");
    assert_eq!(answer.header("x-amzn-requestid").len(), 36);
    assert_eq!(differences(served.output, &answer.body), [""; 0]);
    answer.json()
}

/// Holds an error against the shape and the status of its exception; returns its body.
pub fn error(name: &str, answer: &Answer) -> Value {
    assert_eq!(answer.header("x-amzn-errortype"), name, "{answer:?}");
    let (_, status, shape) = model::ERRORS.iter().find(|(error, ..)| *error == name).unwrap();
    assert_eq!(answer.status.as_u16(), *status, "{answer:?}");
    assert_eq!(differences(shape, &answer.body), [""; 0]);
    assert_eq!(answer.header("x-amzn-requestid").len(), 36);
    answer.json()
}

/// The members that a ValidationException names.
pub fn fields(answer: &Answer) -> Vec<String> {
    let body = error("ValidationException", answer);
    assert_eq!(body["reason"], "FieldValidationFailed", "{body}");
    body["fieldList"].as_array().unwrap().iter().map(|f| f["name"].as_str().unwrap().to_owned()).collect()
}

impl Server {
    pub fn start_session(&self, body: Value) -> Call {
        self.request("PUT", &format!("/code-interpreters/{KEY}/sessions/start")).json(body)
    }

    /// A session over the AWS door.
    pub async fn aws_session(&self) -> String {
        let answer = self.start_session(json!({})).send().await;
        conforms("StartCodeInterpreterSession", &answer)["sessionId"].as_str().unwrap().to_owned()
    }

    pub fn get_session(&self, id: &str) -> Call {
        self.get(&format!("/code-interpreters/{KEY}/sessions/get?sessionId={id}"))
    }

    pub fn list_sessions(&self, body: Value) -> Call {
        self.request("POST", &format!("/code-interpreters/{KEY}/sessions/list")).json(body)
    }

    pub fn stop_session(&self, id: &str) -> Call {
        self.request("PUT", &format!("/code-interpreters/{KEY}/sessions/stop?sessionId={id}")).json(json!({}))
    }

    pub fn invoke(&self, id: &str, tool: &str, arguments: Value) -> Call {
        self.request("POST", &format!("/code-interpreters/{KEY}/tools/invoke"))
            .header("x-amzn-code-interpreter-session-id", id)
            .json(json!({ "name": tool, "arguments": arguments }))
    }

    /// The one result of a call.
    pub async fn result(&self, id: &str, tool: &str, arguments: Value) -> Value {
        let answer = self.invoke(id, tool, arguments).send().await;
        assert_eq!(answer.status, 200, "{answer:?}");
        assert_eq!(answer.header("content-type"), "application/vnd.amazon.eventstream");
        assert_eq!(answer.header("x-amzn-code-interpreter-session-id"), id);
        let mut messages = decode(&answer.body);
        assert_eq!(messages.len(), 1, "exactly one event");
        let message = messages.remove(0);
        assert_eq!((message.kind.as_str(), message.name.as_str()), ("event", "result"));
        assert_eq!(differences(&model::CODE_INTERPRETER_RESULT, &message.payload), [""; 0]);
        message.json()
    }

    /// Runs a script of the fake backend.
    pub async fn run(&self, id: &str, script: &str) -> Value {
        self.result(id, "executeCode", json!({ "language": "python", "code": script })).await
    }
}
