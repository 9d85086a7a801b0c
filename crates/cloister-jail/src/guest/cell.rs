//! The messages of a cell channel, between init and a driver. What a driver says is content of its call and nothing more.

use super::message::Form;
use serde::{Deserialize, Serialize};

/// Init to driver.
#[derive(Debug, Serialize)]
#[serde(tag = "op", rename_all = "snake_case")]
pub enum CellRequest {
    /// Run a cell; the blob is the code.
    Run {
        /// The call.
        id: String,
        /// `python`, `javascript`, `typescript`.
        language: String,
        /// Start from an empty context.
        clear: bool,
        /// Soft limit of the data segment.
        memory: u64,
        /// Bytes of one display.
        display: u64,
        /// Displays per call.
        displays: u32,
    },
    /// Fault in what a first cell needs.
    Warm,
}

/// Driver to init. Written by a process that guest code shares, so nothing of it is trusted beyond the call's content.
#[derive(Debug, Deserialize)]
#[serde(tag = "ev", rename_all = "snake_case")]
pub enum CellEvent {
    /// The driver is up.
    Ready {
        /// Version of the language.
        #[serde(default)]
        version: String,
    },
    /// Answer to `Warm`.
    Warmed,
    /// Something shown.
    Display {
        /// The call.
        id: String,
        /// Its forms.
        forms: Vec<Form>,
    },
    /// The last expression.
    Value {
        /// The call.
        id: String,
        /// Its forms.
        forms: Vec<Form>,
    },
    /// The uncaught exception; the blob is the traceback.
    Error {
        /// The call.
        id: String,
        /// Class.
        name: String,
        /// Message.
        message: String,
    },
    /// The end.
    Done {
        /// The call.
        id: String,
        /// `ok`, `error`, `exit`, `interrupted`.
        status: String,
        /// See PROTOCOL.md.
        #[serde(default)]
        exit_code: i32,
    },
}
