//! `trainer publish`: through the gate, into a registry, onto a channel.

use std::path::PathBuf;

use anyhow::{Result, bail};
use clap::Args;

use super::terminal::say;
use super::{Run, terminal};
use crate::release::bundle::Bundle;
use crate::release::publish::{self, Target};

/// Publish a run's bundle and point a channel at it, where the gate passes.
#[derive(Debug, Args)]
#[command(after_help = "Example:
  trainer publish --run run --registry registry --channel stable --key keys/publisher.key

Without a [gate] in the spec nothing is published. An override is explicit and goes to the audit log:
  trainer publish ... --override \"launch before there is traffic; agreed with Ada\"")]
pub(super) struct Publish {
    /// The RUN folder
    #[arg(long)]
    run: String,
    #[command(flatten)]
    target: TargetArgs,
    /// Publish although the gate fails, for this reason
    #[arg(long, value_name = "REASON")]
    r#override: Option<String>,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
}

/// Where to publish, and as whom.
#[derive(Debug, Args)]
pub(super) struct TargetArgs {
    /// The registry: a folder or an object store's URL
    #[arg(long)]
    pub(super) registry: String,
    /// The channel, such as `stable`
    #[arg(long)]
    pub(super) channel: String,
    /// The publisher's key file
    #[arg(long)]
    pub(super) key: PathBuf,
    /// Days until the channel's pointer expires
    #[arg(long, default_value_t = 30)]
    pub(super) expires_days: u32,
}

impl TargetArgs {
    pub(super) fn open(&self) -> Result<Target> {
        Target::open(&self.registry, &self.channel, &self.key, self.expires_days)
    }
}

impl Run for Publish {
    fn run(self) -> Result<()> {
        let bundle = Bundle::open(&self.run)?;
        let published = publish::publish(&bundle, &self.target.open()?, self.r#override.as_deref())?;
        if self.json {
            terminal::print_json(&published)?;
        } else {
            say!("{}", published.gate);
            if let Some(sequence) = published.sequence {
                say!("{} is on {}/{} (sequence {sequence})", published.bundle, published.surface, self.target.channel);
            }
        }
        if published.sequence.is_none() {
            bail!("not published: the gate failed; improve the model, or see --help for an override");
        }
        Ok(())
    }
}
