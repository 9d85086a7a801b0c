//! Makes the root of an engine's sandbox from an image: this program and its libraries, compiled code, first memory, packed files.
//!
//! ```text
//!   image: python.wasm ──split──▶ code ──Cranelift──▶ python.cwasm
//!                               └▶ memory            memory.bin
//!          lib/        ──pack──────────────────────▶ lib.pack
//!   /proc/self/exe and what it is linked to ───────▶ engine, usr/lib/…
//! ```
//!
//! Runs once per image, engine and processor, as a child of the server, before any guest code is near. Compiled code is trusted code:
//! who keeps the folder must keep it private, and checks it by hash before each use (`cloister-process/src/wasm/artifacts.rs`).

use crate::engine;
use crate::memory::Memories;
use crate::split::{SplitError, split};
use crate::view::{Base, BaseError};
use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// Names inside the root.
pub const CODE: &str = "python.cwasm";
/// The first memory.
pub const MEMORY: &str = "memory.bin";
/// The packed files.
pub const LIBRARY: &str = "lib.pack";
/// This program.
pub const PROGRAM: &str = "engine";

/// Where the sandbox's own mounts go.
const DIRECTORIES: [&str; 7] = ["dev", "proc", "run", "tmp", "workspace", "home/agent", "etc"];
/// Files that are mounted over.
const FILES: [&str; 2] = ["etc/machine-id", "etc/hostname"];

/// Why it could not be made.
#[derive(Debug, thiserror::Error)]
pub enum PrepareError {
    /// A file.
    #[error("{}: {source}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The module.
    #[error(transparent)]
    Split(#[from] SplitError),
    /// The compiler.
    #[error("the interpreter cannot be compiled: {0}")]
    Compile(wasmtime::Error),
    /// The files.
    #[error(transparent)]
    Pack(#[from] BaseError),
}

/// Makes the root `out`, which must not exist, from the image's root.
pub fn prepare(image: &Path, out: &Path) -> Result<(), PrepareError> {
    let at = |path: &Path| {
        let path = path.to_owned();
        move |source| PrepareError::File { path, source }
    };
    // The sandbox's user is another one than the server's, and looks only. The folder around it is the server's own.
    nix::sys::stat::umask(nix::sys::stat::Mode::from_bits_truncate(0o022));
    let module = image.join("python.wasm");
    let module = fs::read(&module).map_err(at(&module))?;
    let split = split(&module)?;
    let engine = engine::engine(&std::sync::Arc::new(Memories::default())).map_err(PrepareError::Compile)?;
    let code = engine.precompile_module(&split.code).map_err(PrepareError::Compile)?;
    let library = Base::pack(&image.join("lib"))?;
    fs::create_dir(out).map_err(at(out))?;
    for name in DIRECTORIES {
        let path = out.join(name);
        fs::create_dir_all(&path).map_err(at(&path))?;
    }
    for name in FILES {
        let path = out.join(name);
        fs::write(&path, b"").map_err(at(&path))?;
    }
    for (name, bytes) in [(CODE, &code), (MEMORY, &split.memory), (LIBRARY, &library)] {
        let path = out.join(name);
        fs::write(&path, bytes).map_err(at(&path))?;
    }
    program(out)
}

/// Copies this program, and whatever of the host's libraries the kernel has mapped for it, to the places where it will look for them.
fn program(out: &Path) -> Result<(), PrepareError> {
    let at = |path: &Path| {
        let path = path.to_owned();
        move |source| PrepareError::File { path, source }
    };
    let own = Path::new("/proc/self/exe");
    let own = own.canonicalize().map_err(at(own))?;
    let to = out.join(PROGRAM);
    fs::copy(&own, &to).map_err(at(&to))?;
    let maps = Path::new("/proc/self/maps");
    let maps = fs::read_to_string(maps).map_err(at(maps))?;
    let mapped = maps.lines().filter_map(|line| line.split_once('/').map(|(_, path)| format!("/{path}")));
    let libraries: BTreeSet<PathBuf> = mapped
        .map(PathBuf::from)
        .filter(|path| *path != own && path.to_string_lossy().contains(".so"))
        .collect();
    // Libraries are looked for in /lib as well.
    for name in ["lib", "lib64"] {
        let link = Path::new("/").join(name);
        let to = out.join(name);
        if let (Ok(target), false) = (fs::read_link(&link), to.exists()) {
            let folder = inside(out, &Path::new("/").join(&target));
            fs::create_dir_all(&folder).map_err(at(&folder))?;
            std::os::unix::fs::symlink(target, &to).map_err(at(&to))?;
        }
    }
    for library in libraries {
        let name = library.file_name().unwrap_or_default();
        // Programs name their loader as /lib64/ld-linux…, whatever its real place is.
        let loader = name.to_string_lossy().starts_with("ld-linux").then(|| out.join("lib64").join(name));
        for to in [Some(inside(out, &library)), loader].into_iter().flatten() {
            let folder = to.parent().unwrap_or(out);
            fs::create_dir_all(folder).map_err(at(folder))?;
            fs::copy(&library, &to).map_err(at(&to))?;
        }
    }
    Ok(())
}

fn inside(out: &Path, path: &Path) -> PathBuf {
    out.join(path.strip_prefix("/").unwrap_or(path))
}
