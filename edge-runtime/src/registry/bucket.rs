//! Object stores by URL, with what the environment says of them.

use std::sync::Arc;

use object_store::ObjectStore;
use object_store::path::Path;

/// What the names of variables begin with that are about stores; others, such as `TOKEN`, are of something else.
const PREFIXES: [&str; 3] = ["AWS_", "AZURE_", "GOOGLE_"];
/// Those of other names: a store at `http://` is asked for on purpose, and Azure says there who a machine is.
const NAMES: [&str; 2] = ["ALLOW_HTTP", "IDENTITY_ENDPOINT"];

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
    let (store, base) =
        object_store::parse_url_opts(&url, environment.filter(|(name, _)| is_ours(name))).map_err(|e| {
            let built = e.to_string().contains("not enabled");
            let hint = "; build with the feature of cargo that has it: aws, azure, gcp or http";
            format!("{e}{}", if built { hint } else { "" })
        })?;
    Ok((Arc::from(store), base))
}

fn is_ours(variable: &str) -> bool {
    NAMES.contains(&variable) || PREFIXES.iter().any(|prefix| variable.starts_with(prefix))
}

#[cfg(test)]
mod tests {
    use super::is_ours;

    #[test]
    fn only_what_is_about_stores_reaches_them() {
        for name in ["AWS_ACCESS_KEY_ID", "AZURE_STORAGE_KEY", "GOOGLE_BUCKET", "ALLOW_HTTP", "IDENTITY_ENDPOINT"] {
            assert!(is_ours(name), "{name}");
        }
        for name in ["TOKEN", "TIMEOUT", "PROXY_URL", "MY_AWS_REGION", "HTTP_ALLOW_HTTP"] {
            assert!(!is_ours(name), "{name}");
        }
    }
}
