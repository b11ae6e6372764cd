//! Models that were trained elsewhere: their vectors go out, the model comes in and is judged like one fitted here.

use std::fs::File;
use std::io::Read;
use std::mem::discriminant;
use std::path::Path;

use anyhow::{Context, Result, bail};
use edge_runtime::bundle::Role;
use serde::{Deserialize, Serialize};
use shared_features::digest::Digest;
use shared_features::encoder::{Encoder, Feature};
use shared_features::transform::Fit;

use crate::data::vectors::{self, Row};
use crate::experiment::prepared::Prepared;
use crate::experiment::train::{Report, Settings};
use crate::release::canonical::{self, Wish};

/// What writing vectors did.
#[derive(Clone, Debug, Serialize)]
pub struct Written {
    /// The surface.
    pub surface: String,
    /// Requests.
    pub requests: u64,
    /// Rows.
    pub rows: u64,
    /// Numbers in a vector: the width that the model must have.
    pub width: u32,
    /// The fitted encoder.
    pub encoder: Digest,
}

/// Where a model came from.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Source {
    /// Digest of the file as it was handed in.
    pub sha256: Digest,
    /// What bundling changed of it, in words; nothing where the bundle has the very file.
    pub changes: Vec<String>,
}

/// Writes the shown rows of the training requests, with the vectors that a model is to be trained on.
///
/// # Errors
/// An unusable log or spec, or a file that cannot be written.
pub fn write_vectors(log: &Path, spec_path: &Path, settings: &Settings, out: &Path) -> Result<Written> {
    vectors::check_target(out)?;
    let mut prepared = Prepared::read(log, spec_path, settings)?;
    let encoded = prepared.encode()?;
    let width = prepared.width();
    let (mut rows, mut x, mut requests) = (Vec::new(), Vec::new(), 0);
    for &index in &prepared.parts.train {
        let record = &prepared.labelled.log.records[index];
        let before = rows.len();
        for (row, grade) in prepared.labelled.grades[index].iter().enumerate() {
            let Some(label) = *grade else { continue };
            let (request, user, item) = (&record.request, &record.user, &record.rows.items[row]);
            rows.push(Row { request, user, ts: record.ts, item, label });
            x.extend_from_slice(&encoded[&index][row * width..(row + 1) * width]);
        }
        requests += u64::from(rows.len() > before);
    }
    if rows.is_empty() {
        bail!(
            "no training request has a shown row; check that the log has impressions, or set `assume_shown` in the spec"
        );
    }
    vectors::write(out, &prepared.encoder, &rows, &x)?;
    Ok(Written {
        surface: prepared.spec.features.surface().to_owned(),
        requests,
        rows: rows.len() as u64,
        width: width as u32,
        encoder: Digest::of(&prepared.encoder.to_bytes()),
    })
}

/// Bundles and judges a model file, and writes a RUN folder as training does.
///
/// `trained_on` is the file of vectors that the model was trained on: the bundle gets its encoder, and its requests may not judge.
/// Without it the encoder is fitted anew, which gives the same bits on the same log.
///
/// # Errors
/// An unusable log or spec, a model that is refused, or a folder that cannot be written.
pub fn bring(
    model: &Path,
    wish: &Wish,
    trained_on: Option<&Path>,
    (log, spec_path): (&Path, &Path),
    settings: &Settings,
    out: &Path,
) -> Result<Report> {
    let named = || model.display().to_string();
    let bytes = read_model(model).with_context(|| format!("cannot read the model {}", named()))?;
    let mut prepared = Prepared::read(log, spec_path, settings)?;
    if let Some(path) = trained_on {
        let origin = vectors::origin(path)?;
        if let Some(what) = other_features(&origin.encoder, &prepared.encoder, &prepared.spec.features.features) {
            bail!(
                "{}: {what} not as the spec declares; run `trainer vectors` with this spec and train again",
                path.display()
            );
        }
        let records = &prepared.labelled.log.records;
        let known = prepared.parts.test.iter().filter(|&&i| origin.requests.contains(&records[i].request)).count();
        if known > 0 {
            bail!(
                "the model was trained on {known} of the {} requests that are to judge it; pass the --fold and the [split] that {} was written with",
                prepared.parts.test.len(),
                path.display()
            );
        }
        prepared.encoder = origin.encoder;
    }
    let canonical = canonical::rewrite(&bytes, prepared.width() as u32, wish).with_context(named)?;
    prepared.lap("read model");
    let source = Source { sha256: Digest::of(&bytes), changes: canonical.changes };
    prepared.finish(canonical.bytes, Some(source), out).with_context(named)
}

/// The bytes of a model, where they are not more than a bundle may have.
fn read_model(path: &Path) -> Result<Vec<u8>> {
    let (limit, mut bytes) = (Role::Model.limit(), Vec::new());
    if File::open(path)?.take(limit + 1).read_to_end(&mut bytes)? as u64 > limit {
        bail!("it has more than {limit} bytes, the most that a bundle may have; export a smaller one");
    }
    Ok(bytes)
}

/// What of an encoder is not what a spec declares, given the encoder that was fitted for that spec;
/// constants may differ where a transform learns them.
fn other_features(encoder: &Encoder, fitted: &Encoder, features: &[Feature]) -> Option<String> {
    if (&encoder.schema, &encoder.statistics) != (&fitted.schema, &fitted.statistics) {
        return Some("its schema or statistics are".into());
    }
    if (encoder.history_length, &encoder.baselines) != (fitted.history_length, &fitted.baselines) {
        return Some("its history length or baselines are".into());
    }
    if encoder.features.len() != fitted.features.len() {
        return Some(format!("its {} features are", encoder.features.len()));
    }
    encoder.features.iter().zip(&fitted.features).zip(features).find_map(|((own, other), feature)| {
        let mut steps = own.steps.iter().zip(&other.steps).zip(&feature.transforms);
        let declared = (&own.name, &own.source, own.encode) == (&other.name, &other.source, other.encode)
            && own.steps.len() == other.steps.len()
            && steps.all(|((own, other), transform)| match transform.learns() {
                true => discriminant(own) == discriminant(other),
                false => own == other,
            });
        (!declared).then(|| format!("its feature `{}` is", own.name))
    })
}
