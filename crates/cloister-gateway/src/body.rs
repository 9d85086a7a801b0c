//! Request bodies: read whole, with a limit, a deadline and a budget for all of them together.

use crate::state::Gateway;
use crate::wire_error::Refusal;
use axum::body::Body;
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode, header};
use bytes::{Bytes, BytesMut};
use cloister_core::error::{Error, Kind, Reason};
use http_body_util::BodyExt as _;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Instant, timeout, timeout_at};

/// Bytes of a JSON request: the model's blob of 100,000,000 bytes in base64, and room for the rest.
pub(crate) const JSON_LIMIT: usize = 140_000_000;
/// Bytes of a file that is uploaded as it is.
pub(crate) const FILE_LIMIT: usize = 100_000_000;
/// Bytes that a body may have without asking the budget: calls of normal size never wait for large uploads.
const SMALL: usize = 256 * 1024;
/// What a large body takes in memory, in its own size: itself, what is decoded from it, and what is gathered from
/// that for the sandbox.
const COPIES: usize = 3;
/// Longest silence within a body. Stops clients that send a byte a minute to hold memory.
const IDLE: Duration = Duration::from_secs(30);
/// Longest time for a whole body: 140 MB at 2.5 Mbit/s.
const WHOLE: Duration = Duration::from_secs(450);
/// Longest wait for a place in the budget.
const QUEUE: Duration = Duration::from_secs(30);

/// A body, with its place in the budget.
#[derive(Clone, Debug)]
pub(crate) struct Held {
    pub(crate) bytes: Bytes,
    _place: Option<Arc<OwnedSemaphorePermit>>,
}

/// The body of a request: what the door has read already because a signature covers it (`auth/mod.rs`), or else what arrives.
pub(crate) async fn take(
    gateway: &Gateway,
    parts: &Parts,
    body: Body,
    limit: usize,
) -> Result<Held, Refusal> {
    match parts.extensions.get::<Held>() {
        Some(held) if held.bytes.len() > limit => Err(too_large(limit)),
        Some(held) => Ok(held.clone()),
        None => read(gateway, &parts.headers, body, limit).await,
    }
}

/// Reads a body of at most `limit` bytes.
pub(crate) async fn read(
    gateway: &Gateway,
    headers: &HeaderMap,
    body: Body,
    limit: usize,
) -> Result<Held, Refusal> {
    // Nothing is unpacked here, and what says that it is packed is not read as if it were not.
    if headers.get_all(header::CONTENT_ENCODING).iter().any(|encoding| encoding != "identity") {
        return Err(packed());
    }
    let declared =
        headers.get(header::CONTENT_LENGTH).and_then(|v| v.to_str().ok()).and_then(|v| v.parse().ok());
    if declared.is_some_and(|length: usize| length > limit) {
        return Err(too_large(limit));
    }
    let mut body = body;
    let mut bytes = BytesMut::new();
    let mut place = None;
    if let Some(length) = declared.filter(|length| *length > SMALL) {
        place = Some(reserve(gateway, length).await?);
    }
    let whole = Instant::now() + WHOLE;
    loop {
        let next = timeout_at(whole.min(Instant::now() + IDLE), body.frame()).await;
        let frame = match next.map_err(|_| too_slow())? {
            None => break,
            Some(Ok(frame)) => frame,
            Some(Err(source)) => {
                let error =
                    Error::invalid(Reason::CannotParse, "the request body ended early").with_source(source);
                return Err(error.into());
            }
        };
        let Ok(data) = frame.into_data() else { continue };
        if bytes.len() + data.len() > limit {
            return Err(too_large(limit));
        }
        if place.is_none() && bytes.len() + data.len() > SMALL {
            // Without a declared length the worst case is reserved: to grow a place step by step could wait
            // for ever on another body that does the same.
            place = Some(reserve(gateway, limit).await?);
        }
        bytes.extend_from_slice(&data);
    }
    Ok(Held { bytes: bytes.freeze(), _place: place.map(Arc::new) })
}

/// Reads a JSON body. It must be labelled as JSON: a web page can send `text/plain` and forms to any server
/// without asking, and `application/json` only after a preflight that we never allow.
pub(crate) async fn read_json(gateway: &Gateway, parts: &Parts, body: Body) -> Result<Held, Refusal> {
    let held = take(gateway, parts, body, JSON_LIMIT).await?;
    if held.bytes.is_empty() || is_json(&parts.headers) {
        return Ok(held);
    }
    let error = Error::invalid(
        Reason::CannotParse,
        "the request body must be JSON in UTF-8 and say so: send the header content-type: application/json",
    );
    Err(Refusal::http(StatusCode::UNSUPPORTED_MEDIA_TYPE, "ValidationException", error))
}

/// The text of a JSON body; none counts as an empty object.
pub(crate) fn or_empty(bytes: &[u8]) -> &[u8] {
    if bytes.is_empty() { b"{}" } else { bytes }
}

fn is_json(headers: &HeaderMap) -> bool {
    let mut values = headers.get_all(header::CONTENT_TYPE).iter();
    let (Some(value), None) = (values.next(), values.next()) else { return false };
    let Ok(value) = value.to_str() else { return false };
    let mut parts = value.split(';').map(|part| part.trim().to_ascii_lowercase());
    let kind = parts.next().unwrap_or_default();
    (kind == "application/json" || kind == "application/x-amz-json-1.1")
        && parts.all(|parameter| matches!(parameter.as_str(), "charset=utf-8" | "charset=\"utf-8\"" | ""))
}

async fn reserve(gateway: &Gateway, length: usize) -> Result<OwnedSemaphorePermit, Refusal> {
    let permits = u32::try_from(length.saturating_mul(COPIES).div_ceil(1 << 20)).unwrap_or(u32::MAX);
    let place = timeout(QUEUE, gateway.bodies().clone().acquire_many_owned(permits)).await;
    place.ok().and_then(Result::ok).ok_or_else(|| {
        Error::new(Kind::Throttled, "too many large requests at once; send this one again later").into()
    })
}

fn packed() -> Refusal {
    let error = Error::invalid(
        Reason::CannotParse,
        "the request body is compressed, which this server does not take: send it as it is",
    );
    Refusal::http(StatusCode::UNSUPPORTED_MEDIA_TYPE, "ValidationException", error)
}

fn too_large(limit: usize) -> Refusal {
    let error = Error::invalid(
        Reason::CannotParse,
        format!(
            "the request body is larger than {limit} bytes; send large data in parts, or let the session fetch it"
        ),
    );
    Refusal::http(StatusCode::PAYLOAD_TOO_LARGE, "ValidationException", error)
}

fn too_slow() -> Refusal {
    let error = Error::invalid(Reason::CannotParse, "the request body did not arrive in time");
    Refusal::http(StatusCode::REQUEST_TIMEOUT, "ValidationException", error)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::GatewayConfig;
    use cloister_core::session::Backends;
    use cloister_core::session::config::ManagerConfig;
    use cloister_core::session::interpreters::Interpreters;
    use cloister_core::session::manager::SessionManager;
    use cloister_core::testing::MemoryStore;
    use futures_util::StreamExt as _;
    use futures_util::stream;
    use std::convert::Infallible;

    fn gateway() -> Gateway {
        let store = Arc::new(MemoryStore::new());
        let manager = SessionManager::new(
            Backends::default(),
            store,
            Interpreters::default(),
            ManagerConfig::default(),
        );
        Gateway::new(manager, GatewayConfig::new([0; 32]))
    }

    fn chunks(count: usize) -> impl stream::Stream<Item = Result<Bytes, Infallible>> {
        stream::iter((0..count).map(|_| Ok(Bytes::from_static(b"0123456789"))))
    }

    #[tokio::test]
    async fn a_body_above_the_limit_is_refused_although_it_declares_no_length() {
        let read = |count| async move {
            read(&gateway(), &HeaderMap::new(), Body::from_stream(chunks(count)), 100).await
        };
        assert_eq!(read(10).await.unwrap().bytes.len(), 100);
        assert_eq!(read(11).await.unwrap_err().status(), StatusCode::PAYLOAD_TOO_LARGE);
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_stops_arriving_is_given_up() {
        let body = Body::from_stream(chunks(1).chain(stream::pending()));
        let began = Instant::now();
        let refusal = read(&gateway(), &HeaderMap::new(), body, 100).await.unwrap_err();
        assert_eq!((refusal.status(), began.elapsed()), (StatusCode::REQUEST_TIMEOUT, IDLE));
    }

    #[tokio::test(start_paused = true)]
    async fn large_bodies_wait_for_a_place_and_small_ones_never_do() {
        let gateway = gateway();
        let mut headers = HeaderMap::new();
        headers.insert(header::CONTENT_LENGTH, JSON_LIMIT.to_string().parse().unwrap());
        let mut held = Vec::new();
        for _ in 0..2 {
            held.push(read(&gateway, &headers, Body::empty(), JSON_LIMIT).await.unwrap());
        }
        let refusal = read(&gateway, &headers, Body::empty(), JSON_LIMIT).await.unwrap_err();
        assert_eq!(refusal.status(), StatusCode::TOO_MANY_REQUESTS);
        read(&gateway, &HeaderMap::new(), Body::from_stream(chunks(10)), JSON_LIMIT).await.unwrap();
        held.pop();
        read(&gateway, &headers, Body::empty(), JSON_LIMIT).await.unwrap();
    }

    #[test]
    fn only_json_in_utf8_counts_as_json() {
        for (value, ok) in [
            ("application/json", true),
            ("Application/JSON; charset=UTF-8", true),
            ("application/x-amz-json-1.1", true),
            ("application/json; charset=utf-7", false),
            ("text/plain", false),
            ("application/x-www-form-urlencoded", false),
            ("multipart/form-data; boundary=x", false),
            ("text/plain; application/json", false),
            ("application/jsonx", false),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(header::CONTENT_TYPE, value.parse().unwrap());
            assert_eq!(is_json(&headers), ok, "{value}");
        }
        assert!(!is_json(&HeaderMap::new()));
    }
}
