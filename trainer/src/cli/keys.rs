//! `trainer keys`: who may publish.

use std::path::PathBuf;

use anyhow::Result;
use clap::{Args, Subcommand};

use super::terminal::say;
use super::{Run, terminal};
use crate::release::publish;

/// Make the keys that sign what edges accept.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  trainer keys init --out keys")]
pub(super) struct Keys {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Make a root key, a publisher key and the root document that edges trust
    Init {
        /// The folder to write; existing keys are never overwritten
        #[arg(long)]
        out: PathBuf,
        /// Print the files as JSON
        #[arg(long)]
        json: bool,
    },
}

impl Run for Keys {
    fn run(self) -> Result<()> {
        let Action::Init { out, json } = self.action;
        publish::init_keys(&out)?;
        if json {
            let [root_key, publisher_key, root] = ["root.key", "publisher.key", "root.json"].map(|name| out.join(name));
            return terminal::print_json(
                &serde_json::json!({ "root_key": root_key, "publisher_key": publisher_key, "root": root }),
            );
        }
        let out = out.display();
        say!("{out}/root.key       signs who may publish; keep it offline");
        say!("{out}/publisher.key  signs bundles and channels: trainer publish --key {out}/publisher.key");
        say!("{out}/root.json      what edges pin: edge-runtime serve --trust {out}/root.json");
        Ok(())
    }
}
