//! Bundles on the trainer's side: made by training, kept in a RUN folder or a registry, opened again from either.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow};
use edge_runtime::bundle::{Bundle as Parts, Role};
use edge_runtime::channel::Channel;
use edge_runtime::host::{Guest, Host, HostError, Limits};
use edge_runtime::profile::Profile;
use edge_runtime::registry::Registry;
use edge_runtime::sign::{self, DocumentType};
use shared_features::digest::Digest;
use shared_features::encoder::Encoder;
use shared_features::printable::sentence;
use shared_features::tables::Tables;
use shared_features::wire::Load;

use super::golden;
use crate::data::replay::Subject;
use crate::experiment::train::Report;
use crate::spec::TrainerSpec;

/// A bundle with what the trainer knows about it.
#[derive(Debug)]
pub struct Bundle {
    /// The checked bytes.
    pub parts: Parts,
    spec: Option<String>,
    report: Option<Report>,
}

impl Bundle {
    /// Makes a bundle: takes the smallest engine of this build that runs the model, and adds golden requests
    /// with its answers in the edge's host.
    ///
    /// # Errors
    /// Parts that no engine runs, or a model that fails on the golden requests.
    pub fn make(
        spec: &TrainerSpec,
        mut load: Load,
        model: Vec<u8>,
        profile: &Profile,
        training_data: Digest,
    ) -> Result<Bundle> {
        load.model = model;
        let encoder = Encoder::from_bytes(&load.encoder)?;
        let tables = Tables::from_bytes(&load.tables, &encoder.schema, &encoder.statistics)?;
        let (engine, guest) = smallest(&load)?;
        let golden = golden::record(&guest, &encoder, golden::requests(&encoder, &tables))?;
        let blobs = BTreeMap::from([
            (Role::Engine, engine.to_vec()),
            (Role::Encoder, load.encoder),
            (Role::Policy, load.policy),
            (Role::Model, load.model),
            (Role::Tables, load.tables),
            (Role::Golden, golden.to_bytes()),
            (Role::Profile, profile.to_bytes()),
        ]);
        let parts = Parts::make(spec.features.surface(), &guest.describe()?.kind, training_data, spec.sampling, blobs)?;
        Ok(Bundle { parts, spec: None, report: None })
    }

    /// Opens a RUN folder, or `REGISTRY/bundles/DIGEST`.
    ///
    /// # Errors
    /// Neither of them, or bytes that are not what their names say.
    pub fn open(reference: &str) -> Result<Bundle> {
        let run = PathBuf::from(reference);
        if run.join("report.json").is_file() {
            return Bundle::open_run(&run);
        }
        let (registry, digest) = reference
            .rsplit_once("/bundles/")
            .and_then(|(registry, digest)| Some((registry, digest.parse::<Digest>().ok()?)))
            .ok_or_else(|| anyhow!("`{reference}` is neither a RUN folder nor REGISTRY/bundles/DIGEST"))?;
        block_on(async {
            let registry = Registry::open(registry)?;
            let parts = registry.bundle(digest).await?;
            let release = registry.newest_release(&parts.manifest().surface, digest).await.ok();
            let spec = release.map(|r| r.spec);
            Ok(Bundle { parts, spec, report: None })
        })?
    }

    fn open_run(run: &Path) -> Result<Bundle> {
        let read = |name: &str| {
            let path = run.join(name);
            std::fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))
        };
        let report: Report = serde_json::from_str(&read("report.json")?).with_context(|| {
            format!("{} is no report of this version; train again", run.join("report.json").display())
        })?;
        let store = run.to_str().context("the RUN folder's path is not UTF-8")?;
        let parts = block_on(async { Registry::open(store)?.bundle(report.bundle).await })??;
        Ok(Bundle { parts, spec: Some(read("spec.toml")?), report: Some(report) })
    }

    /// Writes a RUN folder: the bundle laid out as a registry has it, the text of the spec and the report.
    ///
    /// # Errors
    /// A folder that cannot be written.
    pub fn write_run(&self, folder: &Path, spec: &str, report: &Report) -> Result<()> {
        let store = folder.to_str().context("the RUN folder's path is not UTF-8")?;
        block_on(async { Registry::open(store)?.put_bundle(&self.parts).await })??;
        let write = |name: &str, bytes: &[u8]| {
            let path = folder.join(name);
            std::fs::write(&path, bytes).with_context(|| format!("cannot write {}", path.display()))
        };
        write("spec.toml", spec.as_bytes())?;
        // Last, as its presence makes the folder a run.
        write("report.json", &serde_json::to_vec_pretty(report)?)
    }

    /// The digest that names it.
    pub fn digest(&self) -> Digest {
        self.parts.digest()
    }

    /// The spec it was made with.
    ///
    /// # Errors
    /// A registry without a release record of this bundle.
    pub fn spec(&self) -> Result<TrainerSpec> {
        TrainerSpec::parse(self.spec_text()?)
            .with_context(|| format!("the spec that bundle {} was made with", self.digest()))
    }

    /// The text of the spec it was made with.
    ///
    /// # Errors
    /// A registry without a release record of this bundle.
    pub fn spec_text(&self) -> Result<&str> {
        self.spec
            .as_deref()
            .context("the registry has no release record of this bundle, so its spec is unknown; pass --spec")
    }

    /// The report of its run; `None` for a bundle of a registry.
    pub fn report(&self) -> Option<&Report> {
        self.report.as_ref()
    }

    /// Replays with this bundle, as the first arm of a channel's pointer where one is given.
    ///
    /// # Errors
    /// A pointer that cannot be read or does not name this bundle.
    pub fn subject(&self, channel: Option<&Path>) -> Result<Subject> {
        let load = self.parts.load();
        let mut subject = Subject {
            engine: self.parts.engine().to_vec(),
            encoder: load.encoder,
            policy: load.policy,
            model: load.model,
            bundle: Some(self.digest()),
            salt: String::new(),
            arm: String::new(),
            weight: 0,
        };
        if let Some(path) = channel {
            let bytes = std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
            let pointer: Channel = sign::read_unverified(&bytes, DocumentType::Channel)?;
            let arm = pointer.arms.iter().find(|a| a.bundle == self.digest());
            let arm = arm.with_context(|| format!("{} has no arm with bundle {}", path.display(), self.digest()))?;
            (subject.arm, subject.weight) = (arm.name.clone(), arm.weight);
            subject.salt = pointer.salt;
        }
        Ok(subject)
    }
}

/// No engine of this build loads the parts.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NoEngine {
    /// Both refuse them.
    #[error("no engine runs it: {}{}", sentence(.reason), .compact.as_ref().map(|c| format!(" (the compact engine: {})", sentence(c))).unwrap_or_default())]
    Refused {
        /// What the compact engine says where it has all operators of the model, else what the onnx engine says.
        reason: String,
        /// What the compact engine says, where that is something else.
        compact: Option<String>,
    },
    /// The host fails.
    #[error(transparent)]
    Host(#[from] HostError),
}

/// How the engines say that they do not have an operator.
const NO_OPERATOR: &str = "is not run by this engine";
/// What the name of every operator of trees begins with.
const TREES: &str = "TreeEnsemble";

/// The compact engine with the parts loaded, or where it refuses them the onnx engine.
fn smallest(load: &Load) -> Result<(&'static [u8], Guest), NoEngine> {
    let with = |engine| Guest::new(Host::shared()?, engine, load, Limits::batch()).map(|guest| (engine, guest));
    let compact = match with(crate::ENGINE) {
        Err(HostError::Refused { reason }) => reason,
        other => return Ok(other?),
    };
    let has_all = !compact.contains(NO_OPERATOR);
    // Both engines read trees with the same code.
    if has_all && compact.contains(TREES) {
        return Err(NoEngine::Refused { reason: compact, compact: None });
    }
    match with(crate::ENGINE_ONNX) {
        Err(HostError::Refused { .. }) if has_all => Err(NoEngine::Refused { reason: compact, compact: None }),
        Err(HostError::Refused { reason }) => {
            let compact = (compact != reason).then_some(compact);
            Err(NoEngine::Refused { reason, compact })
        }
        other => Ok(other?),
    }
}

/// Runs a future of the registry on this thread.
///
/// # Errors
/// The runtime cannot be started.
pub(super) fn block_on<F: Future>(future: F) -> Result<F::Output> {
    Ok(tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(future))
}
