//! The command line's side of the native door: plain HTTP, JSON, server-sent events.
//!
//! It uses public routes only, so whatever it can do, `curl` can do.

mod browser;
mod endpoint;
mod sse;
mod wire;

pub(crate) use browser::Performed;
pub(crate) use endpoint::{Endpoint, EndpointError, encode_path};
pub(crate) use wire::{Done, Session, Step};

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderValue};
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::client::legacy::Client as Pool;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::Value;
use sse::{SseEvent, SseParser};
use std::time::Duration;

/// A server on this machine answers at once or not at all.
const CONNECT: Duration = Duration::from_secs(5);
/// Longest answer that is held in memory.
const LONGEST: usize = 256 << 20;

/// A client of one server.
pub(crate) struct Client {
    pool: Pool<HttpConnector, Full<Bytes>>,
    endpoint: Endpoint,
    token: Option<HeaderValue>,
}

/// Why a request has no answer, or not a good one.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ClientError {
    /// Nobody listens.
    #[error("no cloister server answers at {0}; start one with `cloister serve`, or name it with --endpoint")]
    NoServer(Endpoint),
    /// The server's own words.
    #[error("{message}")]
    Refused {
        /// The kind, for programs.
        code: String,
        /// The text, for people.
        message: String,
    },
    /// The connection broke, or the answer is not one of a cloister server.
    #[error("{endpoint}: {what}")]
    Broken {
        /// Which server.
        endpoint: Endpoint,
        /// What happened.
        what: String,
    },
    /// The token cannot stand in a header.
    #[error("CLOISTER_TOKEN holds characters that no token has; take it from `cloister env`")]
    Token,
}

impl Client {
    /// A client; nothing is connected yet.
    pub(crate) fn new(endpoint: Endpoint, token: Option<&str>) -> Result<Self, ClientError> {
        let header = |token: &str| {
            let mut value =
                HeaderValue::from_str(&format!("Bearer {token}")).map_err(|_| ClientError::Token)?;
            value.set_sensitive(true);
            Ok(value)
        };
        let token = token.filter(|token| !token.is_empty()).map(header).transpose()?;
        let mut connector = HttpConnector::new();
        connector.set_connect_timeout(Some(CONNECT));
        connector.set_nodelay(true);
        // A request that is sent twice runs its code twice.
        let pool = Pool::builder(TokioExecutor::new()).retry_canceled_requests(false).build(connector);
        Ok(Self { pool, endpoint, token })
    }

    /// The server's address.
    pub(crate) fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// JSON in, JSON out.
    pub(crate) async fn json(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<Value, ClientError> {
        let body = body.map(|value| ("application/json", Bytes::from(value.to_string())));
        let response = self.send(method, path, "application/json", body).await?;
        let bytes = self.read(response).await?;
        if bytes.is_empty() {
            return Ok(Value::Null);
        }
        serde_json::from_slice(&bytes)
            .map_err(|error| self.broken(format!("the answer is not JSON: {error}")))
    }

    /// JSON in, events out.
    pub(crate) async fn events(&self, path: &str, body: &Value) -> Result<Events<'_>, ClientError> {
        let body = Some(("application/json", Bytes::from(body.to_string())));
        let response = self.send(Method::POST, path, "text/event-stream", body).await?;
        Ok(Events {
            client: self,
            body: response.into_body(),
            parser: SseParser::default(),
            ready: Vec::new().into_iter(),
        })
    }

    /// Sends a file's content.
    pub(crate) async fn upload(&self, path: &str, content: Bytes) -> Result<(), ClientError> {
        let body = Some(("application/octet-stream", content));
        let response = self.send(Method::PUT, path, "application/json", body).await?;
        self.read(response).await.map(drop)
    }

    /// The body of an answer, to be read piece by piece.
    pub(crate) async fn download(&self, path: &str) -> Result<Download<'_>, ClientError> {
        let response = self.send(Method::GET, path, "*/*", None).await?;
        Ok(Download { client: self, body: response.into_body() })
    }

    async fn send(
        &self,
        method: Method,
        path: &str,
        accept: &'static str,
        body: Option<(&'static str, Bytes)>,
    ) -> Result<Response<Incoming>, ClientError> {
        let mut request =
            Request::builder().method(method).uri(self.endpoint.join(path)).header(ACCEPT, accept);
        if let Some(token) = &self.token {
            request = request.header(AUTHORIZATION, token);
        }
        let content = match body {
            Some((kind, content)) => {
                request = request.header(CONTENT_TYPE, kind);
                content
            }
            None => Bytes::new(),
        };
        let request = request.body(Full::new(content)).map_err(|error| self.broken(error.to_string()))?;
        let response = self.pool.request(request).await.map_err(|error| {
            if error.is_connect() {
                ClientError::NoServer(self.endpoint.clone())
            } else {
                self.broken(chain(&error))
            }
        })?;
        if response.status().is_success() { Ok(response) } else { Err(self.refusal(response).await) }
    }

    async fn refusal(&self, response: Response<Incoming>) -> ClientError {
        let status = response.status();
        let body = match self.read(response).await {
            Ok(body) => body,
            Err(error) => return error,
        };
        let (code, message) = wire::refusal(&body).unwrap_or_else(|| {
            (
                "http".to_owned(),
                format!("{} answered {status}, and not as a cloister server does", self.endpoint),
            )
        });
        let message = match status {
            StatusCode::UNAUTHORIZED => {
                format!("{message}; eval \"$(cloister env)\" sets the server's token")
            }
            _ => message,
        };
        ClientError::Refused { code, message }
    }

    async fn read(&self, response: Response<Incoming>) -> Result<Bytes, ClientError> {
        let limited = http_body_util::Limited::new(response.into_body(), LONGEST);
        let collected = limited.collect().await.map_err(|error| self.broken(error.to_string()))?;
        Ok(collected.to_bytes())
    }

    fn broken(&self, what: String) -> ClientError {
        ClientError::Broken { endpoint: self.endpoint.clone(), what }
    }
}

/// The events of one call.
pub(crate) struct Events<'a> {
    client: &'a Client,
    body: Incoming,
    parser: SseParser,
    ready: std::vec::IntoIter<SseEvent>,
}

impl Events<'_> {
    /// The next step; `None` at the end of the answer.
    pub(crate) async fn next(&mut self) -> Result<Option<Step>, ClientError> {
        loop {
            if let Some(SseEvent { name, data }) = self.ready.next() {
                let step = Step::read(&name, &data);
                return step
                    .map(Some)
                    .ok_or_else(|| self.client.broken(format!("the event `{name}` holds nonsense")));
            }
            let Some(data) = next_data(self.client, &mut self.body).await? else { return Ok(None) };
            let events = self.parser.push(&data).map_err(|error| self.client.broken(error.to_string()))?;
            self.ready = events.into_iter();
        }
    }
}

/// The content of one file.
pub(crate) struct Download<'a> {
    client: &'a Client,
    body: Incoming,
}

impl Download<'_> {
    /// The next piece; `None` at the end.
    pub(crate) async fn next(&mut self) -> Result<Option<Bytes>, ClientError> {
        next_data(self.client, &mut self.body).await
    }
}

async fn next_data(client: &Client, body: &mut Incoming) -> Result<Option<Bytes>, ClientError> {
    while let Some(frame) = body.frame().await {
        let frame =
            frame.map_err(|error| client.broken(format!("the answer broke off: {}", chain(&error))))?;
        if let Ok(data) = frame.into_data() {
            return Ok(Some(data));
        }
    }
    Ok(None)
}

/// An error with its causes: hyper's own words alone say little.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        text.push_str(&format!(": {cause}"));
        next = cause.source();
    }
    text
}
