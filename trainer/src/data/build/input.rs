//! What a dataset is built from: files of rows and of events, registered as tables of a query.
//!
//! Files of one encoder are one table. Columns are those of the newest encoder; the rows of an older one come along
//! where it read every feature from the same source.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use datafusion::prelude::{DataFrame, SessionContext};
use shared_features::digest::Digest;
use shared_features::encoder::Encoder;
use shared_features::spec::FeatureSpec;
use tempfile::TempDir;

use super::{BuildError, Registered};
use crate::data::collected;
use crate::data::feature_log::{self, ROWS, covers};
use crate::data::query::{self, QueryError, quoted, quoted_name, whole_number};
use crate::data::replay;
use crate::data::store::EVENTS;
use crate::data::warehouse::Kind;

/// The files of a log.
#[derive(Clone, Debug, Default)]
pub struct Input {
    /// Parquet files of logged rows.
    pub rows: Vec<PathBuf>,
    /// Parquet files of events.
    pub events: Vec<PathBuf>,
    /// The newest snapshot that rows were made with.
    pub tables: Option<Vec<u8>>,
    /// Copies of stores that are in no folder, as long as they are read.
    copies: Vec<Arc<TempDir>>,
}

impl Input {
    /// The files of LOG folders and collected stores, the oldest first; those of stores behind URLs are copied to where
    /// queries spill.
    ///
    /// # Errors
    /// A snapshot or a store that cannot be read, or a copy that cannot be written.
    pub fn folders(folders: &[PathBuf], surface: &str, spill: Option<&Path>) -> Result<Input, BuildError> {
        let mut input = Input::default();
        for folder in folders {
            if let Some(location) = collected::store_at(folder) {
                input.add_store(folder, &location, surface, spill)?;
                continue;
            }
            input.rows.push(folder.join(ROWS));
            input.events.push(folder.join(EVENTS));
            let newest = replay::newest_tables(folder);
            let path = folder.join("tables");
            if let Some(bytes) = newest.map_err(|source| BuildError::Io { path: path.clone(), source })? {
                input.tables = Some(bytes);
            }
        }
        Ok(input)
    }
}

impl Input {
    /// The files of a collected store, as of its last commit: rows of every surface, as touches may be of any.
    fn add_store(
        &mut self,
        folder: &Path,
        location: &str,
        surface: &str,
        spill: Option<&Path>,
    ) -> Result<(), BuildError> {
        let tables = collected::newest_tables_of(location, surface)?;
        self.tables = tables.or(self.tables.take());
        let (mut rows, mut events) = (Vec::new(), Vec::new());
        for (kind, path) in collected::files(location)? {
            match kind {
                Kind::Rows => rows.push(path),
                Kind::Events => events.push(path),
                Kind::Quarantine => {}
            }
        }
        if folder.is_dir() {
            self.rows.extend(rows.into_iter().map(|path| folder.join(path)));
            self.events.extend(events.into_iter().map(|path| folder.join(path)));
            return Ok(());
        }
        for (files, into) in [(rows, &mut self.rows), (events, &mut self.events)] {
            let at = spill.map_or_else(std::env::temp_dir, Path::to_owned);
            let copy = tempfile::tempdir_in(&at).map_err(|source| BuildError::Io { path: at, source })?;
            into.extend(collected::copy(location, copy.path(), &files)?);
            self.copies.push(Arc::new(copy));
        }
        Ok(())
    }
}

/// Rows of one encoder.
struct Group {
    encoder: Encoder,
    files: Vec<PathBuf>,
    table: String,
    rows: u64,
    newest: i64,
}

/// Registers `rows` (keys of all rows), `surface_rows` (whole rows of the surface) and `events`.
pub(super) async fn register(
    session: &SessionContext,
    input: &Input,
    spec: &FeatureSpec,
) -> Result<Registered, BuildError> {
    let empty = || BuildError::Empty { surface: spec.surface().to_owned() };
    let mut groups = groups(input)?;
    for group in &mut groups {
        let schema = feature_log::schema(&group.encoder);
        let table = query::parquet(session, &group.files, Some(&schema)).await?;
        register_as(session, &group.table, table)?;
        let counted =
            format!("SELECT count(*), max(arrived) FROM {} WHERE surface = {}", group.table, quoted(spec.surface()));
        let [rows, newest] = two_numbers(session, &counted).await?;
        (group.rows, group.newest) = (rows.unwrap_or(0) as u64, newest.unwrap_or(i64::MIN));
    }
    let keys = groups.iter().map(|g| format!("SELECT request, \"user\", surface, ts, \"row\", item FROM {}", g.table));
    view(session, "rows", &keys.collect::<Vec<_>>().join(" UNION ALL ")).await?;
    let newest = groups.iter().filter(|g| g.rows > 0).max_by_key(|g| g.newest).ok_or_else(empty)?;
    let columns = columns(&newest.encoder);
    let (same, other): (Vec<&Group>, Vec<&Group>) = groups.iter().partition(|g| covers(&g.encoder, &newest.encoder));
    let whole =
        same.iter().map(|g| format!("SELECT {columns} FROM {} WHERE surface = {}", g.table, quoted(spec.surface())));
    view(session, "surface_rows", &whole.collect::<Vec<_>>().join(" UNION ALL ")).await?;
    let events = query::parquet(session, &input.events, None).await?;
    register_as(session, "events", events)?;
    let last = "SELECT max(ts), NULL FROM (SELECT ts FROM events UNION ALL SELECT ts FROM rows)";
    let [end, _] = two_numbers(session, last).await?;
    Ok(Registered {
        encoder: newest.encoder.clone(),
        other_encoder: other.iter().map(|g| g.rows).sum(),
        end: end.unwrap_or(i64::MIN),
    })
}

fn groups(input: &Input) -> Result<Vec<Group>, BuildError> {
    let mut groups: BTreeMap<Digest, Group> = BTreeMap::new();
    for file in &input.rows {
        let encoder = feature_log::open(file)?.encoder;
        let table = format!("rows_{}", groups.len());
        let group = groups.entry(encoder.hash()).or_insert_with(|| Group {
            encoder,
            files: Vec::new(),
            table,
            rows: 0,
            newest: i64::MIN,
        });
        group.files.push(file.clone());
    }
    Ok(groups.into_values().collect())
}

/// The columns of a log of this encoder; a vector of another encoder is none.
fn columns(encoder: &Encoder) -> String {
    let schema = feature_log::schema(encoder);
    let column = |name: &str| match name {
        "vector" => format!("CASE WHEN encoder = {} THEN vector END AS vector", quoted(&encoder.hash().to_string())),
        name => quoted_name(name),
    };
    schema.fields().iter().map(|field| column(field.name())).collect::<Vec<_>>().join(", ")
}

fn register_as(session: &SessionContext, name: &str, table: DataFrame) -> Result<(), BuildError> {
    session.register_table(name, table.into_view()).map_err(QueryError::doing("cannot read the log"))?;
    Ok(())
}

async fn view(session: &SessionContext, name: &str, sql: &str) -> Result<(), BuildError> {
    let doing = QueryError::doing("cannot read the log's columns");
    let view = session.sql(sql).await.map_err(doing)?;
    register_as(session, name, view)
}

async fn two_numbers(session: &SessionContext, sql: &str) -> Result<[Option<i64>; 2], BuildError> {
    let doing = QueryError::doing("cannot read the log's rows");
    let batches = session.sql(sql).await.map_err(doing)?.collect().await.map_err(doing)?;
    let batch = batches.iter().find(|b| b.num_rows() > 0);
    let cell = |k: usize| batch.and_then(|b| whole_number(b.column(k)));
    Ok([cell(0), cell(1)])
}
