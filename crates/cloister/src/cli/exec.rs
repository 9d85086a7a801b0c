//! `cloister exec SESSION -- cmd`: a shell command in a running session.

use super::session::{Values, invoke};
use super::{Connection, Failure};
use crate::output::Output;
use serde_json::json;
use std::process::ExitCode;

/// Arguments of `cloister exec`.
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    #[command(flatten)]
    connection: Connection,
    /// Seconds that the command may take
    #[arg(long, value_name = "SECONDS", value_parser = super::run::parse_timeout)]
    timeout: Option<f64>,
    /// Id of the session
    session: String,
    /// The command: one argument is a line of shell, several are a program and its arguments
    #[arg(required = true, last = true, value_name = "COMMAND")]
    command: Vec<String>,
}

pub(crate) async fn run(args: Args, out: Output) -> Result<ExitCode, Failure> {
    let client = args.connection.client()?;
    let mut body = json!({ "command": line(&args.command) });
    if let Some(timeout) = args.timeout {
        body["timeout"] = timeout.into();
    }
    let finished = invoke(&client, &args.session, &body, Values::Hide, out).await?;
    finished.report(&args.session, out).map(ExitCode::from)
}

/// The line for the session's shell.
fn line(command: &[String]) -> String {
    match command {
        [line] => line.clone(),
        words => words.iter().map(|word| super::env::quote(word)).collect::<Vec<_>>().join(" "),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &[&str]) -> String {
        line(&text.iter().map(|&word| word.to_owned()).collect::<Vec<_>>())
    }

    #[test]
    fn one_argument_is_a_line_and_several_are_words() {
        assert_eq!(words(&["ls | wc -l"]), "ls | wc -l");
        assert_eq!(words(&["echo", "a b", "$HOME", "it's"]), r"'echo' 'a b' '$HOME' 'it'\''s'");
    }
}
