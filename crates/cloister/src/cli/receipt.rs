//! `cloister receipt`: whether a receipt is what a server signed, offline; and what it says.

use super::{Failure, data_dir};
use crate::data_dir::DataDir;
use crate::output::Output;
use crate::receipts::{ReceiptKey, check, parse_key};
use cloister_core::receipt::{PublicKey, Signer as _};
use serde_json::{Value, json};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// What to do.
#[derive(clap::Subcommand, Debug)]
pub(crate) enum Command {
    /// Print the public key of the server on this machine
    Key(Folder),
    /// Check that a receipt is as the server signed it (exit code 1 if not)
    Verify(Verify),
    /// Print what a receipt says, without checking it
    Show(Show),
}

/// Which server.
#[derive(clap::Args, Debug)]
pub(crate) struct Folder {
    /// Data folder of the server [default: ~/.local/share/cloister]
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
}

/// Arguments of `cloister receipt verify`.
#[derive(clap::Args, Debug)]
pub(crate) struct Verify {
    /// A receipt, or a whole native answer that has one; - reads standard input
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// File with the public key, as `cloister receipt key` prints it [default: that of the server on this machine]
    #[arg(long, value_name = "FILE")]
    key: Option<PathBuf>,
    #[command(flatten)]
    folder: Folder,
}

/// Arguments of `cloister receipt show`.
#[derive(clap::Args, Debug)]
pub(crate) struct Show {
    /// A receipt, or a whole native answer that has one; - reads standard input
    #[arg(value_name = "FILE")]
    file: PathBuf,
}

pub(crate) fn run(command: Command, out: Output) -> Result<ExitCode, Failure> {
    match command {
        Command::Key(folder) => {
            let PublicKey { id, value } = own_key(folder)?;
            if out.is_json() {
                out.json(&json!({ "algorithm": "Ed25519", "key": id, "value": value }))?;
            } else {
                out.line(&value)?;
            }
            Ok(ExitCode::SUCCESS)
        }
        Command::Verify(Verify { file, key, folder }) => {
            let key = match key {
                Some(file) => {
                    let text = std::fs::read_to_string(&file).map_err(|error| unreadable(&file, &error))?;
                    parse_key(&text).map_err(|error| Failure::new(format!("{}: {error}", file.display())))?
                }
                None => own_key(folder)?,
            };
            let verdict = check(&read(&file)?, &key).map(|payload| payload["call"].clone());
            if out.is_json() {
                let why = verdict.as_ref().err().map(ToString::to_string);
                out.json(&json!({ "good": verdict.is_ok(), "key": key.id, "why": why }))?;
            } else {
                match &verdict {
                    Ok(_) => out.line(&format!("good: signed by the key {}", key.id))?,
                    Err(why) => out.line(&format!("bad: {why}"))?,
                }
            }
            Ok(if verdict.is_ok() { ExitCode::SUCCESS } else { ExitCode::from(1) })
        }
        Command::Show(Show { file }) => {
            out.json(&read(&file)?["payload"])?;
            Ok(ExitCode::SUCCESS)
        }
    }
}

fn own_key(folder: Folder) -> Result<PublicKey, Failure> {
    Ok(ReceiptKey::open(&DataDir::open(&data_dir(folder.data_dir)?)?)?.public())
}

/// The receipt in a file.
fn read(file: &Path) -> Result<Value, Failure> {
    let mut text = String::new();
    let read = if file == Path::new("-") {
        std::io::stdin().read_to_string(&mut text)
    } else {
        std::fs::File::open(file).and_then(|mut file| file.read_to_string(&mut text))
    };
    read.map_err(|error| unreadable(file, &error))?;
    let value: Value =
        serde_json::from_str(&text).map_err(|error| Failure::new(format!("{}: {error}", file.display())))?;
    Ok(match value.get("receipt") {
        Some(receipt) => receipt.clone(),
        None => value,
    })
}

fn unreadable(file: &Path, error: &std::io::Error) -> Failure {
    Failure::new(format!("{}: {error}", file.display()))
}
