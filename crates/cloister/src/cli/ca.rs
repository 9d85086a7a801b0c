//! `cloister ca`: the certificate of the server's own authority, for clients of its TLS door.

use super::Failure;
use crate::data_dir::DataDir;
use crate::output::Output;
use serde_json::json;
use std::path::PathBuf;

/// Arguments of `cloister ca`.
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// Data folder of the server [default: ~/.local/share/cloister]
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
}

/// Prints where it lies; makes it if the server has not done so yet.
pub(crate) fn run(args: Args, out: Output) -> Result<(), Failure> {
    let authority = DataDir::open(&super::data_dir(args.data_dir)?)?.authority()?;
    let path = authority.path().display().to_string();
    if out.is_json() {
        return Ok(out.json(&json!({ "certificate": path }))?);
    }
    Ok(out.line(&path)?)
}
