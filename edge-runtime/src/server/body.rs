//! Request bodies: read to their end before anything is answered, so that every client is there to hear the answer.
//!
//! A server that answers and closes while a client still sends makes the client's system drop the answer.
//! So the rest of a body that is too large is read and thrown away, up to a bound in bytes and in time.

use std::time::Duration;

use axum::body::Body;
use axum::extract::Request;
use axum::http::{HeaderMap, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use futures::StreamExt;

use super::ServerError;

/// Largest body, in bytes.
pub(super) const MAX: usize = 4 << 20;
/// Most bytes of a larger body that are read and thrown away before it is refused.
const MAX_DRAINED: usize = 256 << 20;
/// Longest time that this takes.
const DRAINING: Duration = Duration::from_secs(10);
/// Longest time that a body takes from its request's head on.
pub(super) const PATIENCE: Duration = Duration::from_secs(30);

/// Why a body is not there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BodyError {
    /// It is larger than it may be.
    TooLarge,
    /// It broke off.
    Broken(String),
    /// It took longer than it may.
    TooSlow,
}

/// Reads the whole body, and hands the request on where it is not too large.
pub(super) async fn read_whole(request: Request, next: Next) -> Response {
    let (parts, body) = request.into_parts();
    match read(&parts.headers, body, MAX, PATIENCE).await {
        Ok(bytes) => next.run(Request::from_parts(parts, bytes.into())).await,
        Err(BodyError::TooLarge) => ServerError::TooLarge.into_response(),
        Err(BodyError::Broken(reason)) => ServerError::Body(reason).into_response(),
        Err(BodyError::TooSlow) => ServerError::TooSlow.into_response(),
    }
}

/// Reads a body of at most `max` bytes that comes within `patience`.
///
/// # Errors
/// A larger or slower body, or one that breaks off.
pub async fn read(headers: &HeaderMap, body: Body, max: usize, patience: Duration) -> Result<Vec<u8>, BodyError> {
    tokio::time::timeout(patience, read_all(headers, body, max)).await.unwrap_or(Err(BodyError::TooSlow))
}

async fn read_all(headers: &HeaderMap, body: Body, max: usize) -> Result<Vec<u8>, BodyError> {
    let header = |name| headers.get(name).and_then(|value| value.to_str().ok());
    let announced: Option<usize> = header(header::CONTENT_LENGTH).and_then(|length| length.parse().ok());
    let asks_first = header(header::EXPECT).is_some_and(|what| what.eq_ignore_ascii_case("100-continue"));
    if asks_first && announced.is_some_and(|length| length > max) {
        // The client has not begun to send.
        return Err(BodyError::TooLarge);
    }
    let mut stream = body.into_data_stream();
    let mut bytes = Vec::new();
    while let Some(chunk) = stream.next().await {
        let chunk = chunk.map_err(|e| BodyError::Broken(format!("the body broke off: {e}")))?;
        if bytes.len() + chunk.len() > max {
            let mut drained = bytes.len() + chunk.len();
            let drain = async {
                while let (true, Some(Ok(chunk))) = (drained < MAX_DRAINED, stream.next().await) {
                    drained += chunk.len();
                }
            };
            // Whoever sends more or longer than this is refused in the middle of it.
            let _ = tokio::time::timeout(DRAINING, drain).await;
            return Err(BodyError::TooLarge);
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_body_that_does_not_end_is_given_up() {
        let begins = futures::stream::iter([Ok::<_, std::io::Error>("{")]);
        let body = Body::from_stream(begins.chain(futures::stream::pending()));
        let slow = read(&HeaderMap::new(), body, MAX, Duration::from_millis(10)).await;
        assert_eq!(slow, Err(BodyError::TooSlow));
        let whole = read(&HeaderMap::new(), Body::from("{}"), MAX, Duration::MAX).await;
        assert_eq!(whole.unwrap(), b"{}");
    }
}
