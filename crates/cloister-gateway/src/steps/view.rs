//! What page actions gave, as JSON.

use crate::config::GatewayConfig;
use crate::native::file_url;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use cloister_core::SessionId;
use cloister_core::browser::page::{Given, Performed};
use serde_json::{Value, json};

/// `results` holds one entry per page action that was begun; `failed` names the one that failed, which is the last.
pub(super) fn answer(config: &GatewayConfig, id: &SessionId, performed: &[Performed]) -> Value {
    let failed = performed.iter().enumerate().find_map(|(index, step)| {
        let error = step.result.as_ref().err()?;
        Some(json!({ "index": index, "action": step.name, "code": error.code, "message": error.message }))
    });
    let results: Vec<_> = performed.iter().map(|step| result(config, id, step)).collect();
    json!({ "results": results, "failed": failed })
}

fn result(config: &GatewayConfig, id: &SessionId, step: &Performed) -> Value {
    let mut entry = json!({ "action": step.name, "seconds": step.took.as_secs_f64(), "url": step.url });
    match &step.result {
        Ok(Given::Done) => {}
        Ok(Given::Text(text)) => entry["text"] = text.as_str().into(),
        Ok(Given::Json(value)) => entry["value"] = value.clone(),
        Ok(Given::Binary { data, mime, path }) => {
            entry["mimeType"] = (*mime).into();
            entry["size"] = data.len().into();
            match path {
                // It can be fetched as often as it is wanted; in base64 as well it would cross the wire twice.
                Some(path) => entry["file"] = json!({ "path": path, "url": file_url(config, id, path) }),
                None => entry["data"] = STANDARD.encode(data).into(),
            }
        }
        Err(error) => entry["error"] = json!({ "code": error.code, "message": error.message }),
    }
    entry
}
