//! The language of the fake interpreter: one command a line, each doing one thing that real guest code does.

use std::time::Duration;

/// One line of a script.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Command {
    /// `print TEXT`: the text and a newline to stdout.
    Print(String),
    /// `warn TEXT`: the same to stderr.
    Warn(String),
    /// `sleep SECONDS`: yields to an interrupt.
    Sleep(Duration),
    /// `hang`: for ever, and ignores the interrupt; only the kill helps.
    Hang,
    /// `stuck`: for ever, and the worker does not even answer at the deadline. It breaks the contract on purpose.
    Stuck,
    /// `fail`: an uncaught exception.
    Fail,
    /// `exit STATUS`.
    Exit(i32),
    /// `die`: takes the whole worker with it.
    Die,
    /// `panic`: the backend's own code panics.
    Panic,
    /// `value TEXT`: the value of a last expression.
    Value(String),
    /// `figure`: displays a picture.
    Figure,
    /// `flood BYTES`: so many bytes to stdout, in pieces of 4 KiB.
    Flood(usize),
    /// `set NAME VALUE`: a variable that lives until the context is cleared.
    Set(String, String),
    /// `get NAME`: prints it; a `NameError` if there is none.
    Get(String),
    /// `write PATH TEXT`: a file.
    Write(String, String),
    /// `cat PATH`: prints a file.
    Cat(String),
}

/// The commands of a script; blank lines and lines that start with `#` do nothing. `Err` holds the line that is none.
pub(super) fn parse(source: &str) -> Result<Vec<Command>, String> {
    source
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .map(|line| command(line).ok_or_else(|| line.to_owned()))
        .collect()
}

fn command(line: &str) -> Option<Command> {
    let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
    let pair = || rest.split_once(' ').map(|(a, b)| (a.to_owned(), b.to_owned()));
    Some(match word {
        "print" => Command::Print(rest.to_owned()),
        "warn" => Command::Warn(rest.to_owned()),
        "sleep" => Command::Sleep(Duration::try_from_secs_f64(rest.parse().ok()?).ok()?),
        "hang" => Command::Hang,
        "stuck" => Command::Stuck,
        "fail" => Command::Fail,
        "exit" => Command::Exit(rest.parse().ok()?),
        "die" => Command::Die,
        "panic" => Command::Panic,
        "value" => Command::Value(rest.to_owned()),
        "figure" => Command::Figure,
        "flood" => Command::Flood(rest.parse().ok()?),
        "set" => pair().map(|(name, value)| Command::Set(name, value))?,
        "get" => Command::Get(rest.to_owned()),
        "write" => pair().map(|(path, text)| Command::Write(path, text))?,
        "cat" => Command::Cat(rest.to_owned()),
        _ => return None,
    })
}
