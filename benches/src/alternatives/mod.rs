//! What a user would pick instead, each with the same image and the same program.
//!
//! An alternative is ready to use when its constructor returns: it has run once and printed what it should. Otherwise the
//! constructor says why not, and that reason becomes the row.

mod bwrap;
mod chromium;
mod chroot;
mod driven;
mod eryx;
mod jupyter;
mod mounts;
mod native;
mod oci;
mod playwright;
mod spawned;

use crate::failure::Failure;

pub use chromium::{Door, Plain};
pub use chroot::Chroot;
pub use eryx::Eryx;
pub use jupyter::{Jupyter, Kernel};
pub use native::Native;
pub use playwright::Playwright;
pub use spawned::Spawned;

/// An alternative that can be used, or why it does not run here.
pub type Tried<T> = Result<T, String>;

/// An alternative that is a command line, by the name that the tables use.
pub type Named = (&'static str, Tried<Box<dyn Spawned>>);

/// Every alternative that is a command line.
pub fn spawned() -> Result<Vec<Named>, Failure> {
    Ok(vec![
        (Chroot::NAME, tried(Chroot::new())?.map(boxed)),
        (bwrap::Bwrap::NAME, tried(bwrap::Bwrap::new())?.map(boxed)),
        (oci::Crun::NAME, tried(oci::Crun::new())?.map(boxed)),
        (oci::Runsc::NAME, tried(oci::Runsc::new())?.map(boxed)),
    ])
}

/// Splits what the host cannot run from what went wrong.
pub fn tried<T>(made: Result<T, Failure>) -> Result<Tried<T>, Failure> {
    match made {
        Ok(made) => Ok(Ok(made)),
        Err(failure @ Failure::Unavailable(_)) => Ok(Err(failure.to_string())),
        Err(failure) => Err(failure),
    }
}

fn boxed<S: Spawned + 'static>(spawned: S) -> Box<dyn Spawned> {
    Box::new(spawned)
}
