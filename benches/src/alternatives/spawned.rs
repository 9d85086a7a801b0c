//! Programs that run one `python3 -c`: started, read until their result is complete, and reaped outside the clock.

use crate::failure::Failure;
use crate::server;
use crate::work::Work;
use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// An alternative that is a command line.
pub trait Spawned {
    /// As the tables call it.
    fn name(&self) -> &str;
    /// The command that runs `code` in Python.
    fn command(&self, code: &str) -> Result<Command, Failure>;
    /// Takes one observation of `count` starts at once; by default where the bench itself runs.
    fn first_results(&self, work: Work, count: usize) -> Result<Duration, Failure> {
        let commands = (0..count).map(|_| self.command(work.code)).collect::<Result<Vec<_>, _>>()?;
        first_results(self.name(), commands, work.expected)
    }
}

/// The environment of guest programs, as the image describes it: the same for the server's sessions and for every alternative.
pub(super) fn environment() -> Result<Vec<(String, String)>, Failure> {
    let path = server::image()?.join("image.toml");
    let text = std::fs::read_to_string(&path).map_err(Failure::io(format!("read {}", path.display())))?;
    let image: toml::Table =
        text.parse().map_err(|_| Failure::wrong(&path.to_string_lossy(), text.as_bytes(), "TOML"))?;
    let env = image.get("env").and_then(toml::Value::as_table);
    let pairs = env
        .into_iter()
        .flatten()
        .filter_map(|(name, value)| Some((name.clone(), value.as_str()?.to_owned())));
    Ok(pairs.chain([("HOME".to_owned(), "/tmp".to_owned())]).collect())
}

/// From the start of one command until its result has been read.
pub(super) fn first_result(who: &str, command: Command, expected: &str) -> Result<Duration, Failure> {
    first_results(who, vec![command], expected)
}

/// From the first start until the last result, of commands that run at once.
pub(super) fn first_results(who: &str, commands: Vec<Command>, expected: &str) -> Result<Duration, Failure> {
    let mut running = Vec::with_capacity(commands.len());
    let begun = Instant::now();
    for mut command in commands {
        // Pipes, and no device of the host: a runtime may give what it finds here to its container's user.
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().map_err(Failure::io(format!("start {who}")))?;
        drop(child.stdin.take()); // nothing to read
        running.push(child);
    }
    let mut said = String::new();
    for child in &mut running {
        said = read_until(child, expected)?;
    }
    let took = begun.elapsed();
    for child in &mut running {
        if !said.contains(expected) {
            let stderr = child.stderr.take();
            stderr
                .map(|mut pipe| pipe.read_to_string(&mut said))
                .transpose()
                .map_err(Failure::io("read errors"))?;
        }
        child.wait().map_err(Failure::io(format!("wait for {who}")))?;
    }
    if said.contains(expected) { Ok(took) } else { Err(Failure::wrong(who, said.as_bytes(), expected)) }
}

/// Reads lines until one holds `expected`. The exit of the interpreter is not waited for: no user waits for it either.
fn read_until(child: &mut Child, expected: &str) -> Result<String, Failure> {
    let mut said = String::new();
    if let Some(stdout) = child.stdout.take() {
        let mut stdout = BufReader::new(stdout);
        while !said.contains(expected)
            && stdout.read_line(&mut said).map_err(Failure::io("read a result"))? > 0
        {}
    }
    Ok(said)
}

/// Runs an alternative once. What it says when it fails is why it is not runnable here.
pub(super) fn try_out(who: &str, run: impl FnOnce() -> Result<Duration, Failure>) -> Result<(), Failure> {
    match run() {
        Ok(_) => Ok(()),
        Err(Failure::Io { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => {
            Err(Failure::Unavailable(format!("{who} is not installed")))
        }
        Err(Failure::WrongResult { said, .. }) => {
            let reason = said.lines().last().unwrap_or("it says nothing").trim().replace('|', "/");
            Err(Failure::Unavailable(reason))
        }
        Err(failure) => Err(Failure::Unavailable(failure.to_string())),
    }
}
