//! Server-sent events, as the native door sends them: `event:` and `data:` lines, ended by an empty line.

/// Longest event. The server bounds what a call may show; this bounds what a wrong server can make us hold.
const LONGEST: usize = 64 << 20;

/// One event.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct SseEvent {
    /// Its name; `message` if it has none.
    pub(crate) name: String,
    /// Its data lines, joined by line ends.
    pub(crate) data: String,
}

/// Takes bytes, gives events.
#[derive(Debug, Default)]
pub(crate) struct SseParser {
    /// The line that has not ended yet.
    line: Vec<u8>,
    name: String,
    data: Option<String>,
    size: usize,
}

/// More than [`LONGEST`] bytes without an event's end.
#[derive(Debug, thiserror::Error)]
#[error("an event of the answer is larger than {LONGEST} bytes")]
pub(crate) struct TooLong;

impl SseParser {
    /// Adds bytes; returns the events that they complete.
    pub(crate) fn push(&mut self, bytes: &[u8]) -> Result<Vec<SseEvent>, TooLong> {
        let mut events = Vec::new();
        for part in bytes.split_inclusive(|&b| b == b'\n') {
            self.size += part.len();
            if self.size > LONGEST {
                return Err(TooLong);
            }
            self.line.extend_from_slice(part);
            if part.ends_with(b"\n") {
                let line = std::mem::take(&mut self.line);
                let line = String::from_utf8_lossy(&line);
                events.extend(self.end_line(line.trim_end_matches(['\r', '\n'])));
            }
        }
        Ok(events)
    }

    fn end_line(&mut self, line: &str) -> Option<SseEvent> {
        if line.is_empty() {
            self.size = 0;
            let name = std::mem::take(&mut self.name);
            let name = if name.is_empty() { "message".to_owned() } else { name };
            return self.data.take().map(|data| SseEvent { name, data });
        }
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "event" => value.clone_into(&mut self.name),
            "data" => match &mut self.data {
                Some(data) => {
                    data.push('\n');
                    data.push_str(value);
                }
                None => self.data = Some(value.to_owned()),
            },
            // Comments (heartbeats), ids, retry times.
            _ => {}
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn events(text: &str, step: usize) -> Vec<(String, String)> {
        let mut parser = SseParser::default();
        let chunks = text.as_bytes().chunks(step);
        chunks.flat_map(|chunk| parser.push(chunk).unwrap()).map(|event| (event.name, event.data)).collect()
    }

    #[test]
    fn events_survive_any_split_and_heartbeats_are_ignored() {
        let text = ": heartbeat\n\nevent: stdout\ndata: {\"text\":\"é\\n\"}\n\nid: 3\r\ndata:a\r\ndata: b\r\n\r\nevent: x\n\n";
        let expected = vec![
            ("stdout".to_owned(), "{\"text\":\"é\\n\"}".to_owned()),
            ("message".to_owned(), "a\nb".to_owned()),
        ];
        for step in 1..text.len() {
            assert_eq!(events(text, step), expected, "step {step}");
        }
    }

    #[test]
    fn an_endless_event_is_an_error() {
        let mut parser = SseParser::default();
        let chunk = vec![b'x'; 1 << 20];
        assert!((0..64).all(|_| parser.push(&chunk).is_ok()));
        assert!(parser.push(&chunk).is_err());
    }
}
