//! `cloister browse URL`: one page in a fresh browser session: pictures, PDF, Markdown, and whatever a file of actions does.
//!
//! ```text
//!   start ─▶ actions: navigate, those of --actions, extract, screenshot, pdf ─▶ files ─▶ stop (unless --keep)
//! ```

use super::session::{browser, path, stop};
use super::{Connection, Failure};
use crate::client::{Client, Performed};
use crate::output::{Output, size};
use crate::terminal::TerminalFilter;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hyper::Method;
use serde_json::{Value, json};
use std::io::{self, IsTerminal, Read, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Seconds that the session lives longer than its actions.
const MARGIN: u64 = 60;
/// Seconds for all actions together when nobody says how many.
const PATIENCE: f64 = 60.0;

/// Arguments of `cloister browse`.
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    #[command(flatten)]
    connection: Connection,
    /// Write a picture of the page; PNG, or JPEG by the extension
    #[arg(long, value_name = "FILE")]
    screenshot: Option<PathBuf>,
    /// The picture shows the whole page and not only the viewport
    #[arg(long, requires = "screenshot")]
    full_page: bool,
    /// Write the page as PDF
    #[arg(long, value_name = "FILE")]
    pdf: Option<PathBuf>,
    /// Print the page as Markdown; done in any case if nothing else is asked for
    #[arg(long)]
    markdown: bool,
    /// Page actions to carry out after the page has loaded: a JSON file with a list, as the API takes it ("-" is standard input)
    #[arg(long, value_name = "FILE")]
    actions: Option<PathBuf>,
    /// Size of the page area [default: the server's]
    #[arg(long, value_name = "WIDTHxHEIGHT", value_parser = parse_viewport)]
    viewport: Option<(u32, u32)>,
    /// Browser of the session [default: aws.browser.v1]
    #[arg(long, value_name = "ID")]
    interpreter: Option<String>,
    /// Policy of the session
    #[arg(long, value_name = "NAME", conflicts_with = "interpreter")]
    policy: Option<String>,
    /// Seconds for everything together
    #[arg(long, value_name = "SECONDS", value_parser = super::run::parse_timeout, default_value_t = PATIENCE)]
    timeout: f64,
    /// Leave the session running and print its id on standard error
    #[arg(long)]
    keep: bool,
    /// Address of the page; without a scheme, https is meant
    url: String,
}

/// `1920x1080`. The server knows the bounds.
fn parse_viewport(text: &str) -> Result<(u32, u32), String> {
    let sides = text.split_once('x').and_then(|(w, h)| Some((w.parse().ok()?, h.parse().ok()?)));
    sides.ok_or_else(|| "write WIDTHxHEIGHT, for example 1920x1080".to_owned())
}

pub(crate) async fn run(args: Args, out: Output) -> Result<ExitCode, Failure> {
    let body = json!({ "actions": actions(&args)?, "timeout": args.timeout });
    let client = args.connection.client()?;
    let interpreter = args.interpreter.as_deref().or(args.policy.as_deref());
    let life = args.timeout.ceil() as u64 + MARGIN;
    let session = browser(&client, interpreter, args.viewport, life.min(28_800)).await?;
    let outcome = tokio::select! {
        outcome = work(&client, &session.id, &body, &args, out) => outcome,
        _ = tokio::signal::ctrl_c() => Err(Failure { code: 130, message: "interrupted".to_owned() }),
    };
    if args.keep {
        eprintln!("cloister: session {}", session.id);
    } else {
        stop(&client, &session.id).await?;
    }
    outcome
}

/// The page actions in the order in which they are done.
fn actions(args: &Args) -> Result<Vec<Value>, Failure> {
    let mut actions = vec![json!({ "navigate": { "url": address(&args.url) } })];
    if let Some(file) = &args.actions {
        actions.extend(read_actions(file)?);
    }
    if args.markdown || (args.screenshot.is_none() && args.pdf.is_none() && args.actions.is_none()) {
        actions.push(json!({ "extract": { "what": "markdown" } }));
    }
    if let Some(file) = &args.screenshot {
        let jpeg =
            file.extension().is_some_and(|e| e.eq_ignore_ascii_case("jpg") || e.eq_ignore_ascii_case("jpeg"));
        let format = if jpeg { "jpeg" } else { "png" };
        actions.push(json!({ "screenshot": { "format": format, "fullPage": args.full_page } }));
    }
    if args.pdf.is_some() {
        actions.push(json!({ "pdf": {} }));
    }
    Ok(actions)
}

/// What a person types in place of a URL.
fn address(text: &str) -> String {
    let has_scheme = ["://", "about:", "data:"].iter().any(|mark| text.contains(mark));
    if has_scheme { text.to_owned() } else { format!("https://{text}") }
}

/// A list of actions, or the whole body that the API takes. What the actions mean is the server's to judge.
fn read_actions(file: &Path) -> Result<Vec<Value>, Failure> {
    let failure = |what: String| Failure::usage(format!("{}: {what}", file.display()));
    let mut text = String::new();
    let read = if file == Path::new("-") {
        io::stdin().lock().read_to_string(&mut text)
    } else {
        std::fs::File::open(file).and_then(|mut file| file.read_to_string(&mut text))
    };
    read.map_err(|error| failure(error.to_string()))?;
    let value: Value = serde_json::from_str(&text).map_err(|error| failure(error.to_string()))?;
    match value {
        Value::Array(actions) => Ok(actions),
        Value::Object(mut body) => match body.remove("actions") {
            Some(Value::Array(actions)) if body.is_empty() => Ok(actions),
            None => Ok(vec![Value::Object(body)]),
            Some(_) => Err(failure("beside \"actions\", which is a list, there may be nothing".to_owned())),
        },
        _ => Err(failure(
            "write a list of actions, such as [{\"click\": {\"selector\": \"#send\"}}]".to_owned(),
        )),
    }
}

async fn work(
    client: &Client,
    id: &str,
    body: &Value,
    args: &Args,
    out: Output,
) -> Result<ExitCode, Failure> {
    let answer = client.json(Method::POST, &path(id, "/actions"), Some(body)).await?;
    let mut performed = Performed::read(&answer, client)?;
    // The last pictures and PDFs are the ones that were asked for by name; those before come from the file of actions.
    let mut files = Vec::new();
    let asked = [(&args.pdf, "pdf"), (&args.screenshot, "screenshot")];
    if performed.failed.is_none() {
        for (file, action) in asked {
            let Some(file) = file else { continue };
            let result = performed.results.iter_mut().rev().find(|result| result.action == action);
            let data = result.and_then(|result| result.take_data());
            let data = data.ok_or_else(|| Failure::new(format!("the server sent no {action}")))?;
            files.push((file.as_path(), save(file, &data)?));
        }
    }
    if out.is_json() {
        let files: Vec<_> =
            files.iter().map(|(file, bytes)| json!({ "file": file, "bytes": bytes })).collect();
        out.json(&json!({ "session": id, "results": performed.json(), "failed": answer["failed"], "files": files }))?;
    } else {
        show(&performed)?;
        for (file, bytes) in files.iter().filter(|(file, _)| *file != Path::new("-")) {
            eprintln!("cloister: {} ({})", file.display(), size(*bytes));
        }
    }
    match performed.failed {
        None => Ok(ExitCode::SUCCESS),
        Some(failed) => Err(Failure { code: 1, message: failed }),
    }
}

/// Writes what a result holds in base64.
fn save(file: &Path, data: &str) -> Result<u64, Failure> {
    let bytes = STANDARD.decode(data).map_err(|error| Failure::new(format!("the server's data: {error}")))?;
    let written = if file == Path::new("-") {
        io::stdout().lock().write_all(&bytes)
    } else {
        std::fs::write(file, &bytes)
    };
    written.map_err(|error| Failure::new(format!("{}: {error}", file.display())))?;
    Ok(bytes.len() as u64)
}

/// Texts and values, one after the other. A page wrote them: a terminal gets them filtered.
fn show(performed: &Performed) -> Result<(), Failure> {
    let mut stdout = io::stdout().lock();
    for text in performed.results.iter().filter_map(|result| result.shown()) {
        let bytes = if stdout.is_terminal() {
            TerminalFilter::default().push(text.as_bytes())
        } else {
            text.into_bytes()
        };
        stdout.write_all(&bytes)?;
        if !bytes.ends_with(b"\n") {
            stdout.write_all(b"\n")?;
        }
    }
    Ok(stdout.flush()?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        args: Args,
    }

    fn names(line: &str) -> Vec<String> {
        let args = Line::parse_from(line.split_whitespace()).args;
        let name = |action: &Value| action.as_object().unwrap().keys().next().unwrap().clone();
        actions(&args).unwrap().iter().map(name).collect()
    }

    #[test]
    fn without_a_wish_the_page_is_printed() {
        assert_eq!(names("browse a.example"), ["navigate", "extract"]);
        assert_eq!(names("browse a.example --pdf a.pdf"), ["navigate", "pdf"]);
        assert_eq!(
            names("browse a.example --pdf a.pdf --screenshot a.png --markdown"),
            ["navigate", "extract", "screenshot", "pdf"]
        );
    }

    #[test]
    fn the_actions_of_a_file_come_after_the_navigation_in_every_form_that_the_api_has() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a.json");
        for text in [
            r##"[{"click": {"selector": "#a"}}, {"back": {}}]"##,
            r##"{"actions": [{"click": {"selector": "#a"}}, {"back": {}}]}"##,
        ] {
            std::fs::write(&file, text).unwrap();
            assert_eq!(
                names(&format!("browse a --actions {}", file.display())),
                ["navigate", "click", "back"]
            );
        }
        for bad in ["", "7", "[", r#"{"actions": {}}"#, r#"{"actions": [], "timeout": 1}"#] {
            std::fs::write(&file, bad).unwrap();
            assert!(read_actions(&file).is_err(), "{bad}");
        }
    }

    #[test]
    fn an_address_without_a_scheme_is_https() {
        assert_eq!(address("example.com/a"), "https://example.com/a");
        for whole in ["http://a", "data:text/html,x", "about:blank"] {
            assert_eq!(address(whole), whole);
        }
    }

    #[test]
    fn a_viewport_has_two_sides() {
        assert_eq!(parse_viewport("1920x1080"), Ok((1920, 1080)));
        for bad in ["", "1920", "x", "1920x", "axb", "-1x5"] {
            assert!(parse_viewport(bad).is_err(), "{bad}");
        }
    }
}
