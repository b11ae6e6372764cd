//! Which history entries count: by action, by age and by habit of hour or weekday.

use std::borrow::Cow;
use std::rc::Rc;

use serde::{Deserialize, Serialize};

use crate::duration::Duration;
use crate::numeric::{local_hour, local_weekday};
use crate::scene::Scene;

/// Entries at the same local time as the request.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Same {
    /// The same hour of the day.
    Hour,
    /// Within one hour of the same hour of the day, around midnight too.
    HourOrNext,
    /// The same day of the week.
    Weekday,
    /// Saturday and Sunday, or Monday to Friday.
    Weekend,
    /// The same hour of the same day of the week.
    HourOfWeek,
}

/// What a [`Mask`] depends on: the actions of the history that count, and the habit.
pub(crate) type MaskKey = (Option<Vec<bool>>, Option<Same>);

/// Whether each entry of the window counts.
pub(crate) type Mask = Vec<bool>;

/// A filter, resolved against one request.
pub(crate) struct Filter {
    /// Where the window begins.
    start: usize,
    /// Entries before this one are too old.
    first: u32,
    /// `None` where all that are new enough count.
    mask: Option<Rc<Mask>>,
}

impl Filter {
    pub(crate) fn new(scene: &Scene, actions: Option<&[String]>, window: Option<Duration>, same: Option<Same>) -> Self {
        let actions = actions.map(|names| scene.history.actions.iter().map(|a| names.contains(a)).collect());
        let first = window.map_or(0, |window| {
            let from = scene.request.ts.saturating_sub(window.ms);
            scene.history.ts.partition_point(|&ts| ts < from) as u32
        });
        let key = (actions, same);
        let mask = (key != (None, None)).then(|| scene.mask(&key, || mask(scene, &key)));
        Filter { start: scene.window.start, first, mask }
    }

    /// Those of some entries, which are oldest first, that count.
    pub(crate) fn of<'e>(&self, entries: &'e [u32]) -> Cow<'e, [u32]> {
        let old = if self.first == 0 { 0 } else { entries.partition_point(|&entry| entry < self.first) };
        let entries = &entries[old..];
        let Some(mask) = &self.mask else { return Cow::Borrowed(entries) };
        let mut kept = Vec::with_capacity(entries.len());
        for &entry in entries {
            if mask[entry as usize - self.start] {
                kept.push(entry);
            }
        }
        Cow::Owned(kept)
    }

    /// How many of some entries, which are oldest first, count.
    pub(crate) fn count(&self, entries: &[u32]) -> f64 {
        self.of(entries).len() as f64
    }
}

fn mask(scene: &Scene, (actions, same): &MaskKey) -> Mask {
    let (history, request) = (scene.history, scene.request);
    let (hour, weekday) = (local_hour(request.ts, request.offset_min), local_weekday(request.ts, request.offset_min));
    let habit = |i: usize| {
        let (ts, offset_min) = (history.ts[i], history.offset_min[i]);
        let hour_distance = || {
            let apart = (local_hour(ts, offset_min) + 24 - hour) % 24;
            if apart > 12 { 24 - apart } else { apart }
        };
        let same_weekday = || local_weekday(ts, offset_min) == weekday;
        same.is_none_or(|same| match same {
            Same::Hour => hour_distance() == 0,
            Same::HourOrNext => hour_distance() <= 1,
            Same::Weekday => same_weekday(),
            Same::Weekend => (local_weekday(ts, offset_min) >= 5) == (weekday >= 5),
            Same::HourOfWeek => hour_distance() == 0 && same_weekday(),
        })
    };
    let known_action = |i: usize| actions.as_ref().is_none_or(|counts| counts[history.action[i] as usize]);
    scene.window.clone().map(|i| known_action(i) && habit(i)).collect()
}
