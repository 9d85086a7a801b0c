//! `/v1/sessions/{id}/files`: list, download with ranges, upload, remove.
//!
//! ```text
//! GET …/files/{path} ──ReadRange(first chunk)──▶ size, time ──▶ status, headers ──ReadRange(next chunk)…──▶ body
//! ```
//!
//! A download is read in chunks as fast as the client takes them, so the server's memory stays flat whatever
//! the file's size. The sandbox resolves the path; the host never opens it.

use super::disposition::attachment;
use super::error::NativeError;
use super::invoke::unexpected;
use super::ranges::{Wanted, wanted};
use super::request::{Members, session_id};
use super::view;
use crate::answer::collect;
use crate::auth::{Caller, calls};
use crate::body::{self, FILE_LIMIT};
use crate::state::Gateway;
use crate::timestamp::http_date;
use crate::wire_error::Refusal;
use crate::{guest_path, mime, percent};
use axum::Json;
use axum::body::Body;
use axum::extract::{Extension, Path, Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use cloister_core::SessionId;
use cloister_core::command::{NewFile, ToolCall};
use cloister_core::error::{Error, Kind};
use cloister_core::event::Outcome;
use cloister_core::session::InvokeOptions;
use futures_util::stream;
use serde_json::{Value, json};
use std::io;
use std::time::{SystemTime, UNIX_EPOCH};

/// Bytes of a download that are in memory at once.
const CHUNK: u64 = 4 << 20;

/// `GET /v1/sessions/{id}/files?path=`
pub(super) async fn list(
    State(gateway): State<Gateway>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
    request: Request,
) -> Result<Json<Value>, NativeError> {
    let (parts, _) = request.into_parts();
    let id = session_id(&id)?;
    let members = Members::of_query(&parts, &["path"])?;
    let path = members.text("path").unwrap_or_default();
    if let Err(message) = guest_path::directory(&path) {
        members.bad("path", message);
    }
    members.finish()?;
    let file = Target { gateway, caller, id, path };
    match file.call(ToolCall::ListFiles { path: file.path.clone() }).await? {
        Outcome::Listing { entries, truncated } => {
            let config = file.gateway.config();
            let entries: Vec<_> = entries.iter().map(|entry| view::entry(config, &file.id, entry)).collect();
            Ok(Json(json!({ "path": file.path, "entries": entries, "truncated": truncated })))
        }
        other => Err(not_found(&other).into()),
    }
}

/// `GET` and `HEAD /v1/sessions/{id}/files/{path}`
pub(super) async fn download(
    State(gateway): State<Gateway>,
    Extension(caller): Extension<Caller>,
    request: Request,
) -> Result<Response, NativeError> {
    let (parts, _) = request.into_parts();
    let file = Target::of(gateway, caller, &parts.uri)?;
    // The first look fetches nothing: it decides on the range, which the file's size decides on.
    let (version, _) = file.read(0, 0).await?;
    let Version { size, modified } = version;
    let etag = version.etag();
    let mut headers = HeaderMap::new();
    let mut put = |name: HeaderName, value: &str| {
        if let Ok(value) = HeaderValue::from_str(value) {
            headers.insert(name, value);
        }
    };
    put(header::ETAG, &etag);
    put(header::LAST_MODIFIED, &http_date(modified));
    put(header::ACCEPT_RANGES, "bytes");
    put(header::CACHE_CONTROL, "private, no-cache");
    if matches(parts.headers.get(header::IF_NONE_MATCH), &etag) {
        return Ok((StatusCode::NOT_MODIFIED, headers).into_response());
    }
    put(header::CONTENT_TYPE, mime::of(&file.path));
    put(header::CONTENT_DISPOSITION, &attachment(guest_path::name(&file.path)));
    put(header::CONTENT_SECURITY_POLICY, "sandbox; default-src 'none'");
    let range = parts.headers.get(header::RANGE).and_then(|value| value.to_str().ok());
    // A range of another version must not be glued to what the client has.
    let current = match parts.headers.get(header::IF_RANGE) {
        None => true,
        Some(condition) => condition.as_bytes() == etag.as_bytes() && !etag.starts_with("W/"),
    };
    let (status, first, length) = match wanted(range.filter(|_| current), size) {
        Wanted::Whole => (StatusCode::OK, 0, size),
        Wanted::Part { first, last } => {
            put(header::CONTENT_RANGE, &format!("bytes {first}-{last}/{size}"));
            (StatusCode::PARTIAL_CONTENT, first, last - first + 1)
        }
        Wanted::Unsatisfiable => {
            let error = Error::field("range", format!("must be one range within the file's {size} bytes"));
            let refusal = Refusal::http(StatusCode::RANGE_NOT_SATISFIABLE, "ValidationException", error);
            let mut response = NativeError::from(refusal).into_response();
            if let Ok(value) = HeaderValue::from_str(&format!("bytes */{size}")) {
                response.headers_mut().insert(header::CONTENT_RANGE, value);
            }
            return Ok(response);
        }
    };
    put(header::CONTENT_LENGTH, &length.to_string());
    let body = if parts.method == Method::HEAD { Body::empty() } else { file.body(version, first, length) };
    Ok((status, headers, body).into_response())
}

/// `PUT /v1/sessions/{id}/files/{path}`
pub(super) async fn upload(
    State(gateway): State<Gateway>,
    Extension(caller): Extension<Caller>,
    request: Request,
) -> Result<Json<Value>, NativeError> {
    let (parts, body) = request.into_parts();
    let file = Target::of(gateway, caller, &parts.uri)?;
    // A wrong session must not cost 100 MB of reading.
    file.gateway.manager().get(&file.caller.principal, None, &file.id).await?;
    let held = body::take(&file.gateway, &parts, body, FILE_LIMIT).await?;
    let size = held.bytes.len();
    let content = vec![NewFile { path: file.path.clone(), data: held.bytes.clone() }];
    match file.call(ToolCall::WriteFiles { content }).await? {
        Outcome::Written { .. } => {
            let url = super::file_url(file.gateway.config(), &file.id, &file.path);
            Ok(Json(json!({ "path": file.path, "size": size, "mimeType": mime::of(&file.path), "url": url })))
        }
        other => Err(unexpected(&other).into()),
    }
}

/// `DELETE /v1/sessions/{id}/files/{path}`
pub(super) async fn remove(
    State(gateway): State<Gateway>,
    Extension(caller): Extension<Caller>,
    request: Request,
) -> Result<StatusCode, NativeError> {
    let (parts, _) = request.into_parts();
    let file = Target::of(gateway, caller, &parts.uri)?;
    match file.call(ToolCall::RemoveFiles { paths: vec![file.path.clone()] }).await? {
        Outcome::Removed { failed, .. } => match failed.into_iter().next() {
            None => Ok(StatusCode::NO_CONTENT),
            Some(failure) => {
                Err(Error::new(Kind::NotFound, format!("{}: {}", failure.path, failure.reason)).into())
            }
        },
        other => Err(not_found(&other).into()),
    }
}

/// A file of a session, and who asks for it.
struct Target {
    gateway: Gateway,
    caller: Caller,
    id: SessionId,
    path: String,
}

impl Target {
    /// From the path as it stood in the request line: split first, then decoded once.
    fn of(gateway: Gateway, caller: Caller, uri: &Uri) -> Result<Self, Error> {
        let mut parts = uri.path().splitn(6, '/').skip(3);
        let (id, raw) = (parts.next().unwrap_or_default(), parts.nth(1).unwrap_or_default());
        let id = session_id(&percent::decode(id).unwrap_or_default())?;
        let path =
            percent::decode(raw).ok_or_else(|| Error::field("path", "must be UTF-8 in percent-encoding"))?;
        guest_path::relative(&path).map_err(|message| Error::field("path", message))?;
        Ok(Self { gateway, caller, id, path })
    }

    async fn call(&self, tool: ToolCall) -> Result<Outcome, Error> {
        let invocation =
            calls::invoke(&self.gateway, &self.caller, None, &self.id, tool, InvokeOptions::default())
                .await?;
        Ok(collect(invocation).await?.outcome)
    }

    async fn read(&self, offset: u64, length: u64) -> Result<(Version, Bytes), Error> {
        match self.call(ToolCall::ReadRange { path: self.path.clone(), offset, length }).await? {
            Outcome::Range { size, modified, data } => Ok((Version { size, modified }, data)),
            other => Err(not_found(&other)),
        }
    }

    /// The bytes from `first`, chunk by chunk. If the file changes meanwhile the body breaks off: half of one
    /// version and half of another must not look like a file.
    fn body(self, version: Version, first: u64, length: u64) -> Body {
        let steps = stream::unfold((self, first, length), move |(file, offset, left)| async move {
            if left == 0 {
                return None;
            }
            let chunk = match file.read(offset, left.min(CHUNK)).await {
                Ok((now, data)) if now == version && !data.is_empty() && data.len() as u64 <= left => {
                    Ok(data)
                }
                Ok(_) => Err(io::Error::other("the file changed while it was downloaded")),
                Err(error) => Err(io::Error::other(error)),
            };
            // After an error nothing follows.
            let (offset, left) = match &chunk {
                Ok(data) => (offset + data.len() as u64, left - data.len() as u64),
                Err(_) => (offset, 0),
            };
            Some((chunk, (file, offset, left)))
        });
        Body::from_stream(steps)
    }
}

/// What tells one content of a file from another without reading it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Version {
    size: u64,
    modified: i64,
}

impl Version {
    /// Times have whole seconds, so a file that changed a moment ago may change again under the same tag:
    /// weak until it has rested for two seconds.
    fn etag(self) -> String {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs());
        let rested = i64::try_from(now).is_ok_and(|now| now.saturating_sub(self.modified) >= 2);
        format!("{}\"{:x}-{:x}\"", if rested { "" } else { "W/" }, self.size, self.modified)
    }
}

/// Whether an If-None-Match header names a tag (weak comparison).
fn matches(header: Option<&HeaderValue>, etag: &str) -> bool {
    let bare = |tag: &str| tag.trim().trim_start_matches("W/").to_owned();
    let Some(header) = header.and_then(|value| value.to_str().ok()) else { return false };
    header.trim() == "*" || header.split(',').any(|tag| bare(tag) == bare(etag))
}

fn not_found(outcome: &Outcome) -> Error {
    match outcome {
        Outcome::Failed { message } => Error::new(Kind::NotFound, message.clone()),
        other => unexpected(other),
    }
}
