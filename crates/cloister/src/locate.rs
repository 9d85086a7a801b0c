//! Finds the files that belong to the program: the jail, the zygote's library, images, policies.
//!
//! ```text
//!   the folder of the (resolved) executable ─▶ ../lib/cloister ─▶ the folder above (cargo's deps/) ─▶ the user's cache (images)
//! ```
//!
//! The working directory is never looked at: it may be anybody's.

use std::path::{Path, PathBuf};

/// A file that is missing, with where it was looked for.
#[derive(Debug, thiserror::Error)]
#[error("{name} is missing (looked in {}); {advice}", places(.looked))]
pub(crate) struct Missing {
    name: String,
    looked: Vec<PathBuf>,
    advice: &'static str,
}

fn places(looked: &[PathBuf]) -> String {
    looked.iter().map(|p| p.display().to_string()).collect::<Vec<_>>().join(", ")
}

/// The folders of this installation, best first.
#[derive(Clone, Debug)]
pub(crate) struct Installation {
    folders: Vec<PathBuf>,
    cache: Option<PathBuf>,
}

impl Installation {
    /// The installation that the running executable belongs to.
    pub(crate) fn current() -> std::io::Result<Self> {
        let executable = std::env::current_exe()?.canonicalize()?;
        let cache = |name: &str, below: &str| {
            std::env::var_os(name).map(PathBuf::from).filter(|p| p.is_absolute()).map(|p| p.join(below))
        };
        let cache = cache("XDG_CACHE_HOME", "cloister").or_else(|| cache("HOME", ".cache/cloister"));
        Ok(Self::of(&executable, cache))
    }

    fn of(executable: &Path, cache: Option<PathBuf>) -> Self {
        let mut folders = Vec::new();
        if let Some(here) = executable.parent() {
            folders.push(here.to_owned());
            if let Some(above) = here.parent() {
                folders.push(above.join("lib/cloister"));
                // Test programs and benches live in target/<profile>/deps.
                if here.ends_with("deps") {
                    folders.push(above.to_owned());
                }
            }
        }
        Self { folders, cache }
    }

    /// The jail program.
    pub(crate) fn jail_program(&self) -> Result<PathBuf, Missing> {
        self.file(&["cloister-jail"])
    }

    /// The engine of the wasm tier.
    pub(crate) fn engine_program(&self) -> Result<PathBuf, Missing> {
        self.file(&["cloister-wasm"])
    }

    /// Where what is made of images for this machine is kept: the user's cache; `None` if the user has none.
    pub(crate) fn made(&self) -> Option<PathBuf> {
        self.cache.as_ref().map(|cache| cache.join("wasm"))
    }

    /// The library with which zygotes fork: as cargo calls it, or as an installation may.
    pub(crate) fn zygote_library(&self) -> Result<PathBuf, Missing> {
        self.file(&["libcloister_jail.so", "libcloister_zygote.so"])
    }

    /// The folder of built images.
    pub(crate) fn images(&self) -> Result<PathBuf, Missing> {
        let candidates = self.folders.iter().chain(&self.cache).map(|folder| folder.join("images"));
        pick(
            "images",
            candidates,
            Path::is_dir,
            "build them with `cloister image build`, or name their folder with --images",
        )
    }

    /// The folder of policies, if this installation brings one; else the embedded ones are in force.
    pub(crate) fn policies(&self) -> Option<PathBuf> {
        self.folders
            .iter()
            .map(|folder| folder.join("policies"))
            .find(|path| path.join("default.toml").is_file())
    }

    /// The source tree that this executable was built in, if it still lies in it: it holds the images' build scripts.
    pub(crate) fn source_tree(&self) -> Option<PathBuf> {
        let is_tree = |path: &Path| path.join("sandbox-images").is_dir() && path.join("Makefile").is_file();
        let above =
            self.folders.first().into_iter().flat_map(|folder| folder.ancestors()).map(Path::to_owned);
        // A target folder elsewhere: the tree where the crate was compiled.
        let compiled = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).map(Path::to_owned);
        above.chain(compiled).find(|path| is_tree(path))
    }

    /// The first of these names in the first folder that has one.
    fn file(&self, names: &[&str]) -> Result<PathBuf, Missing> {
        let candidates = self.folders.iter().flat_map(|folder| names.iter().map(|name| folder.join(name)));
        let advice = "build it with `make release`, or put it beside the executable";
        pick(names.first().copied().unwrap_or_default(), candidates, Path::is_file, advice)
    }
}

fn pick(
    name: &str,
    candidates: impl Iterator<Item = PathBuf>,
    exists: fn(&Path) -> bool,
    advice: &'static str,
) -> Result<PathBuf, Missing> {
    let mut looked = Vec::new();
    for candidate in candidates {
        if exists(&candidate) {
            return Ok(candidate);
        }
        looked.extend(candidate.parent().map(Path::to_owned));
        looked.dedup();
    }
    Err(Missing { name: name.to_owned(), looked, advice })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn what_lies_beside_the_executable_comes_before_the_cache() {
        let root = tempfile::tempdir().unwrap();
        let (bin, cache) = (root.path().join("bin"), root.path().join("cache"));
        fs::create_dir_all(cache.join("images")).unwrap();
        fs::create_dir_all(&bin).unwrap();
        let found = Installation::of(&bin.join("cloister"), Some(cache.clone()));
        assert_eq!(found.images().unwrap(), cache.join("images"));
        fs::create_dir_all(bin.join("images")).unwrap();
        assert_eq!(found.images().unwrap(), bin.join("images"));
    }

    #[test]
    fn a_test_program_finds_what_cargo_built() {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir_all(root.path().join("debug/deps")).unwrap();
        fs::write(root.path().join("debug/cloister-jail"), "").unwrap();
        let found = Installation::of(&root.path().join("debug/deps/test-0123"), None);
        assert_eq!(found.jail_program().unwrap(), root.path().join("debug/cloister-jail"));
    }

    #[test]
    fn a_missing_file_is_named_with_where_it_was_looked_for() {
        let missing = Installation::of(Path::new("/nowhere/bin/cloister"), None).jail_program().unwrap_err();
        let text = missing.to_string();
        assert!(text.contains("cloister-jail is missing") && text.contains("/nowhere/bin"), "{text}");
    }
}
