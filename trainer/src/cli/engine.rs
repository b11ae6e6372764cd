//! `trainer engine`: the engine that this trainer puts into bundles.

use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::Args;
use shared_features::digest::Digest;

use super::terminal::say;
use super::{Run, terminal};

/// Print the built-in engine's size and digest, or write it to a file.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  trainer engine --out engine.wasm")]
pub(super) struct Engine {
    /// Write it here
    #[arg(long)]
    out: Option<PathBuf>,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
}

#[derive(serde::Serialize)]
struct Summary {
    sha256: Digest,
    bytes: usize,
    abi: u32,
}

impl Run for Engine {
    fn run(self) -> Result<()> {
        let engine = crate::ENGINE;
        let summary = Summary { sha256: Digest::of(engine), bytes: engine.len(), abi: shared_features::wire::ABI };
        if let Some(path) = &self.out {
            std::fs::write(path, engine).with_context(|| format!("cannot write {}", path.display()))?;
        }
        if self.json {
            return terminal::print_json(&summary);
        }
        say!("sha256 {}\nbytes  {}\nabi    {}", summary.sha256, summary.bytes, summary.abi);
        Ok(())
    }
}
