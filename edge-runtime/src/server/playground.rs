//! The playground: a page that ranks in the browser with this edge's bundles, to try requests out.
//!
//! It is asked for with `serve --playground` and answers a loopback address only, under a name of this machine:
//! it hands out the registry, the requests that were ranked last, and histories.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use axum::extract::{Path, Request, State};
use axum::http::{HeaderValue, StatusCode, Uri, header};
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use serde_json::json;
use shared_features::event::RequestEvent;

use super::{App, ServerError};
use crate::bundle::Role;
use crate::registry::{Registry, RegistryError};

/// The edge for browsers: the JavaScript, the WebAssembly, and what they import.
const EDGE: &[(&str, &[u8])] = include!(concat!(env!("OUT_DIR"), "/browser.rs"));
/// The page.
const PAGE: [(&str, &str); 3] = [
    ("page.html", include_str!("playground/page.html")),
    ("page.css", include_str!("playground/page.css")),
    ("page.js", include_str!("playground/page.js")),
];
/// Requests that are kept.
const KEPT: usize = 20;
/// What a page may load: its own files and nothing else.
const POLICY: &str = "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; style-src 'self'; connect-src 'self'; \
     img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// What the page is given.
#[derive(Debug)]
pub struct Playground {
    registry: Registry,
    channel: String,
    trust: Vec<u8>,
    /// The requests that were ranked last, newest first.
    seen: Mutex<VecDeque<RequestEvent>>,
}

impl Playground {
    /// The playground of a channel, whose page trusts the same root document as the edge.
    ///
    /// # Errors
    /// The registry cannot be opened.
    pub fn new(registry: &str, channel: String, trust: Vec<u8>) -> Result<Playground, RegistryError> {
        Ok(Playground { registry: Registry::open(registry)?, channel, trust, seen: Mutex::default() })
    }

    /// Keeps a request that was ranked.
    pub(super) fn saw(&self, event: RequestEvent) {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.push_front(event);
        seen.truncate(KEPT);
    }
}

/// The playground's routes.
pub(super) fn routes() -> Router<App> {
    Router::new()
        .route("/playground", get(|| async { file("text/html; charset=utf-8", PAGE[0].1) }))
        .route("/playground/page.css", get(|| async { file("text/css", PAGE[1].1) }))
        .route("/playground/page.js", get(|| async { file("text/javascript", PAGE[2].1) }))
        .route("/playground/edge/{*path}", get(edge))
        .route("/playground/registry/{*path}", get(object))
        .route("/playground/trust", get(trust))
        .route("/playground/settings", get(settings))
        .route("/playground/requests/{surface}", get(requests))
        .layer(from_fn(own_name))
}

/// Refuses what comes under another name than one of this machine: a page of another site that has its name lead here.
async fn own_name(request: Request, next: Next) -> Response {
    let host = request.headers().get(header::HOST).and_then(|host| host.to_str().ok());
    let host = host.and_then(|host| format!("http://{host}").parse::<Uri>().ok());
    let own = host.as_ref().and_then(Uri::host).is_some_and(|host| {
        host == "localhost" || host.trim_matches(['[', ']']).parse().is_ok_and(|ip: std::net::IpAddr| ip.is_loopback())
    });
    if own { next.run(request).await } else { ServerError::NotFound.into_response() }
}

fn file(kind: &'static str, content: impl IntoResponse) -> Response {
    let mut response = content.into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

async fn edge(Path(path): Path<String>) -> Response {
    let Some((name, bytes)) = EDGE.iter().find(|(name, _)| *name == path) else {
        return ServerError::NotFound.into_response();
    };
    file(if name.ends_with(".js") { "text/javascript" } else { "application/wasm" }, *bytes)
}

/// An object of the registry, as the page's edge reads it; what it is worth the page finds out itself.
async fn object(State(app): State<App>, Path(path): Path<String>) -> Response {
    let Some(playground) = app.playground else { return ServerError::NotFound.into_response() };
    match playground.registry.get(&path, Role::Model.limit()).await {
        Ok(bytes) => file("application/octet-stream", bytes),
        Err(RegistryError::NotFound { .. }) => StatusCode::NOT_FOUND.into_response(),
        Err(error) => (StatusCode::BAD_GATEWAY, error.to_string()).into_response(),
    }
}

async fn trust(State(app): State<App>) -> Response {
    let Some(playground) = app.playground else { return ServerError::NotFound.into_response() };
    file("application/json", playground.trust.clone())
}

async fn settings(State(app): State<App>) -> Response {
    let Some(playground) = app.playground else { return ServerError::NotFound.into_response() };
    let surfaces: Vec<String> =
        app.runtime.status().into_iter().filter(|(_, s)| !s.bundles.is_empty()).map(|(name, _)| name).collect();
    file("application/json", Json(json!({ "channel": playground.channel, "surfaces": surfaces })))
}

/// The requests of a surface that were ranked last, each with the user's history as it is now.
async fn requests(State(app): State<App>, Path(surface): Path<String>) -> Result<Response, ServerError> {
    let playground = app.playground.ok_or(ServerError::NotFound)?;
    let seen: Vec<RequestEvent> = {
        let seen = playground.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.iter().filter(|event| event.surface == surface).cloned().collect()
    };
    let mut all = Vec::new();
    for event in seen {
        let history = app.runtime.history(event.user.clone()).await?.events(&event.user);
        all.push(json!({ "event": event, "history": history }));
    }
    Ok(file("application/json", Json(all)))
}

#[cfg(test)]
mod tests {
    use super::EDGE;

    #[test]
    fn no_path_of_this_machine_is_in_what_a_page_loads() {
        assert!(EDGE.iter().any(|(name, _)| *name == "hearth_bg.wasm"));
        for (name, bytes) in EDGE {
            for path in ["/.cargo/", env!("CARGO_MANIFEST_DIR"), env!("OUT_DIR")] {
                let found = bytes.windows(path.len()).any(|window| window == path.as_bytes());
                assert!(!found, "{name} names {path}");
            }
        }
    }
}
