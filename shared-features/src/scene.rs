//! Everything one request's sources read from: the request, its candidates, the user's history and the tables.

use std::cell::{Cell, RefCell};
use std::ops::Range;
use std::rc::Rc;

use serde::{Deserialize, Serialize};

use crate::column::{Column, NO_CODE};
use crate::duration::Duration;
use crate::history::HistoryView;
use crate::numeric;
use crate::request::Request;
use crate::schema::{Entity, FieldRef, Schema};
use crate::tables::{StatisticDef, Tables};

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
    groups: RefCell<Vec<(Scope, Rc<Groups>)>>,
    decays: RefCell<Vec<Rc<Decay>>>,
}

/// What each history entry counts for one half-life, computed when it is first asked for: features share them.
pub struct Decay {
    half_life: Duration,
    weights: Vec<Cell<f64>>,
}

/// History entries by key, and the keys of each candidate; group 0 is empty, for keys without entries.
pub struct Groups {
    entries: Vec<Vec<u32>>,
    of_candidate: Vec<Vec<u32>>,
}

impl Decay {
    /// `2^(-age / half_life)` of an entry.
    pub fn weight(&self, scene: &Scene, entry: u32) -> f64 {
        let known = &self.weights[entry as usize];
        if known.get().is_nan() {
            known.set(libm::exp2(-scene.age_hours(entry) / (self.half_life.ms as f64 / 3_600_000.0)));
        }
        known.get()
    }
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
        candidates: Vec<(&'a str, Option<u32>)>,
    ) -> Self {
        let (candidates, field_rows): (Vec<_>, Vec<_>) = candidates.into_iter().unzip();
        Scene {
            schema,
            statistics,
            request,
            tables,
            history,
            window: history.window(request.ts, history_length),
            item_rows: candidates.iter().map(|item| tables.row(item)).collect(),
            candidates,
            field_rows,
            groups: RefCell::default(),
            decays: RefCell::default(),
        }
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
    pub fn per_candidate(&self, scope: &Scope, of_group: impl Fn(&[u32]) -> f64) -> Column {
        let groups = self.groups(scope);
        let mut known: Vec<Option<f64>> = vec![None; groups.entries.len()];
        let mut value = |group: u32| {
            let slot = &mut known[group as usize];
            *slot.get_or_insert_with(|| of_group(&groups.entries[group as usize]))
        };
        let numbers = groups.of_candidate.iter().map(|keys| match keys.as_slice() {
            [] => numeric::MISSING,
            [key] => numeric::store(value(*key)),
            keys => {
                let (mut sum, mut count) = (0.0, 0u32);
                for &key in keys {
                    let x = value(key);
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

    /// The weights of history entries for a half-life.
    pub fn decay(&self, half_life: Duration) -> Rc<Decay> {
        let mut decays = self.decays.borrow_mut();
        if let Some(known) = decays.iter().find(|decay| decay.half_life == half_life) {
            return Rc::clone(known);
        }
        let decay = Rc::new(Decay { half_life, weights: vec![Cell::new(f64::NAN); self.history.ts.len()] });
        decays.push(Rc::clone(&decay));
        decay
    }

    /// Age of a history entry at the request, in hours, more than 0.
    pub fn age_hours(&self, entry: u32) -> f64 {
        self.request.ts.saturating_sub(self.history.ts[entry as usize]) as f64 / 3_600_000.0
    }

    fn groups(&self, scope: &Scope) -> Rc<Groups> {
        if let Some((_, groups)) = self.groups.borrow().iter().find(|(known, _)| known == scope) {
            return Rc::clone(groups);
        }
        let groups = Rc::new(self.group(scope));
        self.groups.borrow_mut().push((scope.clone(), Rc::clone(&groups)));
        groups
    }

    fn group(&self, scope: &Scope) -> Groups {
        let window = || self.window.clone().map(|i| i as u32);
        match scope {
            Scope::All => {
                Groups { entries: vec![Vec::new(), window().collect()], of_candidate: vec![vec![1]; self.rows()] }
            }
            Scope::Item => {
                let mut entries = vec![Vec::new(); self.history.items.len() + 1];
                for i in window() {
                    entries[self.history.item[i as usize] as usize + 1].push(i);
                }
                let key = |item: &&str| {
                    self.history.items.binary_search_by(|n| n.as_str().cmp(item)).map_or(0, |i| i as u32 + 1)
                };
                Groups { entries, of_candidate: self.candidates.iter().map(|item| vec![key(item)]).collect() }
            }
            Scope::Field(field) => self.group_by_field(field),
        }
    }

    fn group_by_field(&self, field: &FieldRef) -> Groups {
        let column = self.schema.find(field).map(|(index, _)| &self.tables.attributes[index]);
        let keys = |row: Option<u32>| -> Vec<u32> {
            match (column, row) {
                (Some(Column::Category(c)), Some(row)) => {
                    c.codes.get(row as usize).filter(|&&k| k != NO_CODE).map(|k| vec![k + 1]).unwrap_or_default()
                }
                (Some(Column::Tags(t)), Some(row)) => t.codes_of(row as usize).iter().map(|k| k + 1).collect(),
                _ => Vec::new(),
            }
        };
        let names = match column {
            Some(Column::Category(c)) => c.names.len(),
            Some(Column::Tags(t)) => t.names.len(),
            _ => 0,
        };
        let mut entries = vec![Vec::new(); names + 1];
        let rows: Vec<Option<u32>> = self.history.items.iter().map(|item| self.tables.row(item)).collect();
        for i in self.window.clone() {
            for key in keys(rows[self.history.item[i] as usize]) {
                entries[key as usize].push(i as u32);
            }
        }
        Groups { entries, of_candidate: self.item_rows.iter().map(|row| keys(*row)).collect() }
    }
}
