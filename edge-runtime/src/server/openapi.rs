//! `/openapi.json`.

/// The document, as it is served; a test holds it to the routes.
pub(super) const DOCUMENT: &str = include_str!("openapi.json");
