//! For build scripts that build a crate once more: flags that keep this machine's paths out of it,
//! so that two checkouts at different places give the same bytes.

use std::env;
use std::path::{Path, PathBuf};

/// The flags for a build of the workspace at `root` into `target_dir`.
pub(crate) fn flags(root: &Path, target_dir: &Path) -> [String; 3] {
    let cargo_home = env::var_os("CARGO_HOME")
        .map(PathBuf::from)
        .or_else(|| env::var_os("HOME").map(|home| Path::new(&home).join(".cargo")))
        .unwrap_or_default();
    // Of several prefixes that match, the last one counts.
    let prefixes = [(cargo_home.as_path(), "cargo"), (root, "hearth"), (target_dir, "target")];
    prefixes.map(|(from, to)| format!("--remap-path-prefix={}={to}", from.display()))
}
