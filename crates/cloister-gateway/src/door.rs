//! What every request passes before a handler sees it, in this order.
//!
//! ```text
//! request id ─▶ Host and Origin ─▶ draining? ─▶ Caller (live view: and Access) ─▶ authorize ─▶ handler ─▶ log line, security headers
//! ```

use crate::auth::{Action, Auth, Caller, Presigned, Resource, authorize};
use crate::state::Gateway;
use crate::wire_error::Refusal;
use crate::{agentcore, auth, host_check, live_view, native, peer, percent};
use axum::body::{Body, HttpBody as _};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, Response, StatusCode, header};
use axum::middleware::Next;
use cloister_core::error::{Error, Kind};
use futures_util::{FutureExt as _, StreamExt as _, stream};
use std::panic::AssertUnwindSafe;
use std::time::Instant;

/// The header that AWS SDKs show as the request's id.
const REQUEST_ID: &str = "x-amzn-requestid";

/// Paths that a supervisor asks without a credential, also while the server drains.
const HEALTH: [&str; 3] = ["/healthz", "/livez", "/readyz"];

/// The middleware around the whole router.
pub(crate) async fn pass(State(gateway): State<Gateway>, mut request: Request, next: Next) -> Response<Body> {
    let began = Instant::now();
    let id = request_id();
    let native = native::is_native(request.uri().path());
    let refused = match live_view::place(request.uri().path()) {
        // A person looks at it.
        Some((live_view::Place::Page, _)) => |_, refusal: &Refusal| live_view::refused(refusal),
        _ => refused,
    };
    let method = request.method().clone();
    let mut response = match admit(&gateway, native, &mut request).await {
        Err(refusal) => refused(native, &refusal),
        // A panic must cost one request and leave a typed answer, not a connection that breaks off.
        Ok(()) => {
            let caller = request.extensions().get::<Caller>().cloned();
            let origin = caller.as_ref().map(Caller::origin).unwrap_or_default();
            match AssertUnwindSafe(origin.scope(next.run(request))).catch_unwind().await {
                Ok(response) => match caller {
                    Some(caller) => cut_at_the_end_of_its_key(&gateway, &caller, response),
                    None => response,
                },
                Err(_) => {
                    let error = Error::internal("the request could not be answered", "a handler panicked");
                    refused(native, &error.into())
                }
            }
        }
    };
    let status = response.status().as_u16();
    let millis = began.elapsed().as_millis() as u64;
    tracing::debug!(request_id = id, %method, native, status, millis, "request");
    if let Ok(value) = HeaderValue::from_str(&id) {
        response.headers_mut().insert(REQUEST_ID, value);
    }
    harden(response.headers_mut());
    response
}

async fn admit(gateway: &Gateway, native: bool, request: &mut Request) -> Result<(), Refusal> {
    host_check::check(gateway.config(), request.method(), request.uri(), request.headers())?;
    if HEALTH.contains(&request.uri().path()) {
        return Ok(());
    }
    if gateway.is_draining() {
        let error = Error::new(Kind::Throttled, "the server is shutting down; send the request again later");
        return Err(Refusal::http(StatusCode::SERVICE_UNAVAILABLE, "ServiceUnavailableException", error));
    }
    if live_view::is_asset(request.uri().path()) {
        return Ok(());
    }
    let path = request.uri().path().to_owned();
    let caller = if let Some((place, session)) = live_view::place(&path) {
        let (caller, access) = live_view::admit(gateway, place, session, request).await?;
        request.extensions_mut().insert(access);
        caller
    } else if let Some(place) = agentcore::stream::route(&path) {
        live_view::admit_client(gateway, place.session(), request).await?
    } else {
        let who = auth::identify(gateway, request, Presigned::Refused).await;
        who.map_err(|denied| denied.refusal(native))?
    };
    let caller = Caller { source: peer::source(gateway.config(), request), ..caller };
    request.extensions_mut().insert(caller.principal.clone());
    request.extensions_mut().insert(caller);
    Ok(())
}

/// The answer; one that is still being made breaks off when the caller's key ends, so that it cannot be taken for a whole one.
fn cut_at_the_end_of_its_key(gateway: &Gateway, caller: &Caller, response: Response<Body>) -> Response<Body> {
    if response.body().size_hint().exact().is_some() || matches!(gateway.config().auth, Auth::Off) {
        return response;
    }
    let revoked = gateway.revoked(caller);
    response.map(|body| {
        let state = Some((body.into_data_stream(), Box::pin(revoked)));
        Body::from_stream(stream::unfold(state, |state| async {
            let (mut data, mut revoked) = state?;
            tokio::select! {
                biased;
                piece = data.next() => match piece? {
                    Ok(piece) => Some((Ok(piece), Some((data, revoked)))),
                    Err(error) => Some((Err(error), None)),
                },
                () = &mut revoked => Some((Err(axum::Error::new("the caller's key has ended")), None)),
            }
        }))
    })
}

/// The middleware around each native route: whether the caller may do what the route does.
pub(crate) async fn permit(gateway: Gateway, action: Action, request: Request, next: Next) -> Response<Body> {
    let path = request.uri().path();
    let session = path.strip_prefix("/v1/sessions/").or_else(|| live_view::place(path).map(|(_, id)| id));
    // Decoded, as the handlers read it: one session has one name in policies, however a client spells it.
    let session =
        session.and_then(|rest| rest.split('/').next()).map(|id| percent::decode(id).unwrap_or_default());
    let resource = session.as_deref().map_or(Resource::Server, Resource::Session);
    let allowed = match request.extensions().get::<Caller>() {
        _ if action == Action::Public => Ok(()),
        Some(caller) => authorize(&gateway, caller, action, resource),
        None => {
            Err(Error::internal("the request could not be answered", "no caller on a route that needs one"))
        }
    };
    match allowed {
        Ok(()) => next.run(request).await,
        Err(error) => native::error_response(&error.into()),
    }
}

fn refused(native: bool, refusal: &Refusal) -> Response<Body> {
    let mut response =
        if native { native::error_response(refusal) } else { agentcore::error_response(refusal) };
    let extra = match response.status() {
        StatusCode::SERVICE_UNAVAILABLE => Some((header::RETRY_AFTER, HeaderValue::from_static("1"))),
        StatusCode::UNAUTHORIZED => Some((header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"))),
        _ => None,
    };
    response.headers_mut().extend(extra);
    response
}

/// Headers that no answer goes without. There is no CORS header among them, on purpose.
fn harden(headers: &mut HeaderMap) {
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert("cross-origin-resource-policy", HeaderValue::from_static("same-origin"));
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
}

/// A random UUID. Without a random source the id is empty rather than the request refused: it is for logs
/// only.
fn request_id() -> String {
    let mut bytes = [0u8; 16];
    if getrandom::fill(&mut bytes).is_err() {
        return String::new();
    }
    let mut value = u128::from_be_bytes(bytes);
    value = value & !(0xf << 76) | 4 << 76;
    value = value & !(0x3 << 62) | 2 << 62;
    let hex = format!("{value:032x}");
    format!("{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn request_ids_are_random_uuids() {
        let (a, b) = (request_id(), request_id());
        assert_ne!(a, b);
        assert_eq!((a.len(), a.as_bytes()[14], &a[8..9]), (36, b'4', "-"));
        assert!(matches!(a.as_bytes()[19], b'8' | b'9' | b'a' | b'b'));
    }
}
