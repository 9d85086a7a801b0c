//! The engine of the wasm tier: `prepare` makes the root of its sandbox, `serve` runs inside of it.

use std::path::Path;
use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let done = match arguments.as_slice() {
        ["prepare", image, out] => {
            // A server that dies meanwhile leaves nothing behind: the next one makes its own.
            let _: Result<(), nix::errno::Errno> =
                nix::sys::prctl::set_pdeathsig(nix::sys::signal::Signal::SIGKILL);
            cloister_wasm::prepare::prepare(Path::new(image), Path::new(out)).map_err(|e| e.to_string())
        }
        ["serve"] => cloister_wasm::serve::serve().map_err(|e| e.to_string()),
        _ => Err("usage: cloister-wasm prepare IMAGE-ROOT NEW-ROOT (the server calls it)".into()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("cloister-wasm: {why}");
            ExitCode::FAILURE
        }
    }
}
