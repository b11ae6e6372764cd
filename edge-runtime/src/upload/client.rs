//! One batch over HTTP, and what a collector's answer means.

use std::path::Path;
use std::time::Duration;

use reqwest::header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderMap, RETRY_AFTER};
use reqwest::{StatusCode, Url};
use serde::Deserialize;

use super::UploadError;

/// Longest time for one batch.
const PATIENCE: Duration = Duration::from_secs(60);

/// A collector.
#[derive(Debug)]
pub(super) struct Client {
    http: reqwest::Client,
    url: Url,
}

/// Why a collector has not taken a batch.
#[derive(Debug, PartialEq)]
pub(super) enum Refusal {
    /// It has another batch of this name.
    Reused,
    /// It takes no batch of this size.
    TooLarge,
    /// Trying again may help.
    Other { problem: String, retry_after: Option<Duration> },
}

/// What a collector says: which batch it has, or why it has not.
#[derive(Deserialize)]
struct Said {
    batch: Option<String>,
    code: Option<String>,
    detail: Option<String>,
}

impl Client {
    /// # Errors
    /// Not a URL that this build can reach.
    pub(super) fn new(collector: &str) -> Result<Client, UploadError> {
        let refuse = |reason: String| UploadError::Url { url: collector.to_owned(), reason };
        let url: Url = format!("{}/v1/logs", collector.trim_end_matches('/'))
            .parse()
            .map_err(|e| refuse(format!("{e}; pass a URL such as https://collector.example")))?;
        match url.scheme() {
            "http" => {}
            "https" if cfg!(feature = "https") => {}
            "https" => return Err(refuse("this build has no TLS; build with the feature `https`".into())),
            other => return Err(refuse(format!("`{other}` is no way to reach a collector; pass http or https"))),
        }
        let http = reqwest::Client::builder()
            .timeout(PATIENCE)
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .map_err(|e| refuse(e.to_string()))?;
        Ok(Client { http, url })
    }

    /// Sends a batch; when this returns well, the collector has it for good.
    pub(super) async fn post(&self, edge: &str, batch: &str, token: &str, body: Vec<u8>) -> Result<(), Refusal> {
        let request = self
            .http
            .post(self.url.clone())
            .bearer_auth(token)
            .header(CONTENT_TYPE, "application/vnd.hearth.spool")
            .header(CONTENT_ENCODING, "zstd")
            .header("hearth-edge", edge)
            .header("hearth-batch", batch)
            .body(body);
        let other = |problem: String| Refusal::Other { problem, retry_after: None };
        let answer = request.send().await.map_err(|e| other(causes(&e)))?;
        let (status, retry_after) = (answer.status(), retry_after(answer.headers()));
        let said = answer.bytes().await.map_err(|e| other(causes(&e)))?;
        let said: Option<Said> = serde_json::from_slice(&said).ok();
        match (status, &said) {
            // Anyone can say 200; only a collector names the batch.
            (StatusCode::OK, Some(Said { batch: Some(named), .. })) if named == batch => return Ok(()),
            (StatusCode::CONFLICT, Some(Said { code: Some(code), .. })) if code == "batch_reused" => {
                return Err(Refusal::Reused);
            }
            (StatusCode::PAYLOAD_TOO_LARGE, _) => return Err(Refusal::TooLarge),
            _ => {}
        }
        let detail = said.and_then(|s| s.detail).unwrap_or_else(|| "this is no collector's answer".into());
        Err(Refusal::Other { problem: format!("{} answered {status}: {detail}", self.url), retry_after })
    }
}

/// The token in a file: its first line.
///
/// # Errors
/// No file, or nothing in it.
pub(super) fn token(path: &Path) -> Result<String, UploadError> {
    let refuse = |reason: String| UploadError::Token { path: path.to_owned(), reason };
    let text = std::fs::read_to_string(path).map_err(|e| refuse(e.to_string()))?;
    let token = text.lines().next().unwrap_or_default().trim();
    let is_fine = !token.is_empty() && token.bytes().all(|b| b.is_ascii_graphic());
    if is_fine { Ok(token.to_owned()) } else { Err(refuse("its first line is no token".into())) }
}

/// `Retry-After` in seconds; dates are not understood.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let seconds = headers.get(RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()?;
    Some(Duration::from_secs(seconds))
}

/// An error with its causes, which say what went wrong.
fn causes(error: &reqwest::Error) -> String {
    let mut said = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        said = format!("{said}: {error}");
        cause = error.source();
    }
    said
}
