//! Everything one request's sources read from: the request, its candidates, the user's history and the tables.

use std::cell::OnceCell;
use std::ops::Range;
use std::rc::Rc;

use serde::{Deserialize, Serialize};

use crate::column::Column;
use crate::duration::Duration;
use crate::history::HistoryView;
use crate::request::Request;
use crate::schema::{Entity, FieldRef, Schema};
use crate::source::{Mask, MaskKey};
use crate::tables::{StatisticDef, Tables};
use crate::{numeric, order};

use groups::Groups;
use shared::Shared;

mod groups;
mod shared;

/// Which past interactions a history source looks at: those with this item, with an item that shares
/// this item's field value, or all.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Scope {
    /// `all`
    All,
    /// `item`
    Item,
    /// `item.FIELD`, a category or tags
    Field(FieldRef),
}

impl TryFrom<String> for Scope {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        match text.as_str() {
            "all" => Ok(Scope::All),
            "item" => Ok(Scope::Item),
            _ => match FieldRef::parse(&text) {
                Some(field) if field.entity == Entity::Item => Ok(Scope::Field(field)),
                _ => Err(format!("`{text}` is not a scope; write \"all\", \"item\" or \"item.FIELD\"")),
            },
        }
    }
}

impl From<Scope> for String {
    fn from(scope: Scope) -> String {
        match scope {
            Scope::All => "all".into(),
            Scope::Item => "item".into(),
            Scope::Field(field) => field.to_string(),
        }
    }
}

/// Items to rank, whatever they come from.
pub struct Candidates<'a> {
    /// Distinct items.
    pub items: Vec<&'a str>,
    /// For each, its row in the request's candidate fields.
    pub field_rows: Vec<Option<u32>>,
    /// Their places, sorted by item.
    pub by_item: Vec<u32>,
}

/// One request's inputs, resolved. All inputs have been checked.
pub struct Scene<'a> {
    /// The schema.
    pub schema: &'a Schema,
    /// What the tables' statistics are.
    pub statistics: &'a [StatisticDef],
    /// The request.
    pub request: &'a Request,
    /// The snapshot.
    pub tables: &'a Tables,
    /// The whole history that was sent.
    pub history: &'a HistoryView,
    /// The part of it that this request sees.
    pub window: Range<usize>,
    /// Items to rank, whatever they come from.
    pub candidates: Vec<&'a str>,
    /// For each candidate, its row in the request's candidate fields.
    pub field_rows: Vec<Option<u32>>,
    /// For each candidate, its row in the tables.
    pub item_rows: Vec<Option<u32>>,
    by_item: Vec<u32>,
    /// The row in the tables of each item of the history.
    history_rows: OnceCell<Vec<Option<u32>>>,
    groups: Shared<Scope, Groups>,
    decays: Shared<Duration, Vec<f64>>,
    masks: Shared<MaskKey, Mask>,
}

impl<'a> Scene<'a> {
    /// Resolves candidates against the tables.
    pub fn new(
        schema: &'a Schema,
        statistics: &'a [StatisticDef],
        tables: &'a Tables,
        history: &'a HistoryView,
        history_length: u32,
        request: &'a Request,
        candidates: Candidates<'a>,
    ) -> Self {
        let Candidates { items: candidates, field_rows, by_item } = candidates;
        let mut scene = Scene {
            schema,
            statistics,
            request,
            tables,
            history,
            window: history.window(request.ts, history_length),
            item_rows: vec![None; candidates.len()],
            candidates,
            field_rows,
            by_item,
            history_rows: OnceCell::new(),
            groups: Shared::default(),
            decays: Shared::default(),
            masks: Shared::default(),
        };
        let rows = order::places(&tables.items, scene.sorted_candidates());
        for (candidate, row) in scene.by_item.iter().zip(rows) {
            scene.item_rows[*candidate as usize] = row;
        }
        scene
    }

    /// Number of candidates: the rows of every column a source reads.
    pub fn rows(&self) -> usize {
        self.candidates.len()
    }

    /// The values of a field, a row a candidate; missing where the field or the item is unknown.
    pub fn field(&self, field: &FieldRef) -> Column {
        let Some((index, _)) = self.schema.find(field) else {
            return Column::Number(vec![numeric::MISSING; self.rows()]);
        };
        let first = || vec![Some(0); self.rows()];
        match field.entity {
            Entity::User => self.request.user[index].take(&first()),
            Entity::Context => self.request.context[index].take(&first()),
            Entity::Candidate => self.request.fields[index].take(&self.field_rows),
            Entity::Item => self.tables.attributes[index].take(&self.item_rows),
        }
    }

    /// The one category that a user or context field has in this request.
    pub fn segment(&self, field: &FieldRef) -> Option<&str> {
        let (index, _) = self.schema.find(field)?;
        let column = match field.entity {
            Entity::User => &self.request.user[index],
            Entity::Context => &self.request.context[index],
            Entity::Item | Entity::Candidate => return None,
        };
        match column {
            Column::Category(categories) => categories.get(0),
            _ => None,
        }
    }

    /// A statistic of the tables, a number a candidate; missing where the segment or the item is unknown.
    pub fn statistic(&self, name: &str) -> Vec<f32> {
        let values = self.statistics.iter().position(|s| s.name == name).and_then(|index| {
            let segment = match &self.statistics[index].by {
                None => "",
                Some(field) => self.segment(field)?,
            };
            self.tables.statistic(index, segment)
        });
        self.item_rows
            .iter()
            .map(|row| match (values, row) {
                (Some(values), Some(row)) => values[*row as usize],
                _ => numeric::MISSING,
            })
            .collect()
    }

    /// A number a candidate, computed from the history entries of its group.
    ///
    /// `of_group` gets indices into the history, oldest first, and returns NaN for missing.
    /// A candidate without a key (no category, no tags) is missing;
    /// one with several (tags) has the mean over those that are not missing.
    pub fn per_candidate(&self, scope: &Scope, of_group: &dyn Fn(&[u32]) -> f64) -> Column {
        let groups = self.groups.get(scope, || Groups::of(self, scope));
        let values: Vec<f64> = groups.entries.iter().map(of_group).collect();
        let numbers = groups.of_candidate.iter().map(|keys| match keys {
            [] => numeric::MISSING,
            [key] => numeric::store(values[*key as usize]),
            keys => {
                let (mut sum, mut count) = (0.0, 0u32);
                for &key in keys {
                    let x = values[key as usize];
                    if !x.is_nan() {
                        sum += x;
                        count += 1;
                    }
                }
                if count == 0 { numeric::MISSING } else { numeric::store(sum / f64::from(count)) }
            }
        });
        Column::Number(numbers.collect())
    }

    /// What each entry of the window weighs for a half-life, `2^(-age / half_life)`.
    pub fn decay(&self, half_life: Duration) -> Rc<Vec<f64>> {
        let hours = half_life.ms as f64 / 3_600_000.0;
        let weight = |entry| libm::exp2(-self.age_hours(entry as u32) / hours);
        self.decays.get(&half_life, || self.window.clone().map(weight).collect())
    }

    /// Which entries of the window count, for filters that agree on it.
    pub(crate) fn mask(&self, key: &MaskKey, make: impl FnOnce() -> Mask) -> Rc<Mask> {
        self.masks.get(key, make)
    }

    /// Age of a history entry at the request, in hours, more than 0.
    pub fn age_hours(&self, entry: u32) -> f64 {
        self.request.ts.saturating_sub(self.history.ts[entry as usize]) as f64 / 3_600_000.0
    }

    fn sorted_candidates(&self) -> impl Iterator<Item = &str> {
        self.by_item.iter().map(|&i| self.candidates[i as usize])
    }

    fn history_rows(&self) -> &[Option<u32>] {
        let items = self.history.items.iter().map(String::as_str);
        self.history_rows.get_or_init(|| order::places(&self.tables.items, items))
    }
}
