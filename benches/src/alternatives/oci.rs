//! Container runtimes: crun, and gVisor's runsc. Both run the same bundle: the image read-only, every namespace, no network.

use super::mounts::{PrivateMounts, hide_unified, own_null};
use super::spawned::{Spawned, environment, first_results, try_out};
use crate::failure::Failure;
use crate::server;
use crate::work::{PRINT, Work};
use serde_json::{Value, json};
use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;
use tempfile::TempDir;

/// Bundles and the runtimes' own state.
#[derive(Debug)]
struct Bundles {
    folder: TempDir,
    root: PathBuf,
    env: Vec<(String, String)>,
    /// Bundles by program: written once, used for every start.
    written: Mutex<Vec<(String, PathBuf)>>,
    next: AtomicU32,
}

impl Bundles {
    fn new() -> Result<Self, Failure> {
        let folder = tempfile::Builder::new().prefix("cloister-bench-oci-").tempdir();
        let folder = folder.map_err(Failure::io("make a folder for bundles"))?;
        let (root, env) = (server::image()?.join("root"), environment()?);
        Ok(Self { folder, root, env, written: Mutex::default(), next: AtomicU32::new(0) })
    }

    /// The folder of the bundle that runs `code`.
    fn bundle(&self, code: &str) -> Result<PathBuf, Failure> {
        let mut written = self.written.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if let Some((_, bundle)) = written.iter().find(|(known, _)| known == code) {
            return Ok(bundle.clone());
        }
        let bundle = self.folder.path().join(format!("bundle-{}", written.len()));
        let write = || {
            fs::create_dir(&bundle)?;
            fs::write(bundle.join("config.json"), self.config(code).to_string())
        };
        write().map_err(Failure::io("write a bundle"))?;
        written.push((code.to_owned(), bundle.clone()));
        Ok(bundle)
    }

    fn config(&self, code: &str) -> Value {
        let env: Vec<String> = self.env.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let tmpfs = |place: &str| json!({ "destination": place, "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "nodev"] });
        let namespaces = ["pid", "network", "ipc", "uts", "mount"].map(|kind| json!({ "type": kind }));
        json!({
            "ociVersion": "1.0.0",
            "process": {
                "user": { "uid": 65532, "gid": 65532 },
                "args": ["/usr/bin/python3", "-c", code],
                "env": env,
                "cwd": "/workspace",
                "capabilities": {},
                "noNewPrivileges": true,
            },
            "root": { "path": self.root, "readonly": true },
            "mounts": [
                { "destination": "/proc", "type": "proc", "source": "proc" },
                // Without "nodev": the runtimes put null, zero and urandom there.
                { "destination": "/dev", "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "mode=755"] },
                tmpfs("/tmp"),
                tmpfs("/workspace"),
            ],
            "linux": {
                "namespaces": namespaces,
                "resources": { "memory": { "limit": 2_147_483_648_u64 }, "pids": { "limit": 256 } },
            },
        })
    }

    /// `<program> <options> --root STATE run --bundle BUNDLE ID`
    fn command(&self, program: &str, options: &[&str], code: &str) -> Result<Command, Failure> {
        let id = format!("bench-{}-{}", std::process::id(), self.next.fetch_add(1, Ordering::Relaxed));
        let mut command = Command::new(program);
        command.args(options).arg("--root").arg(self.folder.path().join("state"));
        command.args(["run", "--bundle"]).arg(self.bundle(code)?).arg(id);
        Ok(command)
    }
}

/// `crun run`, with cgroups, in a thread that sees one cgroup tree only.
#[derive(Debug)]
pub(super) struct Crun {
    bundles: Bundles,
    mounts: PrivateMounts,
}

impl Crun {
    /// As the tables call it.
    pub(super) const NAME: &'static str = "crun";

    /// On the image.
    pub(super) fn new() -> Result<Self, Failure> {
        let crun = Self { bundles: Bundles::new()?, mounts: PrivateMounts::enter(hide_unified)? };
        try_out("crun", || crun.first_results(PRINT, 1))?;
        Ok(crun)
    }
}

impl Spawned for Crun {
    fn name(&self) -> &str {
        Self::NAME
    }

    fn command(&self, code: &str) -> Result<Command, Failure> {
        self.bundles.command("crun", &[], code)
    }

    fn first_results(&self, work: Work, count: usize) -> Result<Duration, Failure> {
        let commands = (0..count).map(|_| self.command(work.code)).collect::<Result<Vec<_>, _>>()?;
        self.mounts.run(move || first_results("crun", commands, work.expected))?
    }
}

/// `runsc run`, Debian's build of 2022: its fastest platform here is ptrace (it does not know systrap, which came later).
#[derive(Debug)]
pub(super) struct Runsc {
    bundles: Bundles,
    mounts: PrivateMounts,
}

impl Runsc {
    /// As the tables call it.
    pub(super) const NAME: &'static str = "runsc (ptrace)";

    /// On the image.
    pub(super) fn new() -> Result<Self, Failure> {
        let bundles = Bundles::new()?;
        let null = bundles.folder.path().join("null");
        fs::create_dir(&null).map_err(Failure::io("make a folder for a null device"))?;
        let runsc = Self { bundles, mounts: PrivateMounts::enter(move || own_null(&null))? };
        try_out("runsc", || runsc.first_results(PRINT, 1))?;
        Ok(runsc)
    }
}

impl Spawned for Runsc {
    fn name(&self) -> &str {
        Self::NAME
    }

    fn command(&self, code: &str) -> Result<Command, Failure> {
        self.bundles.command("runsc", &["--platform=ptrace", "--network=none", "--ignore-cgroups"], code)
    }

    fn first_results(&self, work: Work, count: usize) -> Result<Duration, Failure> {
        let commands = (0..count).map(|_| self.command(work.code)).collect::<Result<Vec<_>, _>>()?;
        self.mounts.run(move || first_results("runsc", commands, work.expected))?
    }
}
