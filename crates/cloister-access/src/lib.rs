//! Who may do what: Cedar policies as an authorizer of the gateway.
//!
//! ```text
//! policies/access/*.cedar ─▶ load.rs: parsed, named, validated against schema.cedarschema ─▶ Rules
//!                                                                                            │
//! gateway ─▶ Query ─▶ terms.rs: typed entities and context ─▶ cedar.rs: is_authorized ◀──────┘ ─▶ Decision, with the policy's name
//! ```
//!
//! The engine is a large dependency, so nothing else in the workspace links it (docs/adr/0015-cedar.md). No text of a caller is ever
//! parsed as Cedar: ids and attributes are handed over as values.
#![forbid(unsafe_code)]

mod cedar;
mod load;
mod memo;
mod terms;
#[cfg(test)]
mod tests;

pub use cedar::{Cedar, Standing};
pub use load::{AccessError, PolicyFile};
