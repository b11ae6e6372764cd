//! A registry behind a URL, as a page reads it: whatever serves the registry's folder or bucket over HTTP.

use js_sys::Uint8Array;
use wasm_bindgen::prelude::*;

use super::RegistryError;

#[wasm_bindgen(module = "/src/browser/browser.js")]
extern "C" {
    /// The bytes at a URL; `undefined` where there are none, and the number of bytes where they are more than `limit`.
    #[wasm_bindgen(catch, js_name = fetchBytes)]
    async fn fetch_bytes(url: &str, limit: f64) -> Result<JsValue, JsValue>;
}

/// A registry.
#[derive(Clone, Debug)]
pub struct Registry {
    name: String,
}

/// What the browser says of a request that failed.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Failed(String);

impl Registry {
    /// A registry at a URL.
    pub fn at(url: &str) -> Registry {
        Registry { name: url.trim_end_matches('/').to_owned() }
    }

    /// Where it is.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Reads any object of at most `limit` bytes.
    ///
    /// # Errors
    /// The request fails, there is no such object, or it is too large.
    pub async fn get(&self, object: &str, limit: u64) -> Result<Vec<u8>, RegistryError> {
        let fetched = fetch_bytes(&format!("{}/{object}", self.name), limit as f64).await;
        let found = fetched.map_err(|error| RegistryError::Store {
            registry: self.name.clone(),
            object: object.to_owned(),
            source: Box::new(Failed(crate::browser::words(&error))),
        })?;
        if let Some(size) = found.as_f64() {
            return Err(RegistryError::TooLarge { object: object.to_owned(), size: size as u64, limit });
        }
        match found.dyn_into::<Uint8Array>() {
            Ok(bytes) => Ok(bytes.to_vec()),
            Err(_) => Err(self.not_found(object)),
        }
    }
}
