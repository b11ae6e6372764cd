//! Object stores by URL, with what the environment says of them.

use std::sync::Arc;

use object_store::ObjectStore;
use object_store::path::Path;

/// What the names of variables begin with that are about stores; others, such as `TOKEN`, are of something else.
const PREFIXES: [&str; 3] = ["AWS_", "AZURE_", "GOOGLE_"];

/// Opens an object store's URL, such as `s3://bucket/folder`; the path is where it begins.
///
/// Credentials, region and endpoint are those of the environment, under the names that the stores' own tools know, such
/// as `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY`, `AWS_REGION` and `AWS_ENDPOINT`.
///
/// # Errors
/// Why it cannot be used: no URL, a store that this build does not know, or settings that do not fit it.
pub fn open(url: &str) -> Result<(Arc<dyn ObjectStore>, Path), String> {
    let url = url.parse().map_err(|e| format!("{e}"))?;
    let environment = std::env::vars_os().filter_map(|(k, v)| Some((k.into_string().ok()?, v.into_string().ok()?)));
    let ours = environment.filter(|(name, _)| PREFIXES.iter().any(|prefix| name.starts_with(prefix)));
    let (store, base) = object_store::parse_url_opts(&url, ours).map_err(|e| {
        let built = e.to_string().contains("not enabled");
        let hint = "; build with the feature of cargo that has it: aws, azure, gcp or http";
        format!("{e}{}", if built { hint } else { "" })
    })?;
    Ok((Arc::from(store), base))
}
