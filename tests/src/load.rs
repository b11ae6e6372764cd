//! Data of the benches: rows of forty features, and events whose replay has large requests and long histories.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use arrow_array::{ArrayRef, Float32Array, Int64Array, RecordBatch, StringArray};
use parquet::arrow::ArrowWriter;
use shared_features::event::{Candidate, Event, InteractionEvent};
use shared_features::random::Random;
use trainer::data::simulate::{self, World};
use trainer::data::store::{self, Data};

/// Rows that are made at a time.
const BATCH: usize = 65_536;

/// Writes Parquet with 30 numbers, 6 strings of few values and 4 of many; one cell in twenty is missing.
///
/// # Panics
/// There are no rows, or the file cannot be written.
pub fn rows(path: &Path, rows: u64) {
    let mut random = Random::keyed("data bench", "rows");
    let mut writer: Option<ArrowWriter<File>> = None;
    let mut left = rows as usize;
    while left > 0 {
        let n = left.min(BATCH);
        left -= n;
        let mut columns: Vec<(String, ArrayRef, bool)> = Vec::new();
        for k in 0..40 {
            let cells = 0..n;
            let mut below = |most: u64| (random.below(20) > 0).then(|| random.below(most));
            let column: ArrayRef = match k {
                0..20 => Arc::new(cells.map(|_| below(1 << 24).map(|x| x as f32 / 977.0)).collect::<Float32Array>()),
                20..30 => Arc::new(cells.map(|_| below(1_000).map(|x| x as i64)).collect::<Int64Array>()),
                30..36 => Arc::new(cells.map(|_| below(12).map(|x| format!("value {x}"))).collect::<StringArray>()),
                _ => Arc::new(cells.map(|_| below(100_000).map(|x| format!("item {x}"))).collect::<StringArray>()),
            };
            columns.push((format!("f{k}"), column, true));
        }
        let batch = RecordBatch::try_from_iter_with_nullable(columns).expect("columns of one length");
        let writer = writer.get_or_insert_with(|| {
            let file = File::create(path).expect("the folder is ours");
            ArrowWriter::try_new(file, batch.schema(), None).expect("plain columns")
        });
        writer.write(&batch).expect("there is room");
    }
    writer.expect("at least one row").close().expect("there is room");
}

/// Writes a DATA folder of a simulated world whose requests have 200 candidates, and whose users have done 200 things
/// before.
///
/// # Panics
/// A folder cannot be written.
pub fn events(to: &Path, world: &Path) {
    const MANY: usize = 200;
    let made = World { users: 2_000, items: 300, days: 28, seed: 1, null: false };
    simulate::write(&made, world, &|_, _| {}).expect("the folder is ours");
    let mut events = Data::open(world).expect("it was just written").events;
    let of = |event: &Event| match event {
        Event::Item(item) => Some(item.id.clone()),
        _ => None,
    };
    let items: Vec<String> = events.iter().filter_map(of).collect();
    let mut users: BTreeMap<String, i64> = BTreeMap::new();
    for event in &mut events {
        let Event::Request(request) = event else { continue };
        users.entry(request.user.clone()).or_insert(request.ts);
        let named: BTreeSet<String> = request.candidates.iter().map(|c| c.item.clone()).collect();
        let more = items.iter().filter(|item| !named.contains(*item)).take(MANY.saturating_sub(named.len()));
        request.candidates.extend(more.map(|item| Candidate { item: item.clone(), fields: Default::default() }));
    }
    for (at, (user, first)) in users.into_iter().enumerate() {
        events.extend((0..MANY).map(|k| {
            Event::Interaction(InteractionEvent {
                id: format!("earlier {user} {k}"),
                ts: first - 3_600_000 * (k as i64 + 1),
                user: user.clone(),
                item: items[(at + 7 * k) % items.len()].clone(),
                action: "play".to_owned(),
                offset_min: None,
                surface: None,
                request: None,
                dwell_ms: None,
                completion: None,
            })
        }));
    }
    events.sort_by_key(Event::ts);
    let mut writer = store::Writer::create(to).expect("the folder is ours");
    events.into_iter().for_each(|event| writer.push(event).expect("they are in order"));
    writer.finish(serde_json::Value::Null).expect("there is room");
}
