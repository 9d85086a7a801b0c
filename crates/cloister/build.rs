//! Embeds the repository's policies, so that an executable that is copied alone still has them.
//!
//! Writes `OUT_DIR/embedded.rs`: tables of (path below `policies/`, text): TOML, system call lists, access policies and
//! their schema.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::{env, fs, io};

fn main() -> io::Result<()> {
    let variable =
        |name: &str| env::var_os(name).map(PathBuf::from).ok_or_else(|| io::Error::other(name.to_owned()));
    let policies = variable("CARGO_MANIFEST_DIR")?.join("../../policies");
    println!("cargo::rerun-if-changed={}", policies.display());
    println!("cargo::rerun-if-changed=build.rs");

    let mut text = String::new();
    table(&mut text, "POLICIES", &policies, "", "toml")?;
    table(&mut text, "SECCOMP", &policies, "seccomp", "json")?;
    table(&mut text, "ACCESS", &policies, "access", "cedar")?;
    table(&mut text, "ACCESS_SCHEMA", &policies, "access", "cedarschema")?;
    fs::write(variable("OUT_DIR")?.join("embedded.rs"), text)
}

/// One table of the files in `root/folder` with an extension, sorted. A missing folder is an empty table: the program
/// says at start-up which policy it misses, which is of more use than a build error.
fn table(text: &mut String, name: &str, root: &Path, folder: &str, extension: &str) -> io::Result<()> {
    let mut files = Vec::new();
    match fs::read_dir(root.join(folder)) {
        Ok(entries) => {
            for entry in entries {
                let path = entry?.path();
                if path.extension().is_some_and(|e| e == extension) {
                    println!("cargo::rerun-if-changed={}", path.display());
                    files.push(path.canonicalize()?);
                }
            }
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    files.sort();
    let doc = format!(
        "Every `*.{extension}` of the repository's `policies/{folder}`: path below `policies/`, and text."
    );
    writeln!(text, "/// {doc}\npub(crate) const {name}: &[(&str, &str)] = &[").map_err(io::Error::other)?;
    for path in files {
        let file = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let key = if folder.is_empty() { file } else { format!("{folder}/{file}") };
        writeln!(text, "    ({key:?}, include_str!({path:?})),").map_err(io::Error::other)?;
    }
    writeln!(text, "];").map_err(io::Error::other)
}
