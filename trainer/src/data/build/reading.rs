//! Reads a DATASET folder back, for training.

use std::path::Path;

use arrow_array::cast::AsArray;
use arrow_array::types::UInt32Type;
use shared_features::codec;
use shared_features::digest::Digest;

use super::{BuildError, DESCRIPTION, FORMAT, Report, days};
use crate::data::feature_log::{self, FeatureLog};

/// A dataset in memory.
#[derive(Debug)]
pub struct Dataset {
    /// What it holds.
    pub report: Report,
    /// The rows, in time order.
    pub log: FeatureLog,
    /// For each record, a grade for each row; `None` where it was not shown.
    pub grades: Vec<Vec<Option<u32>>>,
    /// Names the data: the digest of the files' digests.
    pub digest: Digest,
}

/// Whether a folder is a DATASET folder.
pub fn is_dataset(folder: &Path) -> bool {
    folder.join(DESCRIPTION).is_file()
}

impl Dataset {
    /// Reads a DATASET folder, and checks every file against its digest.
    ///
    /// # Errors
    /// A folder that is not readable, of another version, or altered.
    pub fn read(folder: &Path) -> Result<Dataset, BuildError> {
        let path = folder.join(DESCRIPTION);
        let text = std::fs::read(&path).map_err(|source| BuildError::Io { path: path.clone(), source })?;
        let format = |reason| BuildError::Format { path: path.clone(), reason };
        let report: Report =
            serde_json::from_slice(&text).map_err(|e| format(format!("{e}; build the dataset again")))?;
        if report.format != FORMAT {
            return Err(format(format!("format {} is not {FORMAT}; build the dataset again", report.format)));
        }
        let mut records = Vec::new();
        let mut flat: Vec<Option<u32>> = Vec::new();
        let mut encoder = None;
        for day in &report.days {
            // A file is named by its day; what else the description says is no path to follow.
            let file = folder.join(format!("{}.parquet", day.day.replace(['/', '\\'], "")));
            let got = days::digest(&file)?;
            if got != day.digest {
                return Err(BuildError::Digest { path: file, got, expected: day.digest });
            }
            let rows = feature_log::open(&file)?;
            encoder.get_or_insert_with(|| rows.encoder.clone());
            let grades = |batch: &arrow_array::RecordBatch| {
                let column = batch.column_by_name("grade")?.as_primitive_opt::<UInt32Type>()?;
                flat.extend(column.iter());
                Some(())
            };
            rows.read(grades, &mut records)?;
        }
        let Some(encoder) = encoder else {
            return Err(BuildError::Empty { surface: report.surface });
        };
        let mut flat = flat.into_iter();
        let grades = records.iter().map(|r| flat.by_ref().take(r.rows.items.len()).collect()).collect();
        let files: Vec<Digest> = report.days.iter().map(|day| day.digest).collect();
        let digest = Digest::of(&codec::encode(&files));
        Ok(Dataset { report, log: FeatureLog { encoder, records }, grades, digest })
    }
}
