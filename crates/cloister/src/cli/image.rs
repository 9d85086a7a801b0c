//! `cloister image`: what sandboxes have as their root file system.

use super::Failure;
use crate::locate::Installation;
use crate::output::{Cell, Output, size};
use cloister_process::{Image, ImageError};
use serde_json::json;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Command as Process, ExitCode};

/// `cloister image …`
#[derive(clap::Subcommand, Debug)]
pub(crate) enum Command {
    /// List the images that sessions can run in
    Ls(Ls),
    /// Build one image, or all, from the source tree
    Build(Build),
}

/// Arguments of `cloister image ls`.
#[derive(clap::Args, Debug)]
pub(crate) struct Ls {
    /// Folder of built images [default: beside the program, else ~/.cache/cloister/images]
    #[arg(long, value_name = "DIR", env = "CLOISTER_IMAGES")]
    images: Option<PathBuf>,
}

/// Arguments of `cloister image build`.
#[derive(clap::Args, Debug)]
pub(crate) struct Build {
    /// Name of the image; all of them without one
    name: Option<String>,
}

pub(crate) fn run(command: &Command, out: Output) -> Result<ExitCode, Failure> {
    match command {
        Command::Ls(args) => list(args, out).map(|()| ExitCode::SUCCESS),
        Command::Build(args) => build(args),
    }
}

/// Every image in a folder, by name: each is a folder in which `current` leads to the version in force.
pub(crate) fn images(folder: &Path) -> io::Result<Vec<(String, Result<Image, ImageError>)>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.join("current").is_dir() {
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            found.push((name.clone(), Image::load(folder, &name)));
        }
    }
    found.sort_by(|a, b| a.0.cmp(&b.0));
    Ok(found)
}

fn list(args: &Ls, out: Output) -> Result<(), Failure> {
    let folder = match &args.images {
        Some(folder) => folder.clone(),
        None => Installation::current()?.images()?,
    };
    let found = images(&folder).map_err(|error| Failure::new(format!("{}: {error}", folder.display())))?;
    let (mut rows, mut items) = (Vec::<[Cell; 5]>::new(), Vec::new());
    for (name, image) in found {
        match image {
            Ok(image) => {
                let bytes = disk_usage(&image.root)?;
                let runtimes: Vec<&str> = image.runners.keys().map(String::as_str).collect();
                items.push(json!({
                    "name": name,
                    "description": image.description,
                    "digest": image.digest,
                    "runtimes": runtimes,
                    "bytes": bytes,
                    "root": image.root,
                }));
                let digest: String = image.digest.chars().take(12).collect();
                rows.push([
                    name.into(),
                    size(bytes).into(),
                    runtimes.join(",").into(),
                    digest.into(),
                    image.description.into(),
                ]);
            }
            Err(error) => {
                items.push(json!({ "name": name, "error": error.to_string() }));
                rows.push([name.into(), "".into(), "".into(), "".into(), Cell::bad(error.to_string())]);
            }
        }
    }
    if out.is_json() {
        return Ok(out.json(&json!({ "folder": folder, "images": items }))?);
    }
    Ok(out.table(["IMAGE", "SIZE", "RUNTIMES", "DIGEST", "DESCRIPTION"], &rows)?)
}

/// Bytes on disk, every file once, links not followed.
fn disk_usage(path: &Path) -> io::Result<u64> {
    let mut seen = std::collections::HashSet::new();
    let mut folders = vec![path.to_owned()];
    let mut blocks = 0;
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder)? {
            let entry = entry?;
            let metadata = entry.metadata()?;
            if metadata.is_dir() {
                folders.push(entry.path());
            } else if seen.insert((metadata.dev(), metadata.ino())) {
                blocks += metadata.blocks();
            }
        }
    }
    Ok(blocks * 512)
}

/// Hands over to the source tree's own build, whose progress goes to the terminal as it comes.
fn build(args: &Build) -> Result<ExitCode, Failure> {
    let Some(tree) = Installation::current()?.source_tree() else {
        return Err(Failure::new(
            "images are built from cloister's source tree, and this program does not lie in one; \
             clone it and run `make images` there, or copy a folder of built images beside this program",
        ));
    };
    let mut make = Process::new("make");
    make.arg("-C").arg(&tree).arg("images");
    if let Some(name) = &args.name {
        if !tree.join("sandbox-images").join(name).join("image.toml").is_file() || name.contains('/') {
            let folder = tree.join("sandbox-images");
            return Err(Failure::usage(format!("there is no image {name:?} in {}", folder.display())));
        }
        make.arg(format!("IMAGE={name}"));
    }
    eprintln!("cloister: building in {}", tree.display());
    let status = make.status().map_err(|error| Failure::new(format!("make: {error}")))?;
    if status.success() {
        Ok(ExitCode::SUCCESS)
    } else {
        Err(Failure::new(format!("the build of images failed ({status})")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_folders_with_a_version_in_force_are_images_and_damaged_ones_are_named() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["b/current", "a/current", "unfinished/0123"] {
            fs::create_dir_all(folder.path().join(name)).unwrap();
        }
        let found = images(folder.path()).unwrap();
        let names: Vec<_> = found.iter().map(|(name, image)| (name.as_str(), image.is_ok())).collect();
        assert_eq!(names, [("a", false), ("b", false)]);
    }

    #[test]
    fn a_hard_link_counts_once() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("a"), vec![1; 8192]).unwrap();
        let once = disk_usage(folder.path()).unwrap();
        fs::hard_link(folder.path().join("a"), folder.path().join("b")).unwrap();
        assert_eq!(disk_usage(folder.path()).unwrap(), once);
    }
}
