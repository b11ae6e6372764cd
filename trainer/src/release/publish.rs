//! Publishing: through the gate, into a registry, onto a channel.

use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, bail};
use ed25519_dalek::SigningKey;
use edge_runtime::channel::{Arm, Channel, is_name};
use edge_runtime::keys;
use edge_runtime::registry::{Registry, RegistryError, Release};
use serde::Serialize;
use shared_features::digest::Digest;
use shared_features::event::Event;
use shared_features::tables::Tables;

use super::bundle::{Bundle, block_on};
use super::gate::{self, GateReport};
use crate::data::tables::Snapshots;
use crate::spec::TrainerSpec;

const DAY_MS: i64 = 86_400_000;

/// A channel of a registry, and the key that may change it.
pub struct Target {
    registry: Registry,
    channel: String,
    key: SigningKey,
    expires_days: u32,
}

/// What publishing did.
#[derive(Clone, Debug, Serialize)]
pub struct Published {
    /// The surface.
    pub surface: String,
    /// The bundle.
    pub bundle: Digest,
    /// What the gate found.
    pub gate: GateReport,
    /// The channel's new sequence; `None` where nothing was published.
    pub sequence: Option<u64>,
}

/// What publishing a snapshot did.
#[derive(Clone, Debug, Serialize)]
pub struct PublishedTables {
    /// The snapshot.
    pub tables: Digest,
    /// Events before this time are in it.
    pub as_of: i64,
    /// The channel's new sequence.
    pub sequence: u64,
}

impl Target {
    /// Opens a registry and reads the publisher's key.
    ///
    /// # Errors
    /// A place or key file that cannot be used.
    pub fn open(registry: &str, channel: &str, key: &Path, expires_days: u32) -> Result<Target> {
        if !is_name(channel) {
            return Err(RegistryError::Name { name: channel.to_owned() }.into());
        }
        Ok(Target {
            registry: Registry::open(registry)?,
            channel: channel.to_owned(),
            key: keys::read_secret(key)?,
            expires_days,
        })
    }

    fn expires(&self, now: i64) -> i64 {
        now + i64::from(self.expires_days) * DAY_MS
    }
}

/// Makes root and publisher keys in a folder.
///
/// # Errors
/// Files that exist or cannot be written.
pub fn init_keys(folder: &Path) -> Result<()> {
    Ok(keys::init(folder)?)
}

/// Publishes a run's bundle where its gate passes, or where an override gives a reason.
///
/// # Errors
/// A bundle without a report on it, or a registry that fails.
pub fn publish(bundle: &Bundle, target: &Target, override_reason: Option<&str>) -> Result<Published> {
    let report = bundle.report().context("only a RUN folder can be published; pass --run")?;
    let digest = bundle.digest();
    if report.bundle != digest {
        bail!("the report judges bundle {}, the folder holds {digest}; train again", report.bundle);
    }
    let spec = bundle.spec()?;
    let gate = gate::decide(spec.gate.as_ref(), &report.evaluation);
    let surface = report.surface.clone();
    if !gate.passed && override_reason.is_none() {
        return Ok(Published { surface, bundle: digest, gate, sequence: None });
    }
    let now = now_ms();
    let sequence = block_on(async {
        let registry = &target.registry;
        let before = registry.channel_to_change(&surface, &target.channel, &target.key).await?;
        let release = Release {
            bundle: digest,
            surface: surface.clone(),
            created: now,
            parent: before.as_ref().and_then(|c| c.arms.first()).map(|a| a.bundle),
            data_range: report.data_range,
            code_version: env!("CARGO_PKG_VERSION").into(),
            spec: bundle.spec_text()?.to_owned(),
            report: serde_json::to_value(report)?,
            gate_passed: gate.passed,
            gate: serde_json::to_value(&gate)?,
            override_reason: (!gate.passed).then(|| override_reason.unwrap_or_default().to_owned()),
        };
        registry.put_bundle(&bundle.parts).await?;
        let id = registry.put_release(&release, &target.key).await?;
        let arm = Arm { name: target.channel.clone(), bundle: digest, release: id, tables: None, weight: 1 };
        let pointer = Channel {
            surface: surface.clone(),
            channel: target.channel.clone(),
            sequence: before.as_ref().map_or(1, |c| c.sequence + 1),
            issued: now,
            expires: target.expires(now),
            salt: before.as_ref().map_or_else(|| format!("{surface}/{}", target.channel), |c| c.salt.clone()),
            arms: vec![arm],
            shadow: None,
            revoked: before.map(|c| c.revoked).unwrap_or_default(),
        };
        registry.point(&pointer, &release, "publish", &target.key).await?;
        anyhow::Ok(pointer.sequence)
    })??;
    Ok(Published { surface, bundle: digest, gate, sequence: Some(sequence) })
}

/// Publishes a newer snapshot, of events in time order, for every arm of a channel.
///
/// # Errors
/// A channel that does not exist yet, tables that do not fit its bundles, or a registry that fails.
pub fn tables(spec: &TrainerSpec, events: &[Event], target: &Target, as_of: Option<i64>) -> Result<PublishedTables> {
    let snapshots = Snapshots::new(&spec.features, events)?;
    let last = events.last().context("the data has no event")?.ts();
    let as_of = as_of.unwrap_or_else(|| snapshots.as_of_for(last));
    let bytes = snapshots.at(as_of).to_bytes();
    let surface = spec.features.surface();
    let now = now_ms();
    block_on(async {
        let registry = &target.registry;
        let mut pointer = registry
            .channel_to_change(surface, &target.channel, &target.key)
            .await?
            .with_context(|| format!("there is no channel {surface}/{}; publish a bundle first", target.channel))?;
        let mut release = None;
        let digest = registry.put_blob(&bytes).await?;
        for arm in &mut pointer.arms {
            let bundle = registry.bundle(arm.bundle).await?;
            let encoder = shared_features::encoder::Encoder::from_bytes(&bundle.load().encoder)?;
            Tables::from_bytes(&bytes, &encoder.schema, &encoder.statistics)
                .with_context(|| format!("arm `{}`; publish a bundle made with this spec first", arm.name))?;
            arm.tables = Some(digest);
            release = Some(registry.newest_release(surface, arm.bundle).await?);
        }
        pointer.sequence += 1;
        pointer.issued = now;
        pointer.expires = target.expires(now);
        let release = release.context("the channel has no arm")?;
        registry.point(&pointer, &release, "tables", &target.key).await?;
        Ok(PublishedTables { tables: digest, as_of, sequence: pointer.sequence })
    })?
}

fn now_ms() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_millis() as i64)
}
