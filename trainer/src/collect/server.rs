//! The collector over HTTP: `POST /v1/logs`, and what an operator looks at.
//!
//! One failure is one status and one stable code, in one match; errors are `application/problem+json`.
//! No more than so many batches are worked on at a time; who comes then is told to come again.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use edge_runtime::server::Problem;
use edge_runtime::server::body::{self, BodyError};
use edge_runtime::upload::batch::BatchError;
use metrics_exporter_prometheus::PrometheusHandle;
use tokio::sync::{Notify, Semaphore};

use super::accept::{AcceptError, Accepted};
use super::tokens::Tokens;
use super::{Collector, Round};

/// Longest time that a body may take to come.
const PATIENCE: Duration = Duration::from_secs(60);
/// Seconds after which to come again.
const RETRY_AFTER: &str = "1";
/// Time between two sweeps.
const SWEEP: Duration = Duration::from_secs(3_600);

/// What serves a collector.
#[derive(Clone)]
pub struct Server {
    collector: Arc<Collector>,
    tokens: Arc<Tokens>,
    metrics: PrometheusHandle,
    /// One for each batch that is worked on.
    room: Arc<Semaphore>,
    came: Arc<Notify>,
}

#[derive(Debug)]
enum ServerError {
    Token,
    Busy,
    Body(BodyError, usize),
    Header(&'static str),
    Encoding,
    Accept(AcceptError),
    NotFound,
    Method,
}

impl Server {
    /// A server that works on `in_flight` batches at a time.
    pub fn new(collector: Arc<Collector>, tokens: Tokens, metrics: PrometheusHandle, in_flight: usize) -> Server {
        let (room, came) = (Arc::new(Semaphore::new(in_flight)), Arc::default());
        Server { collector, tokens: Arc::new(tokens), metrics, room, came }
    }

    /// The routes.
    pub fn routes(&self) -> Router {
        Router::new()
            .route("/v1/logs", post(logs))
            .route("/healthz", get(|| async { "ok\n" }))
            .route("/readyz", get(ready))
            .route("/metrics", get(render_metrics))
            .fallback(|| async { ServerError::NotFound })
            .method_not_allowed_fallback(|| async { ServerError::Method })
            .layer(tower_http::trace::TraceLayer::new_for_http())
            .with_state(self.clone())
    }

    /// Compacts for as long as it is polled: some time after something came, and at least every minute.
    pub async fn compact(self, every: Duration) {
        let mut swept: Option<tokio::time::Instant> = None;
        loop {
            match self.collector.compact().await {
                Ok(Round { more: true, .. }) => continue,
                Ok(_) => {}
                Err(error) => tracing::error!(%error, "compaction failed; it is tried again, and nothing is lost"),
            }
            if swept.is_none_or(|at| at.elapsed() > SWEEP) {
                swept = Some(tokio::time::Instant::now());
                if let Err(error) = self.collector.sweep().await {
                    tracing::warn!(%error, "files that nothing names are left for the next sweep");
                }
            }
            let _ = tokio::time::timeout(Duration::from_secs(60), self.came.notified()).await;
            tokio::time::sleep(every).await;
        }
    }
}

async fn logs(State(server): State<Server>, headers: HeaderMap, body: Body) -> Result<Response, ServerError> {
    let taken = take(&server, &headers, body).await;
    let result = match &taken {
        Ok((_, Accepted::New)) => "new",
        Ok((_, Accepted::Again)) => "again",
        Err(error) => error.parts().1,
    };
    metrics::counter!("hearth_collect_batches_total", "result" => result).increment(1);
    let (batch, accepted) = taken?;
    if accepted == Accepted::New {
        server.came.notify_one();
    }
    Ok(Json(serde_json::json!({ "batch": batch, "duplicate": accepted == Accepted::Again })).into_response())
}

async fn take(server: &Server, headers: &HeaderMap, body: Body) -> Result<(String, Accepted), ServerError> {
    let text = |name: &'static str| headers.get(name).and_then(|value| value.to_str().ok());
    let token = text("authorization").and_then(|value| value.strip_prefix("Bearer ")).unwrap_or_default();
    let sender = server.tokens.name_of(token).ok_or(ServerError::Token)?;
    let room = server.room.try_acquire().map_err(|_| ServerError::Busy)?;
    let edge = text("hearth-edge").ok_or(ServerError::Header("hearth-edge"))?;
    let batch = text("hearth-batch").ok_or(ServerError::Header("hearth-batch"))?;
    if text("content-encoding") != Some("zstd") {
        return Err(ServerError::Encoding);
    }
    let most = server.collector.settings().sent_bytes;
    let body = body::read(headers, body, most, PATIENCE).await.map_err(|error| ServerError::Body(error, most))?;
    metrics::counter!("hearth_collect_bytes_total", "token" => sender.to_owned()).increment(body.len() as u64);
    // A client that goes away must not leave a batch half-way between the store and its being whole.
    let (collector, edge, name) = (Arc::clone(&server.collector), edge.to_owned(), batch.to_owned());
    let accepting = tokio::spawn(async move { collector.accept(&edge, &name, body.into()).await });
    let accepted = accepting.await.map_err(|_| ServerError::Accept(AcceptError::Stopping))?;
    drop(room);
    accepted.map(|accepted| (batch.to_owned(), accepted)).map_err(ServerError::Accept)
}

async fn ready(State(server): State<Server>) -> Response {
    let status = server.collector.status();
    let ready = status.problem.is_none();
    let code = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (code, Json(serde_json::json!({ "ready": ready, "compaction": status }))).into_response()
}

async fn render_metrics(State(server): State<Server>) -> Response {
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4")], server.metrics.render()).into_response()
}

impl ServerError {
    /// Status, stable code and name of a failure.
    fn parts(&self) -> (StatusCode, &'static str, &'static str) {
        match self {
            ServerError::Token => (StatusCode::UNAUTHORIZED, "unknown_token", "Unknown token"),
            ServerError::Busy => (StatusCode::SERVICE_UNAVAILABLE, "busy", "Busy"),
            ServerError::Body(BodyError::TooLarge, _) => {
                (StatusCode::PAYLOAD_TOO_LARGE, "body_too_large", "Body too large")
            }
            ServerError::Body(BodyError::Broken(_), _) => (StatusCode::BAD_REQUEST, "malformed_body", "Malformed body"),
            ServerError::Body(BodyError::TooSlow, _) => (StatusCode::REQUEST_TIMEOUT, "too_slow", "Too slow"),
            ServerError::Header(_) => (StatusCode::BAD_REQUEST, "missing_header", "Missing header"),
            ServerError::Encoding => {
                (StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_encoding", "Unsupported encoding")
            }
            ServerError::Accept(error) => match error {
                AcceptError::Name { .. } => (StatusCode::BAD_REQUEST, "malformed_name", "Malformed name"),
                AcceptError::Batch(BatchError::TooLarge { .. }) => {
                    (StatusCode::PAYLOAD_TOO_LARGE, "batch_too_large", "Batch too large")
                }
                AcceptError::Batch(_) => (StatusCode::BAD_REQUEST, "malformed_batch", "Malformed batch"),
                AcceptError::Reused { .. } => (StatusCode::CONFLICT, "batch_reused", "Batch name reused"),
                AcceptError::Store(_) => (StatusCode::SERVICE_UNAVAILABLE, "store_failed", "The store fails"),
                AcceptError::Stopping => (StatusCode::SERVICE_UNAVAILABLE, "stopping", "The collector is stopping"),
            },
            ServerError::NotFound => (StatusCode::NOT_FOUND, "not_found", "Not found"),
            ServerError::Method => (StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", "Method not allowed"),
        }
    }
}

impl IntoResponse for ServerError {
    fn into_response(self) -> Response {
        let (status, code, title) = self.parts();
        let detail = match self {
            ServerError::Token => "send `Authorization: Bearer TOKEN` with a token that --tokens names".into(),
            ServerError::Busy => "as many batches are worked on as may be; come again".into(),
            ServerError::Body(BodyError::TooLarge, most) => {
                format!("a batch has at most {most} bytes as it is sent; send smaller ones")
            }
            ServerError::Body(BodyError::Broken(reason), _) => reason,
            ServerError::Body(BodyError::TooSlow, _) => {
                format!("the body did not come within {} s", PATIENCE.as_secs())
            }
            ServerError::Header(name) => format!("send the header `{name}`"),
            ServerError::Encoding => "send a segment of a spool with `Content-Encoding: zstd`".into(),
            ServerError::Accept(error) => error.to_string(),
            ServerError::NotFound | ServerError::Method => {
                "a collector answers `POST /v1/logs`; see docs/data.md".into()
            }
        };
        let mut response = Problem::new(status, code, title, detail).into_response();
        if status == StatusCode::SERVICE_UNAVAILABLE {
            response.headers_mut().insert(header::RETRY_AFTER, header::HeaderValue::from_static(RETRY_AFTER));
        }
        response
    }
}
