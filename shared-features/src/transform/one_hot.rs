//! `one_hot`: a place for each value of a fitted vocabulary, and one for all others; missing is all zeros.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::{Apply, Fit, Step, Training};
use crate::column::{Column, Kind, Vectors};

/// Size of the vocabulary: the values with the most users, at most `size` of them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OneHot {
    size: u32,
}

/// The vocabulary that was fitted, sorted; the last place is for values outside it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Vocabulary {
    names: Vec<String>,
}

impl Fit for OneHot {
    fn output(&self, input: Kind) -> Result<Kind, String> {
        if !(1..=1024).contains(&self.size) {
            return Err(format!("`one_hot` has size {}; write 1 to 1024", self.size));
        }
        match input {
            Kind::Category | Kind::Tags => Ok(Kind::Vector(self.size + 1)),
            other => Err(format!("`one_hot` needs a category or tags, this is a {other}")),
        }
    }

    fn fit(&self, input: &Column, training: &Training) -> Step {
        let mut users: BTreeMap<&str, BTreeSet<u32>> = BTreeMap::new();
        for (row, user) in training.users.iter().enumerate() {
            match input {
                Column::Category(c) => {
                    if let Some(name) = c.get(row) {
                        users.entry(name).or_default().insert(*user);
                    }
                }
                Column::Tags(t) => {
                    for name in t.get(row) {
                        users.entry(name).or_default().insert(*user);
                    }
                }
                _ => {}
            }
        }
        let mut names: Vec<(usize, &str)> = users
            .iter()
            .map(|(name, users)| (users.len(), *name))
            .filter(|(users, _)| *users >= training.min_users as usize)
            .collect();
        names.sort_by(|a, b| b.0.cmp(&a.0).then(a.1.cmp(b.1)));
        names.truncate(self.size as usize);
        let mut names: Vec<String> = names.into_iter().map(|(_, name)| name.to_owned()).collect();
        names.sort();
        Step::OneHot(Vocabulary { names })
    }

    fn imputes(&self) -> bool {
        true
    }

    fn learns(&self) -> bool {
        true
    }
}

impl Apply for Vocabulary {
    fn apply(&self, input: Column) -> Column {
        let width = self.names.len() + 1;
        let place = |name: &str| self.names.binary_search_by(|n| n.as_str().cmp(name)).unwrap_or(width - 1);
        let mut data = vec![0.0f32; width * input.rows()];
        match &input {
            Column::Category(c) => {
                for row in 0..input.rows() {
                    if let Some(name) = c.get(row) {
                        data[row * width + place(name)] = 1.0;
                    }
                }
            }
            Column::Tags(t) => {
                for row in 0..input.rows() {
                    for name in t.get(row) {
                        data[row * width + place(name)] = 1.0;
                    }
                }
            }
            _ => return input,
        }
        Column::Vector(Vectors { width: width as u32, data })
    }

    fn slots(&self) -> Option<Vec<String>> {
        Some(self.names.iter().cloned().chain(["(other)".to_owned()]).collect())
    }
}
