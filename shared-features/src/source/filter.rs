//! Which history entries count: by action, by age and by habit of hour or weekday.

use serde::{Deserialize, Serialize};

use crate::duration::Duration;
use crate::numeric::{local_hour, local_weekday};
use crate::scene::Scene;

/// Entries at the same local time as the request.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Same {
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

/// A filter, resolved against one request.
pub(crate) struct Filter<'s> {
    scene: &'s Scene<'s>,
    actions: Option<Vec<bool>>,
    from: i64,
    same: Option<(Same, u32, u32)>,
}

impl<'s> Filter<'s> {
    pub(crate) fn new(
        scene: &'s Scene<'s>,
        actions: &Option<Vec<String>>,
        window: Option<Duration>,
        same: Option<Same>,
    ) -> Self {
        let request = scene.request;
        let (hour, weekday) =
            (local_hour(request.ts, request.offset_min), local_weekday(request.ts, request.offset_min));
        Filter {
            scene,
            actions: actions.as_ref().map(|names| scene.history.actions.iter().map(|a| names.contains(a)).collect()),
            from: window.map_or(i64::MIN, |w| request.ts.saturating_sub(w.ms)),
            same: same.map(|same| (same, hour, weekday)),
        }
    }

    /// Whether the history entry at this index counts.
    pub(crate) fn keeps(&self, entry: u32) -> bool {
        let (history, i) = (self.scene.history, entry as usize);
        let known_action = self.actions.as_ref().is_none_or(|keep| keep[history.action[i] as usize]);
        known_action
            && history.ts[i] >= self.from
            && self.same.is_none_or(|(same, hour, weekday)| {
                let (ts, offset_min) = (history.ts[i], history.offset_min[i]);
                let hour_distance = || {
                    let apart = (local_hour(ts, offset_min) + 24 - hour) % 24;
                    if apart > 12 { 24 - apart } else { apart }
                };
                let same_weekday = || local_weekday(ts, offset_min) == weekday;
                match same {
                    Same::Hour => hour_distance() == 0,
                    Same::HourOrNext => hour_distance() <= 1,
                    Same::Weekday => same_weekday(),
                    Same::Weekend => (local_weekday(ts, offset_min) >= 5) == (weekday >= 5),
                    Same::HourOfWeek => hour_distance() == 0 && same_weekday(),
                }
            })
    }
}
