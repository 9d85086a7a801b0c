//! The guest protocol (`sandbox-images/PROTOCOL.md`): one framing, the messages of the control and the cell channel, and what the file
//! tools answer wherever they run.

pub mod cell;
pub mod digest;
pub mod engine;
pub mod frame;
pub mod message;
pub mod path;
pub mod tools;
