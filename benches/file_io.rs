//! Files in and out of a session: both doors, and what moves bytes into a notebook kernel, base64 in a cell.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use cloister_benches::Failure;
use cloister_benches::alternatives::{Jupyter, tried};
use cloister_benches::client::{Client, DEFAULT};
use cloister_benches::run::{Case, Run};
use cloister_benches::server::Server;
use serde_json::json;
use std::process::ExitCode;
use std::time::{Duration, Instant};

/// Name, bytes, observations.
const SIZES: [(&str, usize, usize); 3] =
    [("1 KiB", 1 << 10, 1000), ("1 MiB", 1 << 20, 200), ("20 MiB", 20 << 20, 40)];

/// More does not fit, in base64, into the 24 MiB that AWS clients take in one message. The server refuses it and names the other way.
const READABLE: usize = 16 << 20;
const TOO_LARGE: &str =
    "refused by design: more than a message of this API can carry; the answer names the native GET";

fn main() -> ExitCode {
    Run::bench("file_io", |run| {
        let mut jupyter = tried(Jupyter::new().and_then(|mut jupyter| {
            let kernel = jupyter.open()?;
            Ok((jupyter, kernel))
        }))?;
        for (size, bytes, samples) in SIZES {
            let content = content(bytes);
            ours(run, size, &content, samples)?;
            let samples = samples / 4;
            for (what, (cell, answer)) in [("write", write_cell(&content)), ("read", read_cell(&content))] {
                let name = &format!("{size} {what}: ipykernel, base64 in a cell");
                let against = &native(size, what);
                let jupyter = jupyter.as_mut().map_err(|why| why.clone());
                run.try_case(Case { name, against, samples }, jupyter, |(jupyter, kernel)| {
                    jupyter.cell(*kernel, &cell, &answer)
                })?;
            }
        }
        Ok(String::new())
    })
}

fn native(size: &str, what: &str) -> String {
    let method = if what == "write" { "PUT" } else { "GET" };
    format!("{size} {what}: cloister, native {method}")
}

fn ours(run: &mut Run, size: &str, content: &[u8], samples: usize) -> Result<(), Failure> {
    let server = Server::start(1)?;
    let mut client = server.client()?;
    let session = client.start(DEFAULT)?;
    server.settle(1)?;
    let write = json!({ "name": "writeFiles", "arguments": { "content": [{ "path": "bench.bin", "blob": STANDARD.encode(content) }] } });
    let (write, read) = (
        write.to_string(),
        json!({ "name": "readFiles", "arguments": { "paths": ["bench.bin"] } }).to_string(),
    );
    let (put, get) = (native(size, "write"), native(size, "read"));

    run.case(Case { name: &put, against: &put, samples }, || {
        timed(&mut client, |client| client.put(&session, "bench.bin", content))
    })?;
    let name = &format!("{size} write: cloister, writeFiles");
    run.case(Case { name, against: &put, samples }, || {
        timed(&mut client, |client| client.tool(&session, write.as_bytes()).map(drop))
    })?;
    // Both ways must give back what was written, or a fast answer would be worth nothing.
    check(&client.get(&session, "bench.bin")?, content, &get)?;
    run.case(Case { name: &get, against: &get, samples }, || {
        timed(&mut client, |client| client.get(&session, "bench.bin").map(drop))
    })?;
    let name = &format!("{size} read: cloister, readFiles");
    let fits = if content.len() <= READABLE { Ok(()) } else { Err(TOO_LARGE.to_owned()) };
    run.try_case(Case { name, against: &get, samples }, fits, |()| {
        timed(&mut client, |client| client.tool(&session, read.as_bytes()).map(drop))
    })?;
    client.stop(&session)
}

fn timed(
    client: &mut Client,
    work: impl FnOnce(&mut Client) -> Result<(), Failure>,
) -> Result<Duration, Failure> {
    let begun = Instant::now();
    work(client)?;
    Ok(begun.elapsed())
}

fn check(found: &[u8], expected: &[u8], who: &str) -> Result<(), Failure> {
    if found == expected {
        return Ok(());
    }
    let said = format!("{} bytes that differ", found.len());
    Err(Failure::wrong(who, said.as_bytes(), "what was written"))
}

/// Bytes of no pattern that a text encoding or a compressor could make use of (xorshift).
fn content(bytes: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let words = std::iter::repeat_with(|| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    });
    words.flatten().take(bytes).collect()
}

/// A cell, and what it answers with.
fn write_cell(content: &[u8]) -> (String, String) {
    let text = STANDARD.encode(content);
    let cell = format!("import base64; open('bench.bin', 'wb').write(base64.b64decode('{text}'))");
    (cell, content.len().to_string())
}

fn read_cell(content: &[u8]) -> (String, String) {
    let cell = "import base64; print(base64.b64encode(open('bench.bin', 'rb').read()).decode())";
    (cell.to_owned(), STANDARD.encode(content))
}
