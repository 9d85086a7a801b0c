//! `GET /v1/receipt-key`: the public key that this server's receipts are checked with.

use super::error::NativeError;
use crate::state::Gateway;
use axum::Json;
use axum::extract::State;
use cloister_core::error::{Error, Kind};
use cloister_core::receipt::PublicKey;
use serde_json::{Value, json};

/// The handler.
pub(super) async fn show(State(gateway): State<Gateway>) -> Result<Json<Value>, NativeError> {
    let key = gateway.manager().desk().signer().map(|signer| signer.public());
    let PublicKey { id, value } =
        key.ok_or_else(|| Error::new(Kind::NotFound, "this server does not sign receipts"))?;
    Ok(Json(json!({ "algorithm": "Ed25519", "key": id, "value": value })))
}
