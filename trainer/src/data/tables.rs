//! Table snapshots: item attributes and statistics, each from nothing but the events before its `as_of`.
//!
//! Counts are folded forward once for many snapshots, yet every snapshot has the same bits as one made alone:
//! counts are whole numbers, and decayed sums are scaled against fixed times, never against earlier snapshots.
//! An interaction belongs to a request only where that request is earlier in the data.

use foldhash::{HashMap, HashMapExt};
use shared_features::column::{Column, ColumnError, Kind};
use shared_features::event::{Attributes, Event, FieldValue, RequestEvent};
use shared_features::numeric;
use shared_features::schema::{Entity, FieldRef};
use shared_features::spec::{Counted, FeatureSpec, Statistic, TablesSpec};
use shared_features::tables::{StatisticValues, Tables};

mod fold;

use fold::Fold;

/// All that snapshots are made of.
#[derive(Debug)]
pub struct Snapshots {
    spec: TablesSpec,
    /// Ids of every item, in order of first appearance.
    items: Vec<String>,
    /// Indices into `items`, sorted by id.
    sorted: Vec<u32>,
    /// A column an item field, a row an item event.
    attributes: Vec<Column>,
    /// For each item event in time order: its time and item; its row is its place.
    item_events: Vec<(i64, u32)>,
    /// What each statistic counts.
    counted: Vec<Hits>,
}

/// What one statistic counts, in time order.
#[derive(Debug, Default)]
struct Hits {
    segments: Vec<String>,
    hits: Vec<Hit>,
}

/// One counted event.
#[derive(Clone, Copy, Debug)]
struct Hit {
    ts: i64,
    item: u32,
    segment: u32,
    /// `None` for an impression of a request that is not in the data.
    user: Option<u32>,
}

/// Why no snapshots can be made.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum SnapshotError {
    /// An attribute of another kind than the spec declares.
    #[error("item `{item}`, field `{field}`: {source}; correct the spec's [schema.item] or the data")]
    Attribute {
        /// The item.
        item: String,
        /// The field.
        field: String,
        /// What was wrong.
        source: ColumnError,
    },
}

/// Snapshots at many times; see [`Snapshots::iter`].
#[derive(Debug)]
pub struct Iter<'s> {
    snapshots: &'s Snapshots,
    times: std::slice::Iter<'s, i64>,
    as_of: i64,
    folds: Vec<Fold<'s>>,
    /// Item events that were folded, and the newest one of each item.
    folded: usize,
    newest: Vec<Option<u32>>,
    /// Attribute columns of the rows they were last taken for.
    taken: Option<(Vec<Option<u32>>, Vec<Column>)>,
}

impl Snapshots {
    /// Prepares the events, which must be in time order; item fields that the spec does not declare are not used.
    ///
    /// # Errors
    /// An item attribute of another kind than declared.
    pub fn new(spec: &FeatureSpec, events: &[Event]) -> Result<Snapshots, SnapshotError> {
        let mut items = Ids::default();
        let mut item_events = Vec::new();
        let mut rows: Vec<(&str, &Attributes)> = Vec::new();
        let mut counted: Vec<Hits> = spec.tables.statistics.iter().map(|_| Hits::default()).collect();
        collect_hits(spec, events, &mut items, &mut counted);
        for event in events {
            if let Event::Item(item) = event {
                item_events.push((item.ts, items.of(&item.id)));
                rows.push((&item.id, &item.attributes));
            }
        }
        let attributes = spec.unfitted.schema.item.iter().map(|f| attribute(&f.name, f.kind, &rows));
        let attributes = attributes.collect::<Result<_, _>>()?;
        let items: Vec<String> = items.names.into_iter().map(str::to_owned).collect();
        let mut sorted: Vec<u32> = (0..items.len() as u32).collect();
        sorted.sort_unstable_by(|&a, &b| items[a as usize].cmp(&items[b as usize]));
        Ok(Snapshots { spec: spec.tables.clone(), items, sorted, attributes, item_events, counted })
    }

    /// The `as_of` of the newest snapshot that a request at `ts` may use: a multiple of the refresh since the epoch.
    pub fn as_of_for(&self, ts: i64) -> i64 {
        newest(&self.spec, ts.saturating_sub(self.spec.delay.ms))
    }

    /// The `as_of` of every snapshot that requests from `first_ts` to `last_ts` use, ascending.
    pub fn schedule(&self, first_ts: i64, last_ts: i64) -> impl Iterator<Item = i64> + use<> {
        let last = self.as_of_for(last_ts);
        let refresh = self.spec.refresh.ms.max(1);
        std::iter::successors(Some(self.as_of_for(first_ts)), move |as_of| as_of.checked_add(refresh))
            .take_while(move |as_of| *as_of <= last)
    }

    /// The snapshot of the events before `as_of`.
    pub fn at(&self, as_of: i64) -> Tables {
        let mut iter = self.iter(&[]);
        iter.advance(as_of);
        iter.snapshot()
    }

    /// The snapshots at these times; fast where they ascend.
    pub fn iter<'s>(&'s self, times: &'s [i64]) -> Iter<'s> {
        Iter {
            snapshots: self,
            times: times.iter(),
            as_of: i64::MIN,
            folds: self.folds(),
            folded: 0,
            newest: vec![None; self.items.len()],
            taken: None,
        }
    }

    fn folds(&self) -> Vec<Fold<'_>> {
        let statistics = self.spec.statistics.iter().zip(&self.counted);
        statistics.map(|(s, hits)| Fold::new(s, hits, self.items.len(), self.spec.min_users)).collect()
    }
}

impl Iterator for Iter<'_> {
    type Item = Tables;

    fn next(&mut self) -> Option<Tables> {
        let as_of = *self.times.next()?;
        self.advance(as_of);
        Some(self.snapshot())
    }
}

impl Iter<'_> {
    fn advance(&mut self, as_of: i64) {
        if as_of < self.as_of {
            self.folds = self.snapshots.folds();
            self.folded = 0;
            self.newest.fill(None);
        }
        self.as_of = as_of;
        self.folds.iter_mut().for_each(|fold| fold.advance(as_of));
        let events = self.snapshots.item_events.iter().enumerate().skip(self.folded);
        for (row, (_, item)) in events.take_while(|(_, (ts, _))| *ts < as_of) {
            self.newest[*item as usize] = Some(row as u32);
            self.folded = row + 1;
        }
    }

    fn snapshot(&mut self) -> Tables {
        let all = self.snapshots;
        let values: Vec<Vec<(u32, Vec<f32>)>> = self.folds.iter().map(Fold::values).collect();
        // An item that only interactions or impressions name enters with its first value, so never through too few users.
        let known = |item: u32| {
            let has_value = || values.iter().flatten().any(|(_, row)| !numeric::is_missing(row[item as usize]));
            self.newest[item as usize].is_some() || has_value()
        };
        let items: Vec<u32> = all.sorted.iter().copied().filter(|&item| known(item)).collect();
        let rows: Vec<Option<u32>> = items.iter().map(|&item| self.newest[item as usize]).collect();
        let attributes = match self.taken.take() {
            Some((same, columns)) if same == rows => columns,
            _ => all.attributes.iter().map(|column| column.take(&rows)).collect(),
        };
        self.taken = Some((rows, attributes.clone()));
        let statistics = values.iter().zip(&all.counted).map(|(segments, hits)| {
            let mut named: Vec<(&str, &Vec<f32>)> =
                segments.iter().map(|(segment, row)| (hits.segments[*segment as usize].as_str(), row)).collect();
            named.sort_unstable_by_key(|(name, _)| *name);
            StatisticValues {
                segments: named.iter().map(|(name, _)| (*name).to_owned()).collect(),
                data: named.iter().flat_map(|(_, row)| items.iter().map(|&item| row[item as usize])).collect(),
            }
        });
        Tables {
            as_of: self.as_of,
            valid_from: self.as_of.saturating_add(all.spec.delay.ms),
            statistics: statistics.collect(),
            items: items.iter().map(|&item| all.items[item as usize].clone()).collect(),
            attributes,
        }
    }
}

/// When snapshots are made that requests are to use in time.
///
/// Halfway through the delay: what edges saw before has come, and there is time left to publish.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Due {
    /// The `as_of` of the snapshot that is due.
    pub as_of: i64,
    /// When the next one is.
    pub next: i64,
}

impl Due {
    /// What is due at a time, both in milliseconds since the epoch.
    pub fn at(spec: &TablesSpec, now: i64) -> Due {
        let wait = spec.delay.ms / 2;
        let as_of = newest(spec, now.saturating_sub(wait));
        Due { as_of, next: as_of.saturating_add(spec.refresh.ms.max(1)).saturating_add(wait) }
    }
}

/// The last multiple of the refresh up to a time.
fn newest(spec: &TablesSpec, ts: i64) -> i64 {
    let refresh = spec.refresh.ms.max(1);
    ts.div_euclid(refresh).saturating_mul(refresh)
}

/// Numbers for ids, in order of first appearance.
#[derive(Debug, Default)]
struct Ids<'e> {
    names: Vec<&'e str>,
    index: HashMap<&'e str, u32>,
}

impl<'e> Ids<'e> {
    fn of(&mut self, name: &'e str) -> u32 {
        *self.index.entry(name).or_insert_with(|| {
            self.names.push(name);
            self.names.len() as u32 - 1
        })
    }
}

/// A column of one item field, a row an item event.
fn attribute(name: &str, kind: Kind, rows: &[(&str, &Attributes)]) -> Result<Column, SnapshotError> {
    Column::from_json(kind, rows.iter().map(|(_, row)| cell(row, name))).map_err(|source| {
        let wrong = |(_, row): &&(&str, &Attributes)| Column::from_json(kind, [cell(row, name)].into_iter()).is_err();
        let item = rows.iter().find(wrong).map_or("", |(item, _)| item).to_owned();
        SnapshotError::Attribute { item, field: name.to_owned(), source }
    })
}

fn cell<'e>(row: &'e Attributes, name: &str) -> Option<&'e FieldValue> {
    row.get(name).and_then(Option::as_ref)
}

/// A request that was seen, with the user's attributes that hold for it.
#[derive(Clone, Copy)]
struct Asked<'e> {
    event: &'e RequestEvent,
    attributes: Option<&'e Attributes>,
}

/// What happened, as statistics see it.
struct Happened<'e> {
    ts: i64,
    user: Option<&'e str>,
    surface: Option<&'e str>,
    attributes: Option<&'e Attributes>,
    context: Option<&'e Attributes>,
}

/// One pass over the events: every statistic's hits.
fn collect_hits<'e>(spec: &FeatureSpec, events: &'e [Event], items: &mut Ids<'e>, counted: &mut [Hits]) {
    let statistics = &spec.tables.statistics;
    let mut users = Ids::default();
    let mut segments: Vec<Ids> = statistics.iter().map(|_| Ids::default()).collect();
    let mut requests: HashMap<&str, Asked> = HashMap::new();
    // As sent by user events, and as sent last by any event.
    let mut declared: HashMap<&str, &Attributes> = HashMap::new();
    let mut newest: HashMap<&str, &Attributes> = HashMap::new();
    for (statistic, segments) in statistics.iter().zip(&mut segments) {
        if statistic.by.is_none() {
            segments.of("");
        }
    }
    let mut numbers: Vec<u32> = Vec::new();
    let mut count = |kind: &[Counted], action: Option<&str>, happened: &Happened<'e>, of: &[&'e str]| {
        // Looked up for the first statistic that counts the event, and not for each of them.
        let mut by = None;
        for ((statistic, segments), hits) in statistics.iter().zip(&mut segments).zip(counted.iter_mut()) {
            let wanted = kind.contains(&statistic.count)
                && statistic.actions.as_ref().is_none_or(|all| action.is_some_and(|a| all.iter().any(|x| x == a)))
                && statistic.surface.as_ref().is_none_or(|s| happened.surface == Some(s.as_str()));
            if let Some(segment) = segment(statistic, happened).filter(|_| wanted) {
                let user = *by.get_or_insert_with(|| {
                    numbers.clear();
                    numbers.extend(of.iter().map(|item| items.of(item)));
                    happened.user.map(|u| users.of(u))
                });
                let segment = segments.of(segment);
                hits.hits.extend(numbers.iter().map(|&item| Hit { ts: happened.ts, item, segment, user }));
            }
        }
    };
    let shown = &[Counted::Impressions][..];
    for event in events {
        match event {
            Event::Item(_) => {}
            Event::User(user) => {
                declared.insert(&user.id, &user.attributes);
                newest.insert(&user.id, &user.attributes);
            }
            Event::Request(request) => {
                if !request.attributes.is_empty() {
                    newest.insert(&request.user, &request.attributes);
                }
                let sent = (!request.attributes.is_empty()).then_some(&request.attributes);
                let attributes = sent.or_else(|| declared.get(request.user.as_str()).copied());
                let asked = *requests.entry(&request.id).or_insert(Asked { event: request, attributes });
                if spec.label.assume_shown {
                    let of: Vec<&str> = request.candidates.iter().map(|c| c.item.as_str()).collect();
                    count(shown, None, &Happened::on(asked, request.ts), &of);
                }
            }
            Event::Impression(_) if spec.label.assume_shown => {}
            Event::Impression(impression) => {
                let of: Vec<&str> = impression.shown.iter().map(|s| s.item.as_str()).collect();
                let happened = match requests.get(impression.request.as_str()) {
                    Some(asked) => Happened::on(*asked, impression.ts),
                    None => Happened { ts: impression.ts, user: None, surface: None, attributes: None, context: None },
                };
                count(shown, None, &happened, &of);
            }
            Event::Interaction(e) => {
                let asked = e.request.as_deref().and_then(|id| requests.get(id));
                let happened = Happened {
                    ts: e.ts,
                    user: Some(&e.user),
                    surface: e.surface.as_deref().or_else(|| asked.map(|a| a.event.surface.as_str())),
                    attributes: match asked {
                        Some(asked) => asked.attributes,
                        None => newest.get(e.user.as_str()).copied(),
                    },
                    context: asked.map(|a| &a.event.context),
                };
                count(&[Counted::Interactions, Counted::Users], Some(&e.action), &happened, &[&e.item]);
            }
        }
    }
    for (hits, segments) in counted.iter_mut().zip(segments) {
        hits.segments = segments.names.into_iter().map(str::to_owned).collect();
    }
}

impl<'e> Happened<'e> {
    fn on(asked: Asked<'e>, ts: i64) -> Happened<'e> {
        Happened {
            ts,
            user: Some(&asked.event.user),
            surface: Some(&asked.event.surface),
            attributes: asked.attributes,
            context: Some(&asked.event.context),
        }
    }
}

/// The segment that an event counts in; `None` where its category is missing.
fn segment<'e>(statistic: &Statistic, happened: &Happened<'e>) -> Option<&'e str> {
    let Some(FieldRef { entity, name }) = &statistic.by else { return Some("") };
    let attributes = if *entity == Entity::User { happened.attributes } else { happened.context };
    match attributes?.get(name)? {
        Some(FieldValue::String(category)) => Some(category),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
