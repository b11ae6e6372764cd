//! The edge server: the [`Runtime`] over HTTP.
//!
//! One failure is one status and one stable code, in one match; errors are `application/problem+json`.

use std::sync::Arc;

use axum::extract::rejection::{JsonRejection, PathRejection};
use axum::extract::{DefaultBodyLimit, Path, State};
use axum::http::{StatusCode, header};
use axum::middleware::from_fn;
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, get, post};
use axum::{Json, Router};
use metrics_exporter_prometheus::PrometheusHandle;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use shared_features::event::{Attributes, Candidate, ImpressionEvent, InteractionEvent, RequestEvent};

use crate::runtime::{AnswerError, Runtime, now_ms};

pub mod body;
mod connection;
mod openapi;
#[cfg(feature = "playground")]
pub mod playground;

pub use connection::serve;

#[derive(Clone)]
struct App {
    runtime: Arc<Runtime>,
    metrics: PrometheusHandle,
    #[cfg(feature = "playground")]
    playground: Option<Arc<playground::Playground>>,
}

/// The body of a request to rank or to explain; the surface is in the path.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RankBody {
    /// Generated where absent.
    #[serde(default)]
    id: String,
    /// Milliseconds since the epoch; now where absent.
    #[serde(default)]
    ts: Option<i64>,
    #[serde(default)]
    offset_min: i16,
    user: String,
    #[serde(default)]
    attributes: Attributes,
    #[serde(default)]
    context: Attributes,
    #[serde(default)]
    candidates: Vec<Candidate>,
    #[serde(default)]
    exclude: Vec<String>,
}

impl RankBody {
    fn event(self, surface: String) -> RequestEvent {
        RequestEvent {
            id: self.id,
            ts: self.ts.unwrap_or_else(now_ms),
            offset_min: self.offset_min,
            user: self.user,
            surface,
            attributes: self.attributes,
            context: self.context,
            candidates: self.candidates,
            exclude: self.exclude,
        }
    }
}

/// An error as RFC 9457 has it.
#[derive(Debug, Serialize)]
pub struct Problem {
    r#type: &'static str,
    title: &'static str,
    status: u16,
    /// Stable, for programs.
    code: &'static str,
    /// What to do, for people.
    detail: String,
}

#[derive(Debug)]
enum ServerError {
    Answer(AnswerError),
    Body(String),
    MediaType(String),
    TooLarge,
    TooSlow,
    NotFound,
    Method,
}

/// The routes of an edge.
pub fn router(runtime: Arc<Runtime>, metrics: PrometheusHandle) -> Router {
    let app = App {
        runtime,
        metrics,
        #[cfg(feature = "playground")]
        playground: None,
    };
    routes(Router::new(), app)
}

/// The routes of an edge and of its playground, which only its own machine may reach.
#[cfg(feature = "playground")]
pub fn router_with_playground(
    runtime: Arc<Runtime>,
    metrics: PrometheusHandle,
    playground: playground::Playground,
) -> Router {
    let app = App { runtime, metrics, playground: Some(Arc::new(playground)) };
    routes(playground::routes(), app)
}

fn routes(more: Router<App>, app: App) -> Router {
    more.route("/v1/{surface}/rank", post(rank))
        .route("/v1/{surface}/explain", post(explain))
        .route("/v1/impressions", post(impressions))
        .route("/v1/interactions", post(interactions))
        .route("/v1/users/{user}/history", delete(forget))
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(ready))
        .route("/metrics", get(render_metrics))
        .route("/openapi.json", get(|| async { ([(header::CONTENT_TYPE, "application/json")], openapi::DOCUMENT) }))
        .fallback(|| async { ServerError::NotFound })
        .method_not_allowed_fallback(|| async { ServerError::Method })
        // The layer below has read the body, and holds it to its size.
        .layer(DefaultBodyLimit::disable())
        .layer(from_fn(body::read_whole))
        .layer(from_fn(connection::at_work))
        .layer(tower_http::trace::TraceLayer::new_for_http())
        .with_state(app)
}

async fn rank(
    State(app): State<App>,
    surface: Result<Path<String>, PathRejection>,
    body: Result<Json<serde_json::Value>, JsonRejection>,
) -> Result<Response, ServerError> {
    // A surface that is not UTF-8 is none.
    let Path(surface) = surface.map_err(|_| ServerError::NotFound)?;
    let body: RankBody = parse(body)?;
    let event = body.event(surface);
    #[cfg(feature = "playground")]
    let seen = app.playground.as_ref().map(|_| event.clone());
    let answer = app.runtime.rank(event).await?;
    #[cfg(feature = "playground")]
    if let (Some(playground), Some(event)) = (&app.playground, seen) {
        playground.saw(RequestEvent { id: answer.request.clone(), ..event });
    }
    Ok(Json(answer).into_response())
}

async fn explain(
    State(app): State<App>,
    Path(surface): Path<String>,
    body: Result<Json<serde_json::Value>, JsonRejection>,
) -> Result<Response, ServerError> {
    let body: RankBody = parse(body)?;
    Ok(Json(app.runtime.explain(body.event(surface)).await?).into_response())
}

async fn impressions(
    State(app): State<App>,
    body: Result<Json<serde_json::Value>, JsonRejection>,
) -> Result<Response, ServerError> {
    let events: Vec<ImpressionEvent> = parse_many(body)?;
    app.runtime.impressions(&events).await?;
    Ok((StatusCode::ACCEPTED, Json(serde_json::json!({ "accepted": events.len() }))).into_response())
}

async fn interactions(
    State(app): State<App>,
    body: Result<Json<serde_json::Value>, JsonRejection>,
) -> Result<Response, ServerError> {
    let events: Vec<InteractionEvent> = parse_many(body)?;
    let accepted = events.len();
    app.runtime.interactions(events).await?;
    Ok((StatusCode::ACCEPTED, Json(serde_json::json!({ "accepted": accepted }))).into_response())
}

async fn forget(State(app): State<App>, user: Result<Path<String>, PathRejection>) -> Result<Response, ServerError> {
    // A user that is not UTF-8 has done nothing.
    let Path(user) = user.map_err(|_| ServerError::NotFound)?;
    let interactions = app.runtime.forget(user).await?;
    Ok(Json(serde_json::json!({ "interactions": interactions })).into_response())
}

async fn ready(State(app): State<App>) -> Response {
    let surfaces = app.runtime.status();
    let storage = app.runtime.storage_problem();
    let (upload, spool) = (app.runtime.upload_status(), app.runtime.kept().ok());
    let ready = storage.is_none() && surfaces.values().any(|s| !s.bundles.is_empty());
    let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (
        status,
        Json(serde_json::json!({
            "ready": ready, "storage": storage, "spool": spool, "upload": upload, "surfaces": surfaces,
        })),
    )
        .into_response()
}

async fn render_metrics(State(app): State<App>) -> Response {
    if let Ok(kept) = app.runtime.kept() {
        metrics::gauge!("hearth_spool_bytes").set(kept.bytes as f64);
        metrics::gauge!("hearth_spool_waiting_bytes").set(kept.waiting_bytes as f64);
    }
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4")], app.metrics.render() + &app.runtime.drift()).into_response()
}

/// A body of a type; the error names the field.
fn parse<T: DeserializeOwned>(body: Result<Json<serde_json::Value>, JsonRejection>) -> Result<T, ServerError> {
    let Json(value) = body?;
    serde_json::from_value(value).map_err(|e| ServerError::Body(e.to_string()))
}

/// A body that is one event or a list of them; the error names the field and the place in the list.
fn parse_many<T: DeserializeOwned>(
    body: Result<Json<serde_json::Value>, JsonRejection>,
) -> Result<Vec<T>, ServerError> {
    let Json(value) = body?;
    let values = match value {
        serde_json::Value::Array(values) => values,
        one => return Ok(vec![serde_json::from_value(one).map_err(|e| ServerError::Body(e.to_string()))?]),
    };
    let event = |(k, value)| serde_json::from_value(value).map_err(|e| ServerError::Body(format!("entry {k}: {e}")));
    values.into_iter().enumerate().map(event).collect()
}

/// Ends when the process is asked to stop.
pub async fn stop_signal() {
    let interrupt = tokio::signal::ctrl_c();
    #[cfg(unix)]
    {
        let mut terminate = match tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()) {
            Ok(terminate) => terminate,
            Err(_) => return std::future::pending().await,
        };
        tokio::select! { _ = interrupt => {}, _ = terminate.recv() => {} }
    }
    #[cfg(not(unix))]
    let _ = interrupt.await;
}

impl Problem {
    /// A failure: its status, its stable code, its name and what to do.
    pub fn new(status: StatusCode, code: &'static str, title: &'static str, detail: String) -> Problem {
        Problem { r#type: "about:blank", title, status: status.as_u16(), code, detail }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        (status, [(header::CONTENT_TYPE, "application/problem+json")], Json(self)).into_response()
    }
}

impl From<AnswerError> for ServerError {
    fn from(error: AnswerError) -> Self {
        ServerError::Answer(error)
    }
}

impl From<JsonRejection> for ServerError {
    fn from(rejection: JsonRejection) -> Self {
        match rejection.status() {
            StatusCode::UNSUPPORTED_MEDIA_TYPE => ServerError::MediaType(rejection.body_text()),
            _ => ServerError::Body(rejection.body_text()),
        }
    }
}

impl IntoResponse for ServerError {
    fn into_response(self) -> Response {
        let (status, code, title) = match &self {
            ServerError::Answer(error) => match error {
                AnswerError::UnknownSurface { .. } => (StatusCode::NOT_FOUND, "unknown_surface", "Unknown surface"),
                AnswerError::NoBundle { .. } => (StatusCode::SERVICE_UNAVAILABLE, "no_bundle", "No bundle yet"),
                AnswerError::Event(_) => (StatusCode::UNPROCESSABLE_ENTITY, "invalid_event", "Invalid event"),
                AnswerError::Schema(_) => {
                    (StatusCode::UNPROCESSABLE_ENTITY, "schema_mismatch", "Does not fit the schema")
                }
                AnswerError::Future { .. } => {
                    (StatusCode::UNPROCESSABLE_ENTITY, "future_timestamp", "Timestamp in the future")
                }
                AnswerError::Explain(_) => (StatusCode::INTERNAL_SERVER_ERROR, "explain_failed", "Explaining failed"),
                AnswerError::Spool(_) | AnswerError::Store(_) => {
                    (StatusCode::INTERNAL_SERVER_ERROR, "storage_failed", "Storage failed")
                }
                AnswerError::Stopping => (StatusCode::SERVICE_UNAVAILABLE, "stopping", "The edge is stopping"),
            },
            ServerError::Body(_) => (StatusCode::BAD_REQUEST, "malformed_body", "Malformed body"),
            ServerError::MediaType(_) => {
                (StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type", "Unsupported media type")
            }
            ServerError::TooLarge => (StatusCode::PAYLOAD_TOO_LARGE, "body_too_large", "Body too large"),
            ServerError::TooSlow => (StatusCode::REQUEST_TIMEOUT, "body_too_slow", "Body too slow"),
            ServerError::NotFound => (StatusCode::NOT_FOUND, "not_found", "Not found"),
            ServerError::Method => (StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", "Method not allowed"),
        };
        let detail = match self {
            ServerError::Answer(error) => error.to_string(),
            ServerError::Body(detail) | ServerError::MediaType(detail) => detail,
            ServerError::TooLarge => format!("a body has at most {} bytes; send several", body::MAX),
            ServerError::TooSlow => format!("a body takes at most {} seconds; send less", body::PATIENCE.as_secs()),
            ServerError::NotFound | ServerError::Method => "see /openapi.json for what this edge answers".into(),
        };
        Problem::new(status, code, title, detail).into_response()
    }
}
