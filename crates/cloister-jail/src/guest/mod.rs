//! The guest protocol (`sandbox-images/PROTOCOL.md`): one framing, and the messages of the control and the cell channel.

pub mod cell;
pub mod frame;
pub mod message;
