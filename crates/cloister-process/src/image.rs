//! An image as it was built: a root directory, and a description of what can be started in it.

use cloister_jail::plan::{Interrupt, Runner};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Why an image cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ImageError {
    /// Not built.
    #[error("there is no image {name} in {}; build it with `make images`", dir.display())]
    Missing {
        /// Its name.
        name: String,
        /// Where it was looked for.
        dir: PathBuf,
    },
    /// Its description cannot be read.
    #[error("{}: {what}", path.display())]
    Description {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        what: String,
    },
}

/// `image.toml`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Description {
    name: String,
    #[serde(default)]
    description: String,
    #[serde(default)]
    digest: String,
    #[serde(default)]
    runners: BTreeMap<String, RunnerDescription>,
    #[serde(default)]
    shell: Shell,
    #[serde(default)]
    browser: Option<BrowserDescription>,
    #[serde(default)]
    wasm: Option<WasmDescription>,
    #[serde(default)]
    env: BTreeMap<String, String>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RunnerDescription {
    argv: Vec<String>,
    interrupt: Interrupt,
    #[serde(default)]
    zygote: Vec<String>,
    #[serde(default)]
    preload: Vec<String>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Shell {
    argv: Vec<String>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct BrowserDescription {
    argv: Vec<String>,
}

/// What an engine of the wasm tier makes sessions of; paths are inside the image.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WasmDescription {
    /// The interpreter.
    pub module: String,
    /// Its standard library.
    pub library: String,
    /// Packages.
    pub site: String,
    /// Our own code.
    pub driver: String,
}

/// A built image.
#[derive(Clone, Debug)]
pub struct Image {
    /// Its name.
    pub name: String,
    /// One line for people.
    pub description: String,
    /// Digest of its contents.
    pub digest: String,
    /// Digest of what was compiled from it and stands in its place, on the wasm tier.
    pub artifact: Option<String>,
    /// Its root directory, links resolved: a rebuild while sandboxes run does not change theirs.
    pub root: PathBuf,
    /// Drivers by runtime name.
    pub runners: BTreeMap<String, Runner>,
    /// The shell's program and arguments; empty if it has none.
    pub shell: Vec<String>,
    /// The browser's program and arguments, if it has one.
    pub browser: Option<Vec<String>>,
    /// The interpreter for the wasm tier, if it has one.
    pub wasm: Option<WasmDescription>,
    /// Environment of guest programs.
    pub env: BTreeMap<String, String>,
    /// The zygote's program and the modules that it imports, if the image has one.
    pub zygote: Option<(Vec<String>, Vec<String>)>,
}

impl Image {
    /// Reads `<dir>/<name>/current/image.toml`.
    pub fn load(dir: &Path, name: &str) -> Result<Self, ImageError> {
        let missing = |_| ImageError::Missing { name: name.to_owned(), dir: dir.to_owned() };
        let folder = dir.join(name).join("current").canonicalize().map_err(missing)?;
        let path = folder.join("image.toml");
        let bad = |what: String| ImageError::Description { path: path.clone(), what };
        let text = std::fs::read_to_string(&path).map_err(|e| bad(e.to_string()))?;
        let description: Description = toml::from_str(&text).map_err(|e| bad(e.to_string()))?;
        let zygote = description
            .runners
            .get("python")
            .filter(|runner| !runner.zygote.is_empty())
            .map(|runner| (runner.zygote.clone(), runner.preload.clone()));
        let runners = description.runners.into_iter();
        Ok(Self {
            name: description.name,
            description: description.description,
            digest: description.digest,
            artifact: None,
            root: folder.join("root"),
            runners: runners
                .map(|(name, r)| (name, Runner { argv: r.argv, interrupt: r.interrupt }))
                .collect(),
            shell: description.shell.argv,
            browser: description.browser.map(|browser| browser.argv),
            wasm: description.wasm,
            env: description.env,
            zygote,
        })
    }
}
