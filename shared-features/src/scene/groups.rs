//! The history by what candidates have in common with it: whole, by item, or by the value of an item field.

use super::{Scene, Scope};
use crate::column::{Column, NO_CODE};
use crate::order;

/// History entries by key, of the keys that candidates have, and the groups of each candidate.
pub(super) struct Groups {
    /// Entries of each group, oldest first.
    pub(super) entries: Lists,
    /// A group for each key of a candidate; none where it has no key.
    pub(super) of_candidate: Lists,
}

/// Lists of numbers, after each other.
pub(super) struct Lists {
    /// Where each list begins, and the last one ends.
    starts: Vec<u32>,
    numbers: Vec<u32>,
}

impl Lists {
    fn new() -> Lists {
        Lists { starts: vec![0], numbers: Vec::new() }
    }

    /// What was added to `numbers` since is the next list.
    fn end(&mut self) {
        self.starts.push(self.numbers.len() as u32);
    }

    /// The list in a place; asked for with every entry.
    #[inline(always)]
    fn get(&self, place: usize) -> &[u32] {
        &self.numbers[self.starts[place] as usize..self.starts[place + 1] as usize]
    }

    /// All lists.
    pub(super) fn iter(&self) -> impl Iterator<Item = &[u32]> {
        self.starts.windows(2).map(|w| &self.numbers[w[0] as usize..w[1] as usize])
    }
}

impl Groups {
    /// The groups of a scene.
    pub(super) fn of(scene: &Scene, scope: &Scope) -> Groups {
        let items = scene.history.items.len();
        match scope {
            Scope::All => {
                let entries = scene.window.clone().map(|entry| entry as u32).collect::<Vec<_>>();
                let rows = scene.rows();
                Groups {
                    entries: Lists { starts: vec![0, entries.len() as u32], numbers: entries },
                    of_candidate: Lists { starts: (0..=rows as u32).collect(), numbers: vec![0; rows] },
                }
            }
            Scope::Item => {
                // Candidates that the history does not have share a key without entries.
                let other = items as u32;
                let places = order::places(&scene.history.items, scene.sorted_candidates());
                let mut of_candidate = vec![other; scene.rows()];
                for (candidate, place) in scene.by_item.iter().zip(places) {
                    of_candidate[*candidate as usize] = place.unwrap_or(other);
                }
                let of_item: Vec<u32> = (0..other).collect();
                Groups::by_keys(scene, items + 1, &|c| &of_candidate[c..=c], &|i| &of_item[i..=i])
            }
            Scope::Field(field) => {
                let column = scene.schema.find(field).map(|(index, _)| &scene.tables.attributes[index]);
                let keys = |row: Option<u32>| match (column, row) {
                    (Some(Column::Category(c)), Some(row)) => {
                        let code = c.codes.get(row as usize..=row as usize).unwrap_or(&[]);
                        if code == [NO_CODE] { &[] } else { code }
                    }
                    (Some(Column::Tags(t)), Some(row)) => t.codes_of(row as usize),
                    _ => &[],
                };
                let names = match column {
                    Some(Column::Category(c)) => c.names.len(),
                    Some(Column::Tags(t)) => t.names.len(),
                    _ => 0,
                };
                let rows = scene.history_rows();
                Groups::by_keys(scene, names, &|c| keys(scene.item_rows[c]), &|i| keys(rows[i]))
            }
        }
    }

    /// Groups by keys, which are smaller than `keys`, of each candidate and of each item of the history.
    fn by_keys<'k>(
        scene: &Scene,
        keys: usize,
        of_candidate: &dyn Fn(usize) -> &'k [u32],
        of_item: &dyn Fn(usize) -> &'k [u32],
    ) -> Groups {
        const NONE: u32 = u32::MAX;
        let mut group_of = vec![NONE; keys];
        let mut groups = 0;
        let mut candidates = Lists::new();
        for candidate in 0..scene.rows() {
            for &key in of_candidate(candidate) {
                let group = &mut group_of[key as usize];
                if *group == NONE {
                    *group = groups;
                    groups += 1;
                }
                candidates.numbers.push(*group);
            }
            candidates.end();
        }
        let mut items = Lists::new();
        for item in 0..scene.history.items.len() {
            for &key in of_item(item) {
                let group = group_of[key as usize];
                if group != NONE {
                    items.numbers.push(group);
                }
            }
            items.end();
        }
        // Counted first, so that every list has its place.
        let of_entries = &scene.history.item[scene.window.clone()];
        let mut starts = vec![0u32; groups as usize + 1];
        let mut times = vec![0u32; scene.history.items.len()];
        for &item in of_entries {
            times[item as usize] += 1;
        }
        for (item, times) in times.iter().enumerate() {
            for &group in items.get(item) {
                starts[group as usize + 1] += times;
            }
        }
        let mut end = 0;
        for start in &mut starts {
            end += *start;
            *start = end;
        }
        let (mut next, mut numbers) = (starts.clone(), vec![0; end as usize]);
        for (entry, &item) in (scene.window.start as u32..).zip(of_entries) {
            for &group in items.get(item as usize) {
                let place = &mut next[group as usize];
                numbers[*place as usize] = entry;
                *place += 1;
            }
        }
        Groups { entries: Lists { starts, numbers }, of_candidate: candidates }
    }
}
