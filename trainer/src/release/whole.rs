//! The whole loop once: replay, train, judge, publish.

use std::path::Path;

use anyhow::Result;

use super::bundle::Bundle;
use super::publish::{Published, Target, publish};
use crate::data::replay::{Subject, replay};
use crate::data::shard::Shard;
use crate::data::store::Data;
use crate::data::validation::training::Checks;
use crate::experiment::train::{Report, Settings, train};
use crate::spec::TrainerSpec;

/// Runs the loop from a DATA folder to a channel; LOG and RUN folders are left in `work`.
///
/// # Errors
/// The first step that fails; a gate that does not pass is no error but a result without a sequence.
pub fn run_once(
    data: &Path,
    spec_path: &Path,
    seed: u64,
    work: &Path,
    target: &Target,
    replaying: &(dyn Fn(u64, u64) + Sync),
    training: &(dyn Fn(u64, u64) + Sync),
) -> Result<(Report, Published)> {
    let spec = TrainerSpec::read(spec_path)?;
    let (log, run) = (work.join("log"), work.join("run"));
    replay(&Data::open(data)?, &spec.features, &Subject::of_spec(&spec.features), Shard::WHOLE, &log, replaying)?;
    let report = train(&log, spec_path, &Settings { seed, fold: 0 }, &Checks::default(), &run, training)?;
    let bundle = Bundle::open(run.to_str().unwrap_or_default())?;
    let published = publish(&bundle, target, None)?;
    Ok((report, published))
}
