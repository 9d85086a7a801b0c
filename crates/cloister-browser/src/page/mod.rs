//! Page actions of the native door: steps that run in order on the current tab and stop at the first that fails.
//!
//! ```text
//!   perform(steps, timeout) ──▶ run.rs ──▶ one file per family ──▶ locate.rs (element) ──▶ world.rs (our scripts)
//!        │                                                                                    │
//!        │ a step runs out of time                       isolated world: the page neither sees nor changes it
//!        └──▶ rescue.rs: ends the script that holds the page
//!
//!   events ──▶ desk.rs (tabs come and go) · watch.rs (one tab's state) · log.rs (console, requests, downloads)
//! ```

mod capture;
mod click;
mod console;
mod cookies;
mod desk;
mod dialogs;
mod downloads;
mod evaluate;
mod extract;
mod files;
mod history;
mod locate;
mod log;
mod navigate;
mod network;
mod pdf;
mod prepare;
mod press;
pub(crate) mod rescue;
mod run;
mod scroll;
mod select;
mod settle;
mod similar;
mod snapshot;
mod tabs;
#[cfg(test)]
mod tests;
mod tree;
mod trouble;
mod typing;
mod upload;
mod wait;
mod watch;
mod world;

pub(crate) use desk::{Settings, Tabs};
pub(crate) use dialogs::Dialogs;
#[cfg(test)]
pub(crate) use files::Files;
pub(crate) use files::SandboxFiles;
pub(crate) use run::perform;
