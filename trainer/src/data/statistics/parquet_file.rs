//! Parquet files as Arrow columns: only the columns asked for, a row group at a time.

use std::fs::File;
use std::path::{Path, PathBuf};

use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{ArrowReaderMetadata, ParquetRecordBatchReaderBuilder};
use parquet::errors::ParquetError;

use super::columns::type_of;
use super::source::{BATCH_ROWS, Batch, Column};
use super::{StatisticsError, Type};
use crate::data::feature_log::ENCODER_KEY;

/// A Parquet file whose metadata is read.
pub(super) struct ParquetFile {
    path: PathBuf,
    metadata: ArrowReaderMetadata,
}

impl ParquetFile {
    pub(super) fn open(path: &Path) -> Result<ParquetFile, StatisticsError> {
        let file = File::open(path).map_err(|source| StatisticsError::Io { path: path.into(), source })?;
        let metadata = ArrowReaderMetadata::load(&file, Default::default())
            .map_err(|source| StatisticsError::Parquet { path: path.into(), source })?;
        Ok(ParquetFile { path: path.into(), metadata })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn row_groups(&self) -> usize {
        self.metadata.metadata().num_row_groups()
    }

    /// Whether it is the rows of a feature log, which carry the encoder that read them.
    pub(super) fn is_feature_log(&self) -> bool {
        let pairs = self.metadata.metadata().file_metadata().key_value_metadata();
        pairs.is_some_and(|pairs| pairs.iter().any(|pair| pair.key == ENCODER_KEY))
            && self.metadata.schema().fields().iter().any(|field| field.name().starts_with("value."))
    }

    /// Columns with what they hold, or with their type where they cannot be read.
    pub(super) fn columns(&self) -> impl Iterator<Item = (String, Result<(Type, bool), String>)> {
        self.metadata.schema().fields().iter().map(|field| {
            (field.name().clone(), type_of(field.data_type()).ok_or_else(|| field.data_type().to_string()))
        })
    }

    /// Shows batches of columns of a row group; a column that the file lacks is `None`.
    pub(super) fn read(
        &self,
        row_group: usize,
        wanted: &[&Column],
        show: &mut dyn FnMut(&Batch),
    ) -> Result<(), StatisticsError> {
        let error = |source| StatisticsError::Parquet { path: self.path.clone(), source };
        let file = File::open(&self.path).map_err(|source| StatisticsError::Io { path: self.path.clone(), source })?;
        let fields = self.metadata.schema().fields();
        let roots: Vec<Option<usize>> =
            wanted.iter().map(|column| fields.iter().position(|field| *field.name() == column.column)).collect();
        let reader = ParquetRecordBatchReaderBuilder::new_with_metadata(file, self.metadata.clone());
        let mask = ProjectionMask::roots(reader.parquet_schema(), roots.iter().flatten().copied());
        let reader = reader.with_row_groups(vec![row_group]).with_projection(mask).with_batch_size(BATCH_ROWS);
        for batch in reader.build().map_err(error)? {
            let batch = batch.map_err(|source| error(ParquetError::ArrowError(source.to_string())))?;
            let columns = wanted.iter().map(|column| batch.column_by_name(&column.column).cloned()).collect();
            show(&(batch.num_rows(), columns));
        }
        Ok(())
    }
}
